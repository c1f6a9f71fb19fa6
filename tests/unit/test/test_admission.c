/* Which case may start: nothing is given twice, nobody waits for ever, one alone always may. */
#include "vmm/test/admission.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define GIB (UINT64_C(1) << 30)

static struct admission admission;
static struct err err;

static void begin(uint64_t memory, uint64_t cpus, unsigned slots)
{
	const uint64_t total[ADMISSION_KINDS] = {
		[ADMISSION_MEMORY] = memory, [ADMISSION_CPUS] = cpus
	};

	admission_init(&admission, total, slots);
}

static struct admission_need need(uint64_t memory, uint64_t cpus)
{
	return (struct admission_need){
		.amounts = { [ADMISSION_MEMORY] = memory, [ADMISSION_CPUS] = cpus }
	};
}

static void take(const struct admission_need *n)
{
	assert_int_equal(admission_take(&admission, n, &err), 0);
}

static void test_amounts(void **state)
{
	struct admission_need small = need(2 * GIB, 1), large = need(7 * GIB, 1),
			      huge = need(1500 * GIB, 64);

	(void)state;
	begin(8 * GIB, 4, 3);
	assert_int_equal(admission_ask(&admission, &small), ADMISSION_NOW);
	take(&small);
	assert_int_equal(admission_ask(&admission, &large), ADMISSION_WAITS_FOR + ADMISSION_MEMORY);
	assert_int_equal(admission_ask(&admission, &huge), ADMISSION_WAITS_FOR + ADMISSION_MEMORY);
	take(&small);
	take(&small);
	assert_int_equal(admission_ask(&admission, &small), ADMISSION_WAITS_FOR_END);
	admission_give(&admission, &small);
	admission_give(&admission, &small);
	admission_give(&admission, &small);
	/* What is more than all there is runs alone. */
	assert_int_equal(admission_ask(&admission, &huge), ADMISSION_NOW);
	take(&huge);
	assert_int_equal(admission_ask(&admission, &small), ADMISSION_WAITS_FOR + ADMISSION_MEMORY);
	admission_give(&admission, &huge);
	assert_int_equal(admission.used[ADMISSION_MEMORY], 0);
	assert_int_equal(admission.used[ADMISSION_CPUS], 0);
	admission_free(&admission);
}

/* A host that does not say what it has counts nothing. */
static void test_unknown(void **state)
{
	struct admission_need n = need(GIB, 1);

	(void)state;
	begin(0, 0, 2);
	take(&n);
	assert_int_equal(admission_ask(&admission, &n), ADMISSION_NOW);
	admission_free(&admission);
}

static void test_names(void **state)
{
	char *of_a[] = { (char *)"device 0000:41:00.0", (char *)"file x" };
	char *of_b[] = { (char *)"file x" };
	struct admission_need a = { .names = of_a, .nr_names = 2 };
	struct admission_need b = { .names = of_b, .nr_names = 1 };
	struct admission_waiter waiters[] = { { &a, 0 }, { &b, 0 } };

	(void)state;
	begin(0, 0, 9);
	take(&b);
	assert_int_equal(admission_ask(&admission, &a), ADMISSION_WAITS_FOR_NAME);
	assert_int_equal(admission_next(&admission, waiters, 2), -1);
	admission_give(&admission, &b);
	take(&a);
	assert_int_equal(admission_ask(&admission, &b), ADMISSION_WAITS_FOR_NAME);
	admission_give(&admission, &a);
	assert_int_equal(admission.nr_held, 0);
	admission_free(&admission);
}

/* Small ones go past a large one, but it gets its turn although they never stop coming. */
static void test_patience(void **state)
{
	struct admission_need large = need(8 * GIB, 1), small = need(GIB, 1);
	struct admission_waiter waiters[] = { { &large, 0 }, { &small, 0 } };
	unsigned passed = 0;

	(void)state;
	begin(8 * GIB, 8, 8);
	take(&small);
	while (admission_next(&admission, waiters, 2) == 1) {
		take(&small);
		admission_give(&admission, &small); /* one starts, another ends */
		assert_true(++passed < 1000);
	}
	assert_true(passed > 0);
	assert_int_equal(admission_next(&admission, waiters, 2), -1);
	admission_give(&admission, &small);
	assert_int_equal(admission_next(&admission, waiters, 2), 0);
	admission_free(&admission);
}

static unsigned random_number(unsigned *seed, unsigned below)
{
	*seed = *seed * 1103515245 + 12345;
	return (*seed >> 8) % below;
}

/* Any mix of cases ends, and nothing that was counted is exceeded on the way. */
static void test_all_end(void **state)
{
	enum { CASES = 300, SLOTS = 7 };
	static struct admission_need needs[CASES];
	static struct admission_waiter waiters[CASES];
	const struct admission_need *running[SLOTS];
	unsigned seed = 1, left = CASES, nr = 0;

	(void)state;
	begin(16 * GIB, 6, SLOTS);
	for (unsigned i = 0; i < CASES; i++) {
		needs[i] = need(random_number(&seed, 20) * GIB, 1 + random_number(&seed, 8));
		waiters[i] = (struct admission_waiter){ &needs[i], 0 };
	}
	while (left || nr) {
		ptrdiff_t i;

		while ((i = admission_next(&admission, waiters, CASES)) >= 0) {
			take(waiters[i].need);
			running[nr++] = waiters[i].need;
			waiters[i].need = NULL;
			left--;
			assert_true(nr <= SLOTS);
			assert_true(admission.used[ADMISSION_MEMORY] <= 16 * GIB);
			assert_true(admission.used[ADMISSION_CPUS] <= 6);
		}
		assert_true(nr > 0);
		i = random_number(&seed, nr);
		admission_give(&admission, running[i]);
		running[i] = running[--nr];
	}
	admission_free(&admission);
}

static void test_order(void **state)
{
	struct admission_need a = need(2 * GIB, 1), b = need(GIB, 8), c = need(GIB, 4);

	(void)state;
	assert_int_equal(admission_compare(&a, &b), -1);
	assert_int_equal(admission_compare(&b, &a), 1);
	assert_int_equal(admission_compare(&b, &c), -1);
	assert_int_equal(admission_compare(&c, &c), 0);
	for (int i = 0; i < ADMISSION_WAITS_FOR + ADMISSION_KINDS; i++)
		assert_true(strlen(admission_word((enum admission_answer)i)) > 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_amounts), cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_names),	cmocka_unit_test(test_patience),
		cmocka_unit_test(test_all_end), cmocka_unit_test(test_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
