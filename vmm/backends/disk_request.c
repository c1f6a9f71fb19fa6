#include "vmm/backends/disk_internal.h"

#include "vmm/base/span.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define ZEROES	   (64u * 1024) /* bytes of zeroes written at once without hole punching */
#define BOUNCE	   (64u * 1024) /* bytes copied at once for O_DIRECT */
#define DIRECT_MIN 512

#define TRIES_MAX  100			/* for a step that the kernel did not begin */
#define SECOND	   UINT64_C(1000000000) /* ns */
#define FULL_AGAIN (60 * SECOND) /* before the user is told once more that there is no room */

/* --- sentences for the user --- */

static void disk_request_say(struct disk *d, const struct err *sentence)
{
	if (d->say)
		d->say(d->say_to, sentence->text);
}

void disk_say_error(struct disk *d, const char *what, const char *where, uint64_t offset, int error)
{
	struct err err;
	bool said;

	pthread_mutex_lock(&d->lock);
	said = d->said_error;
	d->said_error = true;
	pthread_mutex_unlock(&d->lock);
	if (said)
		return;
	err_set(&err, 0,
		"%s %s%s at byte %" PRIu64
		" failed: %s%s; the guest is told, and is told of further "
		"errors of this disk without a word here",
		what, d->path, where, offset, strerror(-error),
		error == -EFBIG ? " (ulimit -f says how large this process may make files)" : "");
	disk_request_say(d, &err);
}

uint64_t disk_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * SECOND + (uint64_t)ts.tv_nsec;
}

void disk_wake(struct disk_queue *q, uint64_t ns)
{
	const struct itimerspec when = {
		.it_value = { (time_t)(ns / SECOND), (long)(ns % SECOND) },
	};

	q->has_timer = timerfd_settime(q->timer, 0, &when, NULL) == 0;
}

/* --- the end of a request --- */

/*
 * Removes a request from those that wait for room. If it was the last and got room, tells the user.
 */
static void unhold(struct disk *d, struct block_request *r, bool got_room)
{
	struct err err;
	bool last;

	pthread_mutex_lock(&d->lock);
	r->held = false;
	last = --d->nr_held == 0;
	got_room &= last && d->said_full;
	d->said_full &= !last;
	pthread_mutex_unlock(&d->lock);
	if (!got_room)
		return;
	err_set(&err, 0, "there is room for %s%s again; the guest's writes go on", d->path,
		d->overlay.in_folder);
	disk_request_say(d, &err);
}

/* Only the queue's thread changes the counter; other threads read it. */
static void count(struct disk_queue *q, int n)
{
	__atomic_store_n(&q->in_flight, q->in_flight + (unsigned)n, __ATOMIC_RELAXED);
}

static void disk_request_end(struct block_request *r, int error)
{
	struct disk_queue *q = r->queue;

	count(q, -1);

	if (r->held)
		unhold(q->disk, r, !error);
	free(r->bounce);
	r->bounce = NULL;
	r->done(r, error);
}

/* --- the steps --- */

/*
 * Copies the first `n` bytes of the parts, which have at least as many, to or from the bounce
 * buffer.
 */
static void disk_request_copy(const struct block_request *r, size_t n, bool to_parts)
{
	uint8_t *bounce = r->bounce;

	for (unsigned i = 0; n; i++) {
		size_t now = min_u64(n, r->parts[i].iov_len);

		if (to_parts)
			memcpy(r->parts[i].iov_base, bounce, now);
		else
			memcpy(bounce, r->parts[i].iov_base, now);
		bounce += now;
		n -= now;
	}
}

/*
 * Block devices and all file systems with holes support PUNCH_HOLE; neither mode changes the file's
 * size.
 */
static int space_mode(const struct block_request *r)
{
	if (r->op == BLOCK_DISCARD || r->may_unmap)
		return FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	return FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
}

static bool discards_device(const struct disk *d, const struct block_request *r)
{
	return r->op == BLOCK_DISCARD && d->is_device && !d->options.is_private;
}

struct disk_step disk_next_step(const struct disk_queue *q, struct block_request *r)
{
	const struct disk *d = q->disk;
	struct disk_step s = {
		.call = r->op == BLOCK_READ ? DISK_READ : DISK_WRITE,
		.fd = q->fd,
		.offset = r->offset + r->moved,
		.len = r->len - r->moved,
		.parts = r->parts,
		.nr_parts = r->nr_parts,
	};

