/*
 * MC146818: the calendar against the C library's, formats, setting the clock, UIP, and the three
 * interrupts against a clock that the test moves by hand. The board's timer checks that nothing is
 * armed without need and that what is armed lies ahead.
 */
#include "devices/bus.h"
#include "devices/rtc.h"
#include "vmm/base/platform.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <time.h>

#define S  INT64_C(1000000000)
#define US INT64_C(1000)

enum { SEC, SEC_AL, MIN, MIN_AL, HOUR, HOUR_AL, WDAY, DAY, MON, YEAR, A, B, C, D, CENT = 0x32 };

/* 2024-02-28 23:59:58 UTC, a Wednesday before a leap day. */
#define START (INT64_C(1709164798) * S)

struct board {
	struct bus bus;
	struct rtc rtc;
	int64_t now, armed;
	bool level;
	unsigned irq_calls, arm_calls, fired;
};

static void board_irq(void *to, unsigned gsi, bool level)
{
	struct board *b = to;

	assert_int_equal(gsi, 8);
	assert_int_not_equal(b->level, level); /* only changes are worth a system call */
	b->level = level;
	b->irq_calls++;
}

static int64_t board_now(void *to)
{
	return ((struct board *)to)->now;
}

static void board_arm(void *to, int64_t at)
{
	struct board *b = to;

	assert_true(at == 0 || at > b->now);
	assert_true(at != b->armed);
	b->armed = at;
	b->arm_calls++;
}

static void board_init_at(struct board *b, int64_t now)
{
	*b = (struct board){ .now = now };
	rtc_init(&b->rtc, (struct irq_line){ board_irq, b, 8 },
		 (struct device_timer){ board_now, board_arm, b });
	assert_int_equal(
		bus_add(&b->bus, (struct span){ 0x70, 0x70 + RTC_PORTS }, &b->rtc.dev, NULL), 0);
}

static void board_init(struct board *b)
{
	board_init_at(b, START);
}

/* Time passes; the timer fires when it is due. */
static void pass(struct board *b, int64_t ns)
{
	int64_t end = b->now + ns;

	while (b->armed && b->armed <= end) {
		b->now = b->armed;
		b->armed = 0;
		b->fired++;
		rtc_timer(&b->rtc);
	}
	b->now = end;
}

static uint8_t get(struct board *b, uint8_t index)
{
	uint8_t value = 0;

	assert_true(bus_write(&b->bus, 0x70, 1, &index));
	assert_true(bus_read(&b->bus, 0x71, 1, &value));
	return value;
}

static void set(struct board *b, uint8_t index, uint8_t value)
{
	assert_true(bus_write(&b->bus, 0x70, 1, &index));
	assert_true(bus_write(&b->bus, 0x71, 1, &value));
}

#define assert_clock(b, cent, year, mon, day, hour, min, sec) \
	do {                                                  \
		assert_int_equal(get(b, CENT), cent);         \
		assert_int_equal(get(b, YEAR), year);         \
		assert_int_equal(get(b, MON), mon);           \
		assert_int_equal(get(b, DAY), day);           \
		assert_int_equal(get(b, HOUR), hour);         \
		assert_int_equal(get(b, MIN), min);           \
		assert_int_equal(get(b, SEC), sec);           \
	} while (0)

static void test_power_on_state(void **state)
{
	struct board b;
	uint8_t index = 0;

	(void)state;
	board_init(&b);
	assert_clock(&b, 0x20, 0x24, 0x02, 0x28, 0x23, 0x59, 0x58);
	assert_int_equal(get(&b, WDAY), 4);
	assert_int_equal(get(&b, A), 0x26);
	assert_int_equal(get(&b, B), 0x02);
	assert_int_equal(get(&b, C), 0x00);
	assert_int_equal(get(&b, D), 0x80);
	assert_true(bus_read(&b.bus, 0x70, 1, &index));
	assert_int_equal(index, 0xff);
	pass(&b, 2 * S);
	assert_clock(&b, 0x20, 0x24, 0x02, 0x29, 0x00, 0x00, 0x00);
	pass(&b, 86400 * S);
	assert_clock(&b, 0x20, 0x24, 0x03, 0x01, 0x00, 0x00, 0x00);
	assert_int_equal(b.arm_calls, 0);
	assert_int_equal(b.irq_calls, 0);
}

