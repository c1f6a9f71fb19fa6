/*
 * What stands where a BIOS is entered, run by a CPU that knows as many instructions as that needs.
 */
#include "firmware/restart.h"

#include "vmm/base/platform.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>

#define STEPS 1000

static void test_restart(void **state)
{
	uint8_t code[RESTART_SIZE], al = 0;
	unsigned ip = 0, dx = 0, outs = 0;
	bool interrupts = true;

	(void)state;
	restart_code(code);
	for (unsigned step = 0; step < STEPS; step++) {
		assert_true(ip + 2 < RESTART_SIZE); /* the longest has three bytes */
		switch (code[ip]) {
		case 0xba:
			dx = code[ip + 1] | (unsigned)code[ip + 2] << 8;
			ip += 3;
			break;
		case 0xb0:
			al = code[ip + 1];
			ip += 2;
			break;
		case 0xee:
			assert_int_equal(dx, PORT_RESET);
			assert_int_equal(al, RESET_NOW);
			outs++;
			ip++;
			break;
		case 0xfa:
			interrupts = false;
			ip++;
			break;
		case 0xf4: /* nobody else resets it then */
			assert_false(interrupts);
			assert_int_equal(outs, 1);
			ip++;
			break;
		case 0xeb:
			ip = (unsigned)((int)ip + 2 + (int8_t)code[ip + 1]);
			break;
		default:
			fail_msg("instruction %#x at %u", code[ip], ip);
		}
	}
	assert_int_equal(outs, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_restart) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
