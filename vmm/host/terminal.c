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

static void restore_and_die(int sig)
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
	/* Not our controlling terminal (an init's console): nobody competes for it. */
	return foreground < 0 || foreground == getpgrp();
}

/*
 * Every signal that ends a process unless it says otherwise (signal(7)), but for those that the run
 * hears through its signalfd, and SIGPIPE and SIGXFSZ, which main ignores. What somebody handles
 * or ignores already stays so.
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
			signal(fatal[i], restore_and_die);
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
	/* From the background, tcsetattr would raise SIGTTOU; blocked, it just works. */
	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &ttou, &old);
	tcsetattr(fd, TCSANOW, &terminal.saved);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	terminal.raw = 0;
}