static uint8_t bcd(int value)
{
	return (uint8_t)(value / 10 << 4 | value % 10);
}

static void assert_matches_libc(int64_t at)
{
	time_t t = at;
	struct board b;
	struct tm tm;

	assert_non_null(gmtime_r(&t, &tm));
	board_init_at(&b, at * S);
	assert_clock(&b, bcd((tm.tm_year + 1900) / 100), bcd((tm.tm_year + 1900) % 100),
		     bcd(tm.tm_mon + 1), bcd(tm.tm_mday), bcd(tm.tm_hour), bcd(tm.tm_min),
		     bcd(tm.tm_sec));
	assert_int_equal(get(&b, WDAY), tm.tm_wday + 1);

	/* And back: the guest sets this time on a machine where it is another. */
	board_init(&b);
	set(&b, B, 0x82);
	set(&b, CENT, bcd((tm.tm_year + 1900) / 100));
	set(&b, YEAR, bcd((tm.tm_year + 1900) % 100));
	set(&b, MON, bcd(tm.tm_mon + 1));
	set(&b, DAY, bcd(tm.tm_mday));
	set(&b, HOUR, bcd(tm.tm_hour));
	set(&b, MIN, bcd(tm.tm_min));
	set(&b, SEC, bcd(tm.tm_sec));
	set(&b, B, 0x02);
	assert_int_equal(START / S + b.rtc.state.offset, at);
}

static void test_calendar(void **state)
{
	(void)state;
	/* Every day from 1970 to 2200 at a moving time of day, and both ends of each year's turn.
	 */
	for (int64_t day = 0; day < 84006; day++)
		assert_matches_libc(day * 86400 + day * 7919 % 86400);
	for (int64_t day = 0; day < 84006; day += 365) {
		assert_matches_libc(day * 86400);
		assert_matches_libc(day * 86400 + 86399);
	}
}

static void test_formats(void **state)
{
	/* hour, 24 h BCD, 12 h BCD, 12 h binary */
	static const uint8_t hours[][4] = {
		{ 0, 0x00, 0x12, 12 },	  { 1, 0x01, 0x01, 1 },	    { 9, 0x09, 0x09, 9 },
		{ 11, 0x11, 0x11, 11 },	  { 12, 0x12, 0x92, 0x8c }, { 13, 0x13, 0x81, 0x81 },
		{ 22, 0x22, 0x90, 0x8a }, { 23, 0x23, 0x91, 0x8b },
	};
	struct board b;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(hours); i++) {
		board_init_at(&b, (START / S / 86400 * 86400 + hours[i][0] * 3600) * S);
		assert_int_equal(get(&b, HOUR), hours[i][1]);
		set(&b, B, 0x00);
		assert_int_equal(get(&b, HOUR), hours[i][2]);
		set(&b, B, 0x04);
		assert_int_equal(get(&b, HOUR), hours[i][3]);
		/* Set again in each format, the hour stays what it is. */
		for (unsigned format = 1; format < 4; format++) {
			uint8_t mode = format == 1 ? 0x02 : format == 2 ? 0x00 : 0x04;

			set(&b, B, mode | 0x80);
			set(&b, HOUR, 0);
			set(&b, HOUR, hours[i][format]);
			set(&b, YEAR, mode & 4 ? 24 : 0x24);
			set(&b, CENT, mode & 4 ? 20 : 0x20);
			set(&b, MON, 2);
			set(&b, DAY, mode & 4 ? 28 : 0x28);
			set(&b, MIN, 0);
			set(&b, SEC, 0);
			set(&b, B, mode);
			set(&b, B, 0x06);
			assert_clock(&b, 20, 24, 2, 28, hours[i][0], 0, 0);
		}
	}
}

