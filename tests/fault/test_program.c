/*
 * Helper programs, which here are shells: what they are given, how they end, and what is said of
 * those that do not start or die at once.
 */
#include "tests/fault/wrap.h"
#include "vmm/base/span.h"
#include "vmm/host/program.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct err err;
static const char *shell_argv[] = { "sh", "-c", NULL, NULL };

/* A shell that runs `script`; one at a time. */
static struct program_spec shell(const char *script)
{
	shell_argv[2] = script;
	return (struct program_spec){ .what = "--helper", .path = "/bin/sh", .argv = shell_argv };
}

static void start_program(struct program *p, const struct program_spec *spec)
{
	if (program_start(p, spec, &err) < 0)
		fail_msg("%s", err.text);
}

/* A pipe whose other end the programs hold, so that it ends when all of them have. */
static int watched_pipe(struct program_spec *spec)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	spec->fds[0] = ends[1];
	spec->nr_fds = 1;
	return ends[0];
}

/* Reads what there is until all writers are gone, for 10 s at most; they must be gone then. */
static void read_to_end(int fd, char *to, size_t size)
{
	struct pollfd some = { fd, POLLIN, 0 };
	size_t len = 0;
	ssize_t n = 1;

	while (n > 0 && len < size - 1) {
		if (poll(&some, 1, 10000) != 1)
			fail_msg("a program is still there; it wrote '%.*s'", (int)len, to);
		n = read(fd, to + len, size - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	to[len] = '\0';
	close(fd);
}

static void test_find(void **state)
{
	char folder[] = "/tmp/straddle-test-XXXXXX", file[64], path[PROGRAM_PATH];

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(file, sizeof(file), "%s/straddle-helper", folder);
	close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	assert_false(program_find("straddle-helper", folder, path)); /* not executable */
	assert_int_equal(chmod(file, 0755), 0);
	assert_false(program_find("straddle-helper", NULL, path));
	assert_true(program_find("straddle-helper", "/none::/tmp/none:", path) == false);
	assert_true(program_find("straddle-helper", folder, path));
	assert_string_equal(path, file);
	setenv("PATH", folder, 1);
	assert_true(program_find("straddle-helper", "/none", path));
	setenv("PATH", "/usr/bin:/bin", 1);
	unlink(file);
	rmdir(folder);
}

/* Both outputs are read, and the input is empty. */
static void test_ask(void **state)
{
	struct wrap_held before = wrap_held();
	struct program_spec spec = shell("echo one; echo two >&2; cat; echo three");
	char words[64], few[6];

	(void)state;
	assert_int_equal(program_ask(&spec, 10000, words, sizeof(words), &err), 0);
	assert_string_equal(words, "one\ntwo\nthree\n");
	assert_int_equal(program_ask(&spec, 10000, few, sizeof(few), &err), 0);
	assert_string_equal(few, "one\nt");
	spec = shell("echo and then; sleep 1000");
	assert_int_equal(program_ask(&spec, 500, words, sizeof(words), &err), 0);
	assert_string_equal(words, "and then\n");
	wrap_assert_released(before, "asked");
}

/* Descriptors come at 3 and 4, whatever numbers they have here. */
static void test_descriptors(void **state)
{
	struct program_spec spec = shell("echo third >&3; echo fourth >&4");
	struct program p;
	char words[64];
	int a[2], b[2];

	(void)state;
	/* The second may be 3 or 4 here, and is wanted as the other. */
	assert_int_equal(pipe2(b, O_CLOEXEC), 0);
	assert_int_equal(pipe2(a, O_CLOEXEC), 0);
	spec.fds[0] = a[1];
	spec.fds[1] = b[1];
	spec.nr_fds = 2;
	start_program(&p, &spec);
	close(a[1]);
	close(b[1]);
	read_to_end(a[0], words, sizeof(words));
	assert_string_equal(words, "third\n");
	read_to_end(b[0], words, sizeof(words));
	assert_string_equal(words, "fourth\n");
	program_end(&p);
}

/* The program has no other descriptors (the last is ls's own), and no signal is blocked. */
static void test_nothing_else(void **state)
{
	const char *const ls[] = { "ls", "/proc/self/fd", NULL };
	const char *const grep[] = { "grep", "SigBlk", "/proc/self/status", NULL };
	struct program_spec spec = { .what = "--helper",
				     .path = "/bin/ls",
				     .argv = ls,
				     .fds = { STDERR_FILENO, STDERR_FILENO },
				     .nr_fds = 2 };
	sigset_t term, was;
	char words[64];

	(void)state;
	assert_int_equal(program_ask(&spec, 10000, words, sizeof(words), &err), 0);
	assert_string_equal(words, "0\n1\n2\n3\n4\n5\n");
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, &was);
	spec.path = "/bin/grep";
	spec.argv = grep;
	assert_int_equal(program_ask(&spec, 10000, words, sizeof(words), &err), 0);
	assert_string_equal(words, "SigBlk:\t0000000000000000\n");
	sigprocmask(SIG_SETMASK, &was, NULL);
}

/* --- what fails --- */

static int attempt(void *to, struct err *e)
{
	struct program_spec spec = shell("sleep 1000");
	struct program p;
	int ret = program_start(&p, &spec, e);

	(void)to;
	if (ret < 0) {
		assert_int_equal(p.pid, 0);
		program_end(&p);
	} else {
		assert_false(program_tell(&p, 0, &err));
		program_end(&p);
	}
	return ret;
}

/* Whichever call fails, there is a sentence, and no process is left. */
static void test_failing_calls(void **state)
{
	static const struct wrap_harmless harmless[] = {
		{ { "poll", 0, 0 }, 0, "only the test asks whether it has ended" },
		{ { NULL, 0, 0 }, 0, NULL },
	};

	(void)state;
	wrap_sweep(attempt, NULL, EMFILE, harmless);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static int refuse(void *to)
{
	return *(const int *)to;
}

static void test_no_start(void **state)
{
	struct wrap_held before = wrap_held();
	struct program_spec spec = shell("exit 0");
	struct program p;
	int code = ENOSPC;

	(void)state;
	spec.path = "/none/of/this";
	assert_int_equal(program_start(&p, &spec, &err), -ENOENT);
	wrap_assert_says(&err, "--helper: /none/of/this does not start: No such file or directory");
	spec.path = "/dev/null";
	assert_int_equal(program_start(&p, &spec, &err), -EACCES);
	wrap_assert_says(&err, "/dev/null does not start");
	spec.path = "/bin/sh";
	spec.ready = refuse;
	spec.to = &code;
	spec.unready = "the place is taken; use another";
	assert_int_equal(program_start(&p, &spec, &err), -ECHILD);
	wrap_assert_says(&err,
			 "--helper: the place is taken; use another (No space left on device");
	assert_false(program_tell(&p, 0, &err));
	code = 0;
	start_program(&p, &spec);
	program_end(&p);
	program_end(&p); /* which does nothing */
	wrap_assert_released(before, "programs that do not start");
}

static void test_early_end(void **state)
{
	struct wrap_held before = wrap_held();
	struct program_spec spec = shell("echo reading; echo cannot read it >&2; echo; exit 3");
	struct program p;

	(void)state;
	start_program(&p, &spec);
	assert_true(program_tell(&p, 10000, &err));
	wrap_assert_says(&err,
			 "--helper: /bin/sh ended with status 3; its last words: cannot read");
	assert_true(program_tell(&p, 0, &err)); /* and once more */
	program_end(&p);

	spec = shell("kill -KILL $$");
	start_program(&p, &spec);
	assert_true(program_tell(&p, 10000, &err));
	wrap_assert_says(&err, "--helper: /bin/sh ended by signal 9");
	assert_null(strstr(err.text, "words"));
	program_end(&p);

	spec = shell("i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i + 1)); done; exit 1");
	start_program(&p, &spec);
	assert_true(program_tell(&p, 10000, &err));
	wrap_assert_says(&err, "its last words: line 299");
	program_end(&p);
	wrap_assert_released(before, "programs that died");
}

/* --- how they end --- */

/* A signal that straddle ignores is not ignored by the program. */
static void test_signals(void **state)
{
	struct program_spec spec = shell("kill -PIPE $$; sleep 1000");
	struct program p;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	start_program(&p, &spec);
	assert_true(program_tell(&p, 10000, &err));
	wrap_assert_says(&err, "by signal 13");
	program_end(&p);
	signal(SIGPIPE, SIG_DFL);
}

/* Waits until the program has said a line. */
static void await_line(int fd)
{
	struct pollfd some = { fd, POLLIN, 0 };
	char c = 0;

	while (c != '\n') {
		assert_int_equal(poll(&some, 1, 10000), 1);
		assert_int_equal(read(fd, &c, 1), 1);
	}
}

static void test_end(void **state)
{
	static const char *const scripts[] = {
		/* Does what it has to, and its child ends with it. */
		"trap 'echo bye >&3; exit' TERM; sleep 1000 & echo up >&3; wait",
		/* Does not end by itself. */
		"trap '' TERM; sleep 1000 & echo up >&3; wait; sleep 1000",
	};
	static const char *const words[] = { "bye\n", "" };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(scripts); i++) {
		struct wrap_held before = wrap_held();
		struct program_spec spec = shell(scripts[i]);
		struct program p;
		char said[16];
		int fd = watched_pipe(&spec);

		spec.signal = SIGTERM;
		start_program(&p, &spec);
		close(spec.fds[0]);
		await_line(fd);
		assert_int_equal(getpgid(p.pid), p.pid);
		program_end(&p);
		read_to_end(fd, said, sizeof(said));
		assert_string_equal(said, words[i]);
		wrap_assert_released(before, "programs that were ended");
	}
}

static int enter_namespace(void *to)
{
	(void)to;
	return unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 ? errno : 0;
}

/* This process ends without a word, and the program does as well, in a user namespace, too. */
static void test_death_of_straddle(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct program_spec spec = shell("echo up >&3; sleep 1000");
		char said[16];
		int fd = watched_pipe(&spec);
		pid_t straddle;

		/* One process, for its children are not ended. */
		shell_argv[2] = "echo up >&3; exec sleep 1000";
		spec.ready = i ? enter_namespace : NULL;
		straddle = fork();
		if (straddle == 0) {
			struct program p;

			if (program_start(&p, &spec, &err) < 0)
				_exit(1);
			close(spec.fds[0]);
			for (;;)
				pause();
		}
		close(spec.fds[0]);
		if (poll(&(struct pollfd){ fd, POLLIN, 0 }, 1, 10000) != 1)
			fail_msg("the program does not start");
		if (read(fd, said, 3) != 3) {
			print_message("no user namespaces here\n");
			waitpid(straddle, NULL, 0);
			close(fd);
			continue;
		}
		kill(straddle, SIGKILL);
		waitpid(straddle, NULL, 0);
		read_to_end(fd, said, sizeof(said));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_find, wrap_setup),
		cmocka_unit_test_setup(test_ask, wrap_setup),
		cmocka_unit_test_setup(test_descriptors, wrap_setup),
		cmocka_unit_test_setup(test_nothing_else, wrap_setup),
		cmocka_unit_test_setup(test_failing_calls, wrap_setup),
		cmocka_unit_test_setup(test_no_start, wrap_setup),
		cmocka_unit_test_setup(test_early_end, wrap_setup),
		cmocka_unit_test_setup(test_signals, wrap_setup),
		cmocka_unit_test_setup(test_end, wrap_setup),
		cmocka_unit_test_setup(test_death_of_straddle, wrap_setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
