/* The kinds of devices and their names (vmm/base/device_kind.h). */
#include "vmm/base/device_kind.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static void test_names(void **state)
{
	(void)state;
	for (unsigned i = 0; i < DEVICE_KINDS; i++) {
		enum device_kind kind = DEVICE_KINDS;

		assert_true(device_kind_find(device_kind_name((enum device_kind)i), &kind));
		assert_int_equal(kind, i);
	}
	assert_string_equal(device_kind_name(DEVICE_VSOCK), "vsock");
	assert_true(device_kind_is_numbered(DEVICE_DISK));
	assert_false(device_kind_is_numbered(DEVICE_RNG));
}

static void test_unknown(void **state)
{
	enum device_kind kind;

	(void)state;
	assert_false(device_kind_find("disk0", &kind));
	assert_false(device_kind_find("", &kind));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
