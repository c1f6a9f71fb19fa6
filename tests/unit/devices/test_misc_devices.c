/*
 * The one-register devices: keyboard controller reset line, reset control register, pvpanic and
 * debug exit. Each is asked what every possible byte does.
 */
#include "devices/bus.h"
#include "devices/debug_exit.h"
#include "devices/i8042.h"
#include "devices/pvpanic.h"
#include "devices/reset.h"
#include "vmm/base/platform.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

struct ending {
	unsigned ends;
	enum device_end why;
	unsigned value;
};

static void note_end(void *to, enum device_end why, unsigned value)
{
	struct ending *e = to;

	e->ends++;
	e->why = why;
	e->value = value;
}

static uint64_t in(struct bus *bus, uint64_t port, unsigned size)
{
	uint64_t value = 0;

	assert_true(bus_read(bus, port, size, &value));
	return value;
}

static void out(struct bus *bus, uint64_t port, unsigned size, uint64_t value)
{
	assert_true(bus_write(bus, port, size, &value));
}

static void test_i8042(void **state)
{
	struct bus bus = { 0 };
	struct ending e = { 0 };
	struct i8042 kbc;

	(void)state;
	i8042_init(&kbc, (struct device_ender){ note_end, &e });
	assert_int_equal(bus_add(&bus, (struct span){ 0x60, 0x60 + I8042_PORTS }, &kbc.dev, NULL),
			 0);
	/* Output buffer full for flushes to fail, input buffer empty for commands to go out. */
	assert_int_equal(in(&bus, 0x64, 1) & 3, 1);
	assert_int_equal(in(&bus, 0x60, 1), 0xff);
	assert_int_equal(in(&bus, 0x61, 1), 0x20);
	for (unsigned v = 0; v < 256; v++) {
		unsigned before = e.ends;

		for (unsigned port = 0x60; port < 0x64; port++)
			out(&bus, port, 1, v);
		assert_int_equal(e.ends, before);
		out(&bus, 0x64, 1, v);
		assert_int_equal(e.ends - before, v >= 0xf0 && v % 2 == 0);
	}
	assert_int_equal(e.why, DEVICE_END_RESET);
	/* The status still does not promise anything after commands. */
	assert_int_equal(in(&bus, 0x64, 1) & 3, 1);
}

static void test_reset(void **state)
{
	struct bus bus = { 0 };
	struct ending e = { 0 };
	struct reset reset;

	(void)state;
	for (unsigned v = 0; v < 256; v++) {
		e = (struct ending){ 0 };
		bus.nr = 0;
		reset_init(&reset, (struct device_ender){ note_end, &e });
		assert_int_equal(bus_add(&bus, (struct span){ 0xcf9, 0xcf9 + 1 }, &reset.dev, NULL),
				 0);
		assert_int_equal(in(&bus, 0xcf9, 1), 0);
		out(&bus, 0xcf9, 1, v);
		assert_int_equal(e.ends, (v & 4) != 0);
		assert_int_equal(in(&bus, 0xcf9, 1), v & 0x0e);
		/* Only the rising edge resets. */
		out(&bus, 0xcf9, 1, v);
		assert_int_equal(e.ends, (v & 4) != 0);
		out(&bus, 0xcf9, 1, v & ~4u);
		out(&bus, 0xcf9, 1, v);
		assert_int_equal(e.ends, (v & 4) ? 2 : 0);
	}
	out(&bus, 0xcf9, 1, 0);
	e = (struct ending){ 0 };
	out(&bus, 0xcf9, 1, RESET_NOW);
	assert_int_equal(e.ends, 1);
	assert_int_equal(e.why, DEVICE_END_RESET);
	/* A PCI configuration address is not for the reset register in its midst. */
	out(&bus, 0xcf9, 1, 0);
	assert_false(bus_write(&bus, 0xcf8, 4, "\xff\xff\xff\xff"));
	assert_int_equal(e.ends, 1);
}

static void test_pvpanic(void **state)
{
	struct bus bus = { 0 };
	struct ending e = { 0 };
	struct pvpanic pv;

	(void)state;
	pvpanic_init(&pv, (struct device_ender){ note_end, &e });
	assert_int_equal(
		bus_add(&bus, (struct span){ 0x505, 0x505 + PVPANIC_PORTS }, &pv.dev, NULL), 0);
	assert_int_equal(in(&bus, 0x505, 1), 3);
	for (unsigned v = 0; v < 256; v++) {
		e = (struct ending){ 0 };
		out(&bus, 0x505, 1, v);
		assert_int_equal(e.ends, (v & 3) != 0);
		if (v & 1)
			assert_int_equal(e.why, DEVICE_END_PANIC);
		else if (v & 2)
			assert_int_equal(e.why, DEVICE_END_CRASH_LOADED);
	}
	assert_int_equal(in(&bus, 0x505, 1), 3);
}

static void test_debug_exit(void **state)
{
	static const struct {
		unsigned size;
		uint64_t written;
		unsigned value;
	} cases[] = {
		{ 1, 0, 0 },	   { 1, 1, 1 },		{ 1, 0x7f, 0x7f },	 { 1, 0x80, 0 },
		{ 1, 0xff, 0x7f }, { 2, 0x1234, 0x34 }, { 4, 0x89abcdef, 0x6f },
	};
	struct bus bus = { 0 };
	struct ending e = { 0 };
	struct debug_exit de;

	(void)state;
	debug_exit_init(&de, (struct device_ender){ note_end, &e });
	assert_int_equal(
		bus_add(&bus, (struct span){ 0xf4, 0xf4 + DEBUG_EXIT_PORTS }, &de.dev, NULL), 0);
	assert_int_equal(in(&bus, 0xf4, 1), 0xff);
	assert_int_equal(in(&bus, 0xf4, 4), 0xffffffff);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		e = (struct ending){ 0 };
		out(&bus, 0xf4, cases[i].size, cases[i].written);
		assert_int_equal(e.ends, 1);
		assert_int_equal(e.why, DEVICE_END_DEBUG_EXIT);
		assert_int_equal(e.value, cases[i].value);
	}
	e = (struct ending){ 0 };
	out(&bus, 0xf5, 1, 1);
	assert_int_equal(e.ends, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_i8042),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_pvpanic),
		cmocka_unit_test(test_debug_exit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
