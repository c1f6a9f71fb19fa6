#include "vmm/test/slurm_script.h"

/* Any text as one word of a POSIX shell: between single quotes all bytes but those are literal. */
static void put_shell_word(FILE *out, const char *word)
{
	fputc('\'', out);
	for (; *word; word++)
		if (*word == '\'')
			fputs("'\\''", out);
		else
			fputc(*word, out);
	fputc('\'', out);
}

/*
 * At a task's time limit, and when it is cancelled, Slurm sends SIGTERM to all of its processes,
 * and SIGKILL later. What a command writes then is not the result of its case, so the shell notes
 * the signal; its trap runs once the command has ended. Two runs of a task that overlap, because
 * the node of the first one is cut off but alive, write to files of their own.
 */
void slurm_script_put_job(FILE *out, const char *folder)
{
	fputs("#!/bin/sh\n"
	      "# One case of straddle test --slurm. Its command is in tasks.sh.\n"
	      "trap 'stopped=yes' TERM\n"
	      "stopped=no\n"
	      "task=$((SLURM_ARRAY_TASK_ID + $1))\n"
	      "folder=",
	      out);
	put_shell_word(out, folder);
	fputs("\n"
	      "part=$folder/results/$task.$SLURM_JOB_ID.part\n"
	      ". \"$folder/tasks.sh\"\n"
	      "export " SLURM_RESULT_VARIABLE "=\"$part\"\n"
	      "\"$@\"\n"
	      "status=$?\n"
	      "if [ $stopped = no ] && [ $status -lt 128 ] && [ -s \"$part\" ] &&\n"
	      "	mv \"$part\" \"$folder/results/$task.json\"; then\n"
	      "	exit 0\n"
	      "fi\n"
	      "echo \"task $task on $(uname -n) left no result; its command's status is $status\" "
	      ">&2\n"
	      "rm -f \"$part\"\n"
	      "exit 1\n",
	      out);
}

void slurm_script_begin_tasks(FILE *out)
{
	fputs("case $task in\n", out);
}

void slurm_script_put_task(FILE *out, unsigned task, const char *const *words, unsigned n)
{
	fprintf(out, "%u) set --", task);
	for (unsigned i = 0; i < n; i++) {
		fputc(' ', out);
		put_shell_word(out, words[i]);
	}
	fputs(" ;;\n", out);
}

void slurm_script_end_tasks(FILE *out)
{
	fputs("*) set -- false ;;\nesac\n", out);
}
