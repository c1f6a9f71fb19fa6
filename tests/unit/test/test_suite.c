/* Files of cases: what they expand to, and what is refused, with its line. */
#include "vmm/test/suite.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>

static struct suite suite;
static struct err err;

static int setup(void **state)
{
	(void)state;
	suite = (struct suite){ 0 };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	suite_free(&suite);
	return 0;
}

static int parse(const char *text)
{
	return suite_parse(&suite, "x.test", "", text, strlen(text), &err);
}

/* "--a=1 --b -- words": a case as a command line. */
static const char *shown(unsigned i)
{
	const struct suite_case *c = &suite.cases[i];
	static char text[512];
	size_t n = 0;

	for (unsigned j = 0; j < c->nr_lines; j++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "--%s%s%s ", c->lines[j].key,
				      c->lines[j].value ? "=" : "",
				      c->lines[j].value ? c->lines[j].value : "");
	n += (size_t)snprintf(text + n, sizeof(text) - n, "--");
	for (unsigned j = 0; j < c->nr_command; j++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, " <%s>", c->command[j]);
	return text;
}

static void test_one(void **state)
{
	(void)state;
	assert_int_equal(parse("\xef\xbb\xbf# nothing\n\n[case boot] # the first\nkernel = k\nrng\n"
			       "command = sh -c 'exit  7' \"a b\"\\ c ''\nexpect = status 7\n"),
			 0);
	assert_int_equal(suite.n, 1);
	assert_string_equal(suite.cases[0].name, "boot");
	assert_string_equal(shown(0),
			    "--kernel=k --rng --expect=status 7 -- <sh> <-c> <exit  7> <a b c> <>");
	assert_int_equal(suite.cases[0].line, 3);
}

static void test_default(void **state)
{
	(void)state;
	assert_int_equal(parse("[default]\nkernel = k\nmemory = 1G\ndisk = a\nexpect = panic\n"
			       "[case one]\nmemory = 2G\ndisk = b\n[case two]\nexpect = reset\n"
			       "[default]\n[case three]\n"),
			 0);
	assert_int_equal(suite.n, 3);
	/* What may be given once is replaced, what adds up adds up. */
	assert_string_equal(shown(0), "--kernel=k --disk=a --expect=panic --memory=2G --disk=b --");
	assert_string_equal(shown(1), "--kernel=k --memory=1G --disk=a --expect=reset --");
	assert_string_equal(shown(2), "--");
}

