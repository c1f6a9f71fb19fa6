/*
 * Places the devices of a plan: slots, buses, bridge windows, BARs.
 *
 * PURE. Called by plan_build(). Makes plan->map, and plan->ports and plan->pci in its PCI windows,
 * by the rules of plan/pci_rules.h, by which plan files are checked as well.
 *
 *	bus 0	slot 0	host bridge
 *		slot 1	root port 0 -- bus 1, slot 0: the first device
 *		slot 2	the second device, if it has no port
 *		slot 3	root port 1 -- bus 2, slot 0: the third device
 *
 * A bridge has three windows (PCI-to-PCI Bridge Architecture 1.2 section 3.2.5): I/O in units of
 * 4 KiB; memory below 4 GiB and prefetchable memory, here above 4 GiB, in units of 1 MiB.
 */
#ifndef PLAN_PCI_LAYOUT_H
#define PLAN_PCI_LAYOUT_H

#include "vmm/plan/plan.h"

struct pci_layout_device {
	const struct host_pci *host; /* borrowed for the call */
	bool root_bus;		     /* on bus 0 itself, not behind a root port */
	bool rom;		     /* has its expansion ROM */
};

/*
 * Builds plan->map from `req` and places `n` devices, in their order, in its windows. Where the
 * devices need larger windows, *req is changed (pci32_size, pci64_size, pci64_least, largest_bar).
 * No I/O BAR is put on `busy_ports` (may be empty); one that finds no place stays at 0, and its
 * port forwards no I/O.
 *
 * Returns 0; -ERANGE and a sentence if map_build refuses or a BAR has no place; -EINVAL if a device
 * is described wrongly (sizes that are no powers of two and the like).
 */
int pci_layout_build(struct plan *p, struct map_request *req,
		     const struct pci_layout_device *devices, unsigned n, struct span busy_ports,
		     struct err *err);

#endif
