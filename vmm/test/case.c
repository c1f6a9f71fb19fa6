#include "vmm/test/case.h"

#include "vmm/host/clock.h"
#include "vmm/test/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define GUEST_CID    3
#define CHANNEL_PORT 29556			 /* of the host */
#define LEAVE_NS     (10 * UINT64_C(1000000000)) /* for a guest to power off after its command */
#define SETTLE_TICKS 5 /* a complaint of the kernel is complete when so long nothing followed */
#define SETTLE_MAX   30
#define REST_MS	     20 /* between two looks for the last output of a guest that is kept */
#define REST_LOOKS   5	/* without any, and it is complete */
#define REST_MAX     500

/* --- why a case ends --- */

/* Ends the guest for a reason of this file. The first reason counts. */
static void __attribute__((format(printf, 3, 4)))
end_case(struct test_case *t, enum verdict v, const char *fmt, ...)
{
	va_list ap;

	if (t->stop == VERDICTS) {
		t->stop = v;
		va_start(ap, fmt);
		vsnprintf(t->why, sizeof(t->why), fmt, ap);
		va_end(ap);
	}
	vm_stop(t->vm);
}

static void end_by_limit(struct test_case *t, enum verdict v)
{
	const struct config_test *limits = &t->vm->config.test;
	const char *step = *t->step ? t->step : "nothing";

	switch (v) {
	case VERDICT_BOOT_LIMIT:
		end_case(t, v, "init did not start within %u s (--boot-limit)", limits->boot_limit);
		break;
	case VERDICT_IDLE_LIMIT:
		end_case(t, v,
			 "no byte on any channel and no I/O for %u s (--idle-limit); the last that "
			 "init said was: %s",
			 limits->idle_limit, step);
		break;
	case VERDICT_LIMIT:
		end_case(t, v,
			 "the case did not end within %u s (--limit); the last that init said was: "
			 "%s",
			 limits->limit, step);
		break;
	default:
		end_case(
			t, v,
			"this host was too busy to tell: a limit passed %u times on the clock, and "
			"the guest's CPUs could run for %.1f of %.1f s only",
			LIMITS_PATIENCE, (double)cpu_clock_ran(&t->limits.clock) / 1e9,
			(double)t->limits.clock.elapsed / 1e9);
		break;
	}
}

static double seconds_since_start(const struct test_case *t)
{
	return t->start ? host_clock_since(t->start) : 0;
}

/* --- what init says --- */

static void case_hello(void *to, const char *release)
{
	struct test_case *t = to;

	t->limits.booted = true;
	t->result->boot_seconds = seconds_since_start(t);
	snprintf(t->step, sizeof(t->step), "started, on Linux %s", release);
}

static void case_step(void *to, const char *text)
{
	struct test_case *t = to;

	snprintf(t->step, sizeof(t->step), "%s", text);
	if (t->vm->config.verbose)
		fprintf(stderr, "straddle: init: %s\n", text);
}

static void case_started(void *to)
{
	struct test_case *t = to;

	snprintf(t->step, sizeof(t->step), "runs the command");
}

static void case_ended(void *to, const struct channel_exit *exit)
{
	struct test_case *t = to;

	t->ended = true;
	t->exit = *exit;
	t->ended_at = cpu_clock_ran(&t->limits.clock);
}

static void case_fault(void *to, const char *sentence)
{
	struct test_case *t = to;

	t->faulted = true;
	t->ended_at = cpu_clock_ran(&t->limits.clock);
	snprintf(t->why, sizeof(t->why), "%s", sentence);
}

static void case_broken(void *to, const char *sentence)
{
	end_case(to, VERDICT_LOST, "%s", sentence);
}

/* --- the console --- */

static void case_printed(void *to, const uint8_t *data, size_t n)
{
	struct test_case *t = to;

	splat_feed(&t->splat, &t->allow, data, n);
	test_expect_feed(&t->expect, data, n);
	t->quiet_ticks = 0;
}

/* A complaint is left the time to be printed to its end, because its trace is what is wanted. */
static void judge_splat(struct test_case *t)
{
	const struct splat_words *found = t->splat.found;

	if (!found || t->stop != VERDICTS)
		return;
	t->splat_ticks++;
	if (t->quiet_ticks++ < SETTLE_TICKS && t->splat_ticks < SETTLE_MAX)
		return;
	end_case(t, found->verdict, "%s: %s", verdict_help(found->verdict), t->splat.text);
}

