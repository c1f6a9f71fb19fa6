/*
 * The user's terminal is as it was found, whatever ends straddle.
 */
#include "tests/fault/wrap.h"
#include "vmm/host/terminal.h"
#include "vmm/host/thread.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define NOT_RAW 99 /* status of a child that could not begin */

static int master;
static struct termios before;

static int open_terminal(void **state)
{
	wrap_setup(state);
	master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	return master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 ||
	       tcgetattr(master, &before) < 0;
}

static int close_terminal(void **state)
{
	(void)state;
	close(master);
	return 0;
}

/* In a child: the terminal is standard input, of a session of its own, and raw. */
static void take_terminal(void)
{
	int fd;

	setsid();
	fd = open(ptsname(master), O_RDWR);
	if (fd < 0 || dup2(fd, STDIN_FILENO) < 0 || ioctl(fd, TIOCSCTTY, 0) < 0)
		_exit(NOT_RAW);
	for (int sig = 1; sig < SIGRTMIN; sig++)
		signal(sig, SIG_DFL); /* a sanitizer's own handlers, too */
	if (!terminal_raw(STDIN_FILENO))
		_exit(NOT_RAW);
}

static bool same_terminal(void)
{
	struct termios now;

	return tcgetattr(master, &now) == 0 && now.c_lflag == before.c_lflag &&
	       now.c_iflag == before.c_iflag && now.c_oflag == before.c_oflag;
}

static void expect_killed(pid_t child, int sig)
{
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != sig)
		fail_msg("signal %d: wait status %#x", sig, status);
	if (!same_terminal())
		fail_msg("signal %d leaves the terminal raw", sig);
}

/* All that end a process, but those that straddle listens to and those that it ignores. */
static void test_signals(void **state)
{
	static const int kept[] = { SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGKILL,
				    SIGPIPE, SIGCHLD, SIGXFSZ, SIGCONT, SIGSTOP,
				    SIGTSTP, SIGTTIN, SIGTTOU, SIGURG,	SIGWINCH };

	(void)state;
	for (int sig = 1; sig < 32; sig++) {
		bool other = false;
		pid_t child;

		for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
			other |= kept[i] == sig;
		if (other)
			continue;
		child = fork();
		if (child == 0) {
			take_terminal();
			raise(sig);
			_exit(NOT_RAW);
		}
		expect_killed(child, sig);
	}
}

static void *touch_nothing(void *page)
{
	*(volatile uint8_t *)page = 1;
	return NULL;
}

/* A fault of a device's thread, which takes no signals: a file that was cut short, for one. */
static void test_fault_of_a_thread(void **state)
{
	pid_t child = fork();

	(void)state;
	if (child == 0) {
		void *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		pthread_t thread;

		take_terminal();
		if (thread_start(&thread, THREAD_QUEUE, NULL, touch_nothing, page) != 0)
			_exit(NOT_RAW);
		pthread_join(thread, NULL);
		_exit(NOT_RAW);
	}
	expect_killed(child, SIGSEGV);
}

static void test_ignored_stays(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	if (child == 0) {
		signal(SIGUSR1, SIG_IGN);
		setsid();
		if (dup2(open(ptsname(master), O_RDWR), STDIN_FILENO) < 0 ||
		    ioctl(STDIN_FILENO, TIOCSCTTY, 0) < 0 || !terminal_raw(STDIN_FILENO))
			_exit(NOT_RAW);
		raise(SIGUSR1);
		terminal_restore(STDIN_FILENO);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_true(same_terminal());
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_terminal, close_terminal)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_signals),
		TEST(test_fault_of_a_thread),
		TEST(test_ignored_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
