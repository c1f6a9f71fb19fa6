/* Programs that are run to their end: their output, and each way to fail. */
#include "vmm/test/slurm_command.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

static struct err err;

static int run_shell(const char *script, unsigned seconds, char **output)
{
	return slurm_command_run((char *[]){ "sh", "-c", (char *)script, NULL }, seconds, output,
				 &err);
}

static void test_output(void **state)
{
	char *output = NULL;

	(void)state;
	assert_int_equal(run_shell("echo one; echo oops >&2; cat; echo two", 10, &output), 0);
	assert_string_equal(output, "one\ntwo\n");
	free(output);
	assert_int_equal(run_shell(":", 10, &output), 0);
	assert_string_equal(output, "");
	free(output);
	assert_int_equal(run_shell("head -c 300000 /dev/zero | tr '\\0' x", 10, &output), 0);
	assert_int_equal(strlen(output), 300000);
	free(output);
	assert_int_equal(run_shell("echo one", 10, NULL), 0);
}

static void test_failures(void **state)
{
	char *output = NULL;

	(void)state;
	assert_int_equal(
		run_shell("echo one; echo; echo 'x: no' >&2; echo b >&2; exit 3", 10, &output),
		-EIO);
	assert_string_equal(err.text, "sh: x: no");
	assert_int_equal(run_shell("exit 3", 10, &output), -EIO);
	assert_string_equal(err.text, "sh ended with status 3");
	assert_int_equal(run_shell("kill -TERM $$", 10, &output), -EIO);
	assert_string_equal(err.text, "sh ended with signal 15");
	assert_int_equal(run_shell("head -c 300000 /dev/zero >&2; exit 1", 10, &output), -EIO);
	assert_null(output);
	assert_int_equal(
		slurm_command_run((char *[]){ "no-such-program", NULL }, 10, &output, &err),
		-ENOENT);
	assert_string_equal(err.text, "there is no program no-such-program in PATH");
}

/* It is killed with its children, which hold the pipes open. */
static void test_limit(void **state)
{
	time_t start = time(NULL);
	char *output = NULL;

	(void)state;
	assert_int_equal(run_shell("sleep 60 & sleep 60; :", 1, &output), -ETIMEDOUT);
	assert_string_equal(err.text, "sh did not answer within 1 s");
	assert_true(time(NULL) - start < 30);
}

/* Neither an ignored SIGPIPE nor a blocked SIGTERM is inherited, and Ctrl-C does not reach it. */
static void test_signals(void **state)
{
	sigset_t set, old;

	(void)state;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &old);
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(run_shell("kill -PIPE $$", 10, NULL), -EIO);
	assert_string_equal(err.text, "sh ended with signal 13");
	assert_int_equal(run_shell("kill -TERM $$", 10, NULL), -EIO);
	assert_string_equal(err.text, "sh ended with signal 15");
	sigprocmask(SIG_SETMASK, &old, NULL);
	assert_int_equal(run_shell("set -- $(cat /proc/$$/stat); [ $5 = $$ ]", 10, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_signals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