/* --- time --- */

static uint64_t count_signs(const struct test_case *t)
{
	return t->console.bytes + t->channel.moved + t->work;
}

/* Takes a sample of the vCPUs' times, once all their threads run. */
static enum verdict tick_limits(struct test_case *t)
{
	unsigned n = t->vm->plan.cpus;
	struct cpu_host host;
	struct cpu_sample sample = { .host = &host, .threads = t->threads, .nr_threads = n };

	if (vm_cpu_threads(t->vm, t->tids, n) < n)
		return VERDICTS;
	for (unsigned i = 0; i < n; i++)
		(void)cpu_thread_read(t->tids[i], &t->threads[i]);
	cpu_host_read(&host);
	sample.wall = host_clock_ns();
	t->work = vm_work(t->vm);
	return test_limits_tick(&t->limits, &sample, count_signs(t));
}

static void case_tick(void *to, short revents)
{
	struct test_case *t = to;
	enum verdict v;
	uint64_t count;

	(void)revents;
	if (read(t->timer, &count, sizeof(count)) != sizeof(count))
		return;
	v = tick_limits(t);
	judge_splat(t);
	if (t->stop != VERDICTS)
		return;
	if (t->ended || t->faulted) {
		if (cpu_clock_ran(&t->limits.clock) - t->ended_at > LEAVE_NS)
			vm_stop(t->vm);
	} else if (v != VERDICTS) {
		end_by_limit(t, v);
	}
}

static int case_open_timer(struct test_case *t, struct err *err)
{
	const struct itimerspec tick = { { 0, LIMITS_TICK_MS * 1000000 },
					 { 0, LIMITS_TICK_MS * 1000000 } };

	t->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (t->timer < 0 || timerfd_settime(t->timer, 0, &tick, NULL) < 0)
		return err_sys(err, errno, "cannot make a timer");
	return loop_watch(&t->vm->loop, t->timer, POLLIN, case_tick, t, err);
}

/* --- the vm's owner --- */

static void case_event(void *to, const struct vm_event *event)
{
	struct test_case *t = to;
	char sentence[4096 + 64];

	if (event->kind == VM_EVENT_REGISTERS)
		t->triple_fault = true;
	if (event->kind != VM_EVENT_REMARK && !t->vm->config.verbose)
		return;
	if (event->kind == VM_EVENT_TOUCHING || event->kind == VM_EVENT_READY)
		return; /* for terminals */
	fprintf(stderr, "straddle: %s\n", vm_event_sentence(event, sentence, sizeof(sentence)));
}

static bool case_signalled(void *to)
{
	struct test_case *t = to;
	struct signalfd_siginfo info;

	while (read(t->signals, &info, sizeof(info)) == sizeof(info))
		t->signal = (int)info.ssi_signo;
	return t->signal;
}

static void keep_guest(struct test_case *t);

/* Writes down what the vCPUs were doing, and the core, unless the guest ended well. */
static void case_guest_ended(void *to)
{
	struct test_case *t = to;
	struct err err;
	size_t size;
	FILE *file;

	t->work = vm_work(t->vm); /* the devices end with the machine */
	if (t->vm->end == MACHINE_POWEROFF)
		return;
	free(t->cpus);
	t->cpus = NULL;
	file = open_memstream(&t->cpus, &size);
	if (!file)
		return;
	vm_describe(t->vm, file);
	(void)fclose(file);
	if (t->vm->config.test.core && vm_write_core(t->vm, t->vm->config.test.core, &err) < 0)
		fprintf(stderr, "straddle: --core: %s\n", err.text);
	if (t->vm->config.test.keep)
		keep_guest(t);
}

static void case_signal_ready(void *to, short revents)
{
	struct test_case *t = to;

	(void)revents;
	if (case_signalled(t))
		end_case(t, VERDICT_INTERRUPTED, "the case was ended by %s", strsignal(t->signal));
}

static void case_judge(struct test_case *t, int ret, const struct err *err);

