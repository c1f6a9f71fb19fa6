/* What a case must look like to pass. */
#include "vmm/test/expect.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>

static struct test_expect expect;
static struct config_test options;
static struct err err;

static int setup(void **state)
{
	(void)state;
	memset(&expect, 0, sizeof(expect));
	memset(&options, 0, sizeof(options));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	test_expect_free(&expect);
	return 0;
}

static void print(const char *text)
{
	test_expect_feed(&expect, (const uint8_t *)text, strlen(text));
}

static struct test_result judge(enum verdict v, unsigned status)
{
	struct test_result r = { .verdict = v, .command_status = status };

	strcpy(r.sentence, "it was so");
	test_expect_judge(&expect, &r);
	return r;
}

static void test_ends(void **state)
{
	static const struct {
		const char *expect;
		enum verdict verdict;
		unsigned status;
		bool passed;
		enum verdict becomes;
	} cases[] = {
		{ NULL, VERDICT_COMMAND, 0, true, VERDICT_COMMAND },
		{ NULL, VERDICT_COMMAND, 3, false, VERDICT_COMMAND },
		{ NULL, VERDICT_PANIC, 0, false, VERDICT_PANIC },
		{ "status 0", VERDICT_COMMAND, 3, false, VERDICT_COMMAND },
		{ "status 3", VERDICT_COMMAND, 3, true, VERDICT_COMMAND },
		{ "status 3", VERDICT_COMMAND, 0, false, VERDICT_UNEXPECTED },
		{ "status 3", VERDICT_PANIC, 3, false, VERDICT_UNEXPECTED },
		{ "panic", VERDICT_PANIC, 0, true, VERDICT_PANIC },
		{ "panic", VERDICT_COMMAND, 0, false, VERDICT_UNEXPECTED },
		{ "panic", VERDICT_RESET, 0, false, VERDICT_UNEXPECTED },
		{ "usage", VERDICT_USAGE, 0, true, VERDICT_USAGE },
		/* These tell nothing of the guest. */
		{ "panic", VERDICT_STARVED, 0, false, VERDICT_STARVED },
		{ "panic", VERDICT_HOST_ERROR, 0, false, VERDICT_HOST_ERROR },
		{ "panic", VERDICT_INTERRUPTED, 0, false, VERDICT_INTERRUPTED },
		{ "panic", VERDICT_USAGE, 0, false, VERDICT_USAGE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct test_result r;

		setup(NULL);
		options.expect = (char *)cases[i].expect;
		assert_int_equal(test_expect_init(&expect, &options, &err), 0);
		r = judge(cases[i].verdict, cases[i].status);
		assert_int_equal(r.passed, cases[i].passed);
		assert_int_equal(r.verdict, cases[i].becomes);
		assert_int_equal(test_result_status(&r) == 0, r.passed);
		if (r.verdict == VERDICT_UNEXPECTED)
			assert_non_null(strstr(r.sentence, "it was so"));
	}
}

static void test_console(void **state)
{
	char *has[] = { (char *)"^one", (char *)"tw+o$" }, *lacks[] = { (char *)"thr[e]{2}" };
	struct test_result r;

	(void)state;
	memcpy(options.console_has, has, sizeof(has));
	options.nr_console_has = 2;
	options.console_lacks[0] = lacks[0];
	options.nr_console_lacks = 1;
	assert_int_equal(test_expect_init(&expect, &options, &err), 0);
	print("not one\r\none");
	print(" more\r\ntwwo behind\n");
	r = judge(VERDICT_COMMAND, 0);
	assert_int_equal(r.verdict, VERDICT_UNEXPECTED);
	assert_string_equal(r.sentence, "the console must have 'tw+o$', but no line of it matches");
	print("a twwo"); /* the last line has no end */
	r = judge(VERDICT_COMMAND, 0);
	assert_true(r.passed);
	print("x\a three\n");
	r = judge(VERDICT_COMMAND, 0);
	assert_string_equal(r.sentence,
			    "the console must not have 'thr[e]{2}', but it has: x? three");
	assert_string_equal(r.line, "x? three");
	/* A command that failed is what failed. */
	r = judge(VERDICT_COMMAND, 4);
	assert_int_equal(r.verdict, VERDICT_COMMAND);
}

/* A guest that prints no line end, or words across the limit, ends at it. */
static void test_long_line(void **state)
{
	(void)state;
	options.console_has[0] = (char *)"xy";
	options.nr_console_has = 1;
	assert_int_equal(test_expect_init(&expect, &options, &err), 0);
	for (unsigned i = 0; i < 2 * EXPECT_LINE_MAX; i++)
		print("x");
	print("y\n");
	assert_false(judge(VERDICT_COMMAND, 0).passed);
	print("xy");
	assert_true(judge(VERDICT_COMMAND, 0).passed);
}

static void test_refused(void **state)
{
	static const struct {
		const char *expect, *sentence;
	} cases[] = {
		{ "status 256", "--expect: '256' is no status; use a number up to 255" },
		{ "status ", "--expect: '' is no status; use a number up to 255" },
		{ "status -1", "--expect: '-1' is no status; use a number up to 255" },
		{ "command", "--expect: 'command' is no ending; use 'status N', or a word such as "
			     "panic (straddle test --help lists them)" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		options.expect = (char *)cases[i].expect;
		assert_int_equal(test_expect_init(&expect, &options, &err), -EINVAL);
		assert_string_equal(err.text, cases[i].sentence);
	}
	options.expect = NULL;
	options.console_lacks[0] = (char *)"a";
	options.console_lacks[1] = (char *)"(";
	options.nr_console_lacks = 2;
	assert_int_equal(test_expect_init(&expect, &options, &err), -EINVAL);
	assert_non_null(strstr(err.text, "--console-lacks: '(' is no extended regular expression"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_console, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_line, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
