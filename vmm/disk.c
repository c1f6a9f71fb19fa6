#include "vmm/disk.h"

#include "vmm/disk_format.h"
#include "vmm/file_lock.h"
#include "vmm/span.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SECTOR	     512
#define LARGE_SECTOR 4096
#define RING_SIZE    256
#define ZEROES	     (64u * 1024) /* written at a time where the file cannot be told to have them */
#define BOUNCE	     (64u * 1024) /* of a request that O_DIRECT would refuse, at a time */
#define DIRECT_MIN   512
/* Nanoseconds: less than it costs to sleep and be woken, and more than many drivers need. */
#define PATIENCE_MIN 4000
#define PATIENCE_MAX 50000

/* --- opening --- */

/* Whether the file is on a disk of larger blocks, of which O_DIRECT takes no part. */
static bool needs_whole_blocks(const struct disk *d)
{
	_Alignas(LARGE_SECTOR) uint8_t sector[SECTOR];

	return d->options.direct && pread(d->fd, sector, SECTOR, 0) < 0 && errno == EINVAL;
}

static int check_format(const struct disk *d, uint64_t size, struct err *err)
{
	_Alignas(LARGE_SECTOR) uint8_t head[DISK_FORMAT_HEAD], tail[DISK_FORMAT_TAIL];
	const char *format;
	ssize_t n, m = 0;

	if (d->options.raw)
		return 0;
	/* What cannot be read is for the guest to find out: an error of the disk names no format.
	 */
	n = pread(d->fd, head, sizeof(head), 0);
	if (size >= sizeof(tail))
		m = pread(d->fd, tail, sizeof(tail), (off_t)(size - sizeof(tail)));
	format = disk_format(head, n < 0 ? 0 : (size_t)n, tail, m < 0 ? 0 : (size_t)m);
	if (!format)
		return 0;
	return err_set(
		err, EINVAL,
		"--disk %s has the format %s, and straddle serves raw images: have "
		"qemu-storage-daemon serve it (--disk vhost-user=SOCKET), or make it raw "
		"(qemu-img convert -O raw); if it is raw, and its guest wrote that there, say "
		"%s,format=raw",
		d->path, format, d->path);
}

/* What a guest writes while it runs is its own business: the format is asked for at first alone. */
static int find_size(struct disk *d, bool is_new, struct err *err)
{
	int block = SECTOR, ret;
	struct stat st;

	if (fstat(d->fd, &st) < 0)
		return err_sys(err, errno, "--disk %s cannot be looked at", d->path);
	d->is_device = S_ISBLK(st.st_mode);
	d->size = (uint64_t)st.st_size;
	if (S_ISDIR(st.st_mode))
		return err_set(err, EINVAL,
			       "--disk %s is a directory; a disk is a file or a block "
			       "device",
			       d->path);
	if (!S_ISREG(st.st_mode) && !d->is_device)
		return err_set(err, EINVAL, "--disk %s is neither a file nor a block device",
			       d->path);
	if (d->is_device &&
	    (ioctl(d->fd, BLKGETSIZE64, &d->size) < 0 || ioctl(d->fd, BLKSSZGET, &block) < 0))
		return err_sys(err, errno, "--disk %s does not say its size", d->path);
	ret = is_new ? check_format(d, d->size, err) : 0;
	if (ret < 0)
		return ret;
	if (!d->is_device && needs_whole_blocks(d))
		block = LARGE_SECTOR;
	d->block_size = (uint32_t)block;
	if (!d->size)
		return err_set(err, EINVAL,
			       "--disk %s is empty; give it a size first, such as truncate -s 10G",
			       d->path);
	if (d->size % d->block_size)
		return err_set(err, EINVAL,
			       "--disk %s has %" PRIu64 " bytes, which is no multiple of %u; "
			       "truncate -s %%%u makes it one",
			       d->path, d->size, d->block_size, d->block_size);
	return 0;
}

static int open_queue(struct disk *d, struct disk_queue *q, struct err *err)
{
	int ret;

	q->disk = d;
	q->completed = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->completed < 0)
		return err_sys(err, errno, "cannot make an eventfd");
	ret = io_uring_queue_init(RING_SIZE, &q->ring, 0);
	if (ret < 0)
		return err_sys(err, -ret,
			       "cannot make an io_uring (sysctl kernel.io_uring_disabled, or the "
			       "limit of locked memory)");
	q->has_ring = true;
	ret = io_uring_register_eventfd(&q->ring, q->completed);
	return ret < 0 ? err_sys(err, -ret, "io_uring takes no eventfd") : 0;
}

