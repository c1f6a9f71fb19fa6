#include "vmm/test/keep.h"

#include <stdlib.h>
#include <unistd.h>

const char *test_keep_lacks(const struct test_case *t)
{
	if (t->result->passed)
		return "nothing is kept, because the case passed";
	switch (t->result->verdict) {
	case VERDICT_COMMAND:
		return "nothing is kept, because the command ended, and the guest with it";
	case VERDICT_INTERRUPTED:
		return "nothing is kept, because the case was ended from outside";
	default:
		break;
	}
	if (t->vm->end == MACHINE_RUNNING)
		return "nothing is kept, because there was no guest yet";
	return t->vm->end == MACHINE_POWEROFF ? "nothing is kept, because the guest powered off"
					      : NULL;
}

static void help_with_socket(const struct test_case *t, const char *socket, FILE *to)
{
	if (!t->vm->config.test.core)
		fprintf(to,
			"  echo core FILE | socat -t 600 - UNIX-CONNECT:%s\n"
			"      its memory and registers, for gdb vmlinux FILE and for crash\n",
			socket);
	fprintf(to,
		"  echo registers N | socat - UNIX-CONNECT:%s\n"
		"      what CPU N was doing, from 0 to %u\n"
		"  echo quit | socat - UNIX-CONNECT:%s\n",
		socket, t->vm->machine.nr_cpus - 1, socket);
}

void test_keep_help(const struct test_case *t, const char *socket, pid_t pid, FILE *to)
{
	const char *core = t->vm->config.test.core, *output = t->result->output;

	fprintf(to,
		"straddle: --keep: %s; its CPUs are stopped, and it stays until Ctrl-C, kill "
		"%d%s\n",
		t->vm->end == MACHINE_RESET ? "the guest is as it was when it reset itself"
					    : "the guest is as it was then",
		(int)pid, socket ? " or quit" : "");
	if (core)
		fprintf(to, "  gdb vmlinux %s\n      its memory and registers, also for crash\n",
			core);
	if (output)
		fprintf(to, "  less %s/cpus.txt %s/console.log\n", output, output);
	if (socket)
		help_with_socket(t, socket, to);
	fflush(to);
}

void test_keep(struct test_case *t)
{
	const char *output = t->result->output;
	struct err err;

	if (output && asprintf(&t->control, "%s/control", output) < 0)
		t->control = NULL;
	if (t->control && vm_open_control(t->vm, t->control, &err) < 0) {
		fprintf(stderr, "straddle: %s\n", err.text);
		free(t->control);
		t->control = NULL;
	}
	test_keep_help(t, t->control, getpid(), stderr);
	if (vm_keep(t->vm, &err) < 0)
		fprintf(stderr, "straddle: %s\n", err.text);
}
