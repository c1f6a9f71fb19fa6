/*
 * The virtio devices of a machine: each in its slot, with its eventfds. Who serves them is
 * vmm/machine/virtio/serve.c's to say.
 *
 * A part of the machine, in a file of its own. Made after machine_pci and before any vCPU runs;
 * taken down after the last one stopped, before machine_pci. What is behind the devices
 * (vmm/backends/backend.h) outlives guest resets.
 */
#ifndef MACHINE_VIRTIO_SLOT_H
#define MACHINE_VIRTIO_SLOT_H

#include "devices/virtio_balloon.h"
#include "devices/virtio_blk.h"
#include "devices/virtio_console.h"
#include "devices/virtio_net.h"
#include "devices/virtio_pci.h"
#include "devices/virtio_pmem.h"
#include "devices/virtio_remote.h"
#include "devices/virtio_rng.h"
#include "devices/virtio_vsock.h"
#include "vmm/backends/backend.h"
#include "vmm/host/ram.h"
#include "vmm/host/thread.h"
#include "vmm/machine/pci.h"

/* What it borrows. The devices are those of the plan from pci[first] on, in that order. */
struct machine_virtio_parts {
	const struct plan *plan;
	const struct ram *ram;
	const struct guest_ram *guest_ram;
	struct machine_pci *pci;
	struct loop *loop;
	unsigned first;
	struct backends *backends;
	void (*quit)(void *to); /* Ctrl-A X on a virtio console */
	void (*memory)(void *to,
		       const uint64_t *numbers); /* what machine_virtio_balloon asked for */
	void *to;
};

struct virtio_slot;

struct virtio_slot_queue {
	struct virtio_slot *slot;
	unsigned index;
};

struct virtio_slot {
	const struct machine_virtio_parts *parts;
	struct virtio_pci pci;
	struct virtio_device *dev; /* of one of these */
	struct virtio_blk blk;
	struct virtio_net net;
	struct virtio_rng rng;
	struct virtio_vsock vsock;
	struct virtio_pmem pmem;
	struct virtio_remote remote;
	struct virtio_console console;
	struct virtio_balloon balloon;
	int kicks[VIRTIO_QUEUES_MAX], vectors[VIRTIO_QUEUES_MAX + 1];
	int error; /* eventfd: who serves it from outside gave a ring up; -1: there is nobody */
	struct virtio_slot_queue queues[VIRTIO_QUEUES_MAX];
	struct worker *workers;
	unsigned nr_workers;
	struct loop *loop; /* the main loop */
	bool served_here;  /* by it */
	bool ending;	   /* there is no next life: no program is waited for */
	bool gone;	   /* what a network adapter was connected to, and that was said */
	int timer; /* timerfd: wakes the main loop, or the one thread, for this slot; -1: none */
	unsigned retry;		      /* seconds until the next look for a program that is gone */
	pthread_mutex_t numbers_lock; /* a balloon's thread writes them, the main loop hands on */
	uint64_t numbers[VIRTIO_BALLOON_STATS];
	struct backend *backend;
	const struct pci_env *env;
	const char *name;
};

struct machine_virtio {
	struct machine_virtio_parts parts;
	struct virtio_slot **slots;
	unsigned nr_slots;
};

#define MACHINE_VIRTIO_EMPTY  \
	{                     \
		.nr_slots = 0 \
	}

int machine_virtio_create(struct machine_virtio *m, const struct machine_virtio_parts *parts,
			  struct err *err);
/* The terminal of a virtio console has another size. On the loop's thread. */
void machine_virtio_resize(struct machine_virtio *m);
/* The image of disk `name` has another size. -ENODEV: no such disk; -ENOTSUP: not ours to resize.
 */
int machine_virtio_resize_disk(struct machine_virtio *m, const char *name, struct err *err);
/* The balloon, or NULL. */
struct virtio_balloon *machine_virtio_balloon(struct machine_virtio *m);
/* Asks the guest for a balloon of `size` bytes, in this life and the next ones. It has one. On the
 * loop's thread. */
void machine_virtio_set_balloon(struct machine_virtio *m, uint64_t size);
/*
 * The end has come: who waits for a program to answer waits no longer. On the loop's thread; the
 * machine is destroyed next.
 */
void machine_virtio_hurry(struct machine_virtio *m);
/* Safe on MACHINE_VIRTIO_EMPTY and half-way. */
void machine_virtio_destroy(struct machine_virtio *m);

#endif
