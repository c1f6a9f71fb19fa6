/*
 * Ends the process when storage does not answer: a machine that cannot be destroyed, because a disk
 * has requests that do not complete, is left as it is.
 *
 * A thread watches from the end of the guest until the machine is destroyed. A guest that resets
 * itself waits for its disks without limit; a process that ends waits `seconds` while no request
 * completes, and then names the storage.
 */
#ifndef MACHINE_LEAVE_H
#define MACHINE_LEAVE_H

#include "vmm/machine/virtio/kinds.h"

#include <pthread.h>
#include <stdbool.h>

/* Callbacks, called on a thread of their own while other threads may be blocked. */
struct machine_leaver {
	/* Whether the process ends, and not the guest alone. Called at each tick. */
	bool (*ends)(void *to);
	unsigned seconds; /* to wait while no request completes */
	/* Ends the process. It need not return, because storage may still write to guest memory. */
	void (*leave)(void *to, const char *sentence);
	void *to;
};

struct machine_leave {
	struct machine_leaver leaver;
	const struct virtio_backends *backends;
	pthread_t thread;
	bool running;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool done;
};

/* Starts to watch storage. Does nothing if the machine has none or no thread can be started. */
void machine_leave_start(struct machine_leave *l, const struct machine_leaver *leaver,
			 const struct virtio_backends *backends);
/* Called when the machine has been destroyed. If `leave` was called, returns when `leave` does. */
void machine_leave_stop(struct machine_leave *l);

#endif
