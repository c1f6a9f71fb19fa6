/*
 * MSI-X of an emulated function: the table that the guest writes, and one eventfd for each vector,
 * whose signals KVM's routes turn into interrupts without this process. PCI Local Bus 3.0 section
 * 6.8.2.
 *
 * A masked vector has no route: its eventfd keeps a signal that comes meanwhile, which the guest
 * reads as the pending bit, and KVM delivers the interrupt when the vector has a route again. Any
 * thread may call msix_raise(); vCPU threads call the other functions.
 */
#ifndef DEVICES_MSIX_H
#define DEVICES_MSIX_H

#include "devices/pci_config.h"
#include "devices/pci_env.h"

#define MSIX_VECTORS_MAX 64
#define MSIX_ENTRY	 16 /* bytes of the table for each vector */

struct msix_vector {
	int fd;	   /* eventfd, borrowed */
	int route; /* handle of pci_env's route; -1: masked, or MSI-X is off */
	/* the message that the route sends */
	uint64_t address;
	uint32_t data;
};

/* The control register is in configuration space; a pending bit is a signalled eventfd. */
struct msix_state {
	uint8_t table[MSIX_VECTORS_MAX * MSIX_ENTRY];
};

struct msix {
	const struct pci_env *env;
	pthread_mutex_t lock;
	unsigned n;
	struct msix_vector vectors[MSIX_VECTORS_MAX];
	struct msix_state state;
	bool enabled; /* the control register has MSI-X enabled and does not mask all vectors */
};

/* `fds` are `n` eventfds, one for each vector, borrowed. */
void msix_init(struct msix *m, const struct pci_env *env, const int *fds, unsigned n);
/*
 * Adds the capability and returns its offset in configuration space. Table and pending bits lie in
 * BAR `bar`, at the offsets `table` and `pending`.
 */
unsigned msix_add_cap(const struct msix *m, struct pci_config *c, unsigned bar, uint32_t table,
		      uint32_t pending);
/*
 * Updates the routes after a write to configuration space: reads the message control register of
 * the capability at `cap`.
 */
void msix_update(struct msix *m, const struct pci_config *c, unsigned cap);
/* Accesses to the table. Reads beyond its end return 0, writes there are dropped. */
uint64_t msix_table_read(struct msix *m, uint64_t offset, unsigned size);
void msix_table_write(struct msix *m, uint64_t offset, unsigned size, uint64_t value);
uint64_t msix_pending_read(struct msix *m, uint64_t offset, unsigned size);
/* Signals the eventfd of a vector; does nothing if there is no such vector. */
void msix_raise(const struct msix *m, unsigned vector);
/* Removes all routes. */
void msix_stop(struct msix *m);

#endif
