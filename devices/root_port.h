/*
 * A PCIe root port: the bridge above a passed-through device. Type 1 header, PCI Express capability
 * with a hot-pluggable slot, MSI for the slot's events.
 *
 * Bus numbers and windows are set before the guest starts, as firmware does. The slot has an
 * attention button and a power controller, by which the host asks the guest to release the device:
 * root_port_press_button() presses the button; the guest then turns the slot's power off, and
 * `released` is called. root_port_insert() puts a device into an empty slot. PCI Express Base 5.0
 * sections 6.7 and 7.5.
 */
#ifndef DEVICES_ROOT_PORT_H
#define DEVICES_ROOT_PORT_H

#include "devices/pci.h"

/*
 * The state that is not in `fn`, whose configuration space has all registers. Lock: the host
 * bridge's.
 */
struct root_port_state {
	bool raised; /* an enabled event of the slot is set, and its message was sent */
};

struct root_port {
	struct pci_function fn;
	struct pci_bus bus;
	const struct pci_env *env;
	struct pci_host *host;
	/* The lowest function of the device in the slot, with power or without; NULL: empty. */
	struct pci_function *child;
	struct root_port_state state;
	/*
	 * Called when the guest turns the slot's power off after a press. With the host bridge's
	 * lock held.
	 */
	void (*released)(void *to);
	void *to;
	unsigned pcie; /* offsets of capabilities in configuration space */
	unsigned msi, pm;
};

struct root_port_numbers {
	uint16_t slot;			 /* the physical slot number, 13 bits */
	uint8_t primary;		 /* the bus that the port is on */
	uint8_t bus;			 /* secondary and subordinate */
	uint8_t link_speed, link_width;	 /* section 7.5.3.6: 1 is 2.5 GT/s; lanes; 0: any */
	uint32_t atomics;		 /* bits 7 to 9 of Device Capabilities 2 */
	struct span io, mem32, prefetch; /* windows; empty: closed */
};

/*
 * `child`, borrowed, is the lowest function of the device in the slot, as pci_bus_add() has linked
 * them: the guest finds it at device 0, and all of them come, go and are reset together. NULL: the
 * slot is empty.
 */
void root_port_init(struct root_port *port, struct pci_host *host, const struct pci_env *env,
		    const struct root_port_numbers *numbers, struct pci_function *child);
/*
 * Asks the guest to release the device. On the loop's thread; takes the host bridge's lock. May be
 * called again if the guest did not respond; has no effect while the guest is releasing the device
 * or if the slot is empty. If the slot's power is off already, `released` is called before this
 * returns.
 */
void root_port_press_button(struct root_port *port, void (*released)(void *to), void *to);
/*
 * A card, borrowed, comes into the empty slot. If the guest has turned off the slot's power, the
 * button is pressed as well, so that it turns it on. Has no effect if the slot is occupied. Takes
 * the host bridge's lock.
 */
void root_port_insert(struct root_port *port, struct pci_function *card);
/*
 * Empties the slot without asking the guest, because the device is gone from the host. Takes the
 * host bridge's lock. The caller unmaps the device's BARs. `released` is not called.
 */
void root_port_remove(struct root_port *port);

#endif
