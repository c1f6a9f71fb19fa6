/*
 * A virtio device as a PCI function: registers, notifications and interrupts. Virtual I/O Device
 * 1.2 section 4.1, without the legacy interface. One BAR, 64 bits wide:
 *
 *	0x0000	common configuration		0x3000	notifications, 4 bytes a queue
 *	0x1000	ISR status			0x4000	MSI-X table
 *	0x2000	device configuration		0x5000	MSI-X pending bits
 *
 * Notifications are doorbells of KVM and interrupts are eventfds, so neither needs this code. There
 * is no INTx: a driver without MSI-X has to poll.
 */
#ifndef DEVICES_VIRTIO_PCI_H
#define DEVICES_VIRTIO_PCI_H

#include "devices/msix.h"
#include "devices/pci.h"
#include "devices/virtio.h"

/* The common configuration, as far as it is not in the states of `fn`, `msix` and `dev`. */
struct virtio_pci_state {
	uint32_t device_features_select, driver_features_select;
	uint64_t driver_features;
	uint16_t queue_select;
	uint8_t generation;
	/* Atomic, because threads that interrupt the driver hold no lock. */
	uint16_t config_vector, queue_vectors[VIRTIO_QUEUES_MAX];
	uint8_t status, isr;
};

struct virtio_pci {
	struct pci_function fn;
	struct device bar; /* its lock is the transport's */
	struct virtio_device *dev;
	const struct pci_env *env;
	struct msix msix;
	struct virtio_pci_state state;
	struct span at;		       /* address of the BAR; empty: not decoded */
	bool rings[VIRTIO_QUEUES_MAX]; /* queues that have a doorbell of KVM */
	unsigned msix_cap, window_cap;
};

/*
 * Makes the PCI function of `dev`. Rings and buffers are in `ram`; `kicks` has an eventfd for each
 * queue, `vectors` one for each queue and one more for the configuration; `bar` is the BAR's
 * address in the plan. All pointers are borrowed. To be called before vCPUs run.
 */
void virtio_pci_plug(struct virtio_pci *v, struct virtio_device *dev, const struct guest_ram *ram,
		     const struct pci_env *env, const int *kicks, const int *vectors, uint64_t bar);
/*
 * Unmaps the BAR, resets the device and removes its interrupts. To be called after the last vCPU
 * has stopped and while workers run, because the reset waits for requests in flight.
 */
void virtio_pci_unplug(struct virtio_pci *v);

#endif
