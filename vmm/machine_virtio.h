/*
 * The virtio devices of a machine: each in its slot, with its eventfds, and served by threads of
 * its own (disks: one a queue) or by the main loop.
 *
 * A part of the machine, in a file of its own. Made after machine_pci and before any vCPU runs;
 * taken down after the last one stopped, before machine_pci. What is behind the devices (struct
 * disk) outlives guest resets.
 */
#ifndef VMM_MACHINE_VIRTIO_H
#define VMM_MACHINE_VIRTIO_H

#include "devices/virtio_blk.h"
#include "devices/virtio_net.h"
#include "devices/virtio_pci.h"
#include "devices/virtio_rng.h"
#include "devices/virtio_vsock.h"
#include "vmm/disk.h"
#include "vmm/machine_pci.h"
#include "vmm/net.h"
#include "vmm/ram.h"
#include "vmm/worker.h"

/* What is behind the devices, in the order of the plan. All of it outlives the machine. */
struct machine_virtio_devices {
	struct disk *disks;
	const struct config_disk *wanted; /* what was asked of each */
	unsigned nr_disks;
	struct net *nets;
	const uint8_t (*macs)[6]; /* of their adapters */
	unsigned nr_nets;
	bool rng;
	struct vhost *vsock; /* NULL: none */
	uint32_t vsock_cid;
};

/* What it borrows. The devices are those of the plan from pci[first] on. */
struct machine_virtio_parts {
	const struct plan *plan;
	const struct ram *ram;
	struct machine_pci *pci;
	struct loop *loop;
	unsigned first;
	const struct machine_virtio_devices *devices;
};

struct virtio_slot;

struct virtio_slot_queue {
	struct virtio_slot *slot;
	unsigned index;
};

struct virtio_slot {
	struct virtio_pci pci;
	struct virtio_device *dev; /* of one of these */
	struct virtio_blk blk;
	struct virtio_net net;
	struct virtio_rng rng;
	struct virtio_vsock vsock;
	int kicks[VIRTIO_QUEUES_MAX], vectors[VIRTIO_QUEUES_MAX + 1];
	struct virtio_slot_queue queues[VIRTIO_QUEUES_MAX];
	struct worker *workers;
	unsigned nr_workers;
	struct loop *loop; /* the main loop, if it serves the queues */
	struct net *port;  /* of a network adapter */
	const struct pci_env *env;
	const char *name;
};

struct machine_virtio {
	struct guest_ram ram;
	struct virtio_slot **slots;
	unsigned nr_slots;
};

#define MACHINE_VIRTIO_EMPTY  \
	{                     \
		.nr_slots = 0 \
	}

int machine_virtio_create(struct machine_virtio *m, const struct machine_virtio_parts *parts,
			  struct err *err);
/* Safe on MACHINE_VIRTIO_EMPTY and half-way. */
void machine_virtio_destroy(struct machine_virtio *m);

#endif
