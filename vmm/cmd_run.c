/*
 * straddle run: plan, build the machine, run it, and turn its end into an exit status.
 */
#include "vmm/cmd.h"

#include "vmm/cmd_control.h"
#include "vmm/kvm.h"
#include "vmm/machine.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define STORAGE_PATIENCE 10 /* s, at the end of the process */

enum { SERIAL, CONSOLE, LINES };

/* Everything that outlives a reset of the guest. */
struct run {
	struct config config;
	struct passthrough passthrough;
	struct backends backends;
	struct plan plan;
	struct ram ram;
	struct ram_block blocks[PLAN_LIST_MAX + MAP_PMEM_MAX];
	struct guest_ram guest_ram; /* these: all RAM and the files of --pmem */
	struct image kernel;
	struct images initrd;
	struct boot_kernel boot_kernel;
	struct loop loop;
	struct console lines[LINES]; /* of characters */
	unsigned nr_lines;	     /* that are open */
	int signals;		     /* signalfd */
	struct control control;
	struct machine machine;
	bool asked_off; /* the power button was pressed */
	int signal;	/* the one that ended the run, or 0 */
};

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
		machine_power_button(&run->machine);
		return;
	}
	run->signal = (int)info.ssi_signo;
	machine_stop(&run->machine);
}

/* Before any thread is made, so that all of them inherit the mask. */
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

/* --- files --- */

_Static_assert(CONFIG_INITRDS_MAX <= IMAGES_MAX, "each --initrd has a place");

static int open_images(struct run *run, struct err *err)
{
	const struct config *c = &run->config;
	int ret = image_open(&run->kernel, "--kernel", c->kernel, err);

	if (ret < 0)
		return ret;
	ret = boot_kernel_parse(&run->boot_kernel, run->kernel.data, run->kernel.len, err);
	if (ret < 0)
		return err_prefix(err, ret, "--kernel %s: ", c->kernel);
	ret = images_open(&run->initrd, "--initrd", c->initrds, c->nr_initrds, err);
	for (unsigned i = 0; ret == 0 && i < run->initrd.n; i++) {
		const struct image *part = &run->initrd.parts[i];

		ret = boot_initrd_check(part->data, part->len, err);
		if (ret < 0)
			err_prefix(err, ret, "--initrd %s: ", part->path);
	}
	return ret;
}

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

/* --- RAM, and what devices see of it --- */

static int create_ram(struct run *run, struct err *err)
{
	const struct ram_backing backing = {
		.page_size = run->plan.page_size,
		.fold = run->config.fold,
		.shared = config_shares_ram(&run->config),
	};
	struct span spans[PLAN_LIST_MAX];
	size_t n = plan_dma(&run->plan, spans, PLAN_LIST_MAX);

	return ram_create(&run->ram, spans, n, &backing, err);
}

static int by_address(const void *a, const void *b)
{
	const struct ram_block *x = a, *y = b;

	return x->gpa.base < y->gpa.base ? -1 : 1;
}

static int list_memory(struct run *run, struct err *err)
{
	size_t n = run->ram.nr_blocks;

	memcpy(run->blocks, run->ram.blocks, n * sizeof(run->blocks[0]));
	n += backends_memory(&run->backends, run->blocks + n, MAP_PMEM_MAX);
	qsort(run->blocks, n, sizeof(run->blocks[0]), by_address);
	run->guest_ram = (struct guest_ram){ run->blocks, n };
	return backends_check_memory(&run->backends, &run->guest_ram, err);
}

/* A mapping that takes seconds says how far it is: on a terminal as it goes, else once. */
struct mapping {
	struct run *run;
	struct timespec start;
	bool tty;
	bool said;
};

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static void mapping_done(void *to, uint64_t bytes, uint64_t total)
{
	struct mapping *m = to;
	double seconds = seconds_since(&m->start);
	double gib = (double)bytes / GIB, rate = seconds > 0 ? gib / seconds : 0;
	double left = rate > 0 ? ((double)total / GIB - gib) / rate : 0;

	if (seconds < 1 || (!m->tty && bytes < total))
		return;
	m->said = true;
	fprintf(stderr,
		"%sstraddle: mapped %.1f of %.1f GiB for devices, %.1f GiB/s, %.0f s left%s",
		m->tty ? "\r" : "", gib, (double)total / GIB, rate, left, m->tty ? "\33[K" : "\n");
}

/* Every signal but the job-control ones ends the run; nothing else is there yet to be asked. */
static bool mapping_stop(void *to)
{
	struct mapping *m = to;
	struct signalfd_siginfo info;

	while (read(m->run->signals, &info, sizeof(info)) == sizeof(info))
		if (info.ssi_signo != SIGTSTP && info.ssi_signo != SIGCONT)
			m->run->signal = (int)info.ssi_signo;
	return m->run->signal;
}

