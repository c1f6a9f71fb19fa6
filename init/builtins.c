#include "init/builtins.h"
#include "init/facts.h"
#include "init/kernel.h"
#include "init/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>

/* --- processes --- */

static bool builtin_write(const uint8_t *data, size_t len)
{
	while (len) {
		ssize_t n = write(STDOUT_FILENO, data, len);

		if (n < 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

static int run_bytes(char **args)
{
	uint64_t left = strtoull(args[1], NULL, 10), x = 0;
	uint8_t data[4096];

	while (left) {
		size_t n = left < sizeof(data) ? (size_t)left : sizeof(data);

		for (size_t i = 0; i < n; i++)
			data[i] = builtin_random(&x);
		if (!builtin_write(data, n))
			return 1;
		left -= n;
	}
	return 0;
}

static int run_cat(char **args)
{
	uint8_t data[4096];
	ssize_t n;

	(void)args;
	while ((n = read(STDIN_FILENO, data, sizeof(data))) > 0)
		if (!builtin_write(data, (size_t)n))
			return 1;
	return n < 0;
}

static int run_facts(char **args)
{
	(void)args;
	facts_write(stdout);
	return 0;
}

static int __attribute__((noreturn)) run_hang(char **args)
{
	(void)args;
	for (;;)
		__asm__ volatile("pause");
}

static int run_idle(char **args)
{
	struct timespec left = { .tv_sec = (time_t)strtoull(args[1], NULL, 10) };

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
	return 0;
}

static int run_memory(char **args)
{
	return memory_verify(stdout, !strcmp(args[0], "@memory=all"));
}

/* Asks to be the one that is killed (Documentation/filesystems/proc.rst, oom_score_adj). */
static int run_oom(char **args)
{
	const size_t size = 4 << 20;

	(void)args;
	(void)kernel_write("/proc/self/oom_score_adj", "1000");
	for (;;) {
		uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (p == MAP_FAILED) {
			fprintf(stderr, "@oom: no more memory, and nobody was killed: %s\n",
				strerror(errno));
			return 1;
		}
		for (size_t at = 0; at < size; at += 4096)
			p[at] = 1;
	}
}

static int run_status(char **args)
{
	return (int)strtoull(args[1], NULL, 10);
}

#define PROVOKE "/sys/kernel/debug/provoke-crash/DIRECT"

static int run_warn(char **args)
{
	(void)args;
	return kernel_write(PROVOKE, "WARNING") < 0;
}

static int ready_warn(struct err *err)
{
	(void)mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	if (access(PROVOKE, W_OK) == 0)
		return 0;
	return err_set(err, ENOENT,
		       "the guest's kernel has no " PROVOKE
		       ", which @warn needs: its driver is lkdtm (CONFIG_LKDTM)");
}

/* --- ends of the guest --- */

static int __attribute__((noreturn)) run_exit(char **args)
{
	(void)args;
	_exit(0);
}

/*
 * native_machine_halt() of arch/x86/kernel/reboot.c stops the other CPUs, turns interrupts off and
 * halts.
 */
static int run_halt(char **args)
{
	(void)args;
	(void)reboot(RB_HALT_SYSTEM);
	return -errno;
}

static int ready_panic(struct err *err)
{
	if (access("/proc/sysrq-trigger", W_OK) == 0)
		return 0;
	return err_set(err, ENOENT,
		       "the guest's kernel has no /proc/sysrq-trigger (CONFIG_MAGIC_SYSRQ), which "
		       "@panic needs");
}

static int run_panic(char **args)
{
	(void)args;
	(void)kernel_write("/proc/sys/kernel/sysrq", "1");
	return kernel_write("/proc/sysrq-trigger", "c");
}

static int run_poweroff(char **args)
{
	(void)args;
	(void)reboot(RB_POWER_OFF);
	return -errno;
}

static int run_reboot(char **args)
{
	(void)args;
	(void)reboot(RB_AUTOBOOT);
	return -errno;
}

/* --- all of them --- */

static const struct builtin builtins[] = {
	{ "@bytes", "N", false, run_bytes, NULL },
	{ "@cat", NULL, false, run_cat, NULL },
	{ "@exit", NULL, true, run_exit, NULL },
	{ "@facts", NULL, false, run_facts, NULL },
	{ "@halt", NULL, true, run_halt, NULL },
	{ "@hang", NULL, false, run_hang, NULL },
	{ "@idle", "SECONDS", false, run_idle, NULL },
	{ "@memory", NULL, false, run_memory, NULL },
	{ "@memory=all", NULL, false, run_memory, NULL },
	{ "@oom", NULL, false, run_oom, NULL },
	{ "@panic", NULL, true, run_panic, ready_panic },
	{ "@poweroff", NULL, true, run_poweroff, NULL },
	{ "@reboot", NULL, true, run_reboot, NULL },
	{ "@status", "N", false, run_status, NULL },
	{ "@warn", NULL, false, run_warn, ready_warn },
};
#define NR_BUILTINS (sizeof(builtins) / sizeof(builtins[0]))

static int unknown_word(const char *word, struct err *err)
{
	char list[300] = "";

	for (size_t i = 0; i < NR_BUILTINS; i++) {
		size_t len = strlen(list);

		snprintf(list + len, sizeof(list) - len, "%s%s%s%s", i ? ", " : "",
			 builtins[i].word, builtins[i].operand ? " " : "",
			 builtins[i].operand ? builtins[i].operand : "");
	}
	return err_set(err, EINVAL, "'%s' is not a built-in command; there are %s", word, list);
}

static bool is_number(const char *word)
{
	size_t len = strspn(word, "0123456789");

	return len && len <= 18 && !word[len];
}

int builtin_find(const struct spec *spec, const struct builtin **found, struct err *err)
{
	const char *operand = spec_next(spec, "arg", spec->command);
	const struct builtin *b = builtins;

	*found = NULL;
	if (*spec->command != '@')
		return 0;
	while (b < builtins + NR_BUILTINS && strcmp(b->word, spec->command) != 0)
		b++;
	if (b == builtins + NR_BUILTINS)
		return unknown_word(spec->command, err);
	if (!b->operand && operand)
		return err_set(err, EINVAL, "%s takes no operand, but '%s' is given", b->word,
			       operand);
	if (b->operand && (spec->nr_args != 2 || !is_number(operand)))
		return err_set(err, EINVAL, "%s takes one whole number, such as: %s 10", b->word,
			       b->word);
	*found = b;
	return b->ready ? b->ready(err) : 0;
}
