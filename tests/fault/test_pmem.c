/*
 * Files that are the guest's memory: in use, on a block device, and flushes that fail.
 */
#include "tests/fault/wrap.h"
#include "vmm/backends/pmem.h"
#include "vmm/host/fault.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#define SIZE (4 * MIB)

static const struct span at = { TIB, TIB + SIZE };
static char path[] = "straddle-fake-pmem-XXXXXX";
static struct pmem pmem = PMEM_EMPTY;
static struct err err;

static int make_file(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	if (fd < 0 || ftruncate(fd, SIZE) < 0)
		return -1;
	return close(fd);
}

static int remove_file(void **state)
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

	pmem_close(&pmem);	     /* what a test that failed left open */
	wrap_sleep(nothing_changes); /* who has the file keeps it, and there is no waiting for it */
	return ret;
}

/* One machine may have it, or several that keep to themselves what they write. */
static void test_in_use(void **state)
{
	struct pmem other;

	(void)state;
	assert_int_equal(pmem_open(&pmem, path, false, at, &err), 0);
	for (int private = 0; private < 2; private ++) {
		assert_int_equal(pmem_open(&other, path, private, at, &err), -EBUSY);
		wrap_assert_says(&err, "private=on");
	}
	pmem_close(&pmem);
	assert_int_equal(pmem_open(&pmem, path, true, at, &err), 0);
	assert_int_equal(pmem_open(&other, path, true, at, &err), 0);
	pmem_close(&other);
	assert_int_equal(pmem_open(&other, path, false, at, &err), -EBUSY);
	pmem_close(&pmem);
}

static void as_device(struct stat *st)
{
	st->st_mode = S_IFBLK;
}

static bool device_ioctl(int fd, unsigned long request, void *arg, int *ret)
{
	(void)fd;
	if (request != BLKGETSIZE64)
		return false;
	*(uint64_t *)arg = SIZE;
	*ret = 0;
	return true;
}

static void test_mounted(void **state)
{
	(void)state;
	wrap_stat(as_device);
	wrap_ioctl(device_ioctl);
	wrap_fail_from("open", 2, EBUSY);
	assert_int_equal(pmem_open(&pmem, path, false, at, &err), -EBUSY);
	wrap_assert_says(&err, "it is mounted");
	wrap_assert_says(&err, "private=on");
	wrap_fail_from("open", 2, EBUSY);
	assert_int_equal(pmem_open(&pmem, path, true, at, &err), 0);
	pmem_close(&pmem);
}

/* The kernel says once that it could not write, and that all is well from then on. */
static void test_failed_flush(void **state)
{
	int full, own;

	(void)state;
	assert_int_equal(pmem_open(&pmem, path, false, at, &err), 0);
	assert_int_equal(pmem_flush(&pmem, &err), 0);
	full = open("/dev/full", O_RDWR); /* has no fsync */
	own = dup(pmem.fd);
	assert_int_equal(dup2(full, pmem.fd), pmem.fd);
	assert_int_equal(pmem_flush(&pmem, &err), -EINVAL);
	wrap_assert_says(&err, "could not be written");
	assert_int_equal(dup2(own, pmem.fd), pmem.fd);
	err.text[0] = '\0';
	assert_int_equal(pmem_flush(&pmem, &err), -EINVAL);
	assert_string_equal(err.text, "");
	close(own);
	close(full);
	pmem_close(&pmem);
}

/* KVM says nothing of what a guest cannot get because it is no longer in the file. */
static void test_cut(void **state)
{
	char event[4096];
	int changes = inotify_init1(IN_NONBLOCK), fd = open(path, O_RDWR);

	(void)state;
	assert_int_equal(pmem_open(&pmem, path, false, at, &err), 0);
	assert_true(pmem_watch(&pmem, changes));
	assert_true(read(changes, event, sizeof(event)) < 0);
	assert_int_equal(pwrite(fd, "x", 1, 0), 1);
	assert_true(read(changes, event, sizeof(event)) > 0);
	assert_false(fault_find_cut(&err));
	assert_int_equal(truncate(path, SIZE / 2), 0);
	assert_true(read(changes, event, sizeof(event)) > 0);
	assert_true(fault_find_cut(&err));
	wrap_assert_says(&err, "was cut short to 2097152 bytes");
	assert_false(pmem_watch(&pmem, -1));
	pmem_close(&pmem);
	assert_int_equal(pmem_open(&pmem, path, false, at, &err), -EINVAL);
	wrap_assert_says(&err, "has changed its size");
	assert_int_equal(truncate(path, SIZE), 0);
	close(fd);
	close(changes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_in_use, reset),
		cmocka_unit_test_setup(test_mounted, reset),
		cmocka_unit_test_setup(test_failed_flush, reset),
		cmocka_unit_test_setup(test_cut, reset),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
