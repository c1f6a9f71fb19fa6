/*
 * Images on this host, through its io_uring: requests that O_DIRECT would refuse, disks with large
 * blocks, images that are in use, and hosts that refuse.
 */
#include "tests/fault/wrap.h"
#include "vmm/backends/disk.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE (1u << 20)

static const struct disk_options direct = { .direct = true, .queues = 1 };
static const struct disk_options buffered = { .queues = 1 };
static char path[] = "straddle-fake-disk-XXXXXX"; /* here: /tmp may have no O_DIRECT */
static char attribute[64];			  /* of sysfs */
static struct disk disk = DISK_EMPTY;
static struct err err;

static int make_image(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	if (fd < 0 || ftruncate(fd, SIZE) < 0)
		return -1;
	return close(fd);
}

static int remove_image(void **state)
{
	(void)state;
	return unlink(path);
}

static void nothing_changes(void)
{
}

static int reset(void **state)
{
	int ret = wrap_setup(state);

	disk_close(&disk); /* what a test that failed left open */
	wrap_sleep(
		nothing_changes); /* who has the image keeps it, and there is no waiting for it */
	return ret || truncate(path, 0) || truncate(path, SIZE);
}

/* --- one request --- */

static bool done;
static int result;
static char heard[4096]; /* what the user was told, one line after the other */

static void hear(void *to, const char *sentence)
{
	size_t len = strlen(heard);

	(void)to;
	snprintf(heard + len, sizeof(heard) - len, "%s\n", sentence);
}

static unsigned times_heard(const char *words)
{
	unsigned n = 0;

	for (const char *at = heard; (at = strstr(at, words)); at++)
		n++;
	return n;
}

static void on_done(struct block_request *r, int error)
{
	(void)r;
	done = true;
	result = error;
}

static void submit(struct block_request *r)
{
	const struct block_queue_ops *ops = disk_queue_ops(&disk);

	r->done = on_done;
	done = false;
	ops->submit(&disk.queues[0], r);
	ops->flush(&disk.queues[0]);
}

/* Until something ended or is to be tried again. */
static void wait_and_reap(struct disk_queue *q)
{
	struct pollfd p[] = { { q->completed, POLLIN, 0 }, { q->timer, POLLIN, 0 } };

	assert_in_range(poll(p, 2, 10000), 1, 2);
	disk_reap(q);
}

static int serve(struct block_request *r)
{
	submit(r);
	while (!done)
		wait_and_reap(&disk.queues[0]);
	return result;
}

/* By a ring or by threads: what the test's state says. */
static void open_served(const char *by, const struct disk_options *options)
{
	heard[0] = '\0';
	if (by)
		wrap_fail_named("io_uring_queue_init", 1, EPERM);
	assert_int_equal(disk_open(&disk, path, options, &err), 0);
	assert_int_equal(disk.no_ring, by ? -EPERM : 0);
	disk_listen(&disk, hear, NULL);
}

/* Another file behind the queue, such as one on which all calls fail; -1: its own again. */
static void put_behind(int fd)
{
	static int own = -1;

	if (own < 0)
		own = dup(disk.queues[0].fd);
	assert_true(dup2(fd < 0 ? own : fd, disk.queues[0].fd) >= 0);
	if (fd >= 0)
		close(fd);
	else
		close(own);
	own = fd < 0 ? -1 : own;
}

/* Parts of `at` that are odd in place and in length. */
static int move(enum block_op op, uint8_t *at, uint64_t offset, size_t len)
{
	struct iovec parts[3] = { { at, 1001 }, { at + 1001, 70001 }, { at + 71002, len - 71002 } };
	struct block_request r = {
		.op = op, .offset = offset, .len = len, .parts = parts, .nr_parts = 3
	};

	return serve(&r);
}