int disk_open(struct disk *d, const char *path, const struct disk_options *options, struct err *err)
{
	cpu_set_t cpus;
	int flags = (options->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK;
	int ret;

	*d = (struct disk)DISK_EMPTY;
	d->path = path;
	d->options = *options;
	for (unsigned i = 0; i < DISK_QUEUES_MAX; i++)
		d->queues[i].completed = -1;
	d->fd = open(path, flags | (options->direct ? O_DIRECT : 0));
	if (d->fd < 0 && errno == EISDIR)
		return err_set(err, EINVAL,
			       "--disk %s is a directory; a disk is a file or a block "
			       "device",
			       path);
	if (d->fd < 0 && errno == EINVAL && options->direct)
		return err_set(err, EINVAL,
			       "--disk %s: its file system has no O_DIRECT; leave "
			       "direct=on out",
			       path);
	if (d->fd < 0)
		return err_sys(err, errno, "--disk %s cannot be opened%s", path,
			       !options->readonly && (errno == EACCES || errno == EROFS)
				       ? " for writing (or is readonly=on "
					 "meant?)"
				       : "");
	ret = options->readonly
		      ? 0
		      : file_claim(&d->fd, "--disk", path, flags | (options->direct ? O_DIRECT : 0),
				   "open it readonly=on", err);
	if (ret == 0)
		ret = find_size(d, true, err);
	if (ret == 0)
		ret = file_lock(d->fd, "--disk", path, !options->readonly,
				"open it readonly=on in both", err);
	d->looks_out = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_COUNT(&cpus) > 1;
	for (unsigned i = 0; ret == 0 && i < options->queues; i++)
		ret = open_queue(d, &d->queues[i], err);
	if (ret < 0)
		disk_close(d);
	return ret;
}

int disk_look_again(struct disk *d, struct err *err)
{
	uint64_t was = d->size;
	int ret = find_size(d, false, err);

	if (ret < 0)
		d->size = was;
	return ret;
}

void disk_close(struct disk *d)
{
	if (d->fd < 0)
		return;
	for (unsigned i = 0; i < DISK_QUEUES_MAX; i++) {
		struct disk_queue *q = &d->queues[i];

		if (q->has_ring)
			io_uring_queue_exit(&q->ring);
		q->has_ring = false;
		if (q->completed >= 0)
			close(q->completed);
		q->completed = -1;
	}
	close(d->fd);
	d->fd = -1;
}

/* --- requests --- */

static void end(struct block_request *r, int error)
{
	free(r->bounce);
	r->bounce = NULL;
	r->done(r, error);
}

/* O_DIRECT moves whole blocks of aligned memory; a driver may offer other memory than that. */
static bool is_aligned(const struct disk *d, const struct block_request *r)
{
	uint64_t all = r->offset | r->len;

	for (unsigned i = 0; i < r->nr_parts; i++)
		all |= (uintptr_t)r->parts[i].iov_base | r->parts[i].iov_len;
	return all % max_u64(d->block_size, DIRECT_MIN) == 0;
}

static int make_bounce(struct block_request *r, size_t size)
{
	if (posix_memalign(&r->bounce, 4096, size)) {
		r->bounce = NULL;
		return -ENOMEM;
	}
	return 0;
}

/* The first `n` bytes of the parts, which have as many, to or from the bounce buffer. */
static void copy(const struct block_request *r, size_t n, bool to_parts)
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

static struct io_uring_sqe *new_sqe(struct disk_queue *q)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&q->ring);

	if (sqe)
		return sqe;
	io_uring_submit(&q->ring); /* full: the kernel takes them all at once */
	return io_uring_get_sqe(&q->ring);
}

/* PUNCH_HOLE is what block devices and all file systems with holes have; both keep the size. */
static int space_mode(const struct block_request *r)
{
	if (r->op == BLOCK_DISCARD || r->may_unmap)
		return FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	return FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
}

/* Zeroes for files that cannot be told: r->bounce is a page of them. */
static void prepare_zeroes(struct disk *d, struct io_uring_sqe *sqe, const struct block_request *r)
{
	io_uring_prep_write(sqe, d->fd, r->bounce, (unsigned)min_u64(r->len - r->moved, ZEROES),
			    r->offset + r->moved);
}

