/*
 * What Slurm's programs print, read.
 *
 * PURE. The text is untrusted: it comes from a cluster whose configuration nobody here knows.
 */
#ifndef TEST_SLURM_TEXT_H
#define TEST_SLURM_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What squeue is asked to print of each task (squeue(1), --format), and the parser expects. */
#define SLURM_TEXT_FORMAT "%F|%K|%Q|%T|%r|%N"

/* One task of a job array. The texts are printable ASCII, and cut if they are longer. */
struct slurm_line {
	uint64_t job;	/* of the whole array */
	uint32_t index; /* in the array */
	uint32_t priority;
	char state[32];	 /* "PENDING", "NODE_FAIL"... */
	char reason[64]; /* why it waits, or has failed: "Resources" */
	char node[64];	 /* or "" */
};

enum slurm_state {
	SLURM_WAITS,
	SLURM_NEVER, /* no node has what it needs, and Slurm holds it */
	SLURM_RUNS,
	SLURM_ENDED,
};

/* Reads what sbatch --parsable prints: "1234", or "1234;CLUSTER". False: it is something else. */
bool slurm_text_job(const char *text, uint64_t *job);
/*
 * Reads the next line that is about a task, and moves *text behind it. Other lines, such as those
 * of jobs without an array, are passed over. False: there is none.
 */
bool slurm_text_line(const char **text, struct slurm_line *line);
/* What the task does. A state that is unknown here is that of a task that runs. */
enum slurm_state slurm_text_state(const struct slurm_line *line);
/*
 * Whether a task that ended in this state without a result is worth another run. "": Slurm has
 * forgotten the task. Not worth it: time limit, memory, deadline, and a cancellation, which
 * somebody has meant.
 */
bool slurm_text_is_chance(const char *state);

#endif
