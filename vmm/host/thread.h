/*
 * A thread with an event loop of its own: where a device's queues are served.
 *
 * Host side. Everything is watched before worker_start; callbacks run on the worker's thread.
 */
#ifndef HOST_THREAD_H
#define HOST_THREAD_H

#include "vmm/host/loop.h"

#include <pthread.h>

struct worker {
	const char *name;
	struct loop loop;
	pthread_t thread;
	bool running;
};

#define WORKER_EMPTY                \
	{                           \
		.loop = LOOP_EMPTY, \
	}

/* pthread_create(3) for threads that take no signals but their own faults: those are the main
 * thread's. */
int worker_thread(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg);

/* What ps and top call the calling thread: at most 15 bytes of it. */
void worker_name_thread(const char *name);

/* `name` is the thread's, and borrowed. */
int worker_create(struct worker *w, const char *name, struct err *err);
int worker_start(struct worker *w, struct err *err);
/* Serves what is ready, and ends the thread. */
void worker_stop(struct worker *w);
/* Stops it, too. */
void worker_destroy(struct worker *w);

#endif
