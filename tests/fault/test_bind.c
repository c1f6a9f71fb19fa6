/*
 * Taking a function whose disks the kernel says are claimed: opening them exclusively fails, as it
 * does for a file system that is mounted elsewhere, a pool of ZFS, or a program.
 */
#include "tests/fault/wrap.h"
#include "vfio/bind.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char root[] = "/tmp/straddle-bind-XXXXXX";
static struct err err;
static struct vfio_id id = { .name = "0000:43:00.0", .pci = true };

#define PLACE "sys/devices/pci0000:00/0000:43:00.0"

/* An NVMe drive with a partition, and its twin that is reached through a multipath head. */
static int make_tree(void **state)
{
	char command[2048];

	strcpy(root + strlen(root) - 6, "XXXXXX");
	if (!mkdtemp(root))
		return -1;
	snprintf(command, sizeof(command),
		 "cd %s && mkdir -p sys/class/block sys/bus/pci/drivers/vfio-pci proc/self dev && "
		 "mkdir -p " PLACE "/nvme/nvme7n1/nvme7n1p1 " PLACE "/nvme/nvme1c3n1 "
		 "sys/devices/virtual/nvme-subsystem/nvme-subsys1/nvme1n1 && cd sys/class/block && "
		 "ln -s ../../../" PLACE "/nvme/nvme7n1 nvme7n1 && "
		 "ln -s ../../../" PLACE "/nvme/nvme7n1/nvme7n1p1 nvme7n1p1 && "
		 "ln -s ../../../" PLACE "/nvme/nvme1c3n1 nvme1c3n1 && "
		 "ln -s ../../devices/virtual/nvme-subsystem/nvme-subsys1/nvme1n1 nvme1n1 && "
		 "for n in nvme7n1 nvme7n1p1 nvme1n1; do echo 1:3 >$n/dev && "
		 "ln -s /dev/null ../../../dev/$n || exit 1; done",
		 root);
	snprintf(id.path, sizeof(id.path), "/" PLACE);
	wrap_setup(state);
	return system(command);
}

static int remove_tree(void **state)
{
	char command[128];

	(void)state;
	wrap_reset();
	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command);
}

static int check(void)
{
	return vfio_bind_check(root, &id, &id, 1, &err);
}

static void test_claimed(void **state)
{
	static const char *const nodes[] = { "/dev/nvme7n1", "/dev/nvme7n1p1", "/dev/nvme1n1" };

	(void)state;
	assert_int_equal(check(), 0);
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		wrap_fail_path(nodes[i], EBUSY);
		assert_int_equal(check(), -EBUSY);
		wrap_assert_says(&err, "0000:43:00.0 is in use: its disk nvme");
		wrap_assert_says(&err, nodes[i] + strlen("/dev/"));
		wrap_assert_says(&err, "is claimed");
	}
}

static void test_not_asked(void **state)
{
	(void)state;
	wrap_fail_path("/dev/nvme7n1", EACCES);
	assert_int_equal(check(), -EACCES);
	wrap_assert_says(&err, "run it as root");
	wrap_fail_path("/dev/nvme7n1", EIO);
	assert_int_equal(check(), -EIO);
	wrap_assert_says(&err, "cannot be told");
	wrap_fail_path("/dev/nvme7n1", ENOMEDIUM); /* an empty drive */
	assert_int_equal(check(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_tree, remove_tree)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_claimed),
		TEST(test_not_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
