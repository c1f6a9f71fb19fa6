/*
 * The PCI part of a machine: host bridge, root ports and passed-through devices, and their access
 * to the rest of the machine (struct pci_env): guest addresses, interrupts, the event loop.
 *
 * Created after the interrupt controllers and before any vCPU runs; destroyed after the last vCPU
 * stopped.
 */
#ifndef MACHINE_PCI_H
#define MACHINE_PCI_H

#include "devices/bus.h"
#include "devices/pci.h"
#include "devices/root_port.h"
#include "vmm/backends/passthrough.h"
#include "vmm/host/loop.h"
#include "vmm/machine/interrupts.h"

struct machine_pci;

/* A device of the plan in its slot. */
struct machine_slot {
	struct machine_pci *pci;
	struct vfio_pci *device; /* NULL: given back to the host */
	struct root_port *port;	 /* NULL: on bus 0 */
	unsigned index;		 /* in plan->pci[] and passthrough->devices[] */
	bool released;		 /* the guest ejected it */
};

struct machine_watch {
	int fd; /* -1: free */
	void (*ready)(void *dev);
	void *dev;
};

/* Parts of the machine that the PCI part borrows. */
struct machine_pci_parts {
	const struct plan *plan;
	struct kvm *kvm;
	struct machine_interrupts *interrupts;
	struct bus *ports, *memory;
	struct device *at_cf9; /* the reset register amidst the PCI ports (devices/pci.h) */
	struct loop *loop;
	struct passthrough *passthrough; /* NULL: none */
	/* A sentence for the user, and one that ends the guest. */
	void (*say)(void *to, const char *sentence);
	void (*fail)(void *to, const char *sentence);
	void *to;
};

struct machine_pci {
	struct machine_pci_parts parts;
	struct pci_env env;
	struct pci_host host;
	struct pci_bus *roots; /* root buses of the host bridges from the second one on */
	struct root_port *ports;
	unsigned nr_ports;
	struct machine_slot slots[PCI_DEVICES_MAX];
	unsigned nr_slots;
	struct machine_watch watches[4 * PCI_DEVICES_MAX];
	pthread_mutex_t lock; /* guards KVM's memory slots */
	bool stuck; /* KVM failed to delete a memory slot: nothing is unmapped until the end */
	int leave;  /* eventfd: signalled when a slot is released */
	/* the limit of say(): some lines at once, then one a second */
	unsigned said;
	int64_t said_at;
	pthread_mutex_t say_lock;
};

#define MACHINE_PCI_EMPTY   \
	{                   \
		.leave = -1 \
	}

/* Puts a function into its place on a root bus. Before any vCPU runs. */
void machine_pci_add(struct machine_pci *p, const struct plan_pci *place, struct pci_function *fn);
int machine_pci_create(struct machine_pci *p, const struct machine_pci_parts *parts,
		       struct err *err);
/*
 * Another thread is no longer in passthrough_map(). If the devices are not absent any more, they
 * come into their slots; a group that waited for it leaves. On the loop's thread.
 */
void machine_pci_mapped(struct machine_pci *p);
/* Allowed on MACHINE_PCI_EMPTY and after a create that failed. */
void machine_pci_destroy(struct machine_pci *p);

#endif
