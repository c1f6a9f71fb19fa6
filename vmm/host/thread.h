/*
 * Threads: the only place that makes one, each in a role; and a thread with an event loop of its
 * own, where a device's queues are served.
 *
 * Host side. Everything is watched before worker_start; callbacks run on the worker's thread.
 */
#ifndef HOST_THREAD_H
#define HOST_THREAD_H

#include "vmm/host/loop.h"

#include <pthread.h>

enum thread_role {
	THREAD_VCPU,	/* runs a vCPU */
	THREAD_QUEUE,	/* serves queues of a device */
	THREAD_STORAGE, /* waits in calls to storage */
	THREAD_LINE,	/* writes what a line's guest says */
	THREAD_CPUID,	/* asks KVM for CPUID ahead of time */
	THREAD_LEAVE,	/* ends a process whose storage does not answer */
	THREAD_ROLES,
};

/*
 * pthread_create(3) in a role: of signals the thread takes its own faults and, if others interrupt
 * its calls so (THREAD_VCPU, THREAD_LINE), SIGRTMIN. All else is the main thread's. `attr` may be
 * NULL. Returns 0 or an errno.
 */
int thread_start(pthread_t *thread, enum thread_role role, const pthread_attr_t *attr,
		 void *(*start)(void *), void *arg);
/* Names the calling thread for ps and top, in at most 15 bytes. */
void thread_name(const char *name);

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

/* `name` is the thread's, and borrowed. */
int worker_create(struct worker *w, const char *name, struct err *err);
int worker_start(struct worker *w, struct err *err);
/* Serves what is ready, and ends the thread. */
void worker_stop(struct worker *w);
/* Stops it, too. */
void worker_destroy(struct worker *w);

#endif
