/* Names of a host's facts, and PCI addresses (vmm/base/facts.h). */
#include "vmm/base/facts.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

static void test_vendors(void **state)
{
	(void)state;
	assert_int_equal(host_vendor_of(0x68747541, 0x444d4163, 0x69746e65), HOST_AMD);
	assert_int_equal(host_vendor_of(0x6f677948, 0x656e6975, 0x6e65476e), HOST_HYGON);
	assert_int_equal(host_vendor_of(0x756e6547, 0x6c65746e, 0x49656e69), HOST_INTEL);
	assert_int_equal(host_vendor_of(0x68747541, 0x6c65746e, 0x49656e69), HOST_OTHER);
	assert_true(host_vendor_is_amd(HOST_HYGON) && host_vendor_is_amd(HOST_AMD));
	assert_false(host_vendor_is_amd(HOST_INTEL) || host_vendor_is_amd(HOST_OTHER));
	assert_string_equal(host_vendor_name(HOST_HYGON), "hygon");
}

static void test_reserved_types(void **state)
{
	enum host_resv_type type;

	(void)state;
	for (enum host_resv_type t = HOST_RESV_RESERVED; t <= HOST_RESV_MSI; t++) {
		type = (enum host_resv_type)(t + 1);
		assert_true(host_resv_find(host_resv_name(t), strlen(host_resv_name(t)), &type));
		assert_int_equal(type, t);
	}
	assert_true(host_resv_find("direct-relaxable", 6, &type));
	assert_int_equal(type, HOST_RESV_DIRECT);
	assert_false(host_resv_find("direct-", 7, &type));
	assert_false(host_resv_find("", 0, &type));
}

static void test_addresses(void **state)
{
	static const struct {
		const char *text, *name;
	} rows[] = {
		{ "41:00.0", "0000:41:00.0" },
		{ "0000:41:00.0", "0000:41:00.0" },
		{ "AB:0C.7", "0000:ab:0c.7" },
		{ "10000:e1:00.0", "10000:e1:00.0" },
		{ "0001:00:1f.3", "0001:00:1f.3" },
		{ "41:00.8", NULL },
		{ "41:1f.0", "0000:41:1f.0" },
		{ "41:20.0", NULL }, /* slot 32 */
		{ "41:00", NULL },
		{ "1:00.0", NULL },
		{ "000:41:00.0", NULL },
		{ "41:00.0 ", NULL },
		{ "123456789:41:00.0", NULL },
		{ "", NULL },
	};
	char name[HOST_PCI_NAME];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(host_bdf(rows[i].text, name), rows[i].name != NULL);
		if (rows[i].name)
			assert_string_equal(name, rows[i].name);
	}
}

static void test_uuids(void **state)
{
	(void)state;
	assert_true(host_is_uuid("83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"));
	assert_false(host_is_uuid("83b8f4f2-509f-382f-3c1e-e6bfe0fa100"));
	assert_false(host_is_uuid("83b8f4f2-509f-382f-3c1ee6bfe0fa1001"));
	assert_false(host_is_uuid(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vendors),
		cmocka_unit_test(test_reserved_types),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_uuids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
