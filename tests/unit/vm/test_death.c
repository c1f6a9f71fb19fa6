#include "vmm/vm/death.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

/* Each letter is a tick: b: busy, d: all say that they are dead, l: one lives. True: dead at last.
 */
static bool ends(const char *ticks)
{
	struct death d = { 0 };
	bool dead = false;

	for (; *ticks; ticks++) {
		assert_false(dead);
		dead = death_tick(&d, *ticks == 'b', *ticks == 'd');
	}
	return dead;
}

static void test_death(void **state)
{
	(void)state;
	/* The first tick asks; what it is told is the answer to no question. */
	assert_false(ends("dd"));
	assert_true(ends("ddd"));
	assert_true(ends("bbddd"));
	assert_true(ends("lldd"));
	/* An idle guest, and a busy one. */
	assert_false(ends("llllllllllll"));
	assert_false(ends("bbbbbbbbbbbb"));
	/* One that answered was woken by one that had not. */
	assert_false(ends("ldlldlldl"));
	assert_false(ends("ddbdd"));
	assert_true(ends("ddbddd"));
	assert_true(ends("ddlldd"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_death),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
