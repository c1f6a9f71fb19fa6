/*
 * MSI-X of an emulated function: the table that the guest writes, and eventfds that become
 * interrupts through KVM's routes, without this process. PCI Local Bus 3.0 section 6.8.2.
 *
 * A masked vector has no route: what is raised meanwhile stays in its eventfd, which is the pending
 * bit, and is delivered when it is routed again. Any thread may raise; the rest comes from vCPU
 * threads.
 */
#ifndef DEVICES_MSIX_H
#define DEVICES_MSIX_H

#include "devices/pci_config.h"
#include "devices/pci_env.h"

#define MSIX_VECTORS_MAX 64
#define MSIX_ENTRY	 16 /* bytes of the table for each vector */

struct msix_vector {
	int fd;	   /* eventfd, borrowed */
	int route; /* pci_env's handle; -1: masked, or not in use */
	/* what the route sends */
	uint64_t address;
	uint32_t data;
};

/* The control register is in configuration space; pending bits are what the eventfds hold. */
struct msix_state {
	uint8_t table[MSIX_VECTORS_MAX * MSIX_ENTRY];
};

struct msix {
	const struct pci_env *env;
	pthread_mutex_t lock;
	unsigned n;
	struct msix_vector vectors[MSIX_VECTORS_MAX];
	struct msix_state state;
	bool enabled; /* by the control register, and not masked as a whole */
};

/* `n` eventfds, one a vector, borrowed. */
void msix_init(struct msix *m, const struct pci_env *env, const int *fds, unsigned n);
/* The capability; table and pending bits lie in one BAR, at these offsets. Returns its offset. */
unsigned msix_add_cap(const struct msix *m, struct pci_config *c, unsigned bar, uint32_t table,
		      uint32_t pending);
/* After a write to configuration space: the message control register, from `c` at `cap`. */
void msix_update(struct msix *m, const struct pci_config *c, unsigned cap);
/* Accesses to the table; those beyond it read zeroes. */
uint64_t msix_table_read(struct msix *m, uint64_t offset, unsigned size);
void msix_table_write(struct msix *m, uint64_t offset, unsigned size, uint64_t value);
uint64_t msix_pending_read(struct msix *m, uint64_t offset, unsigned size);
/* Nothing if there is no such vector. */
void msix_raise(const struct msix *m, unsigned vector);
/* Takes all routes back. */
void msix_stop(struct msix *m);

#endif
