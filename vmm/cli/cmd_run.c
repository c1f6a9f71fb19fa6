/*
 * straddle run: plan, build the machine, run it, and turn its end into an exit status.
 */
#include "vmm/cli/cmd.h"

#include "vmm/cli/cmd_run.h"
#include "vmm/host/fault.h"
#include "vmm/host/kvm.h"
#include "vmm/vm/commands.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

#define STORAGE_PATIENCE 10 /* s, at the end of the process */

/* --- files --- */

static int open_lines(struct run *run, struct err *err)
{
	static const char *const names[LINES] = { [SERIAL] = "serial", [CONSOLE] = "console" };
	const struct config_line *wanted[LINES] = {
		[SERIAL] = &run->config.serial,
		[CONSOLE] = &run->config.console,
	};

	for (unsigned i = 0; i < LINES; i++) {
		struct console *line = &run->lines[i];
		int ret = console_open(line, names[i], wanted[i], &run->loop, err);

		if (ret < 0)
			return ret;
		run->nr_lines++;
		if (console_pty(line))
			fprintf(stderr, "straddle: %s line is %s\n", names[i], console_pty(line));
	}
	backends_set_console(&run->backends, &run->lines[CONSOLE]);
	return 0;
}

/* --- the guest --- */

static void say(const char *sentence)
{
	fprintf(stderr, "straddle: %s\r\n", sentence);
}

/* RAM that devices are mapped to stays as it is: they would go on with the old pages. */
static int prepare_reset(struct run *run, struct err *err)
{
	struct err reset = { "" };
	int ret = 0;

	if (!run->config.nr_vfio) {
		ram_clear(&run->ram);
		return 0;
	}
	run->ram.fresh = false;
	ret = passthrough_reset(&run->passthrough, &reset);
	if (*reset.text)
		say(reset.text);
	return ret < 0 ? err_set(err, -ret, "%s", reset.text) : 0;
}

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

static void guest_memory(void *to, const uint64_t *numbers)
{
	struct run *run = to;

	cmd_control_memory(&run->control, &run->machine, numbers);
}

/* 0, or what failed to write out what the guest said. */
static int lines_error(struct run *run, struct err *err)
{
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < run->nr_lines; i++)
		ret = console_error(&run->lines[i], err);
	return ret;
}

static bool process_ends(void *to);
static void leave(void *to, const char *sentence);

/* Several lines, while the terminal is raw. */
static void say_report(const char *what, const char *report)
{
	fprintf(stderr, "straddle: %s: ", what);
	for (; *report; report++)
		fprintf(stderr, *report == '\n' ? "\r\n" : "%c", *report);
}

/* What the end of a machine means, with what was heard of its guest. */
static enum machine_end judge_end(struct run *run, enum machine_end end)
{
	struct panic_line panic;

	/* Linux resets so with reboot=t; but a guest that said nothing got nowhere. */
	if (end == MACHINE_TRIPLE_FAULT) {
		end = run_guest_spoke(run) ? MACHINE_RESET : MACHINE_CRASH;
		if (end == MACHINE_RESET && run->config.verbose)
			say_report("the guest reset itself", run->machine.report);
	}
	if (end == MACHINE_RESET && !run->signal && run_guest_panicked(run, &panic))
		return MACHINE_PANIC;
	return end;
}

/* Creates and runs the machine until an end that is not a reset to be followed. */
static int run_guest(struct run *run, enum machine_end *end, struct err *err)
{
	const struct config *c = &run->config;
	const struct machine_parts parts = {
		.plan = &run->plan,
		.kernel = &run->kernel,
		.initrd = &run->initrd,
		.boot_kernel = &run->boot_kernel,
		.append = c->append,
		.ram = &run->ram,
		.guest_ram = &run->guest_ram,
		.passthrough = c->nr_vfio ? &run->passthrough : NULL,
		.backends = &run->backends,
		.memory = guest_memory,
		.to = run,
		.say = say,
		.leaver = { process_ends, STORAGE_PATIENCE, leave, run },
		.loop = &run->loop,
		.console = &run->lines[SERIAL],
		.has_debug_exit = c->has_debug_exit,
		.debug_exit_port = c->debug_exit_port,
	};

	for (;;) {
		int ret;

		run_begin_guest(run);
		ret = machine_create(&run->machine, &parts, err);
		if (ret < 0)
			return ret;
		if (run->asked_off)
			machine_power_button(&run->machine); /* asked before a reset */
		*end = machine_run(&run->machine, err);
		if (*end == MACHINE_RUNNING && lines_error(run, err) < 0)
			*end = MACHINE_HOST_ERROR;
		run->dead = *end == MACHINE_STOPPED && machine_is_dead(&run->machine);
		*end = run->machine.end = judge_end(run, *end);
		machine_destroy(&run->machine);
		cmd_control_memory(&run->control, &run->machine, NULL);
		if (c->verbose)
			say_unclaimed(&run->machine);
		/* Signals are heard while it is destroyed, too. */
		if (*end == MACHINE_RESET && (run->signal || run->timed_out))
			*end = MACHINE_STOPPED;
		if (*end != MACHINE_RESET || c->no_reboot)
			return 0;
		ret = lines_error(run, err);
		if (ret < 0)
			return ret;
		if (c->verbose)
			say("the guest resets");
		ret = prepare_reset(run, err);
		if (ret < 0)
			return ret;
	}
}

