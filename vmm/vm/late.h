/*
 * What comes after the guest has started (--prefault background): RAM that is touched, and mapped
 * for devices, on a thread of its own while vCPUs run.
 *
 * The thread reads the list of guest memory, so no block may come or go until `ended` was called or
 * late_stop() has returned. Guest resets do not matter: machines come and go, memory stays.
 */
#ifndef VM_LATE_H
#define VM_LATE_H

#include "vmm/backends/passthrough.h"
#include "vmm/host/loop.h"
#include "vmm/vm/memory.h"

struct late_parts {
	struct vm_memory *memory;	 /* with threads that touch it */
	struct passthrough *passthrough; /* prepared (passthrough_prepare()); NULL: no device */
	struct loop *loop;
	/*
	 * How many bytes of `total` are mapped for devices or, without devices or before the first
	 * are, touched. Called on the thread.
	 */
	void (*progress)(void *to, bool mapped, uint64_t bytes, uint64_t total);
	/*
	 * Called once, on the loop's thread: 0, all of it is there, and the devices are no longer
	 * absent; or -errno and a sentence, and nothing is mapped for them. -EINTR: the host has
	 * taken back all devices (passthrough->unwanted).
	 */
	void (*ended)(void *to, int ret, const struct err *err);
	void *to;
};

struct late {
	struct late_parts parts;
	pthread_t thread;
	bool running;
	bool stop; /* atomic */
	int done;  /* eventfd, or -1 */
	int ret;   /* the thread's result, to be read when it has ended */
	struct err err;
};

#define LATE_EMPTY         \
	{                  \
		.done = -1 \
	}

int late_start(struct late *l, const struct late_parts *parts, struct err *err);
/*
 * Asks the thread to end: it maps no further piece of RAM, takes back what it has mapped, and
 * reports no more progress. Allowed on LATE_EMPTY and more than once, as is late_stop().
 */
void late_cancel(struct late *l);
/* Ends the thread, and waits for it; `ended` is not called. */
void late_stop(struct late *l);

#endif
