/* Signals that a parent ignores stay so. */
#include "vmm/host/signals.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static void test_ignored(void **state)
{
	static const int list[] = { SIGHUP, SIGTERM };
	sigset_t set;

	(void)state;
	signal(SIGHUP, SIG_DFL);
	signals_not_ignored(list, 2, &set);
	assert_true(sigismember(&set, SIGHUP) && sigismember(&set, SIGTERM));
	assert_false(sigismember(&set, SIGINT));
	signal(SIGHUP, SIG_IGN);
	signals_not_ignored(list, 2, &set);
	assert_false(sigismember(&set, SIGHUP));
	assert_true(sigismember(&set, SIGTERM));
	signal(SIGHUP, SIG_DFL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_ignored) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
