/* A buffer that grows, and one that cannot. */
#include "vmm/test/buffer.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>

static void test_grows(void **state)
{
	struct buffer b = BUFFER_EMPTY;
	uint8_t chunk[1000];

	(void)state;
	buffer_put(&b, NULL, 0);
	for (unsigned i = 0; i < 100; i++) {
		memset(chunk, (int)i, sizeof(chunk));
		buffer_put(&b, chunk, sizeof(chunk));
	}
	assert_int_equal(b.error, 0);
	assert_int_equal(b.len, 100 * sizeof(chunk));
	assert_true(b.cap >= b.len && b.cap < 4 * b.len);
	for (size_t i = 0; i < b.len; i++)
		assert_int_equal(b.data[i], i / sizeof(chunk));
	buffer_free(&b);
	assert_null(b.data);
}

static void test_no_room(void **state)
{
	struct buffer b = BUFFER_EMPTY;

	(void)state;
	buffer_put(&b, "abc", 3);
	assert_null(buffer_room(&b, SIZE_MAX));
	assert_int_equal(b.error, -ENOMEM);
	/* Nothing is left out in the middle. */
	buffer_put(&b, "def", 3);
	assert_int_equal(b.len, 3);
	assert_memory_equal(b.data, "abc", 3);
	buffer_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grows),
		cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