static void test_matrix(void **state)
{
	static const char *const names[] = {
		"m memory=512M kernel=a",
		"m memory=512M kernel=b c",
		"m memory=1.1T kernel=a",
		"m memory=1.1T kernel=b c",
	};

	(void)state;
	assert_int_equal(parse("[default]\nmemory = 1G\n[case m]\nmatrix memory = 512M | 1.1T\n"
			       "matrix kernel = /boot/a |  /boot/b c  \nconsole-has = ^x+$\n"
			       "console-has = y\n"),
			 0);
	assert_int_equal(suite.n, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_string_equal(suite.cases[i].name, names[i]);
	assert_string_equal(shown(3), "--console-has=^x+$ --console-has=y --memory=1.1T "
				      "--kernel=/boot/b c --");
	assert_int_equal(suite.cases[3].lines[3].number, 5);
}

/* Values that end alike are told apart. */
static void test_names(void **state)
{
	(void)state;
	assert_int_equal(
		parse("[case m]\nmatrix kernel = /k/a/vmlinuz | /k/b/vmlinuz | /k/bzImage\n"
		      "matrix root = /x/ | host\n"),
		0);
	assert_string_equal(suite.cases[0].name, "m kernel=/k/a/vmlinuz root=/x/");
	assert_string_equal(suite.cases[5].name, "m kernel=bzImage root=host");
}

/* The command line wins over a case, a case over [default]. */
static void test_apply(void **state)
{
	char *argv[] = { (char *)"--memory", (char *)"3G", (char *)"--cpus=2" };
	struct config c = CONFIG_EMPTY;

	(void)state;
	assert_int_equal(parse("[default]\nkernel = k\nmemory = 1G\nlimit = 9\ncommand = a\n"
			       "[case one]\nlimit = 8\nrng\nmatrix command = b | c d\n"
			       "[case two]\nlimit = x\n[case three]\nlimt = 4\n"
			       "[case four]\njobs = 4\n[case five]\ncomand = a\n"),
			 0);
	assert_int_equal(config_parse(&c, CMD_TEST, 3, argv, &err), 0);
	assert_int_equal(suite_apply(&suite.cases[1], &c, &err), 0);
	assert_int_equal(c.memory, 3 * GIB);
	assert_int_equal(c.test.limit, 8);
	assert_true(c.rng);
	assert_string_equal(c.kernel, "k");
	assert_int_equal(c.nr_command, 2);
	assert_string_equal(c.command[1], "d");
	config_free(&c);
	assert_int_equal(suite_apply(&suite.cases[2], &c, &err), -EINVAL);
	assert_string_equal(err.text,
			    "x.test:11: limit x: 'x' is not a number; it may be 0 to 315360000");
	config_free(&c);
	assert_int_equal(suite_apply(&suite.cases[3], &c, &err), -EINVAL);
	assert_string_equal(err.text, "x.test:13: unknown key 'limt'; did you mean limit?");
	assert_int_equal(suite_apply(&suite.cases[5], &c, &err), -EINVAL);
	assert_string_equal(err.text, "x.test:17: unknown key 'comand'; did you mean command?");
	config_free(&c);
	assert_int_equal(suite_apply(&suite.cases[4], &c, &err), -EINVAL);
	assert_string_equal(err.text, "x.test:15: 'jobs' cannot stand in a configuration file; "
				      "give it on the command line");
	config_free(&c);
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *sentence;
	} cases[] = {
		{ "memory = 1G", "x.test:1: 'memory' stands in no section; begin one with "
				 "[case NAME]" },
		{ "\n[suite]", "x.test:2: [suite] is no section; use [case NAME] or [default]" },
		{ "[case ]", "x.test:1: [case ] is no section; use [case NAME] or [default]" },
		{ "[case a", "x.test:1: a section is [case NAME] or [default], without '='" },
		{ "[case a] b", "x.test:1: a section is [case NAME] or [default], without '='" },
		{ "[case a]\n= 1", "x.test:2: a key is missing before '='; write key = value" },
		{ "[default]\nmatrix cpus = 1",
		  "x.test:2: a matrix belongs to a case, and stands in [case NAME]" },
		{ "[case a]\nmatrix cpus = |  |",
		  "x.test:2: the matrix has no values; write matrix cpus = A | B" },
		{ "[case a]\ncommand = sh -c 'x",
		  "x.test:2: a quote in the command is not closed" },
		{ "[case a]\ncommand =", "x.test:2: the command is empty" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parse(cases[i].text), -EINVAL);
		assert_string_equal(err.text, cases[i].sentence);
		suite_free(&suite);
	}
	assert_int_equal(suite_parse(&suite, "x.test", "", "[case a]\n\0", 10, &err), -EINVAL);
	assert_string_equal(err.text, "x.test:2: this is no file of cases");
}

/* A small file cannot make the host run out of memory. */
static void test_explosion(void **state)
{
	char text[4096] = "[case a]\n";

	(void)state;
	for (unsigned d = 0; d < 6; d++) {
		strcat(text, "matrix cpus = 0");
		for (unsigned v = 1; v < 100; v++)
			strcat(text, "|1");
		strcat(text, "\n");
	}
	assert_int_equal(parse(text), -EINVAL);
	assert_string_equal(err.text, "x.test:1: there are more than 10000 cases");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one, setup, teardown),
		cmocka_unit_test_setup_teardown(test_default, setup, teardown),
		cmocka_unit_test_setup_teardown(test_matrix, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_apply, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_explosion, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
