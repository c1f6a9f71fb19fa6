/*
 * The end of the process, when storage does not answer: a machine that cannot be destroyed, because
 * a disk has requests that do not end, is left as it is.
 *
 * It watches from the end of the guest until the
 * machine is destroyed. A guest that resets itself waits for its disks as long as it takes; a
 * process that ends waits for a while, and says for which.
 */
#ifndef MACHINE_LEAVE_H
#define MACHINE_LEAVE_H

#include "vmm/machine/virtio/kinds.h"

#include <pthread.h>
#include <stdbool.h>

/* Called on a thread of their own, while other threads may be stuck. */
struct machine_leaver {
	/* Whether the process ends, and not the guest alone. Called again and again. */
	bool (*ends)(void *to);
	unsigned seconds; /* that it waits while no request ends */
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

/* Watches storage, if there is any behind the machine and a thread can be made. */
void machine_leave_start(struct machine_leave *l, const struct machine_leaver *leaver,
			 const struct virtio_backends *backends);
/* Called when the machine has been destroyed. If `leave` was called, returns when `leave` does. */
void machine_leave_stop(struct machine_leave *l);

#endif
