/* The window of standard input: what fits, what is told, in any order of steps. */
#include "init/input.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static struct input in;

static void test_window(void **state)
{
	const uint8_t *data;

	(void)state;
	input_reset(&in, 8);
	assert_true(input_put(&in, (const uint8_t *)"abcdef", 6));
	assert_false(input_put(&in, (const uint8_t *)"ghi", 3));
	assert_true(input_put(&in, (const uint8_t *)"gh", 2));
	assert_int_equal(input_peek(&in, &data), 8);
	assert_memory_equal(data, "abcdefgh", 8);
	assert_int_equal(input_tell(&in), 0); /* nobody has taken any */
	input_took(&in, 5);
	assert_int_equal(input_tell(&in), 5);
	assert_int_equal(input_tell(&in), 0);
	assert_true(input_put(&in, (const uint8_t *)"ijklm", 5));
	assert_false(input_put(&in, (const uint8_t *)"n", 1));
	assert_int_equal(input_peek(&in, &data), 3); /* up to the end of the ring */
	assert_memory_equal(data, "fgh", 3);
	input_took(&in, 3);
	assert_int_equal(input_peek(&in, &data), 5);
	assert_memory_equal(data, "ijklm", 5);
}

static void test_discard(void **state)
{
	const uint8_t *data;

	(void)state;
	input_reset(&in, 8);
	assert_true(input_put(&in, (const uint8_t *)"abc", 3));
	input_discard(&in);
	assert_int_equal(input_tell(&in), 3);
	assert_true(input_put(&in, (const uint8_t *)"abcdefgh", 8));
	assert_int_equal(input_peek(&in, &data), 0);
	assert_int_equal(input_tell(&in), 8);
	assert_false(input_put(&in, (const uint8_t *)"abcdefghi", 9));
}

/* Bytes come out as they went in, for every position of the ring and every split. */
static void test_ring(void **state)
{
	uint8_t next_in = 0, next_out = 0, bytes[7];
	uint32_t told = 0, sent = 0;

	(void)state;
	input_reset(&in, 7);
	for (unsigned step = 0; step < 5000; step++) {
		uint32_t put = step * 5 % 8, took = step * 3 % 6, len;
		const uint8_t *data;

		put = put < 7 - in.len ? put : 7 - in.len;
		for (uint32_t i = 0; i < put; i++)
			bytes[i] = next_in++;
		assert_true(input_put(&in, bytes, put));
		sent += put;
		len = input_peek(&in, &data);
		took = took < len ? took : len;
		for (uint32_t i = 0; i < took; i++)
			assert_int_equal(data[i], next_out++);
		input_took(&in, took);
		told += input_tell(&in);
		assert_int_equal(sent - told, in.len);
	}
	assert_true(sent > 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_discard),
		cmocka_unit_test(test_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