	if (d->options.is_private) {
		s.len = r->step.len;
		s.nr_parts = r->step.nr_parts;
		if (r->step.how == BLOCK_STEP_PRIVATE)
			s.fd = d->overlay.fd;
	}
	if (r->op == BLOCK_FLUSH || r->syncs) {
		s.call = DISK_SYNC;
	} else if (r->step.how == BLOCK_STEP_COPY) {
		s.call = DISK_COPY;
	} else if (discards_device(d, r)) {
		s.call = DISK_DISCARD;
	} else if (r->op > BLOCK_FLUSH && !r->bounce) {
		s.call = DISK_ALLOCATE;
		s.flags = space_mode(r);
	} else if (r->bounce) {
		/*
		 * Zeroes, for files without hole punching, or a copy of data that is not aligned.
		 */
		r->piece = (struct iovec){ r->bounce, min_u64(s.len, BOUNCE) };
		s.parts = &r->piece;
		s.nr_parts = 1;
		if (r->op == BLOCK_WRITE)
			disk_request_copy(r, r->piece.iov_len, false);
	}
	if (s.call == DISK_WRITE && r->stable && d->options.direct && !d->options.is_private)
		s.flags = RWF_DSYNC;
	return s;
}

static void disk_request_begin(struct disk_queue *q, struct block_request *r)
{
	struct disk *d = q->disk;

	if (d->options.is_private && !disk_overlay_plan(&d->overlay, r))
		return; /* it waits: disk_step_done() of another request begins it again */
	if (r->step.how == BLOCK_STEP_NOTHING)
		disk_step_done(q, r, 0);
	else if (!q->has_ring || discards_device(d, r) || r->step.how == BLOCK_STEP_COPY)
		disk_threads_take(q, r);
	else
		disk_ring_start(q, r);
}

/* --- flushes --- */

/*
 * A private disk has none: nothing of it outlives this process, so nothing has to reach storage.
 *
 * Without O_DIRECT the kernel writes later. If that fails, it reports the error once to each open
 * file; the pages then count as written, and the next fsync succeeds (mm/filemap.c,
 * file_check_and_advance_wb_err). So the first error stays the result of all flushes for as long as
 * the disk is open. Each queue has an open file of its own and one fsync at a time, so that no
 * other fsync gets the report.
 */