static void case_abandon(void *to, const char *sentence)
{
	struct test_case *t = to;
	struct err err;

	err_set(&err, 0, "%s", sentence);
	if (!t->kept)
		case_judge(t, -EIO, &err);
	fprintf(stderr, "straddle: %s\n", t->result->sentence);
	_exit(test_result_status(t->result));
}

static int catch_signals(struct test_case *t, struct err *err)
{
	static const int caught[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };

	return vm_catch_signals(t->vm, caught, ARRAY_SIZE(caught), &t->signals, case_signal_ready,
				t, err);
}

/* --- what the guest is given --- */

/*
 * The kernel's own words come first, so that those of --append win where the last one counts.
 * panic=-1: a kernel that panics resets at once, which is known at once.
 */
static int complete_append(struct config *c, struct err *err)
{
	char *all;

	if (asprintf(&all, "console=ttyS0 panic=-1%s%s", c->append ? " " : "",
		     c->append ? c->append : "") < 0)
		return err_sys(err, ENOMEM, "out of memory for the kernel's command line");
	free(c->append);
	c->append = all;
	return 0;
}

/* Makes a pair of connected sockets, one for each side. */
static int make_pair(int *ours, int *guests, struct err *err)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(err, errno, "cannot make a pair of sockets");
	*ours = ends[0];
	*guests = ends[1];
	return 0;
}

static bool has_init(const struct test_case *t)
{
	return !t->vm->config.test.no_init;
}

/* A terminal is not read, because a case that runs in the background must not stop for it. */
static int case_input(void)
{
	return isatty(STDIN_FILENO) ? -1 : STDIN_FILENO;
}

static int add_init(struct test_case *t, struct err *err)
{
	struct config *c = &t->vm->config;
	int ret;

	if (c->nr_initrds == CONFIG_INITRDS_MAX)
		return err_set(err, EINVAL,
			       "there can be at most %u --initrd here; join some with cat",
			       CONFIG_INITRDS_MAX - 1);
	ret = test_root_open(&t->root, c, err);
	if (ret < 0)
		return ret;
	ret = test_initramfs_make(&t->initramfs, c, test_root_spec(c, &t->root), t->root.read_only,
				  case_input() >= 0, err);
	if (ret < 0)
		return ret;
	c->initrds[c->nr_initrds] = strdup(t->initramfs.path);
	if (!c->initrds[c->nr_initrds])
		return err_sys(err, ENOMEM, "out of memory for a file name");
	c->nr_initrds++;
	return 0;
}

/*
 * Adds a vsock device for the channel, which is faster than a serial line, unless the user's own is
 * served by the kernel, or a plan file says what devices there are.
 */
static bool wants_vsock(const struct config *c)
{
	return c->vsock_cid ? c->vsock_socket != NULL : !c->plan_file;
}

/* Makes the lines to the guest: its console, and with init the channel, in one or two ways. */
static int connect_guest(struct test_case *t, struct err *err)
{
	struct config *c = &t->vm->config;
	int ret = make_pair(&t->ours[LINE_CONSOLE], &t->guests[LINE_CONSOLE], err);

	if (ret < 0)
		return ret;
	c->serial = (struct config_line){ .kind = SERIAL_FD, .fd = t->guests[LINE_CONSOLE] };
	if (!has_init(t))
		return 0;
	ret = make_pair(&t->ours[LINE_SERIAL], &t->guests[LINE_SERIAL], err);
	if (ret < 0)
		return ret;
	c->channel = (struct config_line){ .kind = SERIAL_FD, .fd = t->guests[LINE_SERIAL] };
	if (!wants_vsock(c))
		return 0;
	ret = make_pair(&t->ours[LINE_VSOCK], &t->guests[LINE_VSOCK], err);
	if (ret < 0)
		return ret;
	c->vsock_cid = c->vsock_cid ? c->vsock_cid : GUEST_CID;
	c->vsock_port = CHANNEL_PORT;
	c->vsock_fd = t->guests[LINE_VSOCK];
	return 0;
}

/* Gives our end of a line away. */
static int give_end(struct test_case *t, unsigned line)
{
	int fd = t->ours[line];

	t->ours[line] = -1;
	return fd;
}

