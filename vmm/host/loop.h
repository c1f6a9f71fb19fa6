/*
 * The main thread's event loop: poll(2) over a handful of descriptors.
 *
 * Host side. poll and not epoll, because standard input may be a regular file. Callbacks run on the
 * thread that calls loop_run; only loop_stop may be called from other threads.
 */
#ifndef HOST_LOOP_H
#define HOST_LOOP_H

#include "vmm/base/err.h"

#include <stdbool.h>

#define LOOP_WATCHES 160 /* two for each passed-through device, and the machine's own */

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
 * `events` is poll's (POLLIN, ...). The descriptor stays the caller's. -ENOSPC and a sentence:
 * there are too many; `err` may be NULL.
 */
int loop_watch(struct loop *loop, int fd, short events, void (*ready)(void *to, short revents),
	       void *to, struct err *err);
/*
 * Watches a descriptor for `events`, or for other ones than before, or (0) no longer. On the loop's
 * own thread.
 */
int loop_want(struct loop *loop, int fd, short events, void (*ready)(void *to, short revents),
	      void *to);
/* Forgets a descriptor; nothing if it is not watched. */
void loop_forget(struct loop *loop, int fd);

/* Serves callbacks until loop_stop; a stop that came before lets it serve once. */
int loop_run(struct loop *loop, struct err *err);
/* From any thread. */
void loop_stop(struct loop *loop);
/* Takes back a stop, before the next loop_run. */
void loop_rearm(struct loop *loop);

#endif
