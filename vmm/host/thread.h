/*
 * The only place that creates threads, each in a role; and a worker, a thread with its own event
 * loop that serves a device's queues.
 *
 * Host side. All descriptors are watched before worker_start(); callbacks run on the worker's
 * thread.
 */
#ifndef HOST_THREAD_H
#define HOST_THREAD_H

#include "vmm/host/loop.h"

#include <pthread.h>
#include <stdint.h>

enum thread_role {
	THREAD_VCPU,	 /* runs a vCPU */
	THREAD_QUEUE,	 /* serves queues of a device */
	THREAD_STORAGE,	 /* waits in calls to storage */
	THREAD_LINE,	 /* writes the guest's output to a line */
	THREAD_CPUID,	 /* asks KVM for CPUID ahead of time */
	THREAD_PREFAULT, /* touches guest RAM ahead of the guest */
	THREAD_PIN,	 /* maps guest RAM for devices while the guest runs */
	THREAD_LEAVE,	 /* ends a process whose storage does not answer */
	THREAD_ROLES,
};

/*
 * pthread_create(3) in a role. Of the signals, only its own faults and, in the roles whose calls
 * are interrupted (THREAD_VCPU, THREAD_LINE), SIGRTMIN are delivered to the thread; the main thread
 * gets all others. `attr` may be NULL. Returns 0 or an errno.
 */
int thread_start(pthread_t *thread, enum thread_role role, const pthread_attr_t *attr,
		 void *(*start)(void *), void *arg);
/* Names the calling thread for ps and top, in at most 15 bytes. */
void thread_name(const char *name);

/*
 * Makes the calling thread yield to others of normal priority: of a CPU that it shares with one
 * vCPU it gets a tenth (weights of nice 10 and 0 in kernel/sched/core.c, 110 and 1024).
 */
void thread_yields(void);

/* Nanoseconds of CPU time that the thread has used; 0 if it has ended. It was not joined yet. */
uint64_t thread_cpu_time(pthread_t thread);

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

/* `name` is the thread's name, borrowed. */
int worker_create(struct worker *w, const char *name, struct err *err);
int worker_start(struct worker *w, struct err *err);
/* Serves the ready descriptors once more and ends the thread. */
void worker_stop(struct worker *w);
/* Stops the worker if it runs, and frees it. */
void worker_destroy(struct worker *w);

#endif
