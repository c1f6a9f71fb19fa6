/* The commands of straddle and their common functions. Only cli/ prints and exits. */
#ifndef CLI_CMD_H
#define CLI_CMD_H

#include "vmm/config/config.h"
#include "vmm/host/probe.h"
#include "vmm/plan/plan.h"

#include <stdio.h>

/*
 * Exit statuses; a debug-exit value v gives (v << 1) | 1, a signal n gives 128 + n. A new status
 * must be even, so that no debug-exit value gives it, and not 124 to 127, which timeout(1) and the
 * shell use.
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
int cmd_test(int argc, char *argv[]);
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

/* config_check(), after the nodes of --numa host were copied from this host. */
int cmd_settle(struct config *c, enum config_command cmd, struct err *err);

/* Reads the file of --config, if there is one, into *c. -errno and a sentence. */
int cmd_parse_file(struct config *c, enum config_command cmd, struct err *err);

/*
 * Runs the cases of files, the operands of *c, which is what was parsed of argv. Returns the exit
 * status.
 */
int cmd_test_suite(const struct config *c, int argc, char *argv[]);

/* Calls vm_make_plan(), and prints a warning if the guest will not find all its CPUs. */
int cmd_make_plan(struct plan *p, const struct config *c, struct host_facts *host, struct err *err);

/* The places of kernel and initrd in a planned guest, for `straddle plan`. */
struct boot_view;
/*
 * Checks the files of --kernel and --initrd and the length of --append, as run does. Returns NULL
 * with *ret 0 without --kernel, and NULL with *ret -errno and a sentence if a guest cannot be
 * started with them. The caller frees the result by free().
 */
struct boot_view *boot_view_make(const struct plan *p, const struct config *c, int *ret,
				 struct err *err);
const struct plan_boot *boot_view_get(const struct boot_view *view);

/* Prints the plan as a table for people. */
void print_plan(FILE *to, const struct plan *p);

#endif
