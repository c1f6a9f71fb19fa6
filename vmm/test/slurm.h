/*
 * Cases of straddle test on the nodes of a Slurm cluster: one job array with a task for each case.
 *
 * A task asks for the memory, the CPUs and the time of its case. A result is a file that the task
 * writes to a folder that all nodes share; Slurm is asked only which tasks have ended without one.
 * Such a task is lost. It is run again up to SLURM_RUNS_MAX times in all, unless it would end the
 * same way again (slurm_text_is_chance()): a node may have died, or lack what others have. Slurm
 * itself must not requeue tasks, because then nobody would count the runs.
 *
 * An array has the same needs for all of its tasks. So it is submitted held, with the least memory
 * and CPUs and the longest time, then scontrol gives each task its own, and then it is released. A
 * user may raise memory and CPUs of a job that waits, but not its time. Of the options of sbatch
 * that a cluster may want, such as a partition or an account, there are variables of the
 * environment: SBATCH_PARTITION, SBATCH_ACCOUNT and others (sbatch(1)).
 */
#ifndef TEST_SLURM_H
#define TEST_SLURM_H

#include "vmm/base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define SLURM_RUNS_MAX	3
#define SLURM_ARRAY_MAX 1000 /* tasks of one array; Slurm allows 1001 (MaxArraySize) by default */

struct slurm_task {
	const char *name; /* for sentences */
	uint64_t memory;  /* bytes, with what straddle needs for itself */
	unsigned cpus;
	unsigned seconds; /* of the clock; Slurm rounds up to minutes */
	/* writes its result to the file that SLURM_RESULT_VARIABLE names; stays the caller's */
	const char *const *command;
	unsigned nr_command;
};

/* How a task has ended. Strings live until the callback returns. */
struct slurm_end {
	const char *result; /* the file's path; NULL: the task is lost */
	unsigned runs;
	const char *log;      /* what the task printed in its last run */
	const char *state;    /* of a lost task: Slurm's word, such as "TIMEOUT", or "" */
	const char *sentence; /* of a lost task */
};

struct slurm_sums {
	unsigned tasks, waiting, running, done, lost;
	const char *reason; /* why one of those waits, in Slurm's words; "": none waits */
};

struct slurm {
	const char *folder; /* is there, and is the same on all nodes; a folder is made in it */
	unsigned at_once;   /* tasks that may run at the same time; 0: as many as Slurm likes */
	unsigned poll_ms;   /* between two looks at most; 0: 10 seconds */
	void *context;
	/* Each may be NULL. */
	bool (*cancelled)(void *context);
	void (*progress)(void *context, const struct slurm_sums *sums); /* at a change */
	void (*rerun)(void *context, unsigned task, const struct slurm_end *end);
	void (*ended)(void *context, unsigned task, const struct slurm_end *end);
};

/*
 * Submits the tasks and waits for the end of all, of which `ended` is told one by one. Returns 0;
 * -EINTR: it was cancelled; or another error: nothing could be submitted, or Slurm has not answered
 * for long. On errors all tasks that had not ended are cancelled.
 *
 * The folder that it makes, slurm.XXXXXX, is left if a task was lost, for the logs in it.
 */
int slurm_run(const struct slurm *s, const struct slurm_task *tasks, unsigned n, struct err *err);

#endif
