/*
 * Touches guest RAM from several threads, so that its pages are there before the guest needs them,
 * and a shortage is an error at the start.
 *
 * Host side. The threads are made first and wait; after prefault_begin() they claim pieces
 * (vmm/base/pieces.h) until there are no more. They go on whether anybody waits or not: who pins
 * RAM for devices waits for each piece of it, who starts a guest waits for all.
 *
 * RAM that is bound to nodes of the host (ram_bind()) is touched on all of these nodes at once, by
 * threads that run on the CPUs of the node whose memory they touch; those that find no more there
 * go on with another node's, on its CPUs.
 */
#ifndef HOST_PREFAULT_H
#define HOST_PREFAULT_H

#include "vmm/host/ram.h"

struct prefault;

/* Who waits: called on the waiting thread, several times a second. Either may be NULL. */
struct prefault_watch {
	bool (*stop)(void *to);					/* true ends it */
	void (*tick)(void *to, uint64_t bytes, uint64_t total); /* done so far */
	void *to;
};

/*
 * Makes `threads` threads, or as many as the host allows, at least one. Called before RAM is
 * mapped, because the stacks of threads are mappings as well, and pages and mappings wait for one
 * lock of the kernel's (mmap_lock).
 */
int prefault_open(struct prefault **p, unsigned threads, struct err *err);
/*
 * Lets the threads touch all of `ram`, which must stay until prefault_close(). Of RAM that repeats
 * (--fold) the memory behind it is touched once.
 */
int prefault_begin(struct prefault *p, const struct ram *ram, struct err *err);
/* Before prefault_begin(): the threads let those of a running guest go first. */
void prefault_yield(struct prefault *p);
/*
 * Waits until the part of RAM at these host addresses is there, all of it if it repeats. -EINTR:
 * watch->stop() said so; other errors say what is missing. After any error all threads end.
 */
int prefault_await(struct prefault *p, struct span at, const struct prefault_watch *watch,
		   struct err *err);
int prefault_await_all(struct prefault *p, const struct prefault_watch *watch, struct err *err);
/* The threads end, each after at most a page or 16 MiB, and prefault_await() returns -EINTR. */
void prefault_stop(struct prefault *p);
/* Stops, waits for the threads and frees. NULL: nothing. */
void prefault_close(struct prefault *p);

#endif
