/* The script of a job array, run by a shell as Slurm would. */
#include "vmm/test/slurm_script.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[64];

static const char *path_of(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static FILE *create(const char *name)
{
	FILE *file = fopen(path_of(name), "w");

	assert_non_null(file);
	return file;
}

static int make_files(void **state)
{
	static const char *const quoted[] = {
		"sh",	   "-c",	 "printf '%s\\n' \"$@\" >\"$STRADDLE_SLURM_RESULT\"",
		"sh",	   "a b",	 "it's",
		"$x`y`\\", "two\nlines", "",
		"*"
	};
	static const char *const killed[] = {
		"sh", "-c", "echo part >\"$STRADDLE_SLURM_RESULT\"; kill -KILL $$"
	};
	static const char *const fails[] = { "sh", "-c",
					     "echo failed >\"$STRADDLE_SLURM_RESULT\"; exit 103" };
	static const char *const silent[] = { "true" };
	static const char *const stopped[] = {
		"sh", "-c", "echo part >\"$STRADDLE_SLURM_RESULT\"; kill -TERM $PPID"
	};
	FILE *file;

	(void)state;
	strcpy(folder, "/tmp/straddle's slurm-XXXXXX");
	assert_non_null(mkdtemp(folder));
	assert_int_equal(mkdir(path_of("results"), 0700), 0);
	file = create("job.sh");
	slurm_script_put_job(file, folder);
	assert_int_equal(fclose(file), 0);
	file = create("tasks.sh");
	slurm_script_begin_tasks(file);
	slurm_script_put_task(file, 0, quoted, 10);
	slurm_script_put_task(file, 1, killed, 3);
	slurm_script_put_task(file, 2, fails, 3);
	slurm_script_put_task(file, 3, silent, 1);
	slurm_script_put_task(file, 1004, stopped, 3);
	slurm_script_end_tasks(file);
	assert_int_equal(fclose(file), 0);
	return 0;
}

static int remove_files(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -r \"%s\"", folder);
	return system(command);
}

/* Runs a task. Returns its status, and its result or "" in `text`. */
static int run_task(unsigned index, unsigned base, char *text, size_t size)
{
	char command[256], name[64];
	int status;
	FILE *file;

	snprintf(command, sizeof(command),
		 "SLURM_ARRAY_TASK_ID=%u SLURM_JOB_ID=7 sh \"%s/job.sh\" %u 2>\"%s/log\"", index,
		 folder, base, folder);
	status = system(command);
	snprintf(name, sizeof(name), "results/%u.json", base + index);
	file = fopen(path_of(name), "r");
	text[file ? fread(text, 1, size - 1, file) : 0] = '\0';
	if (file)
		fclose(file);
	snprintf(name, sizeof(name), "results/%u.7.part", base + index);
	assert_int_equal(access(path_of(name), F_OK), -1);
	return WEXITSTATUS(status);
}

static void test_words(void **state)
{
	char text[256] = "";

	(void)state;
	assert_int_equal(run_task(0, 0, text, sizeof(text)), 0);
	assert_string_equal(text, "a b\nit's\n$x`y`\\\ntwo\nlines\n\n*\n");
}

static void test_results(void **state)
{
	char text[256] = "";

	(void)state;
	/* A case that has failed has a result, too. */
	assert_int_equal(run_task(2, 0, text, sizeof(text)), 0);
	assert_string_equal(text, "failed\n");
	assert_int_equal(run_task(1, 0, text, sizeof(text)), 1);
	assert_string_equal(text, "");
	assert_int_equal(run_task(3, 0, text, sizeof(text)), 1);
	assert_string_equal(text, "");
	assert_int_equal(run_task(4, 1000, text, sizeof(text)), 1);
	assert_string_equal(text, "");
	assert_int_equal(run_task(5, 1000, text, sizeof(text)), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_results),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