static void say_panic(struct run *run)
{
	struct panic_line panic;

	run_guest_panicked(run, &panic);
	fprintf(stderr, "straddle: the guest's kernel panicked%s%s\n", *panic.text ? ": " : "",
		panic.text);
}

/* Of a guest that was ended from outside. */
static int stopped_status(const struct run *run)
{
	const struct config *c = &run->config;
	const char *dead =
		run->dead ? ": all its CPUs were halted with interrupts off, it had died" : "";

	if (run->timed_out)
		fprintf(stderr, "straddle: the guest did not end within %u s (--timeout)%s\n",
			c->timeout, dead);
	else if (run->overdue)
		fprintf(stderr,
			"straddle: the guest did not power off within %u s of SIGTERM "
			"(--stop-timeout)%s\n",
			c->stop_timeout, dead);
	if (run->timed_out)
		return STATUS_TIMEOUT;
	return run->signal ? 128 + run->signal : STATUS_POWEROFF;
}

static int end_status(struct run *run, enum machine_end end, const struct err *err)
{
	struct err lost;

	/* A guest that ended well but whose words were lost did not end well. */
	if (end != MACHINE_HOST_ERROR && lines_error(run, &lost) < 0) {
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
		say_panic(run);
		return STATUS_PANIC;
	case MACHINE_CRASH:
	case MACHINE_TRIPLE_FAULT:
		fprintf(stderr, "straddle: the guest crashed: %s", run->machine.report);
		return STATUS_CRASH;
	case MACHINE_DEBUG_EXIT:
		return config_debug_exit_status(&run->config, run->machine.value);
	case MACHINE_STOPPED:
		return stopped_status(run);
	case MACHINE_RUNNING:
	case MACHINE_HOST_ERROR:
		break;
	}
	return complain(err, STATUS_HOST_ERROR);
}

static void close_lines(struct run *run)
{
	for (unsigned i = 0; i < run->nr_lines; i++) {
		run->lines[i].hurry = run->signal || run->machine.end == MACHINE_STOPPED;
		console_close(&run->lines[i]);
	}
	for (unsigned i = 0; i < run->nr_lines; i++) {
		const struct console *line = &run->lines[i];

		if (line->lost)
			fprintf(stderr,
				"straddle: %llu bytes of %s output were lost: nobody read them in "
				"time\n",
				(unsigned long long)line->lost, line->name);
		if (line->cut)
			fprintf(stderr,
				"straddle: %s holds the end of the %s output only: it passed %llu "
				"KiB (file:PATH,limit=SIZE)\n",
				line->path, line->name, (unsigned long long)(line->limit / KIB));
	}
}

/* --- storage that does not answer --- */

static bool process_ends(void *to)
{
	struct run *run = to;

	return run_is_asked_to_end(run) || run->config.no_reboot ||
	       run->machine.end != MACHINE_RESET;
}

/* Threads that wait for it, the main one among them, stay as they are: there is no exit(3). */
static void leave(void *to, const char *sentence)
{
	struct run *run = to;
	struct err err;
	int status;

	close_lines(run);
	fprintf(stderr, "straddle: %s\n", sentence);
	err_set(&err, 0, "%s", run->machine.report);
	status = end_status(run, run->signal || run->timed_out ? MACHINE_STOPPED : run->machine.end,
			    &err);
	_exit(status == STATUS_POWEROFF ? STATUS_HOST_ERROR : status);
}

static void run_close(struct run *run)
{
	control_close(&run->control);
	backends_close(&run->backends);
	run_close_memory(run);
	kvm_let_go();
	run_close_events(run);
	loop_destroy(&run->loop);
	images_close(&run->initrd);
	image_close(&run->kernel);
	config_free(&run->config);
	free(run);
}