static int watch_guest(struct test_case *t, struct err *err)
{
	const struct test_console_user of_console = { case_printed, t };
	const struct test_channel_user of_channel = { case_hello, case_step,  case_started,
						      case_ended, case_fault, case_broken,
						      t };
	struct loop *loop = &t->vm->loop;
	FILE *copy = t->vm->config.verbose ? stderr : NULL;
	int ret = test_console_open(&t->console, loop, give_end(t, LINE_CONSOLE), copy, &of_console,
				    err);

	if (ret < 0 || !has_init(t))
		return ret;
	ret = test_channel_open(&t->channel, loop, give_end(t, LINE_SERIAL), case_input(),
				STDOUT_FILENO, STDERR_FILENO, &of_channel, err);
	if (ret < 0 || t->ours[LINE_VSOCK] < 0)
		return ret;
	return test_channel_offer(&t->channel, give_end(t, LINE_VSOCK), err);
}

/* --- the run --- */

static bool case_waits(void *to)
{
	return !case_signalled(to);
}

/* The output that was on its way when the guest ended; see vm_close_lines(). */
static void read_the_rest(struct test_case *t)
{
	test_console_drain(&t->console);
	test_channel_drain(&t->channel, case_waits);
	vm_close_lines(t->vm);
	test_console_drain(&t->console);
	test_channel_drain(&t->channel, case_waits);
	splat_end(&t->splat, &t->allow);
}

/* Reads what the user allows and expects. */
static int read_expectations(struct test_case *t, struct err *err)
{
	const struct config_test *c = &t->vm->config.test;
	int ret;

	t->vm->blame = VM_BLAME_USER;
	for (unsigned i = 0; i < c->nr_allow_splats; i++) {
		ret = splat_allow_add(&t->allow, c->allow_splats[i], err);
		if (ret < 0)
			return ret;
	}
	ret = test_expect_init(&t->expect, c, err);
	if (ret < 0)
		return ret;
	t->vm->blame = VM_BLAME_HOST;
	return 0;
}

static int begin_limits(struct test_case *t, struct err *err)
{
	const struct config_test *limits = &t->vm->config.test;
	unsigned n = t->vm->plan.cpus;

	t->threads = calloc(n, sizeof(*t->threads));
	t->clock_threads = calloc(n, sizeof(*t->clock_threads));
	t->tids = calloc(n, sizeof(*t->tids));
	if (!t->threads || !t->clock_threads || !t->tids)
		return err_sys(err, ENOMEM, "out of memory for the times of %u CPUs", n);
	test_limits_init(&t->limits, has_init(t) ? limits->boot_limit : 0, limits->idle_limit,
			 limits->limit, t->clock_threads, n);
	return case_open_timer(t, err);
}

static int case_start(struct test_case *t, struct err *err)
{
	struct config *c = &t->vm->config;
	int ret;

	ret = read_expectations(t, err);
	if (ret < 0)
		return ret;
	c->no_reboot = true;
	ret = complete_append(c, err);
	if (ret < 0)
		return ret;
	ret = connect_guest(t, err);
	if (ret < 0)
		return ret;
	if (has_init(t)) {
		ret = add_init(t, err);
		if (ret == -EINVAL)
			t->vm->blame = VM_BLAME_USER;
		if (ret < 0)
			return ret;
	}
	ret = vm_plan(t->vm, err);
	test_root_connected(&t->root);
	if (ret < 0)
		(void)test_root_tell(&t->root, err); /* perhaps that is why */
	if (ret < 0)
		return ret;
	ret = watch_guest(t, err);
	if (ret < 0)
		return ret;
	ret = catch_signals(t, err);
	if (ret < 0)
		return ret;
	return vm_prepare(t->vm, err);
}

static int run_case(struct test_case *t, struct err *err)
{
	int ret = case_start(t, err);

	if (ret < 0)
		return ret;
	ret = begin_limits(t, err);
	if (ret < 0)
		return ret;
	t->start = host_clock_ns();
	test_console_start(&t->console);
	ret = vm_run(t->vm, err);
	read_the_rest(t);
	return ret;
}

/* --- the verdict --- */

static void __attribute__((format(printf, 3, 4)))
set_verdict(struct test_case *t, enum verdict v, const char *fmt, ...)
{
	struct test_result *r = t->result;
	va_list ap;

	r->verdict = v;
	va_start(ap, fmt);
	vsnprintf(r->sentence, sizeof(r->sentence), fmt, ap);
	va_end(ap);
}

