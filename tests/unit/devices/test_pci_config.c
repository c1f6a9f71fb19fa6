/*
 * Configuration space: what a guest's write changes, and the capability lists, well formed or not.
 */
#include "devices/pci_config.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static void test_masks(void **state)
{
	struct pci_config c;

	(void)state;
	pci_config_init(&c);
	pci_config_set(&c, 0x50, 4, 0x12345678);
	pci_config_write(&c, 0x50, 4, UINT32_MAX);
	assert_int_equal(pci_config_get(&c, 0x50, 4), 0x12345678);
	pci_config_allow(&c, 0x50, 4, 0x00ff0f00);
	pci_config_write(&c, 0x50, 4, UINT32_MAX);
	assert_int_equal(pci_config_get(&c, 0x50, 4), 0x12ff5f78);
	pci_config_write(&c, 0x51, 1, 0);
	assert_int_equal(pci_config_get(&c, 0x50, 4), 0x12ff5078);
	pci_config_write(&c, 0x52, 2, 0xabcd);
	assert_int_equal(pci_config_get(&c, 0x50, 4), 0x12cd5078);
}

static void test_write_one_to_clear(void **state)
{
	struct pci_config c;

	(void)state;
	pci_config_init(&c);
	pci_config_set(&c, 0x1e, 2, 0xf900);
	pci_config_allow_clear(&c, 0x1e, 2, 0x7900);
	pci_config_write(&c, 0x1e, 2, 0);
	assert_int_equal(pci_config_get(&c, 0x1e, 2), 0xf900);
	pci_config_write(&c, 0x1f, 1, 0x40);
	assert_int_equal(pci_config_get(&c, 0x1e, 2), 0xb900);
	pci_config_write(&c, 0x1c, 4, UINT32_MAX);
	assert_int_equal(pci_config_get(&c, 0x1e, 2), 0x8000);
}

static void test_last_dword(void **state)
{
	struct pci_config c;

	(void)state;
	pci_config_init(&c);
	pci_config_allow(&c, PCI_CONFIG_SIZE - 4, 4, UINT32_MAX);
	pci_config_write(&c, PCI_CONFIG_SIZE - 4, 4, 0xdeadbeef);
	assert_int_equal(pci_config_get(&c, PCI_CONFIG_SIZE - 1, 1), 0xde);
}

static void test_caps(void **state)
{
	struct pci_config c;
	unsigned first, second;

	(void)state;
	pci_config_init(&c);
	assert_int_equal(pci_config_find_cap(&c, 0x10), 0);
	first = pci_config_add_cap(&c, 0x10, 0x3c);
	second = pci_config_add_cap(&c, 0x05, 14);
	assert_int_equal(first, 0x40);
	assert_int_equal(second, 0x7c);
	assert_int_equal(pci_config_get(&c, 0x06, 2) & 0x10, 0x10);
	assert_int_equal(pci_config_get(&c, 0x34, 1), first);
	assert_int_equal(pci_config_get(&c, first, 2), second << 8 | 0x10);
	assert_int_equal(pci_config_get(&c, second, 2), 0x05);
	assert_int_equal(pci_config_find_cap(&c, 0x10), first);
	assert_int_equal(pci_config_find_cap(&c, 0x05), second);
	assert_int_equal(pci_config_find_cap(&c, 0x11), 0);
	/* 14 bytes took 16: what is left ends at 0x100, exactly. */
	assert_int_equal(pci_config_add_cap(&c, 0x09, 0x75), 0);
	assert_int_equal(pci_config_add_cap(&c, 0x09, 0x74), 0x8c);
	assert_int_equal(pci_config_add_cap(&c, 0x09, 2), 0);
	assert_int_equal(pci_config_find_cap(&c, 0x09), 0x8c);
}

static void test_exts(void **state)
{
	struct pci_config c;

	(void)state;
	pci_config_init(&c);
	assert_int_equal(pci_config_find_ext(&c, 1), 0);
	assert_int_equal(pci_config_add_ext(&c, 1, 2, 0x48), 0x100);
	assert_int_equal(pci_config_get(&c, 0x100, 4), 0x00020001);
	assert_int_equal(pci_config_add_ext(&c, 3, 1, 0xc), 0x148);
	assert_int_equal(pci_config_get(&c, 0x100, 4), 0x14820001);
	assert_int_equal(pci_config_find_ext(&c, 1), 0x100);
	assert_int_equal(pci_config_find_ext(&c, 3), 0x148);
	assert_int_equal(pci_config_find_ext(&c, 4), 0);
	assert_int_equal(pci_config_add_ext(&c, 4, 1, PCI_CONFIG_SIZE - 0x153), 0);
	assert_int_equal(pci_config_add_ext(&c, 4, 1, PCI_CONFIG_SIZE - 0x154), 0x154);
	assert_int_equal(pci_config_add_ext(&c, 5, 1, 4), 0);
}

/* Lists from a device may be anything: loops, pointers into the header, unaligned ones. */
static void test_bad_lists_end(void **state)
{
	struct pci_config c;

	(void)state;
	pci_config_init(&c);
	pci_config_set(&c, 0x06, 2, 0x10);
	pci_config_set(&c, 0x34, 1, 0x43);
	pci_config_set(&c, 0x40, 2, 0xfe01);
	pci_config_set(&c, 0xfc, 2, 0x4005);
	assert_int_equal(pci_config_find_cap(&c, 0x05), 0xfc);
	assert_int_equal(pci_config_find_cap(&c, 0x10), 0);
	pci_config_set(&c, 0xfd, 1, 0x3c);
	assert_int_equal(pci_config_find_cap(&c, 0x10), 0);
	pci_config_set(&c, 0x06, 2, 0);
	assert_int_equal(pci_config_find_cap(&c, 0x05), 0);

	pci_config_set(&c, 0x100, 4, 0xffc10001);
	pci_config_set(&c, 0xffc, 4, 0x10010002);
	assert_int_equal(pci_config_find_ext(&c, 2), 0xffc);
	assert_int_equal(pci_config_find_ext(&c, 3), 0);
	pci_config_set(&c, 0xffc, 4, 0x0fc10002);
	assert_int_equal(pci_config_find_ext(&c, 3), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_masks),	   cmocka_unit_test(test_write_one_to_clear),
		cmocka_unit_test(test_last_dword), cmocka_unit_test(test_caps),
		cmocka_unit_test(test_exts),	   cmocka_unit_test(test_bad_lists_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
