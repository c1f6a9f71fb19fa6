/*
 * Places the devices of a plan: host bridges, slots, buses, bridge windows, BARs.
 *
 * PURE. Called by plan_build(). Makes plan->map, and plan->ports and plan->pci in its PCI windows,
 * by the rules of plan/pci_rules.h, by which plan files are checked as well.
 *
 *	bus 0	slot 0	host bridge
 *		slot 1	root port 0 -- bus 1, slot 0: the first device
 *		slot 2	the second device, if it has no port
 *		slot 3	root port 1 -- bus 2, slot 0: the third device
 *
 * Functions of one card of the host, 41:00.0 and 41:00.1, are functions of one slot again. What
 * does not find a slot of its own on a root bus shares one:
 *
 *	bus 0	slot 1	functions 0 to 7: root ports 0 to 7
 *		slot 2	functions 0 to 7: root ports 8 to 15
 *
 * Devices of NUMA nodes other than 0 are behind a host bridge of their node, because Linux on x86
 * takes a device's node from the _PXM of its host bridge (arch/x86/pci/acpi.c,
 * pci_acpi_root_get_node()). Such a bridge has a bus after those of the bridge before it, and a
 * part of the windows, for no address is decoded by two:
 *
 *	|-- bridge 0 --|-- bridge 1 --|-- bridge 2 --|-- bridge 0: what is left --|
 *
 * A bridge has three windows (PCI-to-PCI Bridge Architecture 1.2 section 3.2.5): I/O in units of
 * 4 KiB; memory below 4 GiB and prefetchable memory, here above 4 GiB, in units of 1 MiB.
 */
#ifndef PLAN_PCI_LAYOUT_H
#define PLAN_PCI_LAYOUT_H

#include "vmm/plan/plan.h"

struct pci_layout_device {
	const struct host_pci *host; /* borrowed for the call */
	bool root_bus;		     /* on a root bus itself, not behind a root port */
	bool rom;		     /* has its expansion ROM */
	unsigned node;		     /* of the guest */
};

/*
 * Builds plan->map from `req` and places `n` devices, in their order, in its windows, and then
 * `spare` root ports with nothing behind them. Where the
 * devices need larger windows, *req is changed (pci32_size, pci64_size, pci64_least, largest_bar).
 * No I/O BAR is put on `busy_ports` (may be empty); one that finds no place stays at 0, and its
 * port forwards no I/O.
 *
 * Returns 0; -ERANGE and a sentence if map_build refuses or a BAR has no place; -EINVAL if a device
 * is described wrongly (sizes that are no powers of two and the like).
 */
int pci_layout_build(struct plan *p, struct map_request *req,
		     const struct pci_layout_device *devices, unsigned n, unsigned spare,
		     struct span busy_ports, struct err *err);

#endif
