/*
 * straddle run: what ends a guest from outside: signals, limits of time, and its own words of a
 * panic.
 */
#include "vmm/cli/cmd_run.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* --- timers --- */

static int open_timer(struct run *run, int *timer, void (*ready)(void *to, short revents),
		      struct err *err)
{
	*timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (*timer < 0)
		return err_sys(err, errno, "cannot make a timer");
	if (loop_watch(&run->loop, *timer, POLLIN, ready, run) < 0)
		return err_set(err, ENOSPC, "too many descriptors in the event loop");
	return 0;
}

/* Once, in so many seconds; 0: never. */
static void start_timer(int timer, unsigned seconds)
{
	const struct itimerspec when = { .it_value = { .tv_sec = seconds } };

	(void)timerfd_settime(timer, 0, &when, NULL);
}

static void tick(int timer, bool on)
{
	const struct timespec period = { 0, on ? PANIC_TICK_MS * 1000000 : 0 };
	const struct itimerspec when = { period, period };

	(void)timerfd_settime(timer, 0, &when, NULL);
}

static bool expired(int timer)
{
	uint64_t count;

	return read(timer, &count, sizeof(count)) == sizeof(count);
}

static void stop_timer_ready(void *to, short revents)
{
	struct run *run = to;

	(void)revents;
	if (!expired(run->stop_timer))
		return;
	run->overdue = true;
	run->signal = SIGTERM;
	machine_stop(&run->machine);
}

static void timer_ready(void *to, short revents)
{
	struct run *run = to;

	(void)revents;
	if (!expired(run->timer))
		return;
	run->timed_out = true;
	machine_stop(&run->machine);
}

/* --- signals --- */

static void stop_process(struct run *run)
{
	for (unsigned i = 0; i < run->nr_lines; i++)
		console_suspend(&run->lines[i]);
	raise(SIGSTOP);
	/* SIGCONT follows through the signalfd. */
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
		stop_process(run);
		return;
	case SIGCONT:
		for (unsigned i = 0; i < run->nr_lines; i++)
			console_continue(&run->lines[i]);
		return;
	case SIGWINCH:
		machine_resize_console(&run->machine);
		return;
	case SIGTERM:
		if (run->asked_off)
			break;
		run->asked_off = true;
		start_timer(run->stop_timer, run->config.stop_timeout);
		machine_power_button(&run->machine);
		return;
	}
	run->signal = (int)info.ssi_signo;
	machine_stop(&run->machine);
}

static int catch_signals(struct run *run, struct err *err)
{
	static const int caught[] = {
		SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH
	};
	struct sigaction was;
	sigset_t set;

	/* What the parent had us ignore (nohup, a script's &) stays ignored: a signalfd would not.
	 */
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(caught); i++)
		if (sigaction(caught[i], NULL, &was) == 0 && was.sa_handler != SIG_IGN)
			sigaddset(&set, caught[i]);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return err_sys(err, errno, "cannot block signals");
	run->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (run->signals < 0)
		return err_sys(err, errno, "cannot make a signalfd");
	if (loop_watch(&run->loop, run->signals, POLLIN, signal_ready, run) < 0)
		return err_set(err, ENOSPC, "too many descriptors in the event loop");
	return vcpu_init_kick(err);
}

bool run_is_asked_to_end(struct run *run)
{
	struct signalfd_siginfo info;

	while (read(run->signals, &info, sizeof(info)) == sizeof(info))
		if (info.ssi_signo != SIGTSTP && info.ssi_signo != SIGCONT &&
		    info.ssi_signo != SIGWINCH)
			run->signal = (int)info.ssi_signo;
	run->timed_out |= expired(run->timer);
	return run->signal || run->timed_out;
}

/* --- panics --- */

/* What the guest's consoles said: bytes, and the first panic among them. */
static uint64_t printed(struct run *run, struct panic_line *panic)
{
	uint64_t bytes = 0;

	*panic = (struct panic_line){ 0 };
	for (unsigned i = 0; i < run->nr_lines; i++) {
		struct panic_line of_line;

		bytes += console_printed(&run->lines[i], &of_line);
		if (!*panic->text)
			*panic = of_line;
		panic->booted |= of_line.booted;
	}
	return bytes;
}

static void panic_said(void *to, short revents)
{
	struct run *run = to;
	uint64_t count;

	(void)revents;
	if (read(run->panic_event, &count, sizeof(count)) != sizeof(count))
		return;
	run->doubt = (struct panic_doubt){ 0 };
	tick(run->panic_timer, true);
}

static void panic_tick(void *to, short revents)
{
	struct run *run = to;
	struct panic_line panic;
	enum panic_verdict verdict;
	uint64_t bytes;
	bool slept;

	(void)revents;
	if (!expired(run->panic_timer))
		return;
	bytes = printed(run, &panic);
	slept = machine_look_for_sleepers(&run->machine);
	verdict = panic_doubt_tick(&run->doubt, bytes, slept,
				   panic.booted || machine_crash_is_loaded(&run->machine));
	if (verdict == PANIC_ALIVE) {
		tick(run->panic_timer, false);
		for (unsigned i = 0; i < run->nr_lines; i++)
			console_forget_panic(&run->lines[i]);
	} else if (verdict == PANIC_DEAD && !panic_is_attended(run->config.append)) {
		machine_panicked(&run->machine);
	}
}

static int watch_panics(struct run *run, struct err *err)
{
	run->panic_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (run->panic_event < 0)
		return err_sys(err, errno, "cannot make an eventfd");
	if (loop_watch(&run->loop, run->panic_event, POLLIN, panic_said, run) < 0)
		return err_set(err, ENOSPC, "too many descriptors in the event loop");
	return open_timer(run, &run->panic_timer, panic_tick, err);
}

bool run_guest_spoke(struct run *run)
{
	struct panic_line panic;

	return printed(run, &panic);
}

bool run_guest_panicked(struct run *run, struct panic_line *line)
{
	(void)printed(run, line);
	return *line->text && !run->config.panic_by_device &&
	       !machine_crash_is_loaded(&run->machine);
}

/* --- all of them --- */

int run_open_events(struct run *run, struct err *err)
{
	int ret = catch_signals(run, err);

	if (ret == 0)
		ret = open_timer(run, &run->stop_timer, stop_timer_ready, err);
	if (ret == 0)
		ret = open_timer(run, &run->timer, timer_ready, err);
	if (ret == 0 && !run->config.panic_by_device)
		ret = watch_panics(run, err);
	return ret;
}

void run_begin_guest(struct run *run)
{
	uint64_t count;

	if (!run->begun)
		start_timer(run->timer, run->config.timeout);
	run->begun = true;
	if (run->panic_event >= 0) {
		tick(run->panic_timer, false);
		(void)!read(run->panic_event, &count, sizeof(count));
	}
	for (unsigned i = 0; i < run->nr_lines; i++)
		console_new_guest(&run->lines[i], run->panic_event);
}

void run_close_events(struct run *run)
{
	const int fds[] = { run->signals, run->stop_timer, run->timer, run->panic_event,
			    run->panic_timer };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}
