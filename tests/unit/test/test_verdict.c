/* Verdicts: words and statuses are all different, and none is a command's. */
#include "vmm/test/verdict.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void test_statuses(void **state)
{
	(void)state;
	assert_int_equal(verdict_status(VERDICT_COMMAND, 0), 0);
	assert_int_equal(verdict_status(VERDICT_COMMAND, 99), 99);
	assert_int_equal(verdict_status(VERDICT_COMMAND, 100), 99);
	assert_int_equal(verdict_status(VERDICT_COMMAND, 137), 99);
	assert_int_equal(verdict_status(VERDICT_BOOT_LIMIT, 7), 100);
	/* timeout(1) and shells use 124 to 127, signals 128 and up. */
	assert_in_range(verdict_status(VERDICTS - 1, 0), 101, 123);
}

static void test_words(void **state)
{
	(void)state;
	for (enum verdict v = 0; v < VERDICTS; v++) {
		assert_int_equal(verdict_of_word(verdict_word(v)), v);
		assert_true(strlen(verdict_help(v)) > 10);
	}
	assert_int_equal(verdict_of_word("nonsense"), VERDICTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_statuses),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
