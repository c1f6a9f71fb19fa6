/*
 * The passed-through function and its parts, for the vfio/pci*.c files alone.
 *
 * Locks: configuration accesses hold the host bridge's lock, accesses to trapped memory the trap's
 * own device lock; `lock` guards the interrupt state, which both change. Only locks of the machine
 * are taken while `lock` is held.
 */
#ifndef VFIO_PCI_INTERNAL_H
#define VFIO_PCI_INTERNAL_H

#include "vfio/pci.h"
#include "vfio/pci_config.h"

#include <linux/vfio.h>

/* --- parts of BARs --- */

/* A part of a BAR that VFIO allows to be mapped, so that accesses do not exit. */
struct vfio_part {
	struct span at; /* bytes into the BAR, page-aligned */
	uint8_t *hva;
	int handle; /* of env->map; -1: not in the guest now */
	bool p2p;   /* mapped for other devices */
};

struct vfio_bar {
	struct device trap; /* serves accesses to the BAR outside of the parts */
	struct vfio_pci *owner;
	unsigned index;
	struct bar_shape shape;
	uint64_t region_offset; /* in the device's file */
	bool can_map;
	struct span sparse[BAR_PARTS_MAX]; /* ranges that VFIO allows to be mapped */
	unsigned nr_sparse;
	uint8_t *base; /* host address of the whole BAR in this process; NULL: nothing is mapped */
	struct vfio_part parts[BAR_PARTS_MAX];
	unsigned nr_parts;
	struct span at; /* where `env` shows it to the guest; empty: nowhere */
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
	bool given; /* VFIO signals it */
	int route;  /* env->route's handle; -1: masked */
	uint64_t address;
	uint32_t data;
};

struct vfio_irqs {
	enum vfio_irq_mode mode;
	bool intx_refused; /* VFIO refused INTx; tried again only after another mode */
	uint32_t counts[VFIO_PCI_NUM_IRQS]; /* how many VFIO has of each kind */
	uint32_t flags[VFIO_PCI_NUM_IRQS];
	/* INTx */
	int intx, resample;
	/* MSI, MSI-X: as many as the device has */
	struct vfio_vector *vectors;
	struct msi_route *changes; /* routes to be set up together: room for all of them */
	unsigned *changed;	   /* and the vectors that they are of */
	unsigned nr_vectors;
	unsigned nr_enabled; /* vectors that VFIO set up */
	unsigned nr_asked;   /* vectors that VFIO was asked for; the host may have fewer */
	uint8_t *table;	     /* the MSI-X table as the guest wrote it, 16 bytes a vector */
	/* notifiers */
	int error, request;
};

struct vfio_pci {
	struct pci_function fn;
	char name[VFIO_NAME_MAX];
	int fd;
	struct vfio_pci_options options;
	uint32_t flags;	  /* VFIO_DEVICE_FLAGS_* */
	uint32_t atomics; /* see vfio_pci_atomics() */
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
/* Removes this process's mappings; vfio_bars_close() also frees what trapped accesses need. */
void vfio_bars_unmap(struct vfio_pci *dev);
void vfio_bars_close(struct vfio_pci *dev);
/*
 * Divides the BARs into mapped and trapped parts. Called when the place of the MSI-X table is
 * known.
 */
int vfio_bars_map(struct vfio_pci *dev, struct err *err);
/*
 * Called after the guest reset the function by itself: makes mappings for other devices anew that
 * the kernel took away meanwhile (vfio_pci_dma_buf_move()). Where memory decoding was off, BARs
 * were not mapped, and are mapped when it is on.
 */
void vfio_bars_were_reset(struct vfio_pci *dev);
void vfio_bar_moved(struct vfio_pci *dev, unsigned bar, struct span at);

/* pci_irq.c */
int vfio_irqs_open(struct vfio_pci *dev, struct err *err);
void vfio_irqs_close(struct vfio_pci *dev);
/*
 * Called after every write to configuration space: sets up interrupts as the MSI, MSI-X and INTx
 * registers say now.
 */
void vfio_irqs_update(struct vfio_pci *dev);
/* Turns all interrupts off. */
void vfio_irqs_stop(struct vfio_pci *dev);
/*
 * Serves an access if its `size` bytes at `offset` of a BAR lie in the MSI-X table or its pending
 * bits; false: they do not.
 */
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
/*
 * Resets the device at the guest's request, unless another device of the machine would be reset as
 * well.
 */
void vfio_pci_reset_alone(struct vfio_pci *dev, struct err *err);

/* Tells the user a sentence, prefixed with the device's name. */
void vfio_say(struct vfio_pci *dev, const struct err *err);

#endif
