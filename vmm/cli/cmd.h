/*
 * The commands of straddle, and what they share. The only code that prints and exits.
 */
#ifndef CLI_CMD_H
#define CLI_CMD_H

#include "vmm/config/config.h"
#include "vmm/host/probe.h"
#include "vmm/plan/plan.h"

#include <stdio.h>

/*
 * Exit statuses; a debug-exit value v gives (v << 1) | 1, a signal n gives 128 + n. A new one is
 * even, so that no such value gives it, and none of those of timeout(1) and the shell (124 to 127).
 */
enum status {
	STATUS_POWEROFF = 0,
	STATUS_HOST_ERROR = 1,
	STATUS_USAGE = 2,
	STATUS_CRASH = 3,
	STATUS_PANIC = 4,
	STATUS_RESET = 5,
	STATUS_TIMEOUT = 6,
};

/* argv are the words behind the command's name. Each returns the exit status. */
int cmd_run(int argc, char *argv[]);
int cmd_plan(int argc, char *argv[]);
int cmd_check(int argc, char *argv[]);
int cmd_bind(int argc, char *argv[]);
int cmd_unbind(int argc, char *argv[]);

/* Prints "straddle: SENTENCE" and returns `status`. */
int complain(const struct err *err, enum status status);

/*
 * Parses argv and the configuration file, checks combinations, answers --help and --version.
 * Returns true if the command is to go on; else *status is the exit status.
 */
bool cmd_parse(struct config *c, enum config_command cmd, int argc, char *argv[], int *status);

/* vm_make_plan(), and prints what the plan lacks. */
int cmd_make_plan(struct plan *p, const struct config *c, struct host_facts *host, struct err *err);

/* Where kernel and initrd go in a planned guest, for `straddle plan`. */
struct boot_view;
/*
 * Looks at the files of --kernel and --initrd and at the length of --append, as run does. NULL and
 * *ret 0 without --kernel; NULL and a negative errno and a sentence if the guest cannot be started
 * with them. The caller's to free().
 */
struct boot_view *boot_view_make(const struct plan *p, const struct config *c, int *ret,
				 struct err *err);
const struct plan_boot *boot_view_get(const struct boot_view *view);

/* The plan as a table for people. */
void print_plan(FILE *to, const struct plan *p);

#endif
