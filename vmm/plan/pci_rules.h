/*
 * The PCI part of a plan: what its spaces and BARs may be, and the rules that every layout keeps.
 *
 * PURE. pci_layout.c makes layouts by these rules; plan_check() holds plan files against them.
 */
#ifndef PLAN_PCI_RULES_H
#define PLAN_PCI_RULES_H

#include "vmm/plan/plan.h"

/* Ports of the platform lie below; BARs above. */
#define PCI_IO_BASE 0x1000u

enum pci_space {
	PCI_SPACE_IO,
	PCI_SPACE_MEM32,
	PCI_SPACE_MEM64,
	PCI_SPACES,
};

/* Where a BAR of this function lies. */
enum pci_space plan_pci_space(const struct plan_pci *fn, const struct bar_shape *bar);
/* The window of a root port into a space, and the unit of such windows in bytes. */
struct span *plan_pci_window(struct plan_port *port, enum pci_space kind);
uint64_t plan_pci_unit(enum pci_space kind);
/* The bytes of address space that a BAR keeps others away from; also its alignment. */
uint64_t plan_pci_room(const struct bar_shape *bar);
/* The host bridge's windows into a space; returns how many there are, as the folds of plan.h. */
size_t plan_pci_spans(const struct plan *p, enum pci_space kind, struct span *out, size_t cap);

/*
 * Slots, bus numbers, windows and BARs: each where it can be, aligned, inside of what leads to it,
 * disjoint. -EINVAL and a sentence.
 */
int plan_pci_check(const struct plan *p, struct err *err);

/* "00:01.0" */
const char *plan_pci_address(char buf[16], unsigned bus, unsigned slot);
/* "BAR 2" or "the ROM" */
const char *plan_pci_bar_name(unsigned bar);

#endif