/* Returns -EINTR if a signal ended it. */
static int map_for_devices(struct run *run, struct err *err)
{
	struct mapping m = { .run = run, .tty = isatty(STDERR_FILENO) };
	const struct iommu_progress progress = { mapping_done, mapping_stop, &m };
	struct err reset = { "" };
	int ret;

	if (!run->config.nr_vfio)
		return 0;
	if (run->passthrough.iommu.no_iommu)
		fprintf(stderr, "straddle: noiommu=on: nothing keeps the devices from the host's "
				"memory, and as the guest's addresses are not translated, DMA of "
				"its drivers goes astray\n");
	clock_gettime(CLOCK_MONOTONIC, &m.start);
	ret = passthrough_map(&run->passthrough, &run->plan, &run->ram, &progress, err);
	if (m.tty && m.said)
		fputc('\n', stderr);
	if (ret == 0)
		ret = passthrough_reset(&run->passthrough, &reset);
	if (*reset.text)
		fprintf(stderr, "straddle: %s\n", reset.text);
	return ret;
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
		int ret = machine_create(&run->machine, &parts, err);

		if (ret < 0)
			return ret;
		if (run->asked_off)
			machine_power_button(&run->machine); /* asked before a reset */
		*end = machine_run(&run->machine, err);
		if (*end == MACHINE_RUNNING && lines_error(run, err) < 0)
			*end = MACHINE_HOST_ERROR;
		machine_destroy(&run->machine);
		cmd_control_memory(&run->control, &run->machine, NULL);
		if (c->verbose)
			say_unclaimed(&run->machine);
		if (*end == MACHINE_RESET && run->signal)
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

static void close_lines(struct run *run)
{
	for (unsigned i = 0; i < run->nr_lines; i++) {
		run->lines[i].hurry = run->signal || run->machine.end == MACHINE_STOPPED;
		console_close(&run->lines[i]);
	}
	for (unsigned i = 0; i < run->nr_lines; i++)
		if (run->lines[i].lost)
			fprintf(stderr,
				"straddle: %llu bytes of %s output were lost: nobody read them in "
				"time\n",
				(unsigned long long)run->lines[i].lost, run->lines[i].name);
	run->nr_lines = 0;
}

/* --- storage that does not answer --- */

/* The loop does not run while a machine is destroyed: signals are heard here. */
static bool process_ends(void *to)
{
	struct run *run = to;
	struct signalfd_siginfo info;

	while (read(run->signals, &info, sizeof(info)) == sizeof(info))
		if (info.ssi_signo != SIGTSTP && info.ssi_signo != SIGCONT &&
		    info.ssi_signo != SIGWINCH)
			run->signal = (int)info.ssi_signo;
	return run->signal || run->config.no_reboot || run->machine.end != MACHINE_RESET;
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
	status = end_status(run, run->signal ? MACHINE_STOPPED : run->machine.end, &err);
	_exit(status == STATUS_POWEROFF ? STATUS_HOST_ERROR : status);
}

static void run_close(struct run *run)
{
	control_close(&run->control);
	backends_close(&run->backends);
	passthrough_close(&run->passthrough);
	ram_destroy(&run->ram);
	kvm_let_go();
	if (run->signals >= 0)
		close(run->signals);
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
		ret = open_images(run, err);
	if (ret < 0)
		return ret;
	ret = backends_open(&run->backends, &run->config, &run->plan, err);
	if (ret < 0 && ret != -EINVAL) /* not what the user asked for, but that the host cannot */
		*status = STATUS_HOST_ERROR;
	if (ret == 0)
		backends_remark(&run->backends, remark);
	return ret;
}

/* What must be ready before the console is: while the terminal is raw, Ctrl-C is a character. */
static int make_ready(struct run *run, struct err *err)
{
	int ret = loop_create(&run->loop, err);

	if (ret == 0)
		ret = catch_signals(run, err);
	if (ret == 0 && run->config.control)
		ret = control_open(&run->control, run->config.control, &run->loop, cmd_control,
				   &run->machine, err);
	if (ret == 0)
		ret = create_ram(run, err);
	if (ret == 0)
		ret = list_memory(run, err);
	if (ret == 0)
		ret = map_for_devices(run, err);
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
	run->ram = (struct ram)RAM_EMPTY;
	run->kernel = (struct image)IMAGE_EMPTY;
	run->initrd = (struct images)IMAGES_EMPTY;
	run->loop = (struct loop)LOOP_EMPTY;
	run->control = (struct control)CONTROL_EMPTY;
	run->signals = -1;
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
