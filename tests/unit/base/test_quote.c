/* Sizes and words as text (vmm/base/quote.h). */
#include "vmm/base/quote.h"

#include "vmm/base/units.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static void test_sizes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *option, *size, *about;
	} rows[] = {
		{ 0, "0", "0 B", "0 KiB" },
		{ 1, "1", "1 B", "1 KiB" },
		{ 1536 * MIB, "1536M", "1536 MiB", "1536 MiB" },
		{ 10 * MIB - 1, "10485759", "10485759 B", "10240 KiB" },
		{ 10 * MIB + 1, "10485761", "10485761 B", "11 MiB" },
		{ 3 * TIB, "3T", "3 TiB", "3145728 MiB" },
		{ 4096 * TIB, "4096T", "4096 TiB", "4294967296 MiB" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_string_equal(SHOWN_SIZE(rows[i].bytes), rows[i].option);
		assert_string_equal(QUOTED_SIZE(rows[i].bytes), rows[i].size);
		assert_string_equal(QUOTED_ABOUT(rows[i].bytes), rows[i].about);
	}
}

static void test_text(void **state)
{
	char text[65];

	(void)state;
	assert_string_equal(SHOWN("a\033[2Jb\xff"), "a?[2Jb?");
	memset(text, 'x', 64);
	text[64] = 0;
	assert_int_equal(strlen(SHOWN(text)), 63);
	assert_string_equal(SHOWN(text) + 60, "...");
	assert_int_equal(strlen(SHOWN_N(text, 63)), 63);
	assert_string_equal(SHOWN_N(text, 63) + 60, "xxx");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
