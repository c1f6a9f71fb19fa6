/*
 * A panic on the console: which lines are one, and what becomes of a guest after it.
 */
#include "vmm/base/panic.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* Returns how often it was said that there is a panic. */
static unsigned feed(struct panic_line *p, const char *text)
{
	unsigned n = 0;

	while (*text)
		n += panic_line_feed(p, (uint8_t)*text++);
	return n;
}

#define VFS "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)"

static void test_lines(void **state)
{
	static const char *const panics[] = {
		VFS "\n",
		"[    1.234567] " VFS "\r\n",
		"[    1.234567][    T1] " VFS "\r\n",
		"<0>[    1.234567] " VFS "\r\n",
		"  [1.2]" VFS "\n",
		"[    1.234566] ---[ end trace 0 ]---\r\n[    1.234567] " VFS "\r\nmore\r\n",
		"Linux version 6.1\nKernel panic\n" VFS "\n" VFS " again\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(panics) / sizeof(panics[0]); i++) {
		struct panic_line p = { 0 };

		if (feed(&p, panics[i]) != 1 || strcmp(p.text, VFS) != 0 || p.booted)
			fail_msg("'%s' is '%s'", panics[i], p.text);
	}
}

static void test_other_lines(void **state)
{
	static const char *const others[] = {
		"",
		"Kernel panic\n",
		"Kernel panic - not syncin",
		"Kernel panic - not syncinG\n",
		"KKernel panic - not syncing\n",
		"# grep 'Kernel panic - not syncing' log\n",
		"Nov 27 20:00:00 host kernel: " VFS "\n",
		"[    1.234567] ---[ end " VFS " ]---\n",
		"[    1.234567 " VFS "\n",
		"[                                                                     ] " VFS "\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct panic_line p = { 0 };

		if (feed(&p, others[i]) != 0 || *p.text)
			fail_msg("'%s' is taken for a panic", others[i]);
	}
}

static void test_text(void **state)
{
	struct panic_line p = { 0 };

	(void)state;
	assert_int_equal(feed(&p, "Kernel panic - not syncing: \x1b[2J\x07 \xff"), 1);
	assert_string_equal(p.text, "Kernel panic - not syncing: ?[2J? ?");
	for (unsigned i = 0; i < 1000; i++)
		feed(&p, "x");
	assert_int_equal(strlen(p.text), PANIC_TEXT_MAX);
}

/* A crash kernel says its version after the panic; every kernel does before it. */
static void test_booted(void **state)
{
	struct panic_line p = { 0 };

	(void)state;
	feed(&p, "[    0.000000] Linux version 6.1\r\n");
	assert_false(p.booted);
	assert_int_equal(feed(&p, VFS "\r\n"), 1);
	assert_false(p.booted);
	feed(&p, "text of Linux version 6.1\r\n");
	assert_false(p.booted);
	feed(&p, "[    0.000000] Linux version 6.1\r\n");
	assert_true(p.booted);
}

/* --- what comes after it --- */

static enum panic_verdict tick(struct panic_doubt *d, unsigned n, uint64_t printed, bool slept)
{
	enum panic_verdict verdict = PANIC_DOUBT;

	while (n-- && verdict == PANIC_DOUBT)
		verdict = panic_doubt_tick(d, printed, slept, false);
	return verdict;
}

static void test_silence(void **state)
{
	struct panic_doubt d = { 0 };

	(void)state;
	assert_int_equal(tick(&d, PANIC_DEAD_SILENT, 100, false), PANIC_DOUBT);
	assert_int_equal(tick(&d, 1, 100, false), PANIC_DEAD);
	/* Each byte begins it anew. */
	d = (struct panic_doubt){ 0 };
	for (uint64_t i = 1; i < 10; i++)
		assert_int_equal(tick(&d, PANIC_DEAD_SILENT, i, false), PANIC_DOUBT);
}

/* CPUs may sleep until the panic's words are out; who sleeps later, lives. */
static void test_sleepers(void **state)
{
	struct panic_doubt d = { 0 };

	(void)state;
	for (uint64_t i = 1; i < 100; i++)
		assert_int_equal(tick(&d, 1, i, true), PANIC_DOUBT);
	assert_int_equal(tick(&d, PANIC_STOPPED, 99, true), PANIC_DOUBT);
	assert_int_equal(tick(&d, 1, 99, true), PANIC_ALIVE);
	d = (struct panic_doubt){ 0 };
	assert_int_equal(panic_doubt_tick(&d, 1, false, true), PANIC_ALIVE);
}

static void test_attended(void **state)
{
	(void)state;
	assert_false(panic_is_attended(NULL));
	assert_false(panic_is_attended("console=ttyS0 quiet"));
	assert_false(panic_is_attended("nocrashkernel=1 x.kgdboc=2"));
	assert_true(panic_is_attended("crashkernel=256M console=ttyS0"));
	assert_true(panic_is_attended("nocrashkernel=1 crashkernel=256M"));
	assert_true(panic_is_attended("console=ttyS0 kgdboc=ttyS0"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),	 cmocka_unit_test(test_other_lines),
		cmocka_unit_test(test_text),	 cmocka_unit_test(test_booted),
		cmocka_unit_test(test_silence),	 cmocka_unit_test(test_sleepers),
		cmocka_unit_test(test_attended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
