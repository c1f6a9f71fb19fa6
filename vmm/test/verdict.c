#include "vmm/test/verdict.h"

#include <string.h>

static const struct {
	const char *word, *help;
} kinds[VERDICTS] = {
	[VERDICT_COMMAND] = { "command", "the command's own status; 99 if it is higher" },
	[VERDICT_BOOT_LIMIT] = { "boot-limit", "init did not start within --boot-limit" },
	[VERDICT_IDLE_LIMIT] = { "idle-limit", "no output and no I/O within --idle-limit" },
	[VERDICT_LIMIT] = { "limit", "the case did not end within --limit" },
	[VERDICT_PANIC] = { "panic", "the guest's kernel panicked" },
	[VERDICT_SPLAT] = { "splat", "the guest's kernel printed a BUG, WARNING or the like" },
	[VERDICT_RESET] = { "reset", "the guest reset itself" },
	[VERDICT_CRASH] = { "crash", "triple fault, or an error that KVM reports" },
	[VERDICT_HALTED] = { "halted", "all CPUs halted with interrupts off" },
	[VERDICT_OUT_OF_MEMORY] = { "out-of-memory", "the guest had no memory for the command" },
	[VERDICT_STARVED] = { "starved", "the host was too busy to tell" },
	[VERDICT_LOST] = { "lost", "the guest ended without the command's status" },
	[VERDICT_SETUP] = { "setup", "root or command could not be started" },
	[VERDICT_HOST_ERROR] = { "host-error", "error of the host, or inside straddle" },
	[VERDICT_USAGE] = { "usage", "wrong usage, or a plan that is not possible" },
	[VERDICT_INTERRUPTED] = { "interrupted", "ended by a signal" },
	[VERDICT_UNEXPECTED] = { "unexpected",
				 "not the end or console that --expect and the like want" },
};

const char *verdict_word(enum verdict v)
{
	return kinds[v].word;
}

const char *verdict_help(enum verdict v)
{
	return kinds[v].help;
}

enum verdict verdict_of_word(const char *word)
{
	enum verdict v = 0;

	while (v < VERDICTS && strcmp(word, kinds[v].word))
		v++;
	return v;
}

int verdict_status(enum verdict v, unsigned command_status)
{
	if (v != VERDICT_COMMAND)
		return VERDICT_STATUS_MIN + (int)v - 1;
	return command_status > VERDICT_COMMAND_MAX ? VERDICT_COMMAND_MAX : (int)command_status;
}

int test_result_status(const struct test_result *r)
{
	return r->passed ? 0 : verdict_status(r->verdict, r->command_status);
}
