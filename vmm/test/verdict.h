/*
 * How a case of straddle test ends: one word, one exit status and one sentence for each kind.
 *
 * Statuses up to 99 are the command's own, those from 100 on are straddle's, so that nobody takes
 * one for the other.
 */
#ifndef TEST_VERDICT_H
#define TEST_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum verdict {
	VERDICT_COMMAND,       /* the command ended; without init: the guest powered off */
	VERDICT_BOOT_LIMIT,    /* init did not speak within --boot-limit */
	VERDICT_IDLE_LIMIT,    /* no byte on any channel and no I/O for --idle-limit */
	VERDICT_LIMIT,	       /* the case took longer than --limit */
	VERDICT_PANIC,	       /* the guest's kernel panicked */
	VERDICT_SPLAT,	       /* the kernel printed a BUG, a warning or the like */
	VERDICT_RESET,	       /* the guest reset itself */
	VERDICT_CRASH,	       /* triple fault, or an error of KVM */
	VERDICT_HALTED,	       /* all CPUs halted with interrupts off */
	VERDICT_OUT_OF_MEMORY, /* the guest's kernel killed the command for lack of memory */
	VERDICT_STARVED,       /* a limit passed while the host gave the vCPUs no time */
	VERDICT_LOST,	       /* the guest ended, and init had sent no status */
	VERDICT_SETUP,	       /* init could not make the root or start the command */
	VERDICT_HOST_ERROR,
	VERDICT_USAGE,
	VERDICT_INTERRUPTED, /* by a signal to straddle */
	VERDICT_UNEXPECTED,  /* it ended otherwise than --expect and the like ask for */
	VERDICTS,
};

#define VERDICT_COMMAND_MAX 99	/* the largest status that is the command's own */
#define VERDICT_STATUS_MIN  100 /* the first one of straddle's */

/* "boot-limit", as reports say it; "ok" and "failed" are said by the command's status. */
const char *verdict_word(enum verdict v);
/* The verdict of that word, or VERDICTS. */
enum verdict verdict_of_word(const char *word);
/* One phrase for --help: "init did not start within --boot-limit". */
const char *verdict_help(enum verdict v);
/*
 * The exit status: of VERDICT_COMMAND the command's own, 99 if it is larger; of the others 100 and
 * up in the order of the enum, without VERDICT_COMMAND.
 */
int verdict_status(enum verdict v, unsigned command_status);

/* The result of one case, for every report. Strings belong to whoever filled it in. */
struct test_result {
	const char *name;
	enum verdict verdict;
	bool passed;		 /* the ending was the expected one */
	bool flaky;		 /* passed, but not at the first attempt */
	bool skipped;		 /* not run; `sentence` says why */
	unsigned attempts;	 /* runs of the case, 1 without --retry */
	unsigned command_status; /* the true one: 128 + n for signal n. Valid for VERDICT_COMMAND */
	char sentence[1024];	 /* what happened, for people */
	char line[512];		 /* of the console, that decided it; or empty */
	double seconds;		 /* wall-clock, from start to end of the guest */
	double boot_seconds;	 /* until init spoke; < 0: it never did */
	double waited;		 /* seconds that vCPU threads waited for a host CPU */
	double stolen;		 /* seconds of the host's own steal time */
	double silent;		 /* seconds from the guest's last sign of life to the end */
	double silent_ran;	 /* of these, in which its CPUs could run */
	const char *output;	 /* the folder with what the case left, or NULL */
	const char *console;	 /* what the console printed last, or NULL */
	const char *printed;	 /* what command and straddle printed last, if it was caught */
};

/* The exit status of the case: 0 if it passed, else that of its verdict. */
int test_result_status(const struct test_result *r);

#endif
