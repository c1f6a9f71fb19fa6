/* Lines, lists and files of /proc and /sys. */
#include "init/kernel.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <errno.h>
#include <cmocka.h>

static bool iomem(struct iomem *io, const char *line)
{
	static char copy[128];

	strcpy(copy, line);
	return kernel_iomem(io, copy);
}

static void test_iomem(void **state)
{
	struct iomem io;

	(void)state;
	assert_true(iomem(&io, "00001000-0009fbff : System RAM\n"));
	assert_int_equal(io.start, 0x1000);
	assert_int_equal(io.end, 0x9fc00);
	assert_int_equal(io.depth, 0);
	assert_string_equal(io.name, "System RAM");
	assert_true(iomem(&io, "    10000000000-1ffffffffff : 0000:00:02.0"));
	assert_int_equal(io.start, UINT64_C(0x10000000000));
	assert_int_equal(io.end, UINT64_C(0x20000000000));
	assert_int_equal(io.depth, 2);
	assert_string_equal(io.name, "0000:00:02.0");
	assert_false(iomem(&io, ""));
	assert_false(iomem(&io, "1000"));
	assert_false(iomem(&io, "1000-"));
	assert_false(iomem(&io, "1000-1fff"));
	assert_false(iomem(&io, "1000-1fff :"));
}

static void test_lists(void **state)
{
	(void)state;
	assert_int_equal(kernel_list_count("0"), 1);
	assert_int_equal(kernel_list_count("0-3,8"), 5);
	assert_int_equal(kernel_list_count("0,2-5,100-163"), 69);
	assert_int_equal(kernel_list_count(""), 0);
	assert_int_equal(kernel_list_count("none"), 0);
	assert_int_equal(kernel_list_count("3-1"), 0);
}

static void test_fields(void **state)
{
	const char text[] = "MemTotal:   1024 kB\nMemAvailable:    7 kB\n";
	uint64_t n = 0;

	(void)state;
	assert_true(kernel_field(text, "MemTotal:", &n));
	assert_int_equal(n, 1024);
	assert_true(kernel_field(text, "MemAvailable:", &n));
	assert_int_equal(n, 7);
	assert_false(kernel_field(text, "SwapTotal:", &n));
	assert_false(kernel_field("MemTotal: ", "MemTotal:", &n));
}

static void test_files(void **state)
{
	char path[] = "/tmp/test_kernel.XXXXXX", text[8];
	uint64_t n;

	(void)state;
	close(mkstemp(path));
	assert_int_equal(kernel_write(path, "0x1f \n\n"), 0);
	assert_true(kernel_read(text, sizeof(text), "%s", path));
	assert_string_equal(text, "0x1f");
	assert_true(kernel_number(&n, "%s", path));
	assert_int_equal(n, 0x1f);
	assert_int_equal(kernel_write(path, "longer than room"), 0);
	assert_true(kernel_read(text, sizeof(text), "%s", path));
	assert_string_equal(text, "longer");
	assert_false(kernel_number(&n, "%s", path));
	unlink(path);
	assert_false(kernel_read(text, sizeof(text), "%s", path));
	assert_string_equal(text, "");
	assert_false(kernel_number(&n, "%s", path));
	assert_int_equal(kernel_write(path, "x"), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_iomem),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
