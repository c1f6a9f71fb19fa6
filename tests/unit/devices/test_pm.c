/*
 * The ACPI power block: S5 and nothing else ends the guest; the power button's event is told once.
 */
#include "devices/bus.h"
#include "devices/pm.h"
#include "vmm/base/platform.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

struct board {
	struct bus bus;
	struct pm pm;
	bool level;
	unsigned irq_calls, ends;
	enum device_end why;
};

static void board_irq(void *to, unsigned gsi, bool level)
{
	struct board *b = to;

	assert_int_equal(gsi, 9);
	assert_int_not_equal(b->level, level); /* only changes are worth a system call */
	b->level = level;
	b->irq_calls++;
}

static void board_end(void *to, enum device_end why, unsigned value)
{
	struct board *b = to;

	(void)value;
	b->why = why;
	b->ends++;
}

static void board_init(struct board *b)
{
	*b = (struct board){ 0 };
	pm_init(&b->pm, (struct irq_line){ board_irq, b, 9 },
		(struct device_ender){ board_end, b });
	assert_int_equal(bus_add(&b->bus, (struct span){ 0, PM_PORTS }, &b->pm.dev, NULL), 0);
}

static uint32_t in(struct board *b, uint64_t port, unsigned size)
{
	uint32_t value = 0;

	assert_true(bus_read(&b->bus, port, size, &value));
	return value;
}

static void out(struct board *b, uint64_t port, uint8_t value)
{
	assert_true(bus_write(&b->bus, port, 1, &value));
}

static void test_only_s5_powers_off(void **state)
{
	struct board b;

	(void)state;
	for (unsigned value = 0; value < 256; value++) {
		bool s5 = (value & 0x20) && (value >> 2 & 7) == PM_SLP_TYP_S5;

		board_init(&b);
		out(&b, PM_SLEEP_STATUS, value);
		assert_int_equal(b.ends, 0);
		out(&b, PM_SLEEP_CONTROL, value);
		assert_int_equal(b.ends, s5);
		if (s5)
			assert_int_equal(b.why, DEVICE_END_POWEROFF);
		/* SLP_EN is write-only; WAK_STS never sets. */
		assert_int_equal(in(&b, PM_SLEEP_CONTROL, 1), value & 0x1c);
		assert_int_equal(in(&b, PM_SLEEP_STATUS, 1), 0);
	}
}

static void test_power_button(void **state)
{
	struct board b;

	(void)state;
	board_init(&b);
	assert_int_equal(in(&b, PM_EVENTS, 4), 0);
	assert_int_equal(b.irq_calls, 0);
	pm_power_button(&b.pm);
	assert_true(b.level);
	pm_power_button(&b.pm); /* an impatient user */
	assert_int_equal(b.irq_calls, 1);
	assert_int_equal(in(&b, PM_EVENTS, 4), PM_EVENT_POWER_BUTTON);
	assert_false(b.level);
	assert_int_equal(in(&b, PM_EVENTS, 4), 0);
	assert_int_equal(b.irq_calls, 2);
	pm_power_button(&b.pm);
	assert_true(b.level);
	assert_int_equal(b.ends, 0);
}

static void test_partial_reads_lose_nothing(void **state)
{
	struct board b;

	(void)state;
	board_init(&b);
	pm_power_button(&b.pm);
	assert_int_equal(in(&b, PM_EVENTS + 1, 1), 0);
	assert_int_equal(in(&b, PM_EVENTS + 2, 2), 0);
	assert_int_equal(in(&b, PM_SLEEP_CONTROL, 4), 0);
	out(&b, PM_EVENTS, 0xff);
	assert_true(b.level);
	assert_int_equal(in(&b, PM_EVENTS, 1), PM_EVENT_POWER_BUTTON);
	assert_false(b.level);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_s5_powers_off),
		cmocka_unit_test(test_power_button),
		cmocka_unit_test(test_partial_reads_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