/*
 * Queues take several descriptors each. The soft limit is as low as it is for programs that use
 * select(2).
 */
static void allow_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static void remark(const char *sentence)
{
	fprintf(stderr, "straddle: %s\n", sentence);
}

/* Devices first, for what they say shapes the plan. */
static int make_plan(struct run *run, int *status, struct err *err)
{
	struct host_facts host;
	int ret = 0;

	host_probe(&host);
	*status = STATUS_HOST_ERROR;
	if (run->config.nr_vfio)
		ret = passthrough_open(&run->passthrough, &run->config, &host, err);
	if (ret < 0)
		return ret;
	*status = STATUS_USAGE;
	ret = cmd_make_plan(&run->plan, &run->config, &host, err);
	if (ret == 0)
		ret = cmd_open_images(&run->config, &run->kernel, &run->boot_kernel, &run->initrd,
				      err);
	if (ret < 0)
		return ret;
	ret = backends_open(&run->backends, &run->config, &run->plan, err);
	if (ret < 0 && ret != -EINVAL) /* not what the user asked for, but that the host cannot */
		*status = STATUS_HOST_ERROR;
	if (ret == 0)
		backends_remark(&run->backends, remark);
	return ret;
}

static void memory_changed(void *to)
{
	struct run *run = to;
	struct err err;

	if (fault_find_cut(&err)) /* else somebody has only written to it */
		machine_fail(&run->machine, err.text);
}

/* What must be ready before the console is: while the terminal is raw, Ctrl-C is a character. */
static int make_ready(struct run *run, struct err *err)
{
	int ret = loop_create(&run->loop, err);

	if (ret == 0)
		ret = run_open_events(run, err);
	if (ret == 0)
		backends_watch_memory(&run->backends, &run->loop, memory_changed, run);
	if (ret == 0 && fault_find_cut(err)) /* before it was watched */
		ret = -EIO;
	if (ret == 0 && run->config.control)
		ret = control_open(&run->control, run->config.control, &run->loop, cmd_control,
				   &run->machine, err);
	if (ret == 0)
		ret = run_make_memory(run, err);
	/* Not a plan that is not possible, but a host that does not do it. */
	return ret == -ERANGE || ret == -E2BIG ? -EIO : ret;
}

/* Its tables are large and nearly empty: on the heap, what is not used is never touched. */
static struct run *run_new(struct err *err)
{
	struct run *run = calloc(1, sizeof(*run));

	if (!run) {
		err_sys(err, ENOMEM, "cannot hold the machine");
		return NULL;
	}
	run->config = (struct config)CONFIG_EMPTY;
	run->passthrough.iommu = (struct iommu)IOMMU_EMPTY;
	run->backends = (struct backends)BACKENDS_EMPTY;
	run->ram = (struct ram)RAM_EMPTY;
	run->kernel = (struct image)IMAGE_EMPTY;
	run->initrd = (struct images)IMAGES_EMPTY;
	run->loop = (struct loop)LOOP_EMPTY;
	run->control = (struct control)CONTROL_EMPTY;
	run->signals = run->stop_timer = run->timer = run->panic_event = run->panic_timer = -1;
	return run;
}

int cmd_run(int argc, char *argv[])
{
	struct run *run;
	enum machine_end end = MACHINE_RUNNING;
	struct err err = { "" };
	int status, ret;

	run = run_new(&err);
	if (!run)
		return complain(&err, STATUS_HOST_ERROR);
	kvm_ask_ahead();
	if (!cmd_parse(&run->config, CMD_RUN, argc, argv, &status))
		goto out;
	allow_descriptors();
	if (make_plan(run, &status, &err) < 0) {
		complain(&err, status);
		goto out;
	}
	if (run->config.verbose)
		print_plan(stderr, &run->plan);
	ret = make_ready(run, &err);
	if (ret == 0)
		ret = open_lines(run, &err);
	if (ret == 0)
		ret = run_guest(run, &end, &err);
	close_lines(run); /* first: while the terminal is raw, nothing is to be said */
	if (ret == -EINTR && run->signal)
		status = 128 + run->signal;
	else if (ret == 0)
		status = end_status(run, end, &err);
	else if (ret == -ERANGE || ret == -E2BIG) /* more than KVM, kernel or RAM can take */
		complain(&err, status);
	else
		status = complain(&err, STATUS_HOST_ERROR);
out:
	run_close(run);
	return status;
}