/* What is left of it. */
static void begin(struct disk_queue *q, struct block_request *r)
{
	struct io_uring_sqe *sqe = new_sqe(q);
	struct disk *d = q->disk;
	uint64_t at = r->offset + r->moved;
	unsigned piece = (unsigned)min_u64(r->len - r->moved, BOUNCE);

	if (!sqe) {
		end(r, -EAGAIN);
		return;
	}
	switch (r->op) {
	case BLOCK_READ:
		if (r->bounce)
			io_uring_prep_read(sqe, d->fd, r->bounce, piece, at);
		else
			io_uring_prep_readv(sqe, d->fd, r->parts, r->nr_parts, at);
		break;
	case BLOCK_WRITE:
		if (r->bounce) {
			copy(r, piece, false);
			io_uring_prep_write(sqe, d->fd, r->bounce, piece, at);
		} else {
			io_uring_prep_writev(sqe, d->fd, r->parts, r->nr_parts, at);
		}
		sqe->rw_flags = r->stable ? RWF_DSYNC : 0;
		break;
	case BLOCK_FLUSH:
		io_uring_prep_fsync(sqe, d->fd, IORING_FSYNC_DATASYNC);
		break;
	case BLOCK_DISCARD:
	case BLOCK_ZERO:
		if (r->bounce)
			prepare_zeroes(d, sqe, r);
		else
			io_uring_prep_fallocate(sqe, d->fd, space_mode(r), (off_t)r->offset,
						(off_t)r->len);
		break;
	}
	io_uring_sqe_set_data(sqe, r);
}

static void submit(void *queue, struct block_request *r)
{
	struct disk_queue *q = queue;
	bool data = r->op == BLOCK_READ || r->op == BLOCK_WRITE;

	r->moved = 0;
	r->bounce = NULL;
	if (data && q->disk->options.direct && !is_aligned(q->disk, r) &&
	    make_bounce(r, min_u64(r->len, BOUNCE)) < 0)
		end(r, -ENOMEM);
	else
		begin(q, r);
}

/* Takes `n` bytes off the front of the parts. */
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

/* The file cannot be told. A discard may do nothing; zeroes must be there. */
static void without_holes(struct disk_queue *q, struct block_request *r)
{
	if (r->op == BLOCK_ZERO && !r->may_unmap) {
		r->may_unmap = true; /* many more know that one */
		begin(q, r);
	} else if (r->op == BLOCK_DISCARD) {
		end(r, 0);
	} else if (make_bounce(r, ZEROES) < 0) {
		end(r, -ENOMEM);
	} else {
		memset(r->bounce, 0, ZEROES);
		begin(q, r);
	}
}

static void completed(struct disk_queue *q, struct block_request *r, int result)
{
	bool space = r->op == BLOCK_DISCARD || r->op == BLOCK_ZERO;

	if (space && !r->bounce && result == -EOPNOTSUPP) {
		without_holes(q, r);
		return;
	}
	if (result == -EINTR || result == -EAGAIN) {
		begin(q, r);
		return;
	}
	if (result < 0 || r->op == BLOCK_FLUSH || (space && !r->bounce)) {
		end(r, result < 0 ? result : 0);
		return;
	}
	if (result == 0) { /* the image has become shorter */
		end(r, -EIO);
		return;
	}
	if (r->bounce && r->op == BLOCK_READ)
		copy(r, (size_t)result, true);
	r->moved += (uint64_t)result;
	if (r->moved >= r->len) {
		end(r, 0);
		return;
	}
	advance(r, (size_t)result);
	begin(q, r);
}

/* What is completed; what that begins anew is submitted. */
static void reap(struct disk_queue *q)
{
	struct io_uring_cqe *cqe;

	while (io_uring_peek_cqe(&q->ring, &cqe) == 0) {
		struct block_request *r = io_uring_cqe_get_data(cqe);
		int result = cqe->res;

		io_uring_cqe_seen(&q->ring, cqe);
		completed(q, r, result);
	}
	io_uring_submit(&q->ring);
}

/*
 * Whether no eventfd says what is done. The kernel writes the end of a request and then reads the
 * switch; we do the reverse: what ended before it was on is to be looked for.
 */
static void quiet(struct disk_queue *q, bool on)
{
	(void)io_uring_cq_eventfd_toggle(&q->ring, !on);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Much is done at once, from the page cache: no eventfd is needed to say so. */
static void flush(void *queue)
{
	struct disk_queue *q = queue;

	quiet(q, true);
	io_uring_submit(&q->ring);
	reap(q);
	quiet(q, false);
	reap(q); /* what was done before that, unannounced */
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
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

static bool look_out(void *queue, bool (*more)(void *to), void *to)
{
	struct disk_queue *q = queue;
	uint64_t start, now;
	bool found = false;

	if (!q->disk->looks_out)
		return false;
	now = start = now_ns();
	adapt(q, start);
	if (q->patience) {
		quiet(q, true);
		while (!found && now - start < q->patience) {
			__builtin_ia32_pause();
			found = more(to) || io_uring_cq_ready(&q->ring);
			now = now_ns();
		}
		quiet(q, false);
		found |= io_uring_cq_ready(&q->ring) != 0;
	}
	if (!found)
		q->gave_up_at = now;
	return found;
}

const struct block_queue_ops disk_queue_ops = { submit, flush, look_out };

void disk_reap(void *queue)
{
	struct disk_queue *q = queue;
	uint64_t count;

	if (read(q->completed, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return;
	reap(q);
}
