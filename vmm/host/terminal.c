#include "vmm/host/terminal.h"

#include "vmm/base/span.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <termios.h>
#include <unistd.h>

static struct {
	bool known; /* `saved` is how the terminal was found */
	volatile sig_atomic_t raw;
	struct termios saved;
} terminal;

static void restore_and_raise(int sig)
{
	terminal_restore(STDIN_FILENO);
	signal(sig, SIG_DFL);
	raise(sig);
}

bool terminal_is_ours(int fd)
{
	pid_t foreground;

	if (!isatty(fd))
		return true;
	foreground = tcgetpgrp(fd);
	/*
	 * foreground < 0: not this process's controlling terminal (an init's console), so no shell
	 * stops the process.
	 */
	return foreground < 0 || foreground == getpgrp();
}

/*
 * Handles every signal whose default action ends the process (signal(7)), except those that
 * straddle run reads from its signalfd, and SIGPIPE and SIGXFSZ, which main() ignores. Signals that
 * are handled or ignored already stay so.
 */
static void catch_fatal_signals(void)
{
	static const int fatal[] = {
		SIGSEGV, SIGBUS,  SIGABRT, SIGILL,    SIGFPE,  SIGTRAP, SIGSYS, SIGXCPU,
		SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGPOLL, SIGPWR, SIGSTKFLT,
	};
	struct sigaction was;

	for (size_t i = 0; i < ARRAY_SIZE(fatal); i++)
		if (sigaction(fatal[i], NULL, &was) == 0 && was.sa_handler == SIG_DFL)
			signal(fatal[i], restore_and_raise);
}

bool terminal_raw(int fd)
{
	struct termios raw;

	if (!isatty(fd) || !terminal_is_ours(fd))
		return false;
	if (!terminal.known) {
		if (tcgetattr(fd, &terminal.saved) < 0)
			return false;
		terminal.known = true;
		catch_fatal_signals();
	}
	raw = terminal.saved;
	cfmakeraw(&raw);
	terminal.raw = 1;
	if (tcsetattr(fd, TCSANOW, &raw) < 0)
		terminal.raw = 0;
	return terminal.raw;
}

void terminal_restore(int fd)
{
	sigset_t ttou, old;

	if (!terminal.raw)
		return;
	/*
	 * In a background process tcsetattr raises SIGTTOU, unless that is blocked: then it
	 * succeeds.
	 */
	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &ttou, &old);
	tcsetattr(fd, TCSANOW, &terminal.saved);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	terminal.raw = 0;
}
