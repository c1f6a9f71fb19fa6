/* Frames of the channel between straddle test and its guest: layout, noise, damage, every length.
 */
#include "vmm/base/channel.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static uint8_t wire[CHANNEL_FRAME_MAX];

static size_t make(enum channel_type type, const void *payload, uint32_t len)
{
	channel_header(wire, type, payload, len);
	memcpy(wire + CHANNEL_HEADER, payload, len);
	return CHANNEL_HEADER + len;
}

/* The layout is that of the header's comment, and the check sum is zlib's crc32(). */
static void test_layout(void **state)
{
	static const uint8_t expected[] = {
		0xd5, 'S', 4, 0, 3, 0, 0, 0, 0xef, 0xc7, 0x68, 0x40, 'a', 'b', 'c',
	};

	(void)state;
	assert_int_equal(make(CHANNEL_OUT, "abc", 3), sizeof(expected));
	assert_memory_equal(wire, expected, sizeof(expected));
}

/* A frame is found when its last byte is there, and not before. */
static void test_pieces(void **state)
{
	struct channel_frame frame;
	size_t len = make(CHANNEL_ERR, "hello", 5), used;

	(void)state;
	for (size_t n = 0; n < len; n++) {
		assert_int_equal(channel_parse(wire, n, true, &frame, &used), CHANNEL_MORE);
		assert_int_equal(used, 0);
	}
	assert_int_equal(channel_parse(wire, len, true, &frame, &used), CHANNEL_FRAME);
	assert_int_equal(used, len);
	assert_int_equal(frame.type, CHANNEL_ERR);
	assert_int_equal(frame.len, 5);
	assert_memory_equal(frame.payload, "hello", 5);
}

/* Every damaged bit is seen; that of a length may as well look like a frame that goes on. */
static void test_damage(void **state)
{
	struct channel_frame frame;
	size_t len = make(CHANNEL_OUT, "0123456789", 10), used;

	(void)state;
	for (size_t bit = 0; bit < 8 * len; bit++) {
		bool of_length = bit / 8 >= 4 && bit / 8 < 8;
		enum channel_result result;

		wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
		result = channel_parse(wire, len, true, &frame, &used);
		assert_true(result == CHANNEL_BROKEN || (of_length && result == CHANNEL_MORE));
		wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	make(CHANNEL_OUT, "", 0);
	channel_put32(wire + 4, CHANNEL_PAYLOAD_MAX + 1);
	assert_int_equal(channel_parse(wire, CHANNEL_HEADER, true, &frame, &used), CHANNEL_BROKEN);
}

/* Noise is skipped before the first frame only, also when it ends in half a magic. */
static void test_noise(void **state)
{
	static const uint8_t half[] = { 0, 0xff, 0xd5 };
	uint8_t noisy[64] = { 0xd5, 0xd5, 'x' };
	struct channel_frame frame;
	size_t len = make(CHANNEL_STEP, "x", 1), used;

	(void)state;
	assert_int_equal(channel_parse(half, sizeof(half), false, &frame, &used), CHANNEL_MORE);
	assert_int_equal(used, 2);
	memcpy(noisy + 3, wire, len);
	assert_int_equal(channel_parse(noisy, len + 3, false, &frame, &used), CHANNEL_FRAME);
	assert_int_equal(used, len + 3);
	assert_int_equal(frame.type, CHANNEL_STEP);
	assert_int_equal(channel_parse(noisy, len + 3, true, &frame, &used), CHANNEL_BROKEN);
}

static void test_exit(void **state)
{
	const struct channel_exit sent = { true, 9, UINT64_C(0x123456789a), UINT64_MAX };
	uint8_t payload[CHANNEL_EXIT_SIZE];
	struct channel_frame frame = { CHANNEL_EXIT, payload, sizeof(payload) };
	struct channel_exit got;

	(void)state;
	channel_exit_put(payload, &sent);
	assert_true(channel_exit_get(&got, &frame));
	assert_true(got.signalled);
	assert_int_equal(got.value, 9);
	assert_int_equal(got.out, sent.out);
	assert_int_equal(got.err, sent.err);
	frame.len--;
	assert_false(channel_exit_get(&got, &frame));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout), cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_damage), cmocka_unit_test(test_noise),
		cmocka_unit_test(test_exit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
