/*
 * The PCIe host bridge and what every PCI function shares: configuration accesses (ECAM and
 * 0xCF8/0xCFC), routing by bus number through bridges, BARs that the guest sizes, moves, enables
 * and disables.
 *
 * Every configuration access holds the host bridge's lock, and so does every call of struct
 * pci_ops. If the guest moves a BAR to an address that another device has, the BAR stays unmapped
 * until the guest moves the BAR again. PCI Local Bus 3.0 chapter 6; PCI Express Base 5.0 chapter 7.
 */
#ifndef DEVICES_PCI_H
#define DEVICES_PCI_H

#include "devices/device.h"
#include "devices/pci_config.h"
#include "devices/pci_env.h"
#include "vmm/base/bar.h"

#define PCI_SLOTS     32
#define PCI_FUNCTIONS 8 /* of a slot */

struct pci_function;

struct pci_ops {
	const char *name;
	/* A configuration access. NULL: pci_function_read or _write is called instead. */
	uint32_t (*read)(struct pci_function *fn, unsigned offset, unsigned size);
	void (*write)(struct pci_function *fn, unsigned offset, unsigned size, uint32_t value);
	/*
	 * The guest sees BAR `bar` at [at) from now on; empty: nowhere, because decoding is off.
	 * Called only when the address changed. A BAR that moves is removed first: a call with
	 * empty `at`, then one with the new address.
	 */
	void (*bar_moved)(struct pci_function *fn, unsigned bar, struct span at);
	/* The guest set the secondary bus reset bit of the bridge, or the slot's link went down. */
	void (*reset)(struct pci_function *fn);
};

struct pci_bar {
	struct bar_shape shape;
	struct span at; /* the addresses that the BAR decodes now; empty: none */
};

struct pci_bus;

/* Beside the state of `config`. Lock: the host bridge's. */
struct pci_function_state {
	bool asleep; /* no BAR is decoded, whatever the command register says (D3hot) */
};

struct pci_function {
	const struct pci_ops *ops;
	struct pci_config config;
	struct pci_function_state state;
	struct pci_bar bars[BARS_AND_ROM];
	struct pci_bus *behind;	   /* a bridge's secondary bus; NULL: the function is no bridge */
	unsigned number;	   /* in its slot: 0 to 7 */
	struct pci_function *next; /* the next higher function of the slot, borrowed; or NULL */
};

/* A bus: by device number, the lowest function of each slot, which leads to the others. */
struct pci_bus {
	struct pci_function *slots[PCI_SLOTS]; /* borrowed */
	/* of a root bus beside bus 0 (pci_host_add_root()) */
	uint8_t number;
	struct pci_bus *next;
};

/*
 * Puts a function, borrowed, which pci_function_init() has made, into a slot of `bus`, at a number
 * that is free there. When a slot has a function beside function 0, all of its functions say so in
 * their header type, without which a guest looks for function 0 alone.
 */
void pci_bus_add(struct pci_bus *bus, unsigned slot, unsigned number, struct pci_function *fn);

/* The read-only fields of the header. */
struct pci_identity {
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint32_t class; /* 24 bits */
	uint8_t revision;
	uint8_t header; /* 0, or 1 for a bridge */
	uint8_t pin;	/* 0: no INTx, 1: INTA ... */
};
/* Sets the header's read-only fields and makes the other fields writable by the guest. */
void pci_function_init(struct pci_function *fn, const struct pci_ops *ops,
		       const struct pci_identity *id);
/*
 * Adds BAR `bar` (0 to 5, BAR_ROM). `at` is the address in the BAR before the guest's first write,
 * as firmware would assign it; decoding is off until the guest enables it. A wide BAR takes `bar`
 * and `bar` + 1.
 */
void pci_function_add_bar(struct pci_function *fn, unsigned bar, const struct bar_shape *shape,
			  uint64_t at);
/* Reads and writes the registers through their masks. A write that moves a BAR calls bar_moved. */
uint32_t pci_function_read(struct pci_function *fn, unsigned offset, unsigned size);
void pci_function_write(struct pci_function *fn, unsigned offset, unsigned size, uint32_t value);
/* Sets `asleep`, which removes the BARs from the guest's address space or places them again. */
void pci_function_sleep(struct pci_function *fn, bool asleep);
/* Removes every BAR from the guest's address space (unplug, machine_destroy). */
void pci_function_unmap(struct pci_function *fn);

/* Resets the header as power-on does: decoding off, BARs without addresses. Calls bar_moved. */
void pci_function_reset(struct pci_function *fn);

/*
 * The host bridge, function 00:00.0, and the two ways to configuration space: memory (ECAM, 1 MiB
 * for each bus) and the ports 0xcf8 (address, a dword) and 0xcfc (data). A one-byte access at 0xcf9
 * is for another register, the chipset's reset control, and is passed to `at_cf9`.
 */
struct pci_host_state {
	uint32_t address; /* the register at 0xcf8; under the lock of `ports` */
};

struct pci_host {
	struct device ecam;
	struct device ports;
	struct device *at_cf9; /* borrowed; NULL: nothing there */
	pthread_mutex_t lock;
	struct pci_host_state state;
	struct pci_function bridge;
	struct pci_bus root; /* bus 0, where slot 0 is the bridge; `next`: the other root buses */
};
void pci_host_init(struct pci_host *host, struct device *at_cf9);
/* Adds a root bus, borrowed and empty, with a number of its own: of another host bridge. */
void pci_host_add_root(struct pci_host *host, struct pci_bus *bus, uint8_t number);
/*
 * Returns the function at bus:slot.function by the bus numbers that the bridges have now; NULL:
 * none. With the lock held.
 */
struct pci_function *pci_host_find(struct pci_host *host, uint8_t bus, uint8_t slot,
				   uint8_t function);
void pci_host_lock(struct pci_host *host);
void pci_host_unlock(struct pci_host *host);

#endif
