/*
 * The virtio devices of a machine: each in its slot, with its transport and eventfds. What a device
 * does and who serves its queues, its kind says (kinds.h).
 *
 * Made after the PCI host bridge and before any vCPU runs; taken down after the last one stopped,
 * before the bridge.
 */
#ifndef MACHINE_VIRTIO_SLOT_H
#define MACHINE_VIRTIO_SLOT_H

#include "devices/virtio.h"
#include "devices/virtio_pci.h"
#include "vmm/backends/line.h"
#include "vmm/host/ram.h"
#include "vmm/host/thread.h"
#include "vmm/machine/pci.h"
#include "vmm/machine/virtio/kinds.h"

/* What the devices borrow. */
struct machine_virtio_parts {
	const struct plan *plan;
	const struct ram *ram;
	const struct guest_ram *guest_ram;
	struct machine_pci *pci;
	struct loop *loop;
	struct virtio_backends *backends;
	struct console *console;			   /* the line behind the virtio console */
	void (*quit)(void *to);				   /* Ctrl-A X there */
	void (*memory)(void *to, const uint64_t *numbers); /* what the balloon was asked for */
	void *to;
};

struct virtio_slot;

struct virtio_slot_queue {
	struct virtio_slot *slot;
	unsigned index;
};

struct virtio_slot {
	const struct machine_virtio_parts *parts;
	struct virtio_backend *backend;
	const struct virtio_kind_ops *ops;
	const struct pci_env *env;
	const char *name;
	void *own;		   /* by virtio_slot_own(): the kind's, with the device model */
	struct virtio_device *dev; /* the model */
	struct virtio_pci pci;
	int kicks[VIRTIO_QUEUES_MAX], vectors[VIRTIO_QUEUES_MAX + 1];
	int error; /* eventfd: the device's server gave up a ring; -1: it has no server */
	struct virtio_slot_queue queues[VIRTIO_QUEUES_MAX];
	/* who serves it (serve.h) */
	struct loop *loop; /* the main loop */
	bool served_here;  /* by it */
	struct worker *workers;
	unsigned nr_workers;
	int timer;   /* timerfd: wakes the main loop, or the one thread, for this slot; -1: none */
	bool ending; /* the process ends: programs are not waited for */
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
/* The machine is complete, and its vCPUs start next. */
void machine_virtio_begin(struct machine_virtio *m);
/* The first device of a kind, or NULL. */
struct virtio_slot *machine_virtio_find(const struct machine_virtio *m, enum device_kind kind);
/*
 * The back end of the device of that kind, called `name` (NULL: any), has another size. -ENODEV:
 * there is no such device; -ENOTSUP: its size is fixed.
 */
int machine_virtio_resize(struct machine_virtio *m, enum device_kind kind, const char *name,
			  struct err *err);
/* The devices' virtio_work(), added up. On the loop's thread. */
uint64_t machine_virtio_work(const struct machine_virtio *m);
/*
 * The process ends: devices stop waiting for programs that do not answer. On the loop's thread,
 * before machine_virtio_destroy().
 */
void machine_virtio_cancel_waits(struct machine_virtio *m);
/* Safe on MACHINE_VIRTIO_EMPTY and half-way. */
void machine_virtio_destroy(struct machine_virtio *m);

/*
 * For virtio_kind_ops.create: makes s->own, `size` zeroed bytes, which are freed after
 * ops->destroy. NULL: no memory.
 */
void *virtio_slot_own(struct virtio_slot *s, size_t size, struct err *err);
/* Tells the user something about the device. Any thread. */
void virtio_slot_say(const struct virtio_slot *s, const char *what);

#endif