static void test_set_holds_the_clock(void **state)
{
	struct board b;

	(void)state;
	board_init(&b);
	pass(&b, 300 * US);
	set(&b, B, 0x82);
	pass(&b, 10 * S);
	assert_clock(&b, 0x20, 0x24, 0x02, 0x28, 0x23, 0x59, 0x58);
	assert_int_equal(get(&b, C) & 0x30, 0); /* no update, no update event */
	set(&b, MIN, 0x30);
	assert_int_equal(get(&b, MIN), 0x30);
	set(&b, SEC, 0xff); /* held bytes are just bytes */
	assert_int_equal(get(&b, SEC), 0xff);
	set(&b, SEC, 0x10);
	set(&b, B, 0x02);
	assert_clock(&b, 0x20, 0x24, 0x02, 0x28, 0x23, 0x30, 0x10);
	/* SET leaves the divider alone: the second ticks when it would have. */
	pass(&b, S - 301 * US);
	assert_int_equal(get(&b, SEC), 0x10);
	pass(&b, US);
	assert_int_equal(get(&b, SEC), 0x11);
	/* Without SET a single register can be set too. */
	set(&b, YEAR, 0x25);
	assert_clock(&b, 0x20, 0x25, 0x02, 0x28, 0x23, 0x30, 0x11);
}

/* Linux resets the divider while it sets the clock, exactly half a second before the second. */
static void test_divider_reset(void **state)
{
	struct board b;

	(void)state;
	board_init(&b);
	pass(&b, 123 * US);
	set(&b, B, 0x82);
	set(&b, A, 0x76);
	set(&b, SEC, 0x20);
	pass(&b, 7 * S);
	set(&b, B, 0x02);
	assert_int_equal(get(&b, SEC), 0x20);
	pass(&b, 7 * S);
	assert_int_equal(get(&b, SEC), 0x20);
	assert_int_equal(get(&b, A), 0x76);
	set(&b, A, 0x26);
	assert_int_equal(get(&b, SEC), 0x20);
	pass(&b, S / 2 - 1);
	assert_int_equal(get(&b, SEC), 0x20);
	pass(&b, 1);
	assert_int_equal(get(&b, SEC), 0x21);
	pass(&b, S - 1);
	assert_int_equal(get(&b, SEC), 0x21);
	pass(&b, 1);
	assert_int_equal(get(&b, SEC), 0x22);
}

static void test_nonsense_times(void **state)
{
	struct board b;

	(void)state;
	for (unsigned v = 0; v < 256; v++)
		for (unsigned mode = 0; mode < 8; mode += 2) {
			board_init(&b);
			set(&b, B, mode | 0x80);
			for (uint8_t i = 0; i <= YEAR; i++)
				set(&b, i, v);
			set(&b, CENT, v);
			set(&b, B, mode);
			set(&b, B, 0x06);
			assert_in_range(get(&b, SEC), 0, 59);
			assert_in_range(get(&b, MIN), 0, 59);
			assert_in_range(get(&b, HOUR), 0, 23);
			assert_in_range(get(&b, WDAY), 1, 7);
			assert_in_range(get(&b, DAY), 1, 31);
			assert_in_range(get(&b, MON), 1, 12);
			assert_in_range(get(&b, YEAR), 0, 99);
			assert_in_range(get(&b, CENT), 0, 99);
		}
}

static void test_update_in_progress(void **state)
{
	struct board b;

	(void)state;
	board_init(&b);
	assert_int_equal(get(&b, A) & 0x80, 0);
	pass(&b, S - 245 * US);
	assert_int_equal(get(&b, A) & 0x80, 0);
	pass(&b, US);
	assert_int_equal(get(&b, A), 0xa6);
	assert_int_equal(get(&b, SEC), 0x58);
	set(&b, B, 0x82);
	assert_int_equal(get(&b, A), 0x26);
	set(&b, B, 0x02);
	pass(&b, 244 * US);
	assert_int_equal(get(&b, A), 0x26);
	assert_int_equal(get(&b, SEC), 0x59);
	set(&b, A, 0xff & ~0x40);
	assert_int_equal(get(&b, A), 0x3f); /* UIP is read-only */
}

