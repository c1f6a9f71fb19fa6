/* The limits of a case: each by itself, in time in which the vCPUs could run, and starved. */
#include "vmm/test/limits.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#define MS UINT64_C(1000000)

static struct test_limits limits;
static struct cpu_clock_thread clock_thread;
static uint64_t wall, waited;

static void begin(unsigned boot, unsigned idle, unsigned whole)
{
	clock_thread = (struct cpu_clock_thread){ 0 };
	wall = 1000 * MS;
	waited = 0;
	test_limits_init(&limits, boot, idle, whole, &clock_thread, 1);
}

/*
 * Ticks until a limit has passed, `wait` percent of the time without a CPU. Returns the verdict,
 * and in *ms when that was.
 */
static enum verdict tick(unsigned wait, uint64_t signs, uint64_t *ms)
{
	const struct cpu_host host = { .cpus = 1, .stolen_known = true };
	uint64_t start = wall;
	enum verdict v = VERDICTS;

	while (v == VERDICTS && wall - start < 60000 * MS) {
		struct cpu_thread thread = { .wait = waited, .known = true };
		const struct cpu_sample s = { wall, &host, &thread, 1 };

		v = test_limits_tick(&limits, &s, signs);
		wall += LIMITS_TICK_MS * MS;
		waited += wait * LIMITS_TICK_MS * MS / 100;
	}
	*ms = (wall - LIMITS_TICK_MS * MS - start) / MS;
	return v;
}

static void test_each(void **state)
{
	uint64_t ms;

	(void)state;
	begin(2, 0, 0);
	assert_int_equal(tick(0, 0, &ms), VERDICT_BOOT_LIMIT);
	assert_int_equal(ms, 2000);
	begin(0, 3, 0);
	assert_int_equal(tick(0, 0, &ms), VERDICT_IDLE_LIMIT);
	assert_int_equal(ms, 3000);
	begin(0, 0, 4);
	assert_int_equal(tick(0, 0, &ms), VERDICT_LIMIT);
	assert_int_equal(ms, 4000);
	begin(0, 0, 0);
	assert_int_equal(tick(0, 0, &ms), VERDICTS);
}

/* A guest whose init has spoken boots no more; one that gives a sign is not idle. */
static void test_progress(void **state)
{
	uint64_t ms;

	(void)state;
	begin(2, 0, 4);
	limits.booted = true;
	assert_int_equal(tick(0, 0, &ms), VERDICT_LIMIT);
	begin(3, 1, 0); /* a boot may be quiet */
	assert_int_equal(tick(0, 0, &ms), VERDICT_BOOT_LIMIT);
	begin(0, 3, 0);
	assert_int_equal(tick(0, 0, &ms), VERDICT_IDLE_LIMIT);
	assert_int_equal(tick(0, 1, &ms), VERDICT_IDLE_LIMIT);
	assert_int_equal(ms, 3000);
}

/* Half of the time without a CPU: the limit takes twice as long, and is one of the guest's. */
static void test_busy_host(void **state)
{
	uint64_t ms;

	(void)state;
	begin(0, 0, 4);
	assert_int_equal(tick(50, 0, &ms), VERDICT_LIMIT);
	assert_in_range(ms, 7800, 8200);
}

/* Most of the time without: the host decided it. */
static void test_starved(void **state)
{
	uint64_t ms;

	(void)state;
	begin(0, 0, 4);
	assert_int_equal(tick(90, 0, &ms), VERDICT_STARVED);
	assert_int_equal(ms, LIMITS_PATIENCE * 4000);
	begin(4, 0, 0);
	assert_int_equal(tick(90, 0, &ms), VERDICT_STARVED);
	begin(0, 4, 0);
	assert_int_equal(tick(90, 0, &ms), VERDICT_STARVED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each),
		cmocka_unit_test(test_progress),
		cmocka_unit_test(test_busy_host),
		cmocka_unit_test(test_starved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