static void test_odd_buffers(void **state)
{
	const size_t len = 300 * 1024, offset = 4096;
	uint8_t *data = malloc(len + 1), *back = malloc(len + 1);
	int fd;

	assert_true(data && back);
	for (size_t i = 0; i <= len; i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	open_served(*state, &direct);
	assert_int_equal(move(BLOCK_WRITE, data + 1, offset, len), 0);
	fd = open(path, O_RDONLY);
	assert_int_equal(pread(fd, back, len, (off_t)offset), len);
	assert_memory_equal(back, data + 1, len);
	close(fd);
	memset(back, 0, len + 1);
	assert_int_equal(move(BLOCK_READ, back + 1, offset, len), 0);
	assert_memory_equal(back + 1, data + 1, len);
	disk_close(&disk);
	free(data);
	free(back);
}

/* Past the end of an image that has become shorter, and a write that is to be stable. */
static void test_ends(void **state)
{
	static uint8_t data[128 * 1024];

	open_served(*state, &direct);
	assert_int_equal(truncate(path, SIZE - 4096), 0);
	assert_int_equal(move(BLOCK_READ, data + 1, SIZE - 100 * 1024, 100 * 1024), -EIO);
	for (int stable = 0; stable < 2; stable++) {
		struct iovec part = { data + 1, 8192 };
		struct block_request r = { .op = BLOCK_WRITE,
					   .stable = stable,
					   .len = 8192,
					   .parts = &part,
					   .nr_parts = 1 };

		assert_int_equal(serve(&r), 0);
		assert_int_equal(r.moved, 8192);
	}
	disk_close(&disk);
}

static int write_some(uint64_t offset, bool stable)
{
	static uint8_t data[8192];
	struct iovec part = { data, sizeof(data) };
	struct block_request r = { .op = BLOCK_WRITE,
				   .stable = stable,
				   .offset = offset,
				   .len = sizeof(data),
				   .parts = &part,
				   .nr_parts = 1 };

	memset(data, 0x5a, sizeof(data));
	return serve(&r);
}

static int flush(void)
{
	struct block_request r = { .op = BLOCK_FLUSH };

	return serve(&r);
}

/* What was submitted ends, and with another result. */
static void end_with(struct io_uring *ring, unsigned n, int error)
{
	while (io_uring_cq_ready(ring) < n)
		sched_yield();
	for (unsigned i = 0; i < n; i++)
		ring->cq.cqes[(*ring->cq.khead + i) & *ring->cq.kring_mask].res = error;
}

static unsigned nr_not_now;

static void say_not_now(struct io_uring *ring, unsigned n)
{
	end_with(ring, n, -EAGAIN);
	nr_not_now += n;
}

static void say_no_room(struct io_uring *ring, unsigned n)
{
	end_with(ring, n, -ENOSPC);
}

/* Some kernels answer so for ever if the file has O_NONBLOCK, on device-mapper targets. */
static void test_not_now(void **state)
{
	open_served(*state, &buffered);
	assert_false(fcntl(disk.fd, F_GETFL) & O_NONBLOCK);
	assert_false(fcntl(disk.queues[0].fd, F_GETFL) & O_NONBLOCK);
	nr_not_now = 0;
	wrap_submit(say_not_now);
	assert_int_equal(write_some(0, false), *state ? 0 : -EAGAIN);
	wrap_submit(NULL);
	assert_in_range(nr_not_now, *state ? 0 : 2, *state ? 0 : 1000);
	assert_int_equal(times_heard("writing straddle-fake-disk-"), *state ? 0 : 1);
	assert_int_equal(write_some(0, false), 0);
	disk_close(&disk);
}

/* The kernel has no memory for a request at the moment, and nothing else is in flight. */
static void test_not_submitted(void **state)
{
	(void)state;
	open_served(NULL, &buffered);
	wrap_refuse_submits(10); /* more than one flush tries */
	assert_int_equal(write_some(0, false), 0);
	disk_close(&disk);
}

/* A flush that failed once has failed for good, unless nothing is kept in the page cache. */
static void test_failed_flush(void **state)
{
	for (int is_direct = 0; is_direct < 2; is_direct++) {
		int later = is_direct ? 0 : -EINVAL;

		open_served(*state, is_direct ? &direct : &buffered);
		assert_int_equal(flush(), 0);
		put_behind(open("/dev/full", O_RDWR)); /* has no fsync: EINVAL */
		assert_int_equal(flush(), -EINVAL);
		put_behind(-1);
		assert_int_equal(flush(), later);
		assert_int_equal(write_some(0, false), 0);
		assert_int_equal(write_some(0, true), later);
		assert_int_equal(times_heard(path), 1);
		assert_int_equal(times_heard("each flush of this disk fails"), !is_direct);
		disk_close(&disk);
	}
}

static unsigned nr_failed, nr_done;

static void on_many_done(struct block_request *r, int error)
{
	(void)r;
	nr_done++;
	nr_failed += error == -EINVAL;
}

/* One at a time, each for all that came while the one before it ran. */
static void test_flushes_at_once(void **state)
{
	struct block_request r[5];

	for (int fails = 0; fails < 2; fails++) {
		const struct block_queue_ops *ops;
		struct disk_queue *q = &disk.queues[0];
		unsigned waiting = 0;

		open_served(*state, &buffered);
		ops = disk_queue_ops(&disk);
		put_behind(fails ? open("/dev/full", O_RDWR) : dup(q->fd));
		nr_failed = nr_done = 0;
		for (unsigned i = 0; i < 5; i++) {
			r[i] = (struct block_request){ .op = BLOCK_FLUSH, .done = on_many_done };
			ops->submit(q, &r[i]);
		}
		assert_ptr_equal(q->syncing, &r[0]);
		for (struct block_request *w = q->to_sync; w; w = w->same_sync)
			waiting++;
		assert_int_equal(waiting, 4);
		ops->flush(q);
		while (q->syncing)
			wait_and_reap(q);
		assert_int_equal(nr_done, 5);
		assert_int_equal(nr_failed, fails ? 5 : 0);
		put_behind(-1);
		disk_close(&disk);
	}
}

static void test_no_room(void **state)
{
	open_served(*state, &buffered);
	put_behind(open("/dev/full", O_RDWR)); /* ENOSPC */
	for (int life = 0; life < 2; life++) {
		uint8_t data[4096] = { 1 };
		struct iovec part = { data, sizeof(data) };
		struct block_request r = {
			.op = BLOCK_WRITE, .len = sizeof(data), .parts = &part, .nr_parts = 1
		};

		submit(&r);
		while (!disk.queues[0].held)
			wait_and_reap(&disk.queues[0]);
		assert_false(done);
		assert_int_equal(times_heard("the host has no room for"), 1);
		if (life == 0) { /* the guest resets the disk */
			disk_queue_ops(&disk)->drain(&disk.queues[0], true);
			assert_true(done);
			assert_int_equal(result, -ENOSPC);
			disk_queue_ops(&disk)->drain(&disk.queues[0], false);
			continue;
		}
		wait_and_reap(&disk.queues[0]); /* in vain */
		put_behind(-1);
		while (!done)
			wait_and_reap(&disk.queues[0]);
		assert_int_equal(result, 0);
	}
	assert_int_equal(disk.nr_held, 0);
	disk_close(&disk);
}

/* It is what would make room: nobody waits for room with it. */
static void test_discard_without_room(void **state)
{
	const struct disk_options options = { .queues = 1, .discard = true };
	struct block_request r = { .op = BLOCK_DISCARD, .len = 4096 };

	(void)state;
	open_served(NULL, &options);
	wrap_submit(say_no_room);
	assert_int_equal(serve(&r), -ENOSPC);
	assert_int_equal(disk.nr_held, 0);
	disk_close(&disk);
}

static void test_no_room_is_an_error(void **state)
{
	const struct disk_options options = { .queues = 1, .fail_when_full = true };

	open_served(*state, &options);
	put_behind(open("/dev/full", O_RDWR));
	assert_int_equal(write_some(0, false), -ENOSPC);
	put_behind(-1);
	assert_int_equal(write_some(0, false), 0);
	assert_int_equal(times_heard("No space left"), 1);
	disk_close(&disk);
}

/* ulimit -f: an error of the guest's, and not the end of the process. */
static void test_size_limit(void **state)
{
	struct rlimit was, limit;

	signal(SIGXFSZ, SIG_IGN); /* as main() does */
	open_served(*state, &buffered);
	getrlimit(RLIMIT_FSIZE, &was);
	limit = (struct rlimit){ SIZE / 2, was.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(write_some(SIZE / 2, false), -EFBIG);
	assert_int_equal(write_some(SIZE / 2 - 4096, false), -EFBIG);
	assert_int_equal(write_some(0, false), 0);
	setrlimit(RLIMIT_FSIZE, &was);
	assert_int_equal(times_heard("ulimit -f"), 1);
	assert_int_equal(write_some(SIZE / 2, false), 0);
	disk_close(&disk);
}

/* Holes, and zeroes with and without them. */
static void test_space(void **state)
{
	const struct disk_options options = { .queues = 1, .discard = true };
	struct block_request r = { .op = BLOCK_DISCARD, .offset = 65536, .len = 65536 };
	struct stat before, after;

	open_served(*state, &options);
	for (uint64_t at = 0; at < SIZE; at += 8192)
		assert_int_equal(write_some(at, false), 0);
	assert_int_equal(flush(), 0);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(serve(&r), 0);
	assert_int_equal(stat(path, &after), 0);
	assert_true(after.st_blocks < before.st_blocks);
	for (int unmap = 0; unmap < 2; unmap++) {
		uint8_t data[4096];
		struct iovec part = { data, sizeof(data) };
		struct block_request read = {
			.op = BLOCK_READ, .len = sizeof(data), .parts = &part, .nr_parts = 1
		};

		r = (struct block_request){ .op = BLOCK_ZERO, .len = 4096, .may_unmap = unmap };
		r.offset = read.offset = 512 * 1024 + 4096 * (unsigned)unmap;
		assert_int_equal(serve(&r), 0);
		assert_int_equal(serve(&read), 0);
		for (size_t i = 0; i < sizeof(data); i++)
			assert_int_equal(data[i], 0);
	}
	disk_close(&disk);
}

/* --- opening --- */

static void test_large_blocks(void **state)
{
	(void)state;
	assert_int_equal(disk_open(&disk, path, &direct, &err), 0);
	assert_int_equal(disk.block_size, 512);
	disk_close(&disk);
	wrap_fail_named("pread", 3, EINVAL); /* after the first bytes and the last */
	assert_int_equal(disk_open(&disk, path, &direct, &err), 0);
	assert_int_equal(disk.block_size, 4096);
	disk_close(&disk);
	assert_int_equal(truncate(path, SIZE + 512), 0);
	wrap_fail_named("pread", 3, EINVAL); /* after the first bytes and the last */
	assert_int_equal(disk_open(&disk, path, &direct, &err), -EINVAL);
	wrap_assert_says(&err, "no multiple of 4096");
}

/* What a program locks, and whether we may have the image beside it, to write and to read. */
struct locker {
	const char *name;
	short type;
	off_t bytes[5]; /* up to one that is 0; -1: the whole file */
	bool beside_writer, beside_reader;
};

static const struct locker lockers[] = {
	{ "QEMU writing", F_RDLCK, { 100, 101, 103, 201, 203 }, false, false },
	{ "QEMU writing, of a fixed size", F_RDLCK, { 100, 101, 201, 203 }, false, false },
	{ "QEMU reading", F_RDLCK, { 100, 201, 203 }, false, true },
	{ "QEMU looking, --force-share", F_RDLCK, { 100 }, true, true },
	{ "Cloud Hypervisor writing", F_WRLCK, { -1 }, false, false },
};

static int lock_bytes(int fd, const struct locker *l)
{
	for (unsigned i = 0; i < 5 && l->bytes[i]; i++) {
		struct flock lock = { .l_type = l->type, .l_whence = SEEK_SET };

		lock.l_start = l->bytes[i] < 0 ? 0 : l->bytes[i];
		lock.l_len = l->bytes[i] < 0 ? 0 : 1;
		if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
			return -errno;
	}
	return 0;
}

static void test_other_programs(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(lockers) / sizeof(lockers[0]); i++) {
		for (int readonly = 0; readonly < 2; readonly++) {
			const struct disk_options options = { .queues = 1, .readonly = readonly };
			const struct locker *l = &lockers[i];
			bool may = readonly ? l->beside_reader : l->beside_writer;
			int fd = open(path, O_RDWR), ret;

			assert_int_equal(lock_bytes(fd, l), 0);
			ret = disk_open(&disk, path, &options, &err);
			if (ret != (may ? 0 : -EBUSY))
				fail_msg("%s, readonly %d: %d", l->name, readonly, ret);
			disk_close(&disk);
			close(fd);
		}
	}
}

/* The other way round: QEMU takes its bytes, then asks whether anybody has the opposite ones. */
static bool may_qemu(bool writes)
{
	static const off_t asked[] = { 200, 101, 103, 201, 203 };
	const struct locker *l = &lockers[writes ? 0 : 2];
	int fd = open(path, O_RDWR);
	bool may = lock_bytes(fd, l) == 0;

	for (unsigned i = 0; i < (writes ? 5 : 3); i++) {
		struct flock lock = {
			.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = asked[i], .l_len = 1
		};

		assert_int_equal(fcntl(fd, F_OFD_GETLK, &lock), 0);
		may &= lock.l_type == F_UNLCK;
	}
	close(fd);
	return may;
}

static void test_beside_us(void **state)
{
	const struct disk_options reads = { .queues = 1, .readonly = true };
	struct disk other;

	(void)state;
	assert_int_equal(disk_open(&disk, path, &buffered, &err), 0);
	assert_false(may_qemu(true));
	assert_false(may_qemu(false));
	assert_int_equal(disk_open(&other, path, &reads, &err), -EBUSY);
	disk_close(&disk);
	assert_int_equal(disk_open(&disk, path, &reads, &err), 0);
	assert_false(may_qemu(true));
	assert_true(may_qemu(false));
	assert_int_equal(disk_open(&other, path, &buffered, &err), -EBUSY);
	assert_int_equal(disk_open(&other, path, &reads, &err), 0);
	disk_close(&other);
	disk_close(&disk);
}

/* An image of another format is no raw one, whatever its size; a guest may have written that, too.
 */
static void test_formats(void **state)
{
	struct disk_options options = buffered;
	int fd = open(path, O_RDWR);

	(void)state;
	options.raw = true;
	assert_int_equal(pwrite(fd, "QFI\xfb\0\0\0\3", 8, 0), 8);
	for (int odd = 0; odd < 2; odd++) {
		assert_int_equal(ftruncate(fd, SIZE + odd), 0);
		assert_int_equal(disk_open(&disk, path, &buffered, &err), -EINVAL);
		wrap_assert_says(&err, "has the format qcow2");
		wrap_assert_says(&err, "format=raw");
		assert_null(strstr(err.text, "truncate"));
	}
	assert_int_equal(ftruncate(fd, SIZE), 0);
	assert_int_equal(disk_open(&disk, path, &options, &err), 0);
	disk_close(&disk);
	/* One that is written while it is open is the guest's own business. */
	assert_int_equal(pwrite(fd, "nothing!", 8, 0), 8);
	assert_int_equal(disk_open(&disk, path, &buffered, &err), 0);
	assert_int_equal(pwrite(fd, "QFI\xfb\0\0\0\3", 8, 0), 8);
	assert_int_equal(disk_look_again(&disk, &err), 0);
	disk_close(&disk);
	close(fd);
}

/* --- block devices; as the calls show them --- */

static unsigned nr_discards, physical;
static uint64_t discarded[2];

static void as_device(struct stat *st)
{
	st->st_mode = S_IFBLK;
	st->st_rdev = 0x103;
}

static bool device_ioctl(int fd, unsigned long request, void *arg, int *ret)
{
	(void)fd;
	*ret = 0;
	switch (request) {
	case BLKGETSIZE64:
		*(uint64_t *)arg = SIZE;
		return true;
	case BLKSSZGET:
		*(int *)arg = 512;
		return true;
	case BLKPBSZGET:
	case BLKIOMIN:
		*(unsigned *)arg = physical;
		return true;
	case BLKIOOPT:
		*(unsigned *)arg = 1u << 20;
		return true;
	case BLKALIGNOFF:
		*(int *)arg = 3584;
		return true;
	case BLKDISCARD:
		nr_discards++;
		memcpy(discarded, arg, sizeof(discarded));
		return true;
	}
	return false;
}

static void open_device(const char *sysfs, const struct disk_options *options)
{
	int fd;

	snprintf(attribute, sizeof(attribute), "%s-sysfs", path);
	fd = open(attribute, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	assert_int_equal(write(fd, sysfs, strlen(sysfs)), strlen(sysfs));
	close(fd);
	wrap_stat(as_device);
	wrap_ioctl(device_ioctl);
	wrap_redirect("/sys/dev/block/*", attribute);
	assert_int_equal(disk_open(&disk, path, options, &err), 0);
	unlink(attribute);
}

/* A discard is one, and not zeroes that are written where nothing is given back. */
static void test_device(void **state)
{
	const struct disk_options options = { .queues = 2, .discard = true };
	struct block_request r = { .op = BLOCK_DISCARD, .offset = 65536, .len = 8192 };

	(void)state;
	physical = 4096;
	nr_discards = 0;
	open_device("65536\n", &options);
	assert_false(disk_lacks_discard(&disk, &err));
	assert_int_equal(disk.topology.discard_max, 65536);
	assert_int_equal(disk.topology.discard_granularity, 65536);
	assert_int_equal(disk.topology.physical, 4096);
	assert_int_equal(disk.topology.first, 3584);
	assert_int_equal(disk.topology.min_io, 4096);
	assert_int_equal(disk.topology.opt_io, 1 << 20);
	assert_int_equal(serve(&r), 0);
	assert_int_equal(nr_discards, 1);
	assert_int_equal(discarded[0], 65536);
	assert_int_equal(discarded[1], 8192);
	disk_close(&disk);
	open_device("0\n", &options);
	assert_int_equal(disk.topology.discard_max, 0);
	assert_true(disk_lacks_discard(&disk, &err));
	wrap_assert_says(&err, "the device has no discard");
	disk_close(&disk);
}

static int killed;
static unsigned sleeps;

static void lets_go(void)
{
	if (++sleeps == 3)
		close(killed);
}

/* The kernel lets go of a killed process's files when its requests are done, which is waited for.
 */
static void test_killed(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(lockers) / sizeof(lockers[0]); i++) {
		if (lockers[i].beside_writer)
			continue;
		sleeps = 0;
		killed = open(path, O_RDWR);
		assert_int_equal(lock_bytes(killed, &lockers[i]), 0);
		wrap_sleep(lets_go);
		assert_int_equal(disk_open(&disk, path, &buffered, &err), 0);
		assert_int_equal(sleeps, 3);
		disk_close(&disk);
	}
	wrap_reset();
}

/* One that is mounted, or a part of something, is not for a guest to write. */
static void test_mounted(void **state)
{
	const struct disk_options reads = { .queues = 1, .readonly = true };

	(void)state;
	wrap_stat(as_device);
	wrap_ioctl(device_ioctl);
	wrap_fail_from("open", 2, EBUSY);
	assert_int_equal(disk_open(&disk, path, &buffered, &err), -EBUSY);
	assert_true(wrap_calls() > 2); /* it may have been a killed process's */
	wrap_assert_says(&err, "it is mounted");
	wrap_assert_says(&err, "readonly=on");
	wrap_reset();
	open_device("0\n", &reads);
	disk_close(&disk);
}

static void test_in_use(void **state)
{
	struct disk other;

	(void)state;
	assert_int_equal(disk_open(&disk, path, &direct, &err), 0);
	assert_int_equal(disk_open(&other, path, &direct, &err), -EBUSY);
	wrap_assert_says(&err, "in use");
	disk_close(&disk);
	assert_int_equal(disk_open(&other, path, &direct, &err), 0);
	disk_close(&other);
	wrap_reset();
}

static int open_and_close(void *to, struct err *e)
{
	int ret = disk_open(&disk, path, to, e);

	disk_close(&disk);
	return ret;
}

static void test_host_refuses(void **state)
{
	static const struct wrap_harmless harmless[] = {
		{ { "pread", 0, 0 }, 0, "an error of the disk is for those who read it" },
		{ { NULL, 0, 0 }, 0, NULL },
	};
	struct disk_options options = direct;

	(void)state;
	options.queues = 3;
	wrap_sweep(open_and_close, &options, EIO, harmless);
	wrap_fail_named("io_uring_queue_init", 2, EPERM); /* also if only one ring is refused */
	assert_int_equal(disk_open(&disk, path, &options, &err), 0);
	assert_true(disk_lacks_ring(&disk, &err));
	wrap_assert_says(&err, "seccomp");
	for (unsigned i = 0; i < options.queues; i++)
		assert_false(disk.queues[i].has_ring);
	disk_close(&disk);
}

#define TEST(f) cmocka_unit_test_setup(f, reset)
#define BOTH(f)                                              \
	cmocka_unit_test_setup(f, reset),                    \
	{                                                    \
#f "_by_threads", f, reset, NULL, by_threads \
	}

int main(void)
{
	static char by_threads[] = "threads";
	const struct CMUnitTest tests[] = {
		BOTH(test_odd_buffers),
		BOTH(test_ends),
		BOTH(test_not_now),
		TEST(test_not_submitted),
		BOTH(test_failed_flush),
		BOTH(test_flushes_at_once),
		BOTH(test_no_room),
		TEST(test_discard_without_room),
		BOTH(test_no_room_is_an_error),
		BOTH(test_size_limit),
		BOTH(test_space),
		TEST(test_large_blocks),
		TEST(test_other_programs),
		TEST(test_beside_us),
		TEST(test_formats),
		TEST(test_device),
		TEST(test_mounted),
		TEST(test_in_use),
		TEST(test_killed),
		TEST(test_host_refuses),
	};

	return cmocka_run_group_tests(tests, make_image, remove_image);
}