static void test_flags_without_interrupts(void **state)
{
	struct board b;

	(void)state;
	board_init(&b);
	set(&b, SEC_AL, 0x00);
	set(&b, MIN_AL, 0x00);
	set(&b, HOUR_AL, 0x00);
	get(&b, C);
	pass(&b, S / 2);
	assert_int_equal(get(&b, C), 0x40); /* the periodic flag, at 1024 Hz */
	set(&b, A, 0x20);
	pass(&b, S);
	assert_int_equal(get(&b, C), 0x10);
	assert_int_equal(get(&b, C), 0x00);
	pass(&b, S);
	assert_int_equal(get(&b, C), 0x30);
	pass(&b, 86400 * S);
	assert_int_equal(get(&b, C), 0x30);
	assert_int_equal(b.arm_calls, 0);
	assert_int_equal(b.irq_calls, 0);
}

static void test_update_interrupt(void **state)
{
	struct board b;

	(void)state;
	board_init(&b);
	pass(&b, S / 4);
	set(&b, B, 0x12);
	assert_int_equal(b.armed, START + S);
	pass(&b, S * 3 / 4 - 1);
	assert_false(b.level);
	pass(&b, 1);
	assert_true(b.level);
	/* Pending: the line cannot get higher, so the timer rests until it is served. */
	assert_int_equal(b.armed, 0);
	pass(&b, 10 * S);
	assert_int_equal(b.fired, 1);
	assert_int_equal(get(&b, C) & 0x90, 0x90);
	assert_false(b.level);
	assert_int_equal(b.armed, START + 12 * S);
	set(&b, B, 0x02);
	assert_int_equal(b.armed, 0);
	pass(&b, 10 * S);
	assert_false(b.level);
	/* The flag is up already: enabling the interrupt raises it at once. */
	set(&b, B, 0x12);
	assert_true(b.level);
	/* SET takes UIE away. */
	set(&b, B, 0x92);
	assert_int_equal(get(&b, B), 0x82);
	assert_false(b.level);
}

static void test_alarm(void **state)
{
	static const struct {
		uint8_t hour, min, sec;
		int64_t first, second; /* seconds after START, 23:59:58; 0 is never */
	} cases[] = {
		{ 0x23, 0x59, 0x59, 1, 86401 },	    { 0x23, 0x59, 0x58, 86400, 172800 },
		{ 0x00, 0x00, 0x00, 2, 86402 },	    { 0x12, 0x34, 0x56, 45298, 131698 },
		{ 0xff, 0x00, 0x00, 2, 3602 },	    { 0xff, 0xc0, 0x05, 7, 67 },
		{ 0xff, 0xff, 0xff, 1, 2 },	    { 0xff, 0x10, 0xff, 602, 603 },
		{ 0x23, 0xff, 0x30, 82832, 82892 }, { 0x24, 0x00, 0x00, 0, 0 },
		{ 0x00, 0x60, 0x00, 0, 0 },	    { 0xff, 0xff, 0x60, 0, 0 },
	};
	struct board b;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		board_init(&b);
		set(&b, HOUR_AL, cases[i].hour);
		set(&b, MIN_AL, cases[i].min);
		set(&b, SEC_AL, cases[i].sec);
		set(&b, B, 0x22);
		if (!cases[i].first) {
			assert_int_equal(b.armed, 0);
			pass(&b, 3 * 86400 * S);
			assert_int_equal(get(&b, C) & 0xa0, 0);
			continue;
		}
		assert_int_equal(b.armed, START + cases[i].first * S);
		pass(&b, cases[i].first * S);
		assert_true(b.level);
		assert_int_equal(get(&b, C) & 0xa0, 0xa0);
		assert_int_equal(b.armed, START + cases[i].second * S);
		pass(&b, (cases[i].second - cases[i].first) * S - 1);
		assert_false(b.level);
		pass(&b, 1);
		assert_true(b.level);
		assert_int_equal(b.fired, 2);
	}
}

/* The alarm is in the guest's time, in the guest's format. */
static void test_alarm_follows_the_clock(void **state)
{
	struct board b;

	(void)state;
	board_init(&b);
	set(&b, B, 0x24); /* 12 h, binary */
	set(&b, HOUR_AL, 0x80 | 12);
	set(&b, MIN_AL, 0);
	set(&b, SEC_AL, 0);
	assert_int_equal(b.armed, START + (2 + 12 * 3600) * S);
	set(&b, HOUR, 11);
	set(&b, MIN, 59);
	set(&b, SEC, 57);
	assert_int_equal(b.armed, START + 3 * S);
	pass(&b, 3 * S);
	assert_true(b.level);
}

