/* What a BAR may be (vmm/base/bar.h). */
#include "vmm/base/bar.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

static void test_faults(void **state)
{
	static const struct {
		struct bar_shape bar;
		unsigned i;
		const char *says; /* NULL: it can be */
	} rows[] = {
		{ { 4, .io = true }, 0, NULL },
		{ { .size = 16 }, 5, NULL },
		{ { 64 * KIB, .io = true }, 0, NULL },
		{ { 2 * GIB, .prefetch = true }, 1, NULL },
		{ { UINT64_C(1) << 51, .wide = true, .prefetch = true }, 4, NULL },
		{ { .size = 2 * KIB }, BAR_ROM, NULL },
		{ { .size = 3 * MIB }, 0, "power of two" },
		{ { .size = 0 }, 0, "power of two" },
		{ { 2, .io = true }, 0, "too small" },
		{ { .size = 8 }, 0, "too small" },
		{ { 128 * KIB, .io = true }, 0, "too large" },
		{ { .size = 4 * GIB }, 0, "too large" },
		{ { UINT64_C(1) << 52, .wide = true }, 0, "too large" },
		{ { 16, .io = true, .prefetch = true }, 0, "I/O and memory" },
		{ { 16, .wide = true }, 5, "upper half" },
		{ { 16 * KIB, .prefetch = true }, BAR_ROM, "plain 32-bit memory" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bar_shape bars[BARS_AND_ROM] = { { .size = 0 } };
		const char *fault;

		bars[rows[i].i] = rows[i].bar;
		fault = bar_fault(bars, rows[i].i);
		if (rows[i].says)
			assert_non_null(strstr(fault, rows[i].says));
		else
			assert_null(fault);
	}
}

static void test_upper_half(void **state)
{
	struct bar_shape bars[BARS_AND_ROM] = { { 16, .wide = true }, { .size = 16 } };

	(void)state;
	assert_non_null(strstr(bar_fault(bars, 0), "upper half"));
	bars[1].size = 0;
	assert_null(bar_fault(bars, 0));
}

static void test_rom_sizes(void **state)
{
	(void)state;
	assert_int_equal(bar_rom_size(1), 2 * KIB);
	assert_int_equal(bar_rom_size(2 * KIB), 2 * KIB);
	assert_int_equal(bar_rom_size(2 * KIB + 1), 4 * KIB);
	assert_int_equal(bar_rom_size(BAR_ROM_MAX), BAR_ROM_MAX);
	assert_int_equal(bar_rom_size(UINT64_MAX), UINT64_C(1) << 63);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_upper_half),
		cmocka_unit_test(test_rom_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
