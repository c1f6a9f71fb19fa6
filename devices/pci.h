/*
 * The PCIe host bridge and what every PCI function shares: configuration accesses (ECAM and
 * 0xCF8/0xCFC), routing by bus number through bridges, BARs that the guest sizes, moves, and turns
 * on and off.
 *
 * Every configuration access runs under the host bridge's lock, and so do all entry points of
 * struct pci_ops. A BAR that the guest puts where something else is stays unmapped until moved on.
 * PCI Local Bus 3.0 chapter 6; PCI Express Base 5.0 chapter 7.
 */
#ifndef DEVICES_PCI_H
#define DEVICES_PCI_H

#include "devices/device.h"
#include "devices/pci_config.h"
#include "devices/pci_env.h"
#include "vmm/base/bar.h"

#define PCI_SLOTS 32

struct pci_function;

struct pci_ops {
	const char *name;
	/* A configuration access. NULL: pci_function_read and pci_function_write alone. */
	uint32_t (*read)(struct pci_function *fn, unsigned offset, unsigned size);
	void (*write)(struct pci_function *fn, unsigned offset, unsigned size, uint32_t value);
	/*
	 * The guest sees BAR `bar` at [at) from now on; empty: nowhere (decoding off). Called only
	 * when that changed, and with empty before a new place.
	 */
	void (*bar_moved)(struct pci_function *fn, unsigned bar, struct span at);
	/* The bridge above raises its secondary bus reset bit, or the slot's link goes down. */
	void (*reset)(struct pci_function *fn);
};

struct pci_bar {
	struct bar_shape shape;
	struct span at; /* where it is decoded now; empty: nowhere */
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
	struct pci_bus *behind; /* a bridge's secondary bus; NULL: no bridge */
};

/* A bus: functions by device number. Only function 0 of each is used. */
struct pci_bus {
	struct pci_function *slots[PCI_SLOTS]; /* borrowed */
};

/* Sets the type 0 header's fixed fields and allows what a guest may write there. */
struct pci_identity {
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint32_t class; /* 24 bits */
	uint8_t revision;
	uint8_t header; /* 0, or 1 for a bridge */
	uint8_t pin;	/* 0: no INTx, 1: INTA ... */
};
void pci_function_init(struct pci_function *fn, const struct pci_ops *ops,
		       const struct pci_identity *id);
/*
 * Makes BAR `bar` (0 to 5, BAR_ROM). `at` is what it holds at reset, where firmware would have put
 * it; decoding is off until the guest turns it on. A wide BAR takes `bar` and `bar` + 1.
 */
void pci_function_add_bar(struct pci_function *fn, unsigned bar, const struct bar_shape *shape,
			  uint64_t at);
/* Header, BARs and masks; calls bar_moved. */
uint32_t pci_function_read(struct pci_function *fn, unsigned offset, unsigned size);
void pci_function_write(struct pci_function *fn, unsigned offset, unsigned size, uint32_t value);
/* Sets `asleep`. */
void pci_function_sleep(struct pci_function *fn, bool asleep);
/* Takes every BAR out of the guest's address space (unplug, machine_destroy). */
void pci_function_unmap(struct pci_function *fn);

/* The header as after power-on: decoding off, BARs without addresses. Calls bar_moved. */
void pci_function_reset(struct pci_function *fn);

/*
 * The host bridge, function 00:00.0, and the two ways to configuration space: memory (ECAM, 1 MiB a
 * bus) and the ports 0xcf8 (address, a dword) and 0xcfc (data). A byte at 0xcf9 is another
 * register, the chipset's reset control: such accesses go on to `at_cf9`.
 */
struct pci_host_state {
	uint32_t address; /* 0xcf8; the lock of `ports` */
};

struct pci_host {
	struct device ecam;
	struct device ports;
	struct device *at_cf9; /* borrowed; NULL: nothing there */
	pthread_mutex_t lock;
	struct pci_host_state state;
	struct pci_function bridge;
	struct pci_bus root; /* slot 0 is the bridge */
};
void pci_host_init(struct pci_host *host, struct device *at_cf9);
/* The function that answers bus:slot now, by the bridges' bus numbers; NULL: none. Lock held. */
struct pci_function *pci_host_find(struct pci_host *host, uint8_t bus, uint8_t slot);
void pci_host_lock(struct pci_host *host);
void pci_host_unlock(struct pci_host *host);

#endif
