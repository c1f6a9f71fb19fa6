/* Built-in commands by their word, and what is refused before anything starts. */
#include "init/builtins.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static struct err err;

/* Returns what builtin_find() does; `text` has the words of a spec. */
static int find(const char *text, size_t len, const struct builtin **found)
{
	static struct spec spec;

	err.text[0] = '\0';
	assert_int_equal(spec_parse(&spec, text, len, NULL), 0);
	return builtin_find(&spec, found, &err);
}
#define FIND(text) find(text, sizeof(text), &found)

static void test_found(void **state)
{
	const struct builtin *found;

	(void)state;
	assert_int_equal(FIND("arg=sh\0arg=-c"), 0);
	assert_null(found);
	assert_int_equal(FIND("arg=@cat"), 0);
	assert_string_equal(found->word, "@cat");
	assert_false(found->ends);
	assert_int_equal(FIND("arg=@memory=all"), 0);
	assert_string_equal(found->word, "@memory=all");
	assert_int_equal(FIND("arg=@status\0arg=7"), 0);
	assert_string_equal(found->word, "@status");
	assert_int_equal(FIND("arg=@reboot"), 0);
	assert_true(found->ends);
}

static void test_refused(void **state)
{
	const struct builtin *found;

	(void)state;
	assert_true(FIND("arg=@facs") < 0);
	assert_string_equal(err.text, "'@facs' is not a built-in command; there are @bytes N, "
				      "@cat, @exit, @facts, @halt, @hang, @idle SECONDS, @memory, "
				      "@memory=all, @oom, @panic, @poweroff, @reboot, @status N, "
				      "@warn");
	assert_true(FIND("arg=@") < 0);
	assert_true(FIND("arg=@cat\0arg=x") < 0);
	assert_string_equal(err.text, "@cat takes no operand, but 'x' is given");
	assert_true(FIND("arg=@status") < 0);
	assert_string_equal(err.text, "@status takes one whole number, such as: @status 10");
	assert_true(FIND("arg=@idle\0arg=") < 0);
	assert_true(FIND("arg=@idle\0arg=-1") < 0);
	assert_true(FIND("arg=@idle\0arg=1s") < 0);
	assert_true(FIND("arg=@idle\0arg=1\0arg=2") < 0);
	assert_true(FIND("arg=@bytes\0arg=9999999999999999999") < 0);
}

/* The first bytes as an independent computation gives them. */
static void test_random(void **state)
{
	static const uint8_t expected[] = { 0x14, 0x1a, 0x9a, 0x66 };
	uint64_t x = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(expected); i++)
		assert_int_equal(builtin_random(&x), expected[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
