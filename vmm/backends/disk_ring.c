#include "vmm/backends/disk_internal.h"

#include "vmm/base/span.h"

#include <errno.h>

#define RING_SIZE 256
/* Nanoseconds: less than it costs to sleep and be woken, and more than many drivers need. */
#define PATIENCE_MIN 4000
#define PATIENCE_MAX 50000
#define RETRY	     10000000 /* ns, after the kernel had no memory for what was submitted */

int disk_ring_open(struct disk_queue *q)
{
	int ret = io_uring_queue_init(RING_SIZE, &q->ring, 0);

	if (ret < 0)
		return ret;
	q->has_ring = true;
	/* Linux 5.12: before, its workers were no threads of ours, and could not do all of this. */
	if (!(q->ring.features & IORING_FEAT_NATIVE_WORKERS))
		return -ENOSYS;
	return io_uring_register_eventfd(&q->ring, q->completed);
}

void disk_ring_close(struct disk_queue *q)
{
	if (q->has_ring)
		io_uring_queue_exit(&q->ring);
	q->has_ring = false;
}

/* --- submission --- */

/*
 * What the kernel did not take stays in the ring: it is to be submitted again, also if nothing else
 * happens.
 */
static void submit(struct disk_queue *q)
{
	if (io_uring_submit(&q->ring) < 0 && io_uring_sq_ready(&q->ring))
		disk_wake(q, RETRY);
}

static struct io_uring_sqe *new_sqe(struct disk_queue *q)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&q->ring);

	if (sqe)
		return sqe;
	submit(q); /* full: the kernel takes them all at once */
	return io_uring_get_sqe(&q->ring);
}

void disk_ring_start(struct disk_queue *q, struct block_request *r)
{
	struct io_uring_sqe *sqe = new_sqe(q);
	struct disk_step s;

	if (!sqe) { /* the kernel takes none: a thread has no such trouble */
		disk_threads_take(q, r);
		return;
	}
	s = disk_next_step(q->disk, r);
	switch (s.call) {
	case DISK_READ:
		io_uring_prep_readv(sqe, q->fd, s.parts, s.nr_parts, s.offset);
		break;
	case DISK_WRITE:
		io_uring_prep_writev(sqe, q->fd, s.parts, s.nr_parts, s.offset);
		sqe->rw_flags = s.flags;
		break;
	case DISK_SYNC:
		io_uring_prep_fsync(sqe, q->fd, IORING_FSYNC_DATASYNC);
		break;
	case DISK_ALLOCATE:
		io_uring_prep_fallocate(sqe, q->fd, s.flags, (off_t)s.offset, (off_t)s.len);
		break;
	case DISK_DISCARD: /* is not for a ring */
		break;
	}
	if (r->tries) /* it may wait then, on a thread of the kernel's */
		sqe->flags |= IOSQE_ASYNC;
	io_uring_sqe_set_data(sqe, r);
}

/* --- completion --- */

/* What is completed; what that begins anew is submitted. */
void disk_ring_reap(struct disk_queue *q)
{
	struct io_uring_cqe *cqe;

	while (io_uring_peek_cqe(&q->ring, &cqe) == 0) {
		struct block_request *r = io_uring_cqe_get_data(cqe);
		int result = cqe->res;

		io_uring_cqe_seen(&q->ring, cqe);
		disk_step_done(q, r, result);
	}
	submit(q);
}

/*
 * Turns the completion eventfd on or off. The kernel posts a completion and *then* reads this flag,
 * so after it is on the ring must be looked at once more, or what completed before would be missed;
 * the fence keeps that look behind the flag.
 */
static void notify_completions(struct disk_queue *q, bool on)
{
	(void)io_uring_cq_eventfd_toggle(&q->ring, on);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Much is done at once, from the page cache: no eventfd is needed to say so. */
static void disk_ring_flush(void *queue)
{
	struct disk_queue *q = queue;

	notify_completions(q, false);
	submit(q);
	disk_ring_reap(q);
	notify_completions(q, true);
	disk_ring_reap(q); /* what was done before that, unannounced */
}

/* Longer next time if something came soon after the last time; not at all if it took long. */
static void adapt(struct disk_queue *q, uint64_t now)
{
	if (!q->gave_up_at)
		return;
	if (now - q->gave_up_at > PATIENCE_MAX)
		q->patience = 0;
	else
		q->patience = min_u64(max_u64(2 * q->patience, PATIENCE_MIN), PATIENCE_MAX);
	q->gave_up_at = 0;
}

static bool disk_ring_poll(void *queue, bool (*more)(void *to), void *to)
{
	struct disk_queue *q = queue;
	uint64_t start, now;
	bool found = false;

	if (!q->disk->polls)
		return false;
	now = start = disk_now();
	adapt(q, start);
	if (q->patience) {
		notify_completions(q, false);
		while (!found && now - start < q->patience) {
			__builtin_ia32_pause();
			found = more(to) || io_uring_cq_ready(&q->ring);
			now = disk_now();
		}
		notify_completions(q, true);
		found |= io_uring_cq_ready(&q->ring) != 0;
	}
	if (!found)
		q->gave_up_at = now;
	return found;
}

const struct block_queue_ops disk_ring_ops = { disk_submit, disk_ring_flush, disk_ring_poll,
					       disk_drain };
