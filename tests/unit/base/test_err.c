/*
 * Sentences: prefixes, the system's words, names that somebody else chose, and ends of the buffer.
 */
#include "vmm/base/err.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

static void test_sentence(void **state)
{
	struct err err = { "" };

	(void)state;
	assert_int_equal(err_set(&err, EINVAL, "%d is odd", 3), -EINVAL);
	assert_string_equal(err.text, "3 is odd");
	assert_int_equal(err_prefix(&err, -EIO, "--cpus %s: ", "3"), -EIO);
	assert_string_equal(err.text, "--cpus 3: 3 is odd");
	assert_int_equal(err_prefix(&err, -EIO, "%s; and ", err.text), -EIO);
	assert_string_equal(err.text, "--cpus 3: 3 is odd; and --cpus 3: 3 is odd");
	assert_int_equal(err_sys(&err, ENOENT, "cannot open %s", "x"), -ENOENT);
	assert_string_equal(err.text, "cannot open x: No such file or directory");
	assert_int_equal(err_set(NULL, ENOENT, "nobody listens"), -ENOENT);
	assert_int_equal(err_sys(NULL, ENOENT, "nobody listens"), -ENOENT);
	assert_int_equal(err_prefix(NULL, -ENOENT, "nobody: "), -ENOENT);
}

/* A name can neither move the cursor of a terminal nor end the line; UTF-8 is left alone. */
static void test_control_characters(void **state)
{
	struct err err = { "" };

	(void)state;
	err_sys(&err, ENOENT, "--kernel %s", "a\33[2J\r\nb\x7f\t\xc3\xa4");
	assert_string_equal(err.text, "--kernel a?[2J??b??\xc3\xa4: No such file or directory");
	err_prefix(&err, -EIO, "%s: ", "\n");
	assert_memory_equal(err.text, "?: --kernel a?[2J", 17);
	err_set(&err, EINVAL, "%s", "\1");
	assert_string_equal(err.text, "?");
}

static void test_too_long(void **state)
{
	char name[2 * sizeof(struct err)];
	struct err err = { "" };

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	err_sys(&err, ENOENT, "%s", name);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	err_prefix(&err, -EIO, "before ");
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	assert_memory_equal(err.text, "before xxx", 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sentence),
		cmocka_unit_test(test_control_characters),
		cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
