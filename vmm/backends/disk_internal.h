/*
 * What the parts of a disk ask of each other: disk.c opens it, disk_probe.c asks what it is,
 * disk_request.c knows what becomes of a request, disk_ring.c and disk_threads.c have the kernel do
 * its steps.
 */
#ifndef BACKENDS_DISK_INTERNAL_H
#define BACKENDS_DISK_INTERNAL_H

#include "vmm/backends/disk.h"

/* Bytes: a block of the guest's is no larger than its page, before Linux 6.15. */
#define DISK_BLOCK_MAX 4096

/* --- disk_probe.c: each names the path if it fails; in this order --- */

int disk_probe_type(struct disk *d, struct err *err);
int disk_probe_format(const struct disk *d, struct err *err);
/* `direct` is a descriptor of the same file that has O_DIRECT, or -1. */
int disk_probe_blocks(struct disk *d, int direct, struct err *err);
int disk_probe_size(struct disk *d, struct err *err);
int disk_probe_discard(struct disk *d, struct err *err);

/* --- disk_request.c --- */

enum disk_call { DISK_READ, DISK_WRITE, DISK_SYNC, DISK_ALLOCATE, DISK_DISCARD };

/* A call of the kernel, which does what is left of a request or a part of that. */
struct disk_step {
	enum disk_call call;
	const struct iovec *parts; /* READ, WRITE; valid as long as the request */
	unsigned nr_parts;
	int flags; /* WRITE: RWF_*; ALLOCATE: FALLOC_FL_* */
	uint64_t offset, len;
};

struct disk_step disk_next_step(const struct disk *d, struct block_request *r);
/* The step ended: `result` is what the call returned, or a negative errno. */
void disk_step_done(struct disk_queue *q, struct block_request *r, int result);
/* The ends of all steps that threads took. */
void disk_take_ended(struct disk_queue *q);
/* Once: what `what` (such as "writing") met. */
void disk_say_error(struct disk *d, const char *what, uint64_t offset, int error);
/* Nanoseconds, of a clock that only goes forward. */
uint64_t disk_now(void);
/* In so many nanoseconds `timer` is readable. */
void disk_wake(struct disk_queue *q, uint64_t ns);

/* What both kinds of queues share of struct block_queue_ops. */
void disk_submit(void *queue, struct block_request *r);
void disk_drain(void *queue, bool on);

/* --- disk_ring.c --- */

/* A negative errno: there is no ring. */
int disk_ring_open(struct disk_queue *q);
void disk_ring_close(struct disk_queue *q);
void disk_ring_start(struct disk_queue *q, struct block_request *r);
void disk_ring_reap(struct disk_queue *q);
extern const struct block_queue_ops disk_ring_ops;

/* --- disk_threads.c --- */

/* Makes the first thread; the others are made as they are needed. */
int disk_threads_start(struct disk *d, struct err *err);
void disk_threads_stop(struct disk *d);
/* Any thread takes it; its end is in q->ended, and q->completed says so. */
void disk_threads_take(struct disk_queue *q, struct block_request *r);
extern const struct block_queue_ops disk_threads_ops;

#endif
