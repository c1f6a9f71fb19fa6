/*
 * The PCI part of a plan: its address spaces, and the rules that every layout keeps.
 *
 * PURE. pci_layout.c makes layouts by these rules; plan_check() checks plan files by them.
 */
#ifndef PLAN_PCI_RULES_H
#define PLAN_PCI_RULES_H

#include "vmm/plan/plan.h"

/* I/O ports of the platform lie below, I/O BARs above. */
#define PCI_IO_BASE 0x1000u

#define PCI_SLOTS_MAX	  32 /* of a bus */
#define PCI_FUNCTIONS_MAX 8  /* of a slot */

enum pci_space {
	PCI_SPACE_IO,
	PCI_SPACE_MEM32,
	PCI_SPACE_MEM64,
	PCI_SPACES,
};

/* The space in which a BAR of this function lies. */
enum pci_space plan_pci_space(const struct plan_pci *fn, const struct bar_shape *bar);
/* The window of a root port into a space, and the unit of such windows in bytes. */
struct span *plan_pci_window(struct plan_port *port, enum pci_space kind);
uint64_t plan_pci_unit(enum pci_space kind);
/*
 * The bytes of address space that a BAR takes, in which no other BAR may lie; also its alignment.
 */
uint64_t plan_pci_room(const struct bar_shape *bar);
/* Writes a host bridge's windows into a space to `out`; a fold as those of plan.h. */
size_t plan_pci_spans(const struct plan *p, unsigned bridge, enum pci_space kind, struct span *out,
		      size_t cap);

/*
 * Checks that slots, bus numbers, windows and BARs are possible, aligned, disjoint, and within the
 * windows of the bridges that lead to them. -EINVAL and a sentence.
 */
int plan_pci_check(const struct plan *p, struct err *err);

/* "00:01.0" */
const char *plan_pci_address(char buf[16], unsigned bus, unsigned slot, unsigned function);
/* "BAR 2" or "the ROM" */
const char *plan_pci_bar_name(unsigned bar);

#endif
