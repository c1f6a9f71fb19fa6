/*
 * The kinds of virtio devices: what the machine does with each, as a row of operations.
 *
 * A kind is one file of this folder, which ends in its row; kinds.c lists the rows. What is behind
 * a device (an image, a tap interface) is its back end: opened once, in the order of the plan, it
 * outlives guest resets. The device model and who serves it are made for each machine: see slot.h.
 */
#ifndef MACHINE_VIRTIO_KINDS_H
#define MACHINE_VIRTIO_KINDS_H

#include "vmm/base/device_kind.h"
#include "vmm/base/guest_memory.h"
#include "vmm/config/config.h"
#include "vmm/host/loop.h"
#include "vmm/plan/plan.h"

struct virtio_slot;
struct virtio_backend;

/* The operations on one device. All but create may be NULL, where there is nothing to do. */
struct virtio_kind_ops {
	/* The back end. */
	void (*close)(struct virtio_backend *b);
	/*
	 * Tells the user what is worth knowing about the back end. *told is shared by all back ends
	 * with these operations, and false at first: for a sentence that is about all of them.
	 */
	void (*remark)(const struct virtio_backend *b, bool *told,
		       void (*say)(void *to, const char *sentence), void *to);
	/*
	 * The number of requests that wait for storage, which *option and *path name. Any thread.
	 * NULL: the back end is no storage.
	 */
	unsigned (*busy)(const struct virtio_backend *b, const char **option, const char **path);
	/*
	 * The back end is guest memory itself: `memory` describes it, `watch_memory` adds the file
	 * to an inotify descriptor and returns whether it did.
	 */
	void (*memory)(const struct virtio_backend *b, struct ram_block *out);
	bool (*watch_memory)(struct virtio_backend *b, int inotify);
	/*
	 * The kernel or another program serves the rings and must be told of guest memory: makes it
	 * a listener. -E2BIG: it cannot be told of so many blocks.
	 */
	int (*listen)(struct virtio_backend *b, struct guest_memory *m, struct err *err);

	/* The device, in a slot (slot.h). `create` makes the device model and sets s->dev. */
	int (*create)(struct virtio_slot *s, struct err *err);
	/*
	 * The device is plugged in and has its eventfds: decides who serves its queues. `stop`
	 * undoes it, even if it failed half-way.
	 */
	int (*serve)(struct virtio_slot *s, struct err *err);
	/* The machine is complete, and its vCPUs start next: input and output may begin. */
	void (*begin)(struct virtio_slot *s);
	void (*stop)(struct virtio_slot *s);	/* before it is unplugged */
	void (*forget)(struct virtio_slot *s);	/* after that: no request is in flight */
	void (*destroy)(struct virtio_slot *s); /* the model */
	/*
	 * The process ends: stops waiting for a program that does not answer. On the loop's thread.
	 */
	void (*cancel_waits)(struct virtio_slot *s);
	/*
	 * The back end has another size: tells the guest. On the loop's thread. NULL: its size is
	 * fixed.
	 */
	int (*resize)(struct virtio_slot *s, struct err *err);
};

struct virtio_kind {
	enum device_kind kind;
	unsigned (*count)(const struct config *c); /* how many the user wants */
	/*
	 * Opens the back end of device number b->index of this kind, and may set b->ops. Returns 0;
	 * -EINVAL: it is not what the user asked for; another negative errno: the host refuses. The
	 * sentence names the option. NULL: the kind has no back end.
	 */
	int (*open)(struct virtio_backend *b, const struct config *c, const struct plan *plan,
		    struct err *err);
	const struct virtio_kind_ops *ops; /* unless `open` chooses others */
};

struct virtio_backend {
	const struct virtio_kind *kind;
	const struct virtio_kind_ops *ops;
	unsigned index; /* among those of its kind */
	void *own;	/* by virtio_backend_own(): the kind's own; NULL: nothing */
};

/*
 * For virtio_kind.open: makes b->own, `size` zeroed bytes. From then on ops->close is called. NULL:
 * no memory.
 */
void *virtio_backend_own(struct virtio_backend *b, size_t size, struct err *err);

struct virtio_backends {
	struct virtio_backend *list; /* in the order of the plan */
	unsigned n;
	int watch; /* inotify, or -1; the three below are set if it is not */
	struct loop *loop;
	void (*changed)(void *to);
	void *to;
};

#define VIRTIO_BACKENDS_EMPTY \
	{                     \
		.watch = -1   \
	}

/* How many devices of each virtio kind the user wants. */
void virtio_count(const struct config *c, struct device_counts *counts);

/* Opens the back ends of the plan's virtio devices. Returns as virtio_kind.open does. */
int virtio_open(struct virtio_backends *b, const struct config *c, const struct plan *plan,
		struct err *err);
/* The back end of the plan's device, or NULL. */
struct virtio_backend *virtio_backend_of(const struct virtio_backends *b,
					 const struct plan_pci *fn);
/* Tells the user what is worth knowing about the back ends. */
void virtio_remark(const struct virtio_backends *b, void (*say)(void *to, const char *sentence),
		   void *to);
/*
 * Calls `changed` on the loop's thread when another process writes to a file of guest memory or
 * truncates it. A change can be missed: if this user has no inotify descriptor left, or if another
 * host changes a file on a shared file system. The loop must live until virtio_close.
 */
void virtio_watch_memory(struct virtio_backends *b, struct loop *loop, void (*changed)(void *to),
			 void *to);
/* Whether any back end is storage, which may have to be waited for: images, files. */
bool virtio_has_storage(const struct virtio_backends *b);
/*
 * The number of requests that wait for storage. If it is not 0, the sentence says for which
 * storage, and that it has been so for `seconds`. Any thread.
 */
unsigned virtio_busy(const struct virtio_backends *b, unsigned seconds, struct err *err);
/* Lists the back ends that are guest memory, by address; writes at most `cap`, returns how many
 * there are. */
size_t virtio_memory(const struct virtio_backends *b, struct ram_block *out, size_t cap);
/*
 * Makes listeners of all back ends that must be told of guest memory. -E2BIG: one cannot be told of
 * so many blocks.
 */
int virtio_listen(const struct virtio_backends *b, struct guest_memory *m, struct err *err);
/*
 * Called when guest memory has neither files nor listeners of them any more. Safe on
 * VIRTIO_BACKENDS_EMPTY and half-way.
 */
void virtio_close(struct virtio_backends *b);

#endif
