#include "vmm/cli/cmd_run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* --- events --- */

static void erase_progress(struct run *run)
{
	if (run->in_line)
		fputs("\r\33[K", stderr);
	run->in_line = false;
}

/*
 * Prints in one write, because the guest's output may come at the same time. While the terminal is
 * in raw mode, lines end with "\r\n".
 */
static void print(struct run *run, const char *sentence)
{
	char line[2 * 4096];
	size_t n = (size_t)snprintf(line, sizeof(line), "straddle: ");

	for (; *sentence && n < sizeof(line) - 4; sentence++) {
		if (run->raw && *sentence == '\n')
			line[n++] = '\r';
		line[n++] = *sentence;
	}
	if (line[n - 1] != '\n') {
		if (run->raw)
			line[n++] = '\r';
		line[n++] = '\n';
	}
	flockfile(stderr); /* of in_line, too: events come on several threads */
	erase_progress(run);
	fwrite(line, 1, n, stderr);
	funlockfile(stderr);
}

static bool guest_has_terminal(const struct run *run)
{
	const struct config *c = &run->vm->config;

	return c->serial.kind == SERIAL_STDIO || c->console.kind == SERIAL_STDIO;
}

/*
 * Prints progress on a terminal as it goes on, in one line that is erased at the end; elsewhere
 * once, at the end, what was mapped. While the guest runs it has a line only if the guest itself
 * does not write to the terminal; what was mapped is in the lines of the devices that arrive.
 */
static void print_progress(struct run *run, const struct vm_event *event, const char *sentence)
{
	if (event->late && (!run->tty || guest_has_terminal(run)))
		return;
	if (run->tty) {
		flockfile(stderr);
		fprintf(stderr, "\rstraddle: %s\33[K", sentence);
		run->in_line = true;
		funlockfile(stderr);
	} else if (event->kind == VM_EVENT_MAPPING && event->bytes >= event->total) {
		print(run, sentence);
	}
}

void run_event(void *to, const struct vm_event *event)
{
	struct run *run = to;
	char sentence[4096 + 64];

	vm_event_sentence(event, sentence, sizeof(sentence));
	switch (event->kind) {
	case VM_EVENT_TOUCHING:
	case VM_EVENT_MAPPING:
		print_progress(run, event, sentence);
		break;
	case VM_EVENT_READY:
		flockfile(stderr);
		erase_progress(run);
		funlockfile(stderr);
		break;
	case VM_EVENT_RESET:
	case VM_EVENT_REGISTERS:
	case VM_EVENT_UNCLAIMED:
		if (run->vm->config.verbose)
			print(run, sentence);
		break;
	case VM_EVENT_LOST:
	case VM_EVENT_CUT:
		run->raw = false; /* the lines are closed */
		print(run, sentence);
		break;
	case VM_EVENT_REMARK:
	case VM_EVENT_ARRIVED:
	case VM_EVENT_LINE:
	case VM_EVENT_UNMAPPING:
		print(run, sentence);
		break;
	}
}

/* --- signals --- */

bool run_ends(void *to)
{
	struct run *run = to;
	struct signalfd_siginfo info;

	while (read(run->signals, &info, sizeof(info)) == sizeof(info))
		if (info.ssi_signo != SIGTSTP && info.ssi_signo != SIGCONT &&
		    info.ssi_signo != SIGWINCH)
			run->signal = (int)info.ssi_signo;
	return run->signal;
}

static void signal_ready(void *to, short revents)
{
	struct run *run = to;
	struct signalfd_siginfo info;

	(void)revents;
	if (read(run->signals, &info, sizeof(info)) != sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGTSTP:
		vm_suspend_lines(run->vm);
		raise(SIGSTOP); /* SIGCONT follows through the signalfd. */
		return;
	case SIGCONT:
		vm_continue_lines(run->vm);
		return;
	case SIGWINCH:
		vm_resize_console(run->vm);
		return;
	case SIGTERM:
		if (vm_power_off(run->vm))
			return;
		break;
	}
	run->signal = (int)info.ssi_signo;
	vm_stop(run->vm);
}

int run_catch_signals(struct run *run, struct err *err)
{
	static const int caught[] = {
		SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH
	};

	return vm_catch_signals(run->vm, caught, ARRAY_SIZE(caught), &run->signals, signal_ready,
				run, err);
}
