/* Modules that cannot be loaded are counted and named, and the next one is tried all the same. */
#include "init/modules.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void test_missing(void **state)
{
	static const char text[] = "module=/no/such/a.ko\0module=b.ko\0arg=x";
	struct modules m;
	struct spec spec;

	(void)state;
	assert_int_equal(spec_parse(&spec, text, sizeof(text), NULL), 0);
	modules_load(&m, &spec);
	assert_int_equal(m.loaded, 0);
	assert_int_equal(m.failed, 2);
	assert_string_equal(m.failures, "a.ko: No such file or directory, "
					"b.ko: No such file or directory");
}

/* More failures than their sentence has room for. */
static void test_many(void **state)
{
	char text[100 * sizeof("module=/no/such/file/00.ko") + sizeof("arg=x")];
	struct modules m;
	struct spec spec;
	size_t len = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		len += (size_t)sprintf(text + len, "module=/no/such/file/%02u.ko", i) + 1;
	memcpy(text + len, "arg=x", sizeof("arg=x"));
	assert_int_equal(spec_parse(&spec, text, len + sizeof("arg=x"), NULL), 0);
	modules_load(&m, &spec);
	assert_int_equal(m.failed, 100);
	assert_true(strlen(m.failures) == sizeof(m.failures) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
