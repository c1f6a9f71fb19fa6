/*
 * What the tasks of a job array run: a script that Slurm copies to their nodes, and a file with the
 * command of each task beside the results.
 *
 *	job.sh		sbatch's script. Its argument is added to the task's index in the array.
 *	tasks.sh	the commands, which job.sh reads
 *	results/N.json	what the command of task N has written to the file that the variable
 *			SLURM_RESULT_VARIABLE names, moved there at its end. A command that a
 *			signal ended leaves none.
 */
#ifndef TEST_SLURM_SCRIPT_H
#define TEST_SLURM_SCRIPT_H

#include <stdio.h>

#define SLURM_RESULT_VARIABLE "STRADDLE_SLURM_RESULT"

/* `folder` is absolute, and the same on all nodes. */
void slurm_script_put_job(FILE *out, const char *folder);
void slurm_script_begin_tasks(FILE *out);
void slurm_script_put_task(FILE *out, unsigned task, const char *const *words, unsigned n);
void slurm_script_end_tasks(FILE *out);

#endif
