/* How close to the borders of its range the pages are that were verified. */
#include "init/memory.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#define TIB (UINT64_C(1) << 40)

static void test_count(void **state)
{
	struct memory_range r[] = {
		{ .start = 0x1000, .end = 0x9f000 },
		{ .start = TIB, .end = TIB + 0x3000 },
	};

	(void)state;
	assert_true(memory_count(r, 2, TIB + 0x1000));
	assert_int_equal(r[1].first, TIB + 0x1000);
	assert_int_equal(r[1].last, TIB + 0x2000);
	assert_true(memory_count(r, 2, TIB + 0x2000));
	assert_true(memory_count(r, 2, TIB));
	assert_int_equal(r[1].first, TIB);
	assert_int_equal(r[1].last, r[1].end);
	assert_int_equal(r[1].pages, 3);
	assert_int_equal(r[0].pages, 0);
	assert_false(memory_count(r, 2, TIB + 0x3000));
	assert_false(memory_count(r, 2, TIB - 0x1000));
	assert_false(memory_count(r, 2, 0));
	assert_false(memory_count(r, 2, 0x9f000));
	assert_true(memory_count(r, 2, 0x9e000));
	assert_int_equal(r[0].last, 0x9f000);
}

static void test_merge(void **state)
{
	struct memory_range a[] = { { 0, 0x9000, 1, 0x4000, 0x5000 },
				    { 0x10000, 0x20000, 0, 0, 0 },
				    { 0x30000, 0x40000, 0, 0, 0 } };
	const struct memory_range b[] = { { 0, 0x9000, 2, 0x2000, 0x4000 },
					  { 0x10000, 0x20000, 1, 0x1f000, 0x20000 },
					  { 0x30000, 0x40000, 0, 0, 0 } };

	(void)state;
	memory_merge(a, b, 3);
	assert_int_equal(a[0].pages, 3);
	assert_int_equal(a[0].first, 0x2000);
	assert_int_equal(a[0].last, 0x5000);
	assert_int_equal(a[1].pages, 1);
	assert_int_equal(a[1].first, 0x1f000);
	assert_int_equal(a[1].last, 0x20000);
	assert_int_equal(a[2].pages, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_count),
		cmocka_unit_test(test_merge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
