#include "vmm/backends/disk_internal.h"

#include "vmm/base/span.h"

#include <errno.h>

#define RING_SIZE 256
/*
 * Nanoseconds: less than a sleep and a wake-up cost, and more than many drivers need until their
 * next request.
 */
#define POLL_NS_MIN 4000
#define POLL_NS_MAX 50000
#define RETRY	    10000000 /* ns, after the kernel had no memory for what was submitted */

int disk_ring_open(struct disk_queue *q)
{
	int ret = io_uring_queue_init(RING_SIZE, &q->ring, 0);

	if (ret < 0)
		return ret;
	q->has_ring = true;
	/*
	 * Since Linux 5.12 the workers of io_uring are threads of this process; before, they could
	 * not do all requests.
	 */
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
 * Submits the ring's entries. Entries that the kernel did not accept stay in the ring, so the timer
 * is armed to submit them again even if nothing else happens.
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
	submit(q); /* the ring is full: submit its entries first */
	return io_uring_get_sqe(&q->ring);
}

void disk_ring_start(struct disk_queue *q, struct block_request *r)
{
	struct io_uring_sqe *sqe = new_sqe(q);
	struct disk_step s;

	if (!sqe) { /* the kernel accepts no entries: a thread does the step */
		disk_threads_take(q, r);
		return;
	}
	s = disk_next_step(q, r);
	switch (s.call) {
	case DISK_READ:
		io_uring_prep_readv(sqe, s.fd, s.parts, s.nr_parts, s.offset);
		break;
	case DISK_WRITE:
		io_uring_prep_writev(sqe, s.fd, s.parts, s.nr_parts, s.offset);
		sqe->rw_flags = s.flags;
		break;
	case DISK_SYNC:
		io_uring_prep_fsync(sqe, s.fd, IORING_FSYNC_DATASYNC);
		break;
	case DISK_ALLOCATE:
		io_uring_prep_fallocate(sqe, s.fd, s.flags, (off_t)s.offset, (off_t)s.len);
		break;
	case DISK_DISCARD: /* a thread does these: see disk_request_begin() */
	case DISK_COPY:
		break;
	}
	if (r->tries) /* then a worker of io_uring does it, which may wait */
		sqe->flags |= IOSQE_ASYNC;
	io_uring_sqe_set_data(sqe, r);
}

/* --- completion --- */

/* Handles the completed steps, and submits the steps that follow them. */
static void reap_once(struct disk_queue *q)
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
 * A request of several steps can have its next step done as soon as that is submitted, from the
 * page cache: it does not have to wait for the eventfd.
 */
void disk_ring_reap(struct disk_queue *q)
{
	do {
		reap_once(q);
	} while (io_uring_cq_ready(&q->ring));
}

/*
 * Turns the completion eventfd on or off. The kernel posts a completion and *then* reads this flag,
 * so after turning it on the ring must be read once more, or requests that completed before would
 * be missed; the fence keeps that read behind the write of the flag.
 */
static void notify_completions(struct disk_queue *q, bool on)
{
	(void)io_uring_cq_eventfd_toggle(&q->ring, on);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Many requests complete at once, from the page cache, so the eventfd is off during submission. */
static void disk_ring_flush(void *queue)
{
	struct disk_queue *q = queue;

	notify_completions(q, false);
	submit(q);
	disk_ring_reap(q);
	notify_completions(q, true);
	disk_ring_reap(q); /* requests that completed before, without a signal */
}

/*
 * Adapts the limit of polling: longer if a request completed soon after polling gave up, none if
 * that took long.
 */
static void adapt(struct disk_queue *q, uint64_t now)
{
	if (!q->gave_up_at)
		return;
	if (now - q->gave_up_at > POLL_NS_MAX)
		q->poll_ns = 0;
	else
		q->poll_ns = min_u64(max_u64(2 * q->poll_ns, POLL_NS_MIN), POLL_NS_MAX);
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
	if (q->poll_ns) {
		notify_completions(q, false);
		while (!found && now - start < q->poll_ns) {
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