/* The command's own end, or what init sent in place of it. */
static void judge_command(struct test_case *t)
{
	struct test_result *r = t->result;

	if (t->faulted) {
		set_verdict(t, VERDICT_SETUP, "%s", t->why);
	} else if (!has_init(t)) {
		set_verdict(t, VERDICT_COMMAND, "the guest powered off");
	} else if (!t->ended) {
		set_verdict(t, VERDICT_LOST,
			    "the guest ended, and its init had sent no status; the last that it "
			    "said was: %s",
			    *t->step ? t->step : "nothing");
	} else if (t->exit.signalled) {
		r->command_status = 128 + t->exit.value;
		set_verdict(t, VERDICT_COMMAND, "the command was ended by signal %u (%s)",
			    t->exit.value, strsignal((int)t->exit.value));
	} else {
		r->command_status = t->exit.value;
		set_verdict(t, VERDICT_COMMAND, "the command ended with status %u", t->exit.value);
	}
}

static void judge_panic(struct test_case *t)
{
	struct panic_line panic;

	vm_panicked(t->vm, &panic);
	snprintf(t->result->line, sizeof(t->result->line), "%s", panic.text);
	if (strstr(panic.text, "ut of memory") || strstr(panic.text, "deadlocked on memory"))
		set_verdict(t, VERDICT_OUT_OF_MEMORY, "the guest's kernel panicked: %s",
			    panic.text);
	else
		set_verdict(t, VERDICT_PANIC, "the guest's kernel panicked%s%s",
			    *panic.text ? ": " : "", panic.text);
}

/* The end of a guest that this file did not end. */
static void case_judge_end(struct test_case *t, const struct err *err)
{
	const struct vm *vm = t->vm;

	switch (vm->end) {
	case MACHINE_POWEROFF:
	case MACHINE_DEBUG_EXIT:
		judge_command(t);
		return;
	case MACHINE_RESET:
		if (t->triple_fault)
			set_verdict(t, VERDICT_CRASH, "the guest crashed by a triple fault");
		else if (t->ended || t->faulted)
			judge_command(t);
		else
			set_verdict(t, VERDICT_RESET, "the guest reset itself");
		return;
	case MACHINE_PANIC:
		judge_panic(t);
		return;
	case MACHINE_CRASH:
	case MACHINE_TRIPLE_FAULT:
		set_verdict(t, VERDICT_CRASH, "the guest crashed: %.*s",
			    (int)strcspn(vm->machine.report, "\n"), vm->machine.report);
		return;
	case MACHINE_STOPPED:
		if (vm->dead)
			set_verdict(t, VERDICT_HALTED,
				    "all CPUs of the guest were halted with interrupts off");
		else if (t->ended || t->faulted)
			judge_command(t); /* it did not power off in time */
		else
			set_verdict(t, VERDICT_INTERRUPTED, "the case was ended from outside");
		return;
	case MACHINE_RUNNING:
	case MACHINE_HOST_ERROR:
		break;
	}
	set_verdict(t, VERDICT_HOST_ERROR, "%s", err->text);
}

/* Since the last sign of life, as of the last tick: 0 if there was one after it. */
static void measure_silence(const struct test_case *t, struct test_result *r)
{
	const struct cpu_clock *c = &t->limits.clock;

	if (count_signs(t) != t->limits.signs)
		return;
	r->silent = (double)c->idle_elapsed / 1e9;
	r->silent_ran = (double)cpu_clock_idle(c) / 1e9;
}

