/* The devices that straddle makes, as devices of the plan (vmm/plan/devices.h). */
#include "vmm/plan/devices.h"

#include "vmm/base/platform.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

static struct err err;

static void test_order_and_names(void **state)
{
	const struct device_counts counts = {
		.of = { [DEVICE_DISK] = 2, [DEVICE_RNG] = 1, [DEVICE_WATCHDOG] = 1 },
	};
	static const struct {
		const char *name;
		enum device_kind kind;
		unsigned index;
		uint64_t size;
	} rows[] = {
		{ "0000:41:00.0", DEVICE_PASSED_THROUGH, 0, 0 },
		{ "disk0", DEVICE_DISK, 0, VIRTIO_BAR_SIZE },
		{ "disk1", DEVICE_DISK, 1, VIRTIO_BAR_SIZE },
		{ "rng", DEVICE_RNG, 0, VIRTIO_BAR_SIZE },
		{ "watchdog", DEVICE_WATCHDOG, 0, WATCHDOG_BAR_SIZE },
	};
	struct host_facts facts = { .pci = { { .name = "0000:41:00.0" } }, .nr_pci = 1 };

	(void)state;
	assert_int_equal(plan_add_devices(&facts, &counts, &err), 0);
	assert_int_equal(facts.nr_pci, ARRAY_SIZE(rows));
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_string_equal(facts.pci[i].name, rows[i].name);
		assert_int_equal(facts.pci[i].kind, rows[i].kind);
		assert_int_equal(facts.pci[i].index, rows[i].index);
		assert_int_equal(facts.pci[i].bars[0].size, rows[i].size);
	}
}

static void test_too_many(void **state)
{
	struct device_counts counts = { .of = { [DEVICE_DISK] = PCI_DEVICES_MAX - 1 } };
	struct host_facts facts = { .nr_pci = 1 };

	(void)state;
	assert_int_equal(plan_add_devices(&facts, &counts, &err), 0);
	assert_int_equal(facts.nr_pci, PCI_DEVICES_MAX);
	facts.nr_pci = 2;
	assert_int_equal(plan_add_devices(&facts, &counts, &err), -ERANGE);
	assert_non_null(
		strstr(err.text, "127 emulated and 2 passed-through devices are more than"));
	assert_int_equal(facts.nr_pci, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_and_names),
		cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
