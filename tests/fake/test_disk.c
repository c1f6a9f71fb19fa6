/*
 * Images on this host, through its io_uring: requests that O_DIRECT would refuse, disks with large
 * blocks, images that are in use, and hosts that refuse.
 */
#include "tests/fake/wrap.h"
#include "vmm/disk.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE (1u << 20)

static const struct disk_options direct = { .direct = true, .queues = 1 };
static char path[] = "straddle-fake-disk-XXXXXX"; /* here: /tmp may have no O_DIRECT */
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

static int reset(void **state)
{
	disk_close(&disk); /* what a test that failed left open */
	return wrap_setup(state) || truncate(path, 0) || truncate(path, SIZE);
}

/* --- one request --- */

static bool done;
static int result;

static void on_done(struct block_request *r, int error)
{
	(void)r;
	done = true;
	result = error;
}

static int serve(struct block_request *r)
{
	struct disk_queue *q = &disk.queues[0];

	r->done = on_done;
	done = false;
	disk_queue_ops.submit(q, r);
	disk_queue_ops.flush(q);
	while (!done) {
		struct pollfd p = { q->completed, POLLIN, 0 };

		assert_int_equal(poll(&p, 1, 10000), 1);
		disk_reap(q);
	}
	return result;
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

	(void)state;
	assert_true(data && back);
	for (size_t i = 0; i <= len; i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	assert_int_equal(disk_open(&disk, path, &direct, &err), 0);
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

	(void)state;
	assert_int_equal(disk_open(&disk, path, &direct, &err), 0);
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
	const struct locker *l = &lockers[writes ? 0 : 1];
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
	assert_int_equal(disk_open(&disk, path, &direct, &err), 0);
	assert_false(may_qemu(true));
	assert_false(may_qemu(false));
	assert_int_equal(disk_open(&other, path, &reads, &err), -EBUSY);
	disk_close(&disk);
	assert_int_equal(disk_open(&disk, path, &reads, &err), 0);
	assert_false(may_qemu(true));
	assert_true(may_qemu(false));
	assert_int_equal(disk_open(&other, path, &direct, &err), -EBUSY);
	assert_int_equal(disk_open(&other, path, &reads, &err), 0);
	disk_close(&other);
	disk_close(&disk);
}

/* A block device that is mounted, or a part of something, is not for a guest to write. */
static void as_device(struct stat *st)
{
	st->st_mode = S_IFBLK;
}

static void test_mounted(void **state)
{
	(void)state;
	wrap_stat(as_device);
	wrap_fail_named("open", 2, EBUSY);
	assert_int_equal(disk_open(&disk, path, &direct, &err), -EBUSY);
	wrap_assert_says(&err, "it is mounted");
	wrap_assert_says(&err, "readonly=on");
}

/* An image of another format is no raw one, whatever its size; a guest may have written that, too.
 */
static void test_formats(void **state)
{
	struct disk_options options = direct;
	int fd = open(path, O_RDWR);

	(void)state;
	options.raw = true;
	assert_int_equal(pwrite(fd, "QFI\xfb\0\0\0\3", 8, 0), 8);
	for (int odd = 0; odd < 2; odd++) {
		assert_int_equal(ftruncate(fd, SIZE + odd), 0);
		assert_int_equal(disk_open(&disk, path, &direct, &err), -EINVAL);
		wrap_assert_says(&err, "has the format qcow2");
		wrap_assert_says(&err, "format=raw");
		assert_null(strstr(err.text, "truncate"));
	}
	assert_int_equal(ftruncate(fd, SIZE), 0);
	assert_int_equal(disk_open(&disk, path, &options, &err), 0);
	disk_close(&disk);
	/* One that is written while it is open is the guest's own business. */
	assert_int_equal(pwrite(fd, "nothing!", 8, 0), 8);
	assert_int_equal(disk_open(&disk, path, &direct, &err), 0);
	assert_int_equal(pwrite(fd, "QFI\xfb\0\0\0\3", 8, 0), 8);
	assert_int_equal(disk_look_again(&disk, &err), 0);
	disk_close(&disk);
	close(fd);
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
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_odd_buffers, reset),
		cmocka_unit_test_setup(test_ends, reset),
		cmocka_unit_test_setup(test_large_blocks, reset),
		cmocka_unit_test_setup(test_in_use, reset),
		cmocka_unit_test_setup(test_other_programs, reset),
		cmocka_unit_test_setup(test_beside_us, reset),
		cmocka_unit_test_setup(test_mounted, reset),
		cmocka_unit_test_setup(test_formats, reset),
		cmocka_unit_test_setup(test_host_refuses, reset),
	};

	return cmocka_run_group_tests(tests, make_image, remove_image);
}