static int sync_result(struct disk *d, int result)
{
	struct err err;
	int none = 0;

	if (d->options.direct) {
		if (result < 0)
			disk_say_error(d, "flushing", "", 0, result);
		return result < 0 ? result : 0;
	}
	if (result < 0 && __atomic_compare_exchange_n(&d->sync_error, &none, result, false,
						      __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
		err_sys(&err, -result,
			"%s could not be written: what the guest wrote of late is lost in part; "
			"each "
			"flush of this disk fails from now on, until straddle starts anew",
			d->path);
		disk_request_say(d, &err);
	}
	return __atomic_load_n(&d->sync_error, __ATOMIC_RELAXED);
}

static void begin_sync(struct disk_queue *q)
{
	q->syncing = q->to_sync;
	q->to_sync = NULL;
	if (q->syncing)
		disk_request_begin(q, q->syncing);
}

/*
 * Queues a flush, or a write that must be on the disk when it completes, for the next fsync that
 * begins.
 */
static void want_sync(struct disk_queue *q, struct block_request *r)
{
	r->syncs = true;
	r->same_sync = q->to_sync;
	q->to_sync = r;
	if (!q->syncing)
		begin_sync(q);
}

static void synced(struct disk_queue *q, int result)
{
	struct block_request *r = q->syncing;
	int error = sync_result(q->disk, result);

	while (r) {
		struct block_request *next = r->same_sync;

		disk_request_end(r, error);
		r = next;
	}
	begin_sync(q);
}

/* --- no room on the host --- */

/*
 * Whether a request that failed for lack of room may wait. Not a discard, which needs no room, so
 * that its error is the guest's to see.
 */
static bool may_wait(const struct disk_queue *q, const struct block_request *r, int result)
{
	bool takes = r->op == BLOCK_WRITE || r->op == BLOCK_ZERO;

	return (result == -ENOSPC || result == -EDQUOT) && takes && !q->draining &&
	       !q->disk->options.fail_when_full;
}

/*
 * Holds a request until there is room. Its data are not lost, so the guest gets no error, after
 * which its file systems would become read-only or stop.
 */
static void hold(struct disk_queue *q, struct block_request *r, int result)
{
	struct disk *d = q->disk;
	uint64_t now = disk_now();
	struct err err;
	bool first;

	if (!q->held)
		q->held_end = &q->held;
	r->next = NULL;
	*q->held_end = r;
	q->held_end = &r->next;
	disk_wake(q, SECOND);
	pthread_mutex_lock(&d->lock);
	d->nr_held += !r->held;
	r->held = true;
	first = !d->said_full && (!d->said_full_at || now - d->said_full_at > FULL_AGAIN);
	d->said_full |= first;
	if (first)
		d->said_full_at = now;
	pthread_mutex_unlock(&d->lock);
	if (!first)
		return;
	err_sys(&err, -result,
		"the host has no room for %s%s; the guest's writes wait until there is, make some "
		"(on-full=error gives the guest an error instead)",
		d->path, d->overlay.in_folder);
	disk_request_say(d, &err);
}

static struct block_request *take_held(struct disk_queue *q)
{
	struct block_request *r = q->held;

	q->held = NULL;
	return r;
}

static void try_held(struct disk_queue *q)
{
	struct block_request *r = take_held(q);

	while (r) {
		struct block_request *next = r->next;

		disk_request_begin(q, r);
		r = next;
	}
}

void disk_drain(void *queue, bool on)
{
	struct disk_queue *q = queue;
	struct block_request *r = on ? take_held(q) : NULL;

	q->draining = on;
	while (r) {
		struct block_request *next = r->next;

		disk_request_end(r, -ENOSPC);
		r = next;
	}
}

/* --- submission --- */

/*
 * Whether O_DIRECT, which needs whole blocks and aligned memory, can serve the request as it is. A
 * driver may use any memory.
 */
static bool is_aligned(const struct disk *d, const struct block_request *r)
{
	uint64_t all = r->offset | r->len;

	for (unsigned i = 0; i < r->nr_parts; i++)
		all |= (uintptr_t)r->parts[i].iov_base | r->parts[i].iov_len;
	return all % max_u64(d->block_size, DIRECT_MIN) == 0;
}

static int make_bounce(struct block_request *r, size_t size)
{
	if (posix_memalign(&r->bounce, DISK_BLOCK_MAX, size)) {
		r->bounce = NULL;
		return -ENOMEM;
	}
	return 0;
}

void disk_submit(void *queue, struct block_request *r)
{
	struct disk_queue *q = queue;
	bool is_private = q->disk->options.is_private;
	/* Only the image has O_DIRECT, not the file of a private disk that is written. */
	bool data = r->op == BLOCK_READ || (r->op == BLOCK_WRITE && !is_private);

	r->queue = q;
	r->moved = 0;
	r->bounce = NULL;
	r->tries = 0;
	r->syncs = r->held = false;
	r->step = (struct block_step){ 0 };
	count(q, 1);
	if (r->op == BLOCK_FLUSH && is_private)
		disk_request_end(r, 0);
	else if (r->op == BLOCK_FLUSH)
		want_sync(q, r);
	else if (data && q->disk->options.direct && !is_aligned(q->disk, r) &&
		 make_bounce(r, min_u64(r->len, BOUNCE)) < 0)
		disk_request_end(r, -ENOMEM);
	else
		disk_request_begin(q, r);
}

/* --- the end of a step --- */

/* Removes `n` bytes from the front of the parts. */
static void advance(struct block_request *r, size_t n)
{
	while (n && r->nr_parts) {
		size_t now = min_u64(n, r->parts[0].iov_len);

		r->parts[0].iov_base = (uint8_t *)r->parts[0].iov_base + now;
		r->parts[0].iov_len -= now;
		n -= now;
		if (r->parts[0].iov_len)
			continue;
		r->parts++;
		r->nr_parts--;
	}
}

/* The file system has no hole punching: a discard is refused, write-zeroes are carried out by
 * writing. */
static void without_holes(struct disk_queue *q, struct block_request *r)
{
	if (r->op == BLOCK_DISCARD) {
		disk_request_end(r, -EOPNOTSUPP);
	} else if (!r->may_unmap) {
		r->may_unmap = true; /* PUNCH_HOLE, which more file systems support */
		disk_request_begin(q, r);
	} else if (make_bounce(r, ZEROES) < 0) {
		disk_request_end(r, -ENOMEM);
	} else {
		memset(r->bounce, 0, ZEROES);
		disk_request_begin(q, r);
	}
}

static void failed(struct disk_queue *q, struct block_request *r, int error)
{
	static const char *const names[] = {
		[BLOCK_READ] = "reading",   [BLOCK_WRITE] = "writing",
		[BLOCK_FLUSH] = "flushing", [BLOCK_DISCARD] = "discarding",
		[BLOCK_ZERO] = "zeroing",
	};

	if (may_wait(q, r, error)) {
		hold(q, r, error);
		return;
	}
	disk_say_error(q->disk, names[r->op],
		       r->step.how == BLOCK_STEP_IMAGE ? "" : q->disk->overlay.in_folder,
		       r->offset + r->moved, error);
	disk_request_end(r, error);
}

/* Called when all steps of the request are done. */
static void finished(struct disk_queue *q, struct block_request *r)
{
	const struct disk_options *options = &q->disk->options;

	if (r->op == BLOCK_WRITE && r->stable && !options->direct && !options->is_private)
		want_sync(q, r);
	else
		disk_request_end(r, 0);
}

/* The end of a step of a private disk: also begins the requests that waited for it. */
static int end_private_step(struct disk_queue *q, struct block_request *r, int result)
{
	struct block_request *awake;

	result = disk_overlay_end(&q->disk->overlay, r, result, &awake);
	while (awake) {
		struct block_request *next = awake->next;

		disk_threads_tell(awake->queue, awake); /* on the thread of its own queue */
		awake = next;
	}
	return result;
}

/* The bytes that the step has done, from what its call returned. */
static uint64_t bytes_done(const struct disk_queue *q, const struct block_request *r, int result)
{
	bool space = r->op == BLOCK_DISCARD || r->op == BLOCK_ZERO;

	if (!space || r->bounce || result)
		return (uint64_t)result;
	return q->disk->options.is_private ? r->step.len : r->len - r->moved;
}

void disk_step_done(struct disk_queue *q, struct block_request *r, int result)
{
	bool space = r->op == BLOCK_DISCARD || r->op == BLOCK_ZERO;
	uint64_t n;

	if (r->step.waits) {
		disk_request_begin(q, r);
		return;
	}
	if (q->disk->options.is_private)
		result = end_private_step(q, r, result);
	/* EAGAIN: the ring would have had to wait; on the next try it may (disk_ring.c). */
	if ((result == -EINTR || result == -EAGAIN) && r->tries++ < TRIES_MAX) {
		disk_request_begin(q, r);
		return;
	}
	r->tries = 0;
	if (r->syncs) {
		synced(q, result);
	} else if (space && !r->bounce && result == -EOPNOTSUPP) {
		without_holes(q, r);
	} else if (result < 0) {
		failed(q, r, result);
	} else if ((n = bytes_done(q, r, result)) == 0 && r->len) { /* the image is shorter now */
		failed(q, r, -EIO);
	} else {
		if (r->bounce && r->op == BLOCK_READ)
			disk_request_copy(r, n, true);
		r->moved += n;
		advance(r, n);
		if (r->moved >= r->len)
			finished(q, r);
		else
			disk_request_begin(q, r);
	}
}

void disk_take_ended(struct disk_queue *q)
{
	struct block_request *r;

	if (!__atomic_load_n(&q->ended, __ATOMIC_RELAXED))
		return;
	r = __atomic_exchange_n(&q->ended, NULL, __ATOMIC_ACQUIRE);
	while (r) {
		struct block_request *next = r->next;

		disk_step_done(q, r, r->result);
		r = next;
	}
}

void disk_reap(void *queue)
{
	struct disk_queue *q = queue;
	uint64_t count;

	if (read(q->completed, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return;
	if (q->has_timer && read(q->timer, &count, sizeof(count)) == sizeof(count)) {
		q->has_timer = false;
		try_held(q);
	}
	disk_take_ended(q);
	if (q->has_ring)
		disk_ring_reap(q);
}
