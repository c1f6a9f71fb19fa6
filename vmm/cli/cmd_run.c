/*
 * straddle run: a vm (vm/vm.h) from its start to its end, which becomes an exit status.
 */
#include "vmm/cli/cmd.h"

#include "vmm/cli/cmd_run.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static void print_panic(struct run *run)
{
	struct panic_line panic;

	vm_panicked(run->vm, &panic);
	fprintf(stderr, "straddle: the guest's kernel panicked%s%s\n", *panic.text ? ": " : "",
		panic.text);
}

/* The exit status of a guest that was ended from outside. */
static int stopped_status(const struct run *run)
{
	const struct vm *vm = run->vm;
	const char *dead =
		vm->dead ? ": all its CPUs were halted with interrupts off, it had died" : "";

	if (vm->timed_out) {
		fprintf(stderr, "straddle: the guest did not end within %u s (--timeout)%s\n",
			vm->config.timeout, dead);
		return STATUS_TIMEOUT;
	}
	if (vm->overdue) {
		fprintf(stderr,
			"straddle: the guest did not power off within %u s of SIGTERM "
			"(--stop-timeout)%s\n",
			vm->config.stop_timeout, dead);
		return 128 + (run->signal ? run->signal : SIGTERM);
	}
	return run->signal ? 128 + run->signal : STATUS_POWEROFF;
}

static int end_status(struct run *run, const struct err *err)
{
	struct vm *vm = run->vm;
	struct err lost;

	/* A guest whose output could not be written failed, whatever its own end was. */
	if (vm->end != MACHINE_HOST_ERROR && vm_lines_error(vm, &lost) < 0) {
		complain(&lost, STATUS_HOST_ERROR);
		if (vm->end == MACHINE_POWEROFF || vm->end == MACHINE_RESET)
			return STATUS_HOST_ERROR;
	}
	switch (vm->end) {
	case MACHINE_POWEROFF:
		return STATUS_POWEROFF;
	case MACHINE_RESET:
		return STATUS_RESET;
	case MACHINE_PANIC:
		print_panic(run);
		return STATUS_PANIC;
	case MACHINE_CRASH:
	case MACHINE_TRIPLE_FAULT:
		fprintf(stderr, "straddle: the guest crashed: %s", vm->machine.report);
		return STATUS_CRASH;
	case MACHINE_DEBUG_EXIT:
		return config_debug_exit_status(&vm->config, vm->machine.value);
	case MACHINE_STOPPED:
		return stopped_status(run);
	case MACHINE_RUNNING:
	case MACHINE_HOST_ERROR:
		break;
	}
	return complain(err, STATUS_HOST_ERROR);
}

static void run_abandon(void *to, const char *sentence)
{
	struct run *run = to;
	struct err err;
	int status;

	run->raw = false;
	fprintf(stderr, "straddle: %s\n", sentence);
	err_set(&err, 0, "%s", run->vm->machine.report);
	status = end_status(run, &err);
	_exit(status == STATUS_POWEROFF ? STATUS_HOST_ERROR : status);
}

/*
 * Raises the soft limit of descriptors to the hard one, because each queue uses several. The soft
 * limit is low only for programs that use select(2).
 */
static void allow_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int run_vm(struct run *run, struct err *err)
{
	struct vm *vm = run->vm;
	int ret = vm_plan(vm, err);

	if (ret < 0)
		return ret;
	if (vm->config.verbose)
		print_plan(stderr, &vm->plan);
	ret = run_catch_signals(run, err);
	if (ret < 0)
		goto out;
	ret = vm_prepare(vm, err);
	if (ret < 0)
		goto out;
	run->raw = true;
	ret = vm_run(vm, err);
	run->raw = false;
out:
	vm_close_lines(vm); /* before anything is printed, because the terminal is raw */
	return ret;
}

int cmd_run(int argc, char *argv[])
{
	struct run run = { .signals = -1, .tty = isatty(STDERR_FILENO) };
	const struct vm_user user = { run_event, run_ends, run_abandon, &run, NULL, false };
	struct err err = { "" };
	int status, ret;

	run.vm = vm_new(&user);
	if (!run.vm) {
		err_sys(&err, ENOMEM, "out of memory for the virtual machine");
		return complain(&err, STATUS_HOST_ERROR);
	}
	if (cmd_parse(&run.vm->config, CMD_RUN, argc, argv, &status)) {
		allow_descriptors();
		ret = run_vm(&run, &err);
		if (ret == 0)
			status = end_status(&run, &err);
		else if (ret == -EINTR && run.signal)
			status = 128 + run.signal;
		else
			status = complain(&err, run.vm->blame == VM_BLAME_USER ? STATUS_USAGE
									       : STATUS_HOST_ERROR);
	}
	vm_free(run.vm);
	if (run.signals >= 0)
		close(run.signals);
	return status;
}
