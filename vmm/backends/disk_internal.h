/*
 * The functions that the parts of a disk share: disk.c opens it, disk_probe.c finds its kind and
 * size, disk_request.c splits a request into steps (of private disks by disk_overlay.c),
 * disk_ring.c and disk_threads.c have the kernel do the steps.
 */
#ifndef BACKENDS_DISK_INTERNAL_H
#define BACKENDS_DISK_INTERNAL_H

#include "vmm/backends/disk.h"

/* Bytes. Before Linux 6.15 a guest supports no block that is larger than its page. */
#define DISK_BLOCK_MAX 4096

/* --- disk_probe.c: each names the path if it fails; in this order --- */

int disk_probe_type(struct disk *d, struct err *err);
int disk_probe_format(const struct disk *d, struct err *err);
/* `direct` is a descriptor of the same file that has O_DIRECT, or -1. */
int disk_probe_blocks(struct disk *d, int direct, struct err *err);
int disk_probe_size(struct disk *d, struct err *err);
int disk_probe_discard(struct disk *d, struct err *err);

/* --- disk_request.c --- */

enum disk_call { DISK_READ, DISK_WRITE, DISK_SYNC, DISK_ALLOCATE, DISK_DISCARD, DISK_COPY };

/* A step: one system call, which does the rest of a request or a part of the rest. */
struct disk_step {
	enum disk_call call;
	int fd;
	const struct iovec *parts; /* READ, WRITE; valid as long as the request */
	unsigned nr_parts;
	int flags; /* WRITE: RWF_*; ALLOCATE: FALLOC_FL_* */
	uint64_t offset, len;
};

struct disk_step disk_next_step(const struct disk_queue *q, struct block_request *r);
/* Called when a step ended: `result` is the call's return value, or a negative errno. */
void disk_step_done(struct disk_queue *q, struct block_request *r, int result);
/* Handles the ends of all steps that threads have done, and requests that no longer wait. */
void disk_take_ended(struct disk_queue *q);
/*
 * Tells the user, once for each disk, of the error that `what` (such as "writing") met. `where` is
 * empty, or " in FOLDER".
 */
void disk_say_error(struct disk *d, const char *what, const char *where, uint64_t offset,
		    int error);
/* The time in nanoseconds, by the monotonic clock. */
uint64_t disk_now(void);
/* Arms `timer`, which becomes readable in `ns` nanoseconds. */
void disk_wake(struct disk_queue *q, uint64_t ns);

/* The operations of struct block_queue_ops that are the same for rings and threads. */
void disk_submit(void *queue, struct block_request *r);
void disk_drain(void *queue, bool on);

/* --- disk_ring.c --- */

/* Makes the queue's ring. A negative errno: it cannot be made. */
int disk_ring_open(struct disk_queue *q);
void disk_ring_close(struct disk_queue *q);
void disk_ring_start(struct disk_queue *q, struct block_request *r);
void disk_ring_reap(struct disk_queue *q);
extern const struct block_queue_ops disk_ring_ops;

/* --- disk_threads.c --- */

/* Makes the first thread; the others are made as they are needed. */
int disk_threads_start(struct disk *d, struct err *err);
void disk_threads_stop(struct disk *d);
/*
 * Hands the request's next step to any thread, which then adds the request to q->ended and signals
 * q->completed.
 */
void disk_threads_take(struct disk_queue *q, struct block_request *r);
/* Adds the request to q->ended and signals q->completed. Called on any thread. */
void disk_threads_tell(struct disk_queue *q, struct block_request *r);
extern const struct block_queue_ops disk_threads_ops;

#endif
