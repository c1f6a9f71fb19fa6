/* The folders of cases: readable, one part of a path, and none twice. */
#include "vmm/test/suite_folders.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define CASES_MAX 8

static struct suite_case cases[CASES_MAX];
static struct suite suite;

/* Names the folders of cases of these names, which end with NULL. */
static void name(const char *const *names)
{
	struct err err;

	for (suite.n = 0; names[suite.n]; suite.n++)
		cases[suite.n] = (struct suite_case){ .name = names[suite.n] };
	suite.cases = cases;
	assert_int_equal(suite_name_folders(&suite, &err), 0);
}

static int teardown(void **state)
{
	(void)state;
	suite.cases = NULL;
	suite_free(&suite);
	suite = (struct suite){ 0 };
	return 0;
}

static void test_readable(void **state)
{
	(void)state;
	name((const char *const[]){ "boot memory=1.5T cpus=4", "a (1 of 2)", "../../etc", "x/y",
				    "caf\xc3\xa9", NULL });
	assert_string_equal(cases[0].folder, "boot_memory=1.5T_cpus=4");
	assert_string_equal(cases[1].folder, "a_1_of_2");
	assert_string_equal(cases[2].folder, "_._.._etc");
	assert_string_equal(cases[3].folder, "x_y");
	assert_string_equal(cases[4].folder, "caf__");
}

/* The hashes are those of FNV-1a: they must not differ from one node to the next. */
static void test_told_apart(void **state)
{
	char long_a[300], long_b[300];

	(void)state;
	memset(long_a, 'x', sizeof(long_a));
	memset(long_b, 'x', sizeof(long_b));
	strcpy(long_a + 290, "a");
	strcpy(long_b + 290, "b");
	name((const char *const[]){ "a b", "other", "a_b", "a/b", long_a, long_b, NULL });
	assert_string_equal(cases[0].folder, "a_b-10a3f9f2");
	assert_string_equal(cases[1].folder, "other");
	assert_string_equal(cases[2].folder, "a_b-1ba46871");
	assert_string_equal(cases[3].folder, "a_b-3a8e75c1");
	assert_int_equal(strlen(cases[4].folder), 209);
	assert_int_equal(strlen(cases[5].folder), 209);
	assert_string_not_equal(cases[4].folder, cases[5].folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_readable, teardown),
		cmocka_unit_test_teardown(test_told_apart, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
