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

/* What is done with one device. All but create may be NULL: there is nothing to do. */
struct virtio_kind_ops {
	/* The back end. */
	void (*close)(struct virtio_backend *b);
	/*
	 * Tells the user what is worth knowing about the back end. *told is shared by all back ends
	 * with these operations, and false at first: for a sentence that is about all of them.
	 */
	void (*remark)(const struct virtio_backend *b, bool *told,
		       void (*say)(void *to, const char *sentence), void *to);
	/* How many requests wait for storage, any thread; *option and *path name it. NULL: there is
	 * no storage. */
	unsigned (*busy)(const struct virtio_backend *b, const char **option, const char **path);
	/* The back end is guest memory itself. Has inotify say when the file is changed: whether it
	 * does. */
	void (*memory)(const struct virtio_backend *b, struct ram_block *out);
	bool (*watch_memory)(struct virtio_backend *b, int inotify);
	/* The back end has somebody else serve rings, who must be told of guest memory: he listens
	 * from now on. -E2BIG: he cannot be told of so much. */
	int (*listen)(struct virtio_backend *b, struct guest_memory *m, struct err *err);

	/* The device, in a slot (slot.h). create makes the model and sets s->dev. */
	int (*create)(struct virtio_slot *s, struct err *err);
	/* It is plugged, and has its eventfds: says who serves its queues. Undone by stop,
	 * half-way, too. */
	int (*serve)(struct virtio_slot *s, struct err *err);
	/* The machine is complete, and its vCPUs start next: input and output may begin. */
	void (*begin)(struct virtio_slot *s);
	void (*stop)(struct virtio_slot *s);	/* before it is unplugged */
	void (*forget)(struct virtio_slot *s);	/* after that: nothing of it is in flight */
	void (*destroy)(struct virtio_slot *s); /* the model */
	/* The end has come: who waits for a program to answer waits no longer. On the loop's
	 * thread. */
	void (*hurry)(struct virtio_slot *s);
	/* What is behind it has another size. On the loop's thread. NULL: its size is fixed. */
	int (*resize)(struct virtio_slot *s, struct err *err);
};

struct virtio_kind {
	enum device_kind kind;
	unsigned (*count)(const struct config *c); /* how many the user wants */
	/*
	 * Opens what is behind number b->index of them, which may set b->ops. Returns 0; -EINVAL:
	 * not what the user asked for; another negative errno: the host refuses. The sentence names
	 * the option. NULL: nothing is behind.
	 */
	int (*open)(struct virtio_backend *b, const struct config *c, const struct plan *plan,
		    struct err *err);
	const struct virtio_kind_ops *ops; /* unless `open` chooses others */
};

struct virtio_backend {
	const struct virtio_kind *kind;
	const struct virtio_kind_ops *ops;
	unsigned index; /* among those of its kind */
	void *own;	/* by virtio_backend_own(): what the kind opened; NULL: nothing */
};

/* For virtio_kind.open: makes b->own, zeroed, of so many bytes. From then on ops->close is called.
 * NULL: no memory. */
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

/* Opens what is behind the plan's virtio devices. As virtio_kind.open. */
int virtio_open(struct virtio_backends *b, const struct config *c, const struct plan *plan,
		struct err *err);
/* The back end of the plan's device, or NULL. */
struct virtio_backend *virtio_backend_of(const struct virtio_backends *b,
					 const struct plan_pci *fn);
/* What the user should know of what was opened. */
void virtio_remark(const struct virtio_backends *b, void (*say)(void *to, const char *sentence),
		   void *to);
/*
 * Calls `changed` on the loop's thread when somebody else writes to a file of guest memory or cuts
 * it. Best effort: not where no inotify is left, and not of what another host does to a shared file
 * system. The loop must live until virtio_close.
 */
void virtio_watch_memory(struct virtio_backends *b, struct loop *loop, void (*changed)(void *to),
			 void *to);
/* Whether something is behind that may be waited for: images, files. */
bool virtio_has_storage(const struct virtio_backends *b);
/*
 * How many requests wait for storage. If there are any, and have been for so many seconds, the
 * sentence says whose. Any thread.
 */
unsigned virtio_busy(const struct virtio_backends *b, unsigned seconds, struct err *err);
/* Lists the back ends that are guest memory, by address; writes at most `cap`, returns how many
 * there are. */
size_t virtio_memory(const struct virtio_backends *b, struct ram_block *out, size_t cap);
/* From now on all who must be told of guest memory are. -E2BIG: one cannot be. */
int virtio_listen(const struct virtio_backends *b, struct guest_memory *m, struct err *err);
/* Guest memory has neither their files nor listeners any more. Safe on VIRTIO_BACKENDS_EMPTY and
 * half-way. */
void virtio_close(struct virtio_backends *b);

#endif
