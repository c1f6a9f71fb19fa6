/*
 * straddle run: plan, build the machine, run it, and turn its end into an exit status.
 */
#include "vmm/cmd.h"

#include "vmm/machine.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* Everything that outlives a reset of the guest. */
struct run {
	struct config config;
	struct plan plan;
	struct image kernel, initrd;
	struct boot_kernel boot_kernel;
	struct loop loop;
	struct console console;
	bool has_console;
	int signals; /* signalfd */
	struct machine machine;
	bool asked_off; /* the power button was pressed */
	int signal;	/* the one that ended the run, or 0 */
};

/* --- signals --- */

static void stop_process(struct run *run)
{
	console_suspend(&run->console);
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
		console_continue(&run->console);
		return;
	case SIGTERM:
		if (run->asked_off)
			break;
		run->asked_off = true;
		machine_power_button(&run->machine);
		return;
	}
	run->signal = (int)info.ssi_signo;
	machine_stop(&run->machine);
}

/* Before any thread is made, so that all of them inherit the mask. */
static int catch_signals(struct run *run, struct err *err)
{
	static const int caught[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT };
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

/* --- files --- */

static int open_images(struct run *run, struct err *err)
{
	const struct config *c = &run->config;
	int ret = image_open(&run->kernel, "--kernel", c->kernel, err);

	if (ret < 0)
		return ret;
	ret = boot_kernel_parse(&run->boot_kernel, run->kernel.data, run->kernel.len, err);
	if (ret < 0)
		return err_prefix(err, ret, "--kernel %s: ", c->kernel);
	if (!c->initrd)
		return 0;
	ret = image_open(&run->initrd, "--initrd", c->initrd, err);
	if (ret < 0)
		return ret;
	ret = boot_initrd_check(run->initrd.data, run->initrd.len, err);
	return ret < 0 ? err_prefix(err, ret, "--initrd %s: ", c->initrd) : 0;
}

static int open_console(struct run *run, struct err *err)
{
	const struct config *c = &run->config;
	int ret = console_open(&run->console, c->serial, c->serial_path, &run->loop, err);

	if (ret < 0)
		return ret;
	run->has_console = true;
	if (console_pty(&run->console))
		fprintf(stderr, "straddle: serial line is %s\n", console_pty(&run->console));
	return 0;
}

/* --- the guest --- */

static void say_unclaimed(const struct machine *m)
{
	const struct machine_access *first = &m->first_unclaimed;

	if (m->unclaimed)
		fprintf(stderr,
			"straddle: no device claimed %llu accesses; the first was a %u-byte %s %s "
			"%#llx\r\n",
			(unsigned long long)m->unclaimed, first->size,
			first->write ? "write to" : "read from", first->port ? "port" : "address",
			(unsigned long long)first->at);
}

/* Creates and runs the machine until an end that is not a reset to be followed. */
static int run_guest(struct run *run, enum machine_end *end, struct err *err)
{
	const struct config *c = &run->config;
	const struct machine_parts parts = {
		.plan = &run->plan,
		.kernel = &run->kernel,
		.initrd = c->initrd ? &run->initrd : NULL,
		.boot_kernel = &run->boot_kernel,
		.append = c->append,
		.loop = &run->loop,
		.console = &run->console,
		.has_debug_exit = c->has_debug_exit,
		.debug_exit_port = c->debug_exit_port,
	};

	for (;;) {
		int ret = machine_create(&run->machine, &parts, err);

		if (ret < 0)
			return ret;
		if (run->asked_off)
			machine_power_button(&run->machine); /* asked before a reset */
		*end = machine_run(&run->machine, err);
		machine_destroy(&run->machine);
		if (c->verbose)
			say_unclaimed(&run->machine);
		if (*end == MACHINE_RESET && run->signal)
			*end = MACHINE_STOPPED;
		if (*end != MACHINE_RESET || c->no_reboot)
			return 0;
		ret = console_error(&run->console, err);
		if (ret < 0)
			return ret;
		if (c->verbose)
			fprintf(stderr, "straddle: the guest resets\r\n");
	}
}

static int end_status(struct run *run, enum machine_end end, const struct err *err)
{
	struct err lost;

	/* A guest that ended well but whose words were lost did not end well. */
	if (end != MACHINE_HOST_ERROR && console_error(&run->console, &lost) < 0) {
		complain(&lost, STATUS_HOST_ERROR);
		if (end == MACHINE_POWEROFF || end == MACHINE_RESET)
			return STATUS_HOST_ERROR;
	}
	switch (end) {
	case MACHINE_POWEROFF:
		return STATUS_POWEROFF;
	case MACHINE_RESET:
		return STATUS_RESET;
	case MACHINE_PANIC:
		fprintf(stderr, "straddle: the guest's kernel panicked\n");
		return STATUS_PANIC;
	case MACHINE_CRASH:
		fprintf(stderr, "straddle: the guest crashed: %s", run->machine.report);
		return STATUS_CRASH;
	case MACHINE_DEBUG_EXIT:
		return (int)(run->machine.value << 1 | 1);
	case MACHINE_STOPPED:
		return run->signal ? 128 + run->signal : STATUS_POWEROFF;
	case MACHINE_RUNNING:
	case MACHINE_HOST_ERROR:
		break;
	}
	return complain(err, STATUS_HOST_ERROR);
}

static void close_console(struct run *run)
{
	if (!run->has_console)
		return;
	run->console.hurry = run->signal || run->machine.end == MACHINE_STOPPED;
	console_close(&run->console);
	run->has_console = false;
	if (run->console.lost)
		fprintf(stderr,
			"straddle: %llu bytes of serial output were lost: nobody read them in "
			"time\n",
			(unsigned long long)run->console.lost);
}

static void run_close(struct run *run)
{
	if (run->signals >= 0)
		close(run->signals);
	loop_destroy(&run->loop);
	image_close(&run->initrd);
	image_close(&run->kernel);
	config_free(&run->config);
}

int cmd_run(int argc, char *argv[])
{
	struct run run = {
		.config = CONFIG_EMPTY,
		.kernel = IMAGE_EMPTY,
		.initrd = IMAGE_EMPTY,
		.loop = LOOP_EMPTY,
		.signals = -1,
	};
	enum machine_end end = MACHINE_RUNNING;
	struct host_facts host;
	struct err err = { "" };
	int status, ret;

	if (!cmd_parse(&run.config, CMD_RUN, argc, argv, &status))
		goto out;
	host_probe(&host);
	status = STATUS_USAGE;
	if (cmd_make_plan(&run.plan, &run.config, &host, &err) < 0 || open_images(&run, &err) < 0) {
		complain(&err, status);
		goto out;
	}
	if (run.config.verbose)
		print_plan(stderr, &run.plan);
	ret = loop_create(&run.loop, &err);
	if (ret == 0)
		ret = catch_signals(&run, &err);
	if (ret == 0)
		ret = open_console(&run, &err);
	if (ret == 0)
		ret = run_guest(&run, &end, &err);
	close_console(&run); /* first: while the terminal is raw, nothing is to be said */
	if (ret == 0)
		status = end_status(&run, end, &err);
	else if (ret == -ERANGE || ret == -E2BIG) /* more than KVM, kernel or RAM can take */
		complain(&err, status);
	else
		status = complain(&err, STATUS_HOST_ERROR);
out:
	run_close(&run);
	return status;
}
