#include "vmm/backends/disk_internal.h"

#include "vmm/host/file_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* --- descriptors --- */

static bool writes_image(const struct disk *d)
{
	return !d->options.readonly && !d->options.is_private;
}

static int access_mode(const struct disk *d)
{
	return (writes_image(d) ? O_RDWR : O_RDONLY) | O_CLOEXEC;
}

static int open_path(const struct disk *d, int flags, struct err *err)
{
	/* O_NONBLOCK: opening a FIFO must not wait before it can be refused. */
	int fd = open(d->path, access_mode(d) | flags | O_NONBLOCK);

	if (fd >= 0)
		return fd;
	if (errno == EISDIR)
		return err_set(err, EINVAL,
			       "--disk %s is a directory; a disk is a file or a block "
			       "device",
			       d->path);
	if (errno == EINVAL && (flags & O_DIRECT))
		return err_set(err, EINVAL,
			       "--disk %s: its file system has no O_DIRECT; leave "
			       "direct=on out",
			       d->path);
	return err_sys(err, errno, "--disk %s cannot be opened%s", d->path,
		       writes_image(d) && (errno == EACCES || errno == EROFS)
			       ? " for writing (or is readonly=on or private=on meant?)"
			       : "");
}

/*
 * Clears O_NONBLOCK, because with it some kernels answer every request with EAGAIN, for ever
 * (io_uring/rw.c of 5.15 to 6.4, on device-mapper targets without NOWAIT).
 */
static int wait_for_disk(int fd, const struct disk *d, struct err *err)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
		return err_sys(err, errno, "--disk %s cannot be set to wait for its disk", d->path);
	return 0;
}

/* Opens the disk's file once more, so that the queue has an open file of its own. */
static int open_again(struct disk_queue *q, struct err *err)
{
	const struct disk *d = q->disk;
	struct stat was, is;

	q->fd = open_path(d, d->options.direct ? O_DIRECT : 0, err);
	if (q->fd < 0)
		return q->fd;
	if (fstat(d->fd, &was) < 0 || fstat(q->fd, &is) < 0)
		return err_sys(err, errno, "--disk %s cannot be looked at", d->path);
	if (was.st_dev != is.st_dev || was.st_ino != is.st_ino || was.st_rdev != is.st_rdev)
		return err_set(err, EBUSY, "--disk %s has become another file meanwhile", d->path);
	return wait_for_disk(q->fd, d, err);
}

static int disk_open_queue(struct disk_queue *q, struct err *err)
{
	int ret = open_again(q, err);

	if (ret < 0)
		return ret;
	q->completed = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->completed < 0)
		return err_sys(err, errno, "cannot make an eventfd");
	q->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (q->timer < 0)
		return err_sys(err, errno, "cannot make a timer");
	return 0;
}

/* --- rings or threads --- */

/* Makes a ring for each queue, or none if one cannot be made. */
static int open_rings(struct disk *d)
{
	int ret;

	for (unsigned i = 0; i < d->options.queues; i++) {
		ret = disk_ring_open(&d->queues[i]);
		if (ret < 0)
			goto fail;
	}
	return 0;

fail:
	for (unsigned i = 0; i < d->options.queues; i++)
		disk_ring_close(&d->queues[i]);
	return ret;
}

/*
 * Whether io_uring is forbidden, missing, or lacks locked memory, so that threads serve the disk
 * instead. Any other error is reported.
 */
static bool can_do_without(int error)
{
	return error == -EPERM || error == -EACCES || error == -ENOSYS || error == -ENOMEM;
}

static int open_server(struct disk *d, struct err *err)
{
	int ret = open_rings(d);

	if (ret < 0 && !can_do_without(ret))
		return err_sys(err, -ret, "cannot make an io_uring for --disk %s", d->path);
	d->no_ring = ret;
	/*
	 * Threads also do the steps that a ring cannot: see disk_request_begin() of
	 * disk_request.c.
	 */
	if (ret < 0 || d->topology.discard_max || d->options.is_private)
		return disk_threads_start(d, err);
	return 0;
}

const struct block_queue_ops *disk_queue_ops(const struct disk *d)
{
	return d->no_ring ? &disk_threads_ops : &disk_ring_ops;
}

/* --- opening --- */

