/*
 * An event loop of one thread, the main thread's or a worker's (thread.h): poll(2) over some
 * descriptors.
 *
 * Host side. poll and not epoll, because standard input may be a regular file. Callbacks run on the
 * thread that calls loop_run; only loop_stop may be called from other threads.
 */
#ifndef HOST_LOOP_H
#define HOST_LOOP_H

#include "vmm/base/err.h"
#include "vmm/base/limits.h"

#include <stdbool.h>

/* two for each passed-through device, and the machine's own */
#define LOOP_WATCHES (2 * PCI_DEVICES_MAX + 128)

struct loop_watch {
	int fd; /* -1: the entry is free */
	short events;
	void (*ready)(void *to, short revents);
	void *to;
};

struct loop {
	int wake; /* eventfd */
	bool stop;
	struct loop_watch watches[LOOP_WATCHES];
};

#define LOOP_EMPTY         \
	{                  \
		.wake = -1 \
	}

int loop_create(struct loop *loop, struct err *err);
void loop_destroy(struct loop *loop);

/*
 * Calls `ready` when the descriptor has `events` (POLLIN, ...). The caller keeps the descriptor
 * open until loop_forget(). -ENOSPC and a sentence, which `err` may be NULL for: too many
 * descriptors are watched.
 */
int loop_watch(struct loop *loop, int fd, short events, void (*ready)(void *to, short revents),
	       void *to, struct err *err);
/*
 * Watches a descriptor for `events`, in place of those that it was watched for; 0: no longer.
 * Called on the loop's own thread.
 */
int loop_want(struct loop *loop, int fd, short events, void (*ready)(void *to, short revents),
	      void *to);
/* Stops watching a descriptor; does nothing if it is not watched. */
void loop_forget(struct loop *loop, int fd);

/*
 * Calls callbacks until loop_stop(). After an earlier loop_stop() it serves the ready descriptors
 * once.
 */
int loop_run(struct loop *loop, struct err *err);
/* From any thread. */
void loop_stop(struct loop *loop);
/* Cancels a loop_stop() before the next loop_run(). */
void loop_rearm(struct loop *loop);

#endif
