/*
 * A PCIe root port: the bridge that a passed-through device sits behind. Type 1 header, PCI Express
 * capability with a hot-pluggable slot, MSI for its events.
 *
 * Its bus numbers and windows are set before the guest starts, as firmware would. The slot has an
 * attention button and power controller, so that the host can ask the guest to let go of the
 * device: root_port_press_button() is the button; the guest then turns the slot's power off, and
 * `released` is called. PCI Express Base 5.0 sections 6.7 and 7.5.
 */
#ifndef DEVICES_ROOT_PORT_H
#define DEVICES_ROOT_PORT_H

#include "devices/pci.h"

/* Beside the state of `fn`, whose configuration space has all registers. Lock: the host bridge's.
 */
struct root_port_state {
	bool raised; /* some enabled event of the slot is up */
};

struct root_port {
	struct pci_function fn;
	struct pci_bus bus;
	const struct pci_env *env;
	struct pci_host *host;
	struct pci_function *child; /* what is in the slot, with power or without */
	struct root_port_state state;
	/* The guest turned the slot's power off after a press. Lock of the host bridge held. */
	void (*released)(void *to);
	void *to;
	unsigned pcie; /* offsets of capabilities in configuration space */
	unsigned msi, pm;
};

struct root_port_numbers {
	uint8_t slot;			 /* on bus 0: the physical slot number, too */
	uint8_t bus;			 /* secondary and subordinate */
	struct span io, mem32, prefetch; /* windows; empty: closed */
};

/* `child` (borrowed) is the device in the slot at function 0 of device 0; NULL: empty. */
void root_port_init(struct root_port *port, struct pci_host *host, const struct pci_env *env,
		    const struct root_port_numbers *numbers, struct pci_function *child);
/*
 * From the loop's thread: takes the host bridge's lock. A guest that was not listening may be asked
 * again; one that is just letting go is left alone. If the slot's power is off already, `released`
 * is called before this returns; in an empty slot nothing happens.
 */
void root_port_press_button(struct root_port *port, void (*released)(void *to), void *to);
/*
 * The device left without asking (it is gone from the host). Takes the lock. The caller takes its
 * BARs away. `released` is not called.
 */
void root_port_remove(struct root_port *port);

#endif