static int open_image(struct disk *d, struct err *err)
{
	static const char way_out[] = "open it readonly=on or private=on in both";
	bool writes = writes_image(d);
	int ret;

	d->fd = open_path(d, 0, err);
	if (d->fd < 0)
		return d->fd;
	ret = disk_probe_type(d, err);
	if (ret < 0)
		return ret;
	if (writes) {
		ret = file_claim(&d->fd, "--disk", d->path, access_mode(d),
				 "open it readonly=on or private=on", err);
		if (ret < 0)
			return ret;
	}
	ret = wait_for_disk(d->fd, d, err);
	if (ret < 0)
		return ret;
	ret = file_lock(d->fd, "--disk", d->path, writes, way_out, err);
	if (ret < 0)
		return ret;
	return disk_probe_format(d, err);
}

static void disk_init(struct disk *d, const char *path, const struct disk_options *options)
{
	cpu_set_t cpus;

	*d = (struct disk)DISK_EMPTY;
	d->path = path;
	d->options = *options;
	d->polls = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_COUNT(&cpus) > 1;
	pthread_mutex_init(&d->lock, NULL);
	pthread_mutex_init(&d->threads.lock, NULL);
	pthread_cond_init(&d->threads.wake, NULL);
	for (unsigned i = 0; i < VIRTIO_BLK_QUEUES_MAX; i++) {
		struct disk_queue *q = &d->queues[i];

		q->disk = d;
		q->fd = q->completed = q->timer = -1;
	}
}

int disk_open(struct disk *d, const char *path, const struct disk_options *options, struct err *err)
{
	int ret;

	disk_init(d, path, options);
	ret = open_image(d, err);
	if (ret < 0)
		goto fail;
	for (unsigned i = 0; i < options->queues; i++) {
		ret = disk_open_queue(&d->queues[i], err);
		if (ret < 0)
			goto fail;
	}
	ret = disk_probe_blocks(d, options->direct ? d->queues[0].fd : -1, err);
	if (ret < 0)
		goto fail;
	ret = disk_probe_size(d, err);
	if (ret < 0)
		goto fail;
	if (options->is_private) {
		ret = disk_overlay_open(&d->overlay, path, d->size, err);
		if (ret < 0)
			goto fail;
	}
	ret = disk_probe_discard(d, err);
	if (ret < 0)
		goto fail;
	ret = open_server(d, err);
	if (ret < 0)
		goto fail;
	return 0;

fail:
	disk_close(d);
	return ret;
}

int disk_look_again(struct disk *d, struct err *err)
{
	if (d->options.is_private)
		return err_set(
			err, EOPNOTSUPP,
			"--disk %s is private=on: its image is locked against changes, also of its "
			"size, while a guest has it; make it larger before the guest is started",
			d->path);
	return disk_probe_size(d, err);
}

bool disk_lacks_discard(const struct disk *d, struct err *remark)
{
	if (!d->options.discard || d->options.readonly || d->topology.discard_max)
		return false;
	err_set(remark, 0, "--disk %s: discard=on, but %s%s; the guest cannot give space back",
		d->path,
		d->options.is_private ? "no holes can be made in a temporary file"
		: d->is_device ? "the device has no discard (its queue/discard_max_bytes is 0)"
			       : "its file system makes no holes in files",
		d->overlay.in_folder);
	return true;
}

bool disk_lacks_ring(const struct disk *d, struct err *remark)
{
	if (!d->no_ring)
		return false;
	err_sys(remark, -d->no_ring,
		"disks are served by threads, which is slower: this process gets no io_uring, be "
		"it "
		"for a seccomp filter (a container's), sysctl kernel.io_uring_disabled, a limit of "
		"locked memory (ulimit -l) or a kernel before 5.12");
	return true;
}

unsigned disk_busy(const struct disk *d)
{
	unsigned n = 0;

	for (unsigned i = 0; i < d->options.queues; i++)
		n += __atomic_load_n(&d->queues[i].in_flight, __ATOMIC_RELAXED);
	return n;
}

void disk_listen(struct disk *d, void (*say)(void *to, const char *sentence), void *to)
{
	d->say = say;
	d->say_to = to;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void disk_close(struct disk *d)
{
	if (d->fd < 0)
		return;
	disk_threads_stop(d);
	for (unsigned i = 0; i < VIRTIO_BLK_QUEUES_MAX; i++) {
		struct disk_queue *q = &d->queues[i];

		disk_ring_close(q);
		close_fd(&q->completed);
		close_fd(&q->timer);
		close_fd(&q->fd);
	}
	disk_overlay_close(&d->overlay);
	close_fd(&d->fd);
}
