/*
 * What the vfio/pci*.c files share, and nobody else includes: the passed-through function and its
 * parts.
 *
 * Locks: configuration accesses come under the host bridge's lock, accesses to trapped memory under
 * the trap's own device lock; `lock` guards the interrupt state, which both reach. It is the
 * innermost but for the machine's.
 */
#ifndef VFIO_PCI_INTERNAL_H
#define VFIO_PCI_INTERNAL_H

#include "vfio/pci.h"
#include "vfio/pci_config.h"

#include <linux/vfio.h>

/* --- parts of BARs --- */

/* A stretch of a BAR that VFIO lets us map: no exits. */
struct vfio_part {
	struct span at; /* bytes into the BAR, page-aligned */
	uint8_t *hva;
	int handle; /* of env->map; -1: not in the guest now */
	bool p2p;   /* mapped for other devices */
};

struct vfio_bar {
	struct device trap; /* what is not a part: exits come here */
	struct vfio_pci *owner;
	unsigned index;
	struct bar_shape shape;
	uint64_t region_offset; /* in the device's file */
	bool can_map;
	struct span sparse[BAR_PARTS_MAX]; /* what VFIO lets us map */
	unsigned nr_sparse;
	uint8_t *base; /* this process's addresses for all of it; NULL: nothing is mapped */
	struct vfio_part parts[BAR_PARTS_MAX];
	unsigned nr_parts;
	struct span at; /* where the guest has it, in `env`'s eyes; empty: nowhere */
	bool claimed;
};

/* --- interrupts --- */

enum vfio_irq_mode {
	VFIO_IRQ_NONE,
	VFIO_IRQ_INTX,
	VFIO_IRQ_MSI,
	VFIO_IRQ_MSIX,
};

struct vfio_vector {
	int fd;	    /* eventfd that VFIO signals; -1: not in use yet */
	bool given; /* VFIO has it */
	int route;  /* env->route's handle; -1: masked */
	uint64_t address;
	uint32_t data;
};

struct vfio_irqs {
	enum vfio_irq_mode mode;
	bool intx_refused; /* by VFIO; not tried again before another mode was wanted */
	uint32_t counts[VFIO_PCI_NUM_IRQS]; /* what VFIO has of each kind */
	uint32_t flags[VFIO_PCI_NUM_IRQS];
	/* INTx */
	int intx, resample;
	/* MSI, MSI-X: as many as the device has */
	struct vfio_vector *vectors;
	unsigned nr_vectors;
	unsigned nr_enabled; /* vectors that VFIO set up */
	unsigned nr_asked;   /* what it was asked for: the host may have fewer */
	uint8_t *table;	     /* the MSI-X table as the guest has it, 16 bytes a vector */
	/* notifiers */
	int error, request;
};

struct vfio_pci {
	struct pci_function fn;
	char name[VFIO_NAME_MAX];
	int fd;
	struct vfio_pci_options options;
	uint32_t flags; /* VFIO_DEVICE_FLAGS_* */
	uint64_t config_offset, config_size;
	uint8_t raw[PCI_CONFIG_SIZE]; /* configuration space when it was opened */
	struct vfio_config config;
	struct vfio_bar bars[BARS_AND_ROM];
	uint8_t *rom; /* contents, bars[BAR_ROM].size bytes; NULL: none */
	struct vfio_irqs irqs;
	pthread_mutex_t lock;
	/* while plugged */
	const struct pci_env *env; /* NULL: not plugged */
	struct iommu *io;
	struct vfio_pci_place place;
	struct vfio_pci_events events;
};

/* pci.c: 1, 2 or 4 bytes of the device's own configuration space; all ones if it does not answer */
uint32_t vfio_device_read(const struct vfio_pci *dev, unsigned offset, unsigned size);

/* pci_bar.c */
int vfio_bars_open(struct vfio_pci *dev, struct err *err);
/* This process's mappings; then what trapped accesses need, too. */
void vfio_bars_unmap(struct vfio_pci *dev);
void vfio_bars_close(struct vfio_pci *dev);
/* Chooses what is mapped and what is trapped; the MSI-X table must be known. */
int vfio_bars_map(struct vfio_pci *dev, struct err *err);
void vfio_bar_moved(struct vfio_pci *dev, unsigned bar, struct span at);

/* pci_irq.c */
int vfio_irqs_open(struct vfio_pci *dev, struct err *err);
void vfio_irqs_close(struct vfio_pci *dev);
/* After every write to configuration space: do what MSI, MSI-X and INTx registers say now. */
void vfio_irqs_update(struct vfio_pci *dev);
/* All off. */
void vfio_irqs_stop(struct vfio_pci *dev);
/* Whether the `size` bytes at `offset` of a BAR lie in the MSI-X table or its pending bits; then
 * the access was served. */
bool vfio_msix_read(struct vfio_pci *dev, unsigned bar, uint64_t offset, unsigned size,
		    uint64_t *value);
bool vfio_msix_write(struct vfio_pci *dev, unsigned bar, uint64_t offset, unsigned size,
		     uint64_t value);
/* VFIO_DEVICE_SET_IRQS for one eventfd; `action` is VFIO_IRQ_SET_ACTION_*, `fd` -1: none. */
int vfio_irq_set_one(struct vfio_pci *dev, uint32_t index, uint32_t action, unsigned start, int fd);
int vfio_irq_eventfd(struct err *err);
void vfio_irq_close(int *fd);
/* pci_notify.c: eventfds for errors and the host's wish to have the device back */
int vfio_notifiers_start(struct vfio_pci *dev, struct err *err);
void vfio_notifiers_stop(struct vfio_pci *dev);

/* pci_reset.c */
/* As the guest resets it: not if another device of the machine would be reset, too. */
void vfio_pci_reset_alone(struct vfio_pci *dev, struct err *err);

/* One sentence for the user, prefixed with the device's name. */
void vfio_say(struct vfio_pci *dev, const struct err *err);

#endif
