/* What a disk holds, by its first bytes. */
#include "init/root.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static uint8_t head[ROOT_DISK_HEAD];

static enum root_disk with(size_t at, const char *magic, size_t len)
{
	memset(head, 0, sizeof(head));
	head[510] = 0x55; /* boot sectors of file systems end like those of partitioned disks */
	head[511] = 0xaa;
	memcpy(head + at, magic, strlen(magic));
	return root_disk_kind(head, len);
}

static void test_kinds(void **state)
{
	static const uint8_t empty[ROOT_DISK_HEAD];

	(void)state;
	assert_int_equal(with(0x438, "\x53\xef", sizeof(head)), ROOT_DISK_EXT);
	assert_int_equal(with(0, "XFSB", sizeof(head)), ROOT_DISK_XFS);
	assert_int_equal(with(0x10040, "_BHRfS_M", sizeof(head)), ROOT_DISK_BTRFS);
	assert_int_equal(with(0, "hsqs", sizeof(head)), ROOT_DISK_SQUASHFS);
	assert_int_equal(with(1024, "\xe2\xe1\xf5\xe0", sizeof(head)), ROOT_DISK_EROFS);
	assert_int_equal(with(54, "FAT16   ", sizeof(head)), ROOT_DISK_VFAT);
	assert_int_equal(with(82, "FAT32   ", sizeof(head)), ROOT_DISK_VFAT);
	assert_int_equal(with(0, "", sizeof(head)), ROOT_DISK_PARTITIONS);
	assert_int_equal(root_disk_kind(empty, sizeof(empty)), ROOT_DISK_UNKNOWN);
}

/* A magic beyond the end of a small disk is none. */
static void test_short(void **state)
{
	(void)state;
	assert_int_equal(with(0x10040, "_BHRfS_M", 0x10047), ROOT_DISK_PARTITIONS);
	assert_int_equal(with(0, "hsqs", 3), ROOT_DISK_UNKNOWN);
	assert_int_equal(root_disk_kind(NULL, 0), ROOT_DISK_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