static void case_judge(struct test_case *t, int ret, const struct err *err)
{
	struct test_result *r = t->result;

	if (ret == -EINTR && t->signal)
		set_verdict(t, VERDICT_INTERRUPTED, "the case was ended by %s",
			    strsignal(t->signal));
	else if (ret < 0)
		set_verdict(t, t->vm->blame == VM_BLAME_USER ? VERDICT_USAGE : VERDICT_HOST_ERROR,
			    "%s", err->text);
	else if (t->stop != VERDICTS && t->vm->end == MACHINE_STOPPED && !t->vm->dead)
		set_verdict(t, t->stop, "%s", t->why);
	else
		case_judge_end(t, err);
	/* What was seen on the console or could not be written counts more than a good end. */
	if (ret == 0 && r->verdict == VERDICT_COMMAND && *t->channel.out_error.text)
		set_verdict(t, VERDICT_HOST_ERROR, "%s", t->channel.out_error.text);
	if (ret == 0 && r->verdict == VERDICT_COMMAND && t->splat.found)
		set_verdict(t, t->splat.found->verdict, "%s: %s",
			    verdict_help(t->splat.found->verdict), t->splat.text);
	if (!*r->line && t->splat.found)
		snprintf(r->line, sizeof(r->line), "%s", t->splat.text);
	test_expect_judge(&t->expect, r);
	r->seconds = seconds_since_start(t);
	r->waited = (double)t->limits.clock.waited / 1e9;
	r->stolen = (double)t->limits.clock.stolen / 1e9;
	measure_silence(t, r);
	r->console = test_console_tail(&t->console, t->tail, sizeof(t->tail));
}

/* --- a guest that is kept --- */

/*
 * The output that was on its way when the guest's CPUs stopped: threads of the devices still hand
 * it on, and they end with the machine only.
 */
static void read_what_comes(struct test_case *t)
{
	const struct timespec rest = { 0, REST_MS * 1000000 };

	for (unsigned i = 0, quiet = 0; i < REST_MAX && quiet < REST_LOOKS; i++) {
		uint64_t before = t->console.bytes + t->channel.moved;

		(void)nanosleep(&rest, NULL);
		test_console_drain(&t->console);
		test_channel_drain(&t->channel, case_waits);
		quiet = t->console.bytes + t->channel.moved == before && !vm_unwritten(t->vm)
				? quiet + 1
				: 0;
	}
	splat_end(&t->splat, &t->allow);
}

/* Judges the case now, and keeps the guest if something else than its command failed. */
static void keep_guest(struct test_case *t)
{
	const struct itimerspec never = { { 0, 0 }, { 0, 0 } };
	struct err err;

	read_what_comes(t);
	err_set(&err, EIO, "%s", t->vm->machine.report);
	case_judge(t, 0, &err);
	if (test_keep_lacks(t))
		return;
	(void)timerfd_settime(t->timer, 0, &never, NULL);
	t->kept = true;
	if (t->keeps)
		t->keeps(t);
	test_keep(t);
}

void test_case_run(struct test_case *t, struct test_result *result)
{
	struct err err = { "" };
	int ret;

	t->result = result;
	result->attempts = 1;
	result->boot_seconds = -1;
	ret = run_case(t, &err);
	if (ret < 0)
		read_the_rest(t);
	if (!t->kept)
		case_judge(t, ret, &err);
}

/* --- making and freeing --- */

int test_case_init(struct test_case *t, struct err *err)
{
	const struct vm_user user = {
		.event = case_event,
		.ends = case_signalled,
		.abandon = case_abandon,
		.to = t,
		.ended = case_guest_ended,
		.watch_dead = true,
	};

	*t = (struct test_case){
		.channel = TEST_CHANNEL_EMPTY,
		.console = TEST_CONSOLE_EMPTY,
		.initramfs = TEST_INITRAMFS_EMPTY,
		.ours = { -1, -1, -1 },
		.guests = { -1, -1, -1 },
		.signals = -1,
		.timer = -1,
		.stop = VERDICTS,
	};
	t->vm = vm_new(&user);
	return t->vm ? 0 : err_sys(err, ENOMEM, "out of memory for the virtual machine");
}

void test_case_free(struct test_case *t)
{
	const int fds[] = { t->timer, t->signals };

	test_channel_close(&t->channel);
	test_console_close(&t->console);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	vm_free(t->vm);
	for (unsigned i = 0; i < LINES; i++) {
		if (t->ours[i] >= 0)
			close(t->ours[i]);
		if (t->guests[i] >= 0)
			close(t->guests[i]);
	}
	test_initramfs_close(&t->initramfs);
	test_root_close(&t->root);
	splat_allow_free(&t->allow);
	test_expect_free(&t->expect);
	free(t->threads);
	free(t->clock_threads);
	free(t->tids);
	free(t->cpus);
	free(t->control);
}
