/*
 * virtio-rtc: each request and its answer, byte by byte, and requests that are none.
 */
#include "devices/virtio_clock.h"
#include "tests/unit/devices/virtio_driver.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#define NOW UINT64_C(1790000000123456789)

#define ANSWER (DATA + 0x1000)

static struct virtio_clock wall;

static uint64_t now(void)
{
	return NOW;
}

/* Sends the `len` bytes of a request, with `room` bytes for the answer; returns what was written.
 */
static unsigned ask(const uint8_t *request, unsigned len, unsigned room)
{
	unsigned done = used(0);

	memcpy(memory + DATA, request, len);
	memset(memory + ANSWER, 0xee, 32);
	describe(0, 0, DATA, len, len && room ? 1 : 0, 1);
	describe(0, 1, ANSWER, room, DESC_WRITE, 0);
	offer(0, 1, len ? 0 : 1);
	serve(0);
	assert_int_equal(used(0), done + 1);
	return (unsigned)load_le(memory + RING(0) + 0x2000 + 4 + 8 * (done % ENTRIES) + 4, 4);
}

static void start_clock(void)
{
	virtio_clock_init(&wall, now);
	plug(&wall.dev);
	set_queue(0);
	virtio_start(dev);
}

static void test_answers(void **state)
{
	static const struct {
		uint8_t request[16];
		unsigned len;
		uint8_t status;
		uint64_t value; /* if the status is 0 */
	} rows[] = {
		{ { 0x00, 0x10 }, 8, 0, 1 },		/* CFG: one clock */
		{ { 0x01, 0x10 }, 16, 0, 4 },		/* CLOCK_CAP: UTC, maybe smeared */
		{ { 0x02, 0x10, [10] = 1 }, 16, 0, 0 }, /* CROSS_CAP: none */
		{ { 0x02, 0x10, [10] = 0xff }, 16, 0, 0 },
		{ { 0x02, 0x10, [10] = 2 }, 16, 2, 0 }, /* of a counter that nobody knows */
		{ { 0x02, 0x10, [10] = 0xf0 }, 16, 2, 0 },
		{ { 0x01, 0x00 }, 16, 0, NOW },	       /* READ */
		{ { 0x01, 0x00, [8] = 1 }, 16, 3, 0 }, /* of a clock that is not there */
		{ { 0x01, 0x10, [9] = 1 }, 16, 3, 0 },
		{ { 0x02, 0x00 }, 16, 2, 0 }, /* READ_CROSS */
		{ { 0x03, 0x10 }, 16, 2, 0 }, /* READ_ALARM */
		{ { 0xff, 0xff }, 8, 2, 0 },
		{ { 0x01, 0x00 }, 15, 4, 0 }, /* too short */
		{ { 0x00, 0x10 }, 7, 4, 0 },
		{ { 0 }, 0, 4, 0 },
	};

	(void)state;
	start_clock();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned n = ask(rows[i].request, rows[i].len, 32);

		assert_int_equal(n, rows[i].status ? 8 : 16);
		assert_int_equal(load_le(memory + ANSWER, 8), rows[i].status);
		if (!rows[i].status)
			assert_int_equal(load_le(memory + ANSWER + 8, 8), rows[i].value);
		assert_int_equal(memory[ANSWER + n], 0xee);
	}
	assert_string_equal(told, "");
}

static void test_no_room(void **state)
{
	static const uint8_t read_it[16] = { 1 }, no_clock[16] = { 1, [8] = 1 },
			     unknown[8] = { 0xff };

	(void)state;
	start_clock();
	assert_int_equal(ask(read_it, 16, 16), 16);
	assert_int_equal(memory[ANSWER], 0);
	assert_int_equal(ask(read_it, 16, 15), 8);
	assert_int_equal(memory[ANSWER], 4);
	assert_int_equal(ask(no_clock, 16, 15), 8);
	assert_int_equal(memory[ANSWER], 4);
	assert_int_equal(ask(read_it, 16, 1), 1);
	assert_int_equal(load_le(memory + ANSWER, 2), 0xee04);
	assert_int_equal(ask(read_it, 16, 0), 0);
	assert_int_equal(memory[ANSWER], 0xee);
	assert_int_equal(ask(unknown, 8, 7), 7);
	assert_int_equal(load_le(memory + ANSWER, 8), UINT64_C(0xee00000000000002));
	assert_int_equal(ask(unknown, 8, 8), 8);
	assert_int_equal(memory[ANSWER], 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_room, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