static void test_periodic(void **state)
{
	struct board b;

	(void)state;
	for (unsigned rate = 0; rate < 16; rate++) {
		static const unsigned hz[16] = { 0,   256, 128, 8192, 4096, 2048, 1024, 512,
						 256, 128, 64,	32,   16,   8,	  4,	2 };
		unsigned fired = 0;

		board_init(&b);
		set(&b, A, 0x20 | rate);
		set(&b, B, 0x42);
		assert_int_equal(b.armed != 0, hz[rate] != 0);
		while (b.armed && b.armed <= START + S) {
			pass(&b, b.armed - b.now);
			assert_true(b.level);
			assert_int_equal(get(&b, C) & 0xc0, 0xc0);
			assert_false(b.level);
			fired++;
		}
		assert_int_equal(fired, hz[rate]);
		/* The divider's reset stops it; SET does not. */
		set(&b, B, 0xc2);
		assert_int_equal(b.armed != 0, hz[rate] != 0);
		set(&b, A, 0x60 | rate);
		assert_int_equal(b.armed, 0);
	}
}

static void test_host_clock_steps_back(void **state)
{
	struct board b;

	(void)state;
	board_init(&b);
	set(&b, B, 0x12);
	b.now -= 100 * S;
	assert_int_equal(get(&b, C) & 0x90, 0);
	assert_int_equal(b.armed, START - 99 * S);
	pass(&b, S);
	assert_true(b.level);
}

static void test_early_and_late_timer(void **state)
{
	struct board b;

	(void)state;
	board_init(&b);
	set(&b, B, 0x12);
	b.armed = 0; /* fired too early: it must be armed again */
	rtc_timer(&b.rtc);
	assert_false(b.level);
	assert_int_equal(b.armed, START + S);
	b.now += 5 * S; /* and five seconds late it counts once */
	b.armed = 0;
	rtc_timer(&b.rtc);
	assert_true(b.level);
	assert_int_equal(b.irq_calls, 1);
}

static void test_cmos(void **state)
{
	struct board b;

	(void)state;
	board_init(&b);
	rtc_set_cmos(&b.rtc, 0x34, 0x12);
	rtc_set_cmos(&b.rtc, 0x5d, 0x34);
	rtc_set_cmos(&b.rtc, 0x7f, 0x56);
	/* Not the clock's own, and nothing outside. */
	rtc_set_cmos(&b.rtc, B, 0xff);
	rtc_set_cmos(&b.rtc, CENT, 0x99);
	rtc_set_cmos(&b.rtc, 0x80, 0xff);
	assert_int_equal(get(&b, 0x34), 0x12);
	assert_int_equal(get(&b, 0x80 | 0x34), 0x12); /* NMI masked: the same register */
	assert_int_equal(get(&b, 0x5d), 0x34);
	assert_int_equal(get(&b, 0x7f), 0x56);
	assert_int_equal(get(&b, B), 0x02);
	assert_int_equal(get(&b, CENT), 0x20);
	set(&b, 0x34, 0x99);
	assert_int_equal(get(&b, 0x34), 0x99);
	/* A word to the index port is an index and its data. */
	assert_true(bus_write(&b.bus, 0x70, 2, "\x40\x77"));
	assert_int_equal(get(&b, 0x40), 0x77);
	set(&b, D, 0);
	assert_int_equal(get(&b, D), 0x80);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_power_on_state),
		cmocka_unit_test(test_calendar),
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_set_holds_the_clock),
		cmocka_unit_test(test_divider_reset),
		cmocka_unit_test(test_nonsense_times),
		cmocka_unit_test(test_update_in_progress),
		cmocka_unit_test(test_flags_without_interrupts),
		cmocka_unit_test(test_update_interrupt),
		cmocka_unit_test(test_alarm),
		cmocka_unit_test(test_alarm_follows_the_clock),
		cmocka_unit_test(test_periodic),
		cmocka_unit_test(test_host_clock_steps_back),
		cmocka_unit_test(test_early_and_late_timer),
		cmocka_unit_test(test_cmos),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
