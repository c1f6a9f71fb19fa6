/*
 * Job arrays against a Slurm of shell scripts: what is asked of it, and what becomes of tasks that
 * end in each way. The real one is in tests/guest/slurm.sh.
 */
#include "vmm/test/slurm.h"

#include "vmm/base/units.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

/*
 * All of Slurm's programs, told apart by their name. A call is a line of the file calls. Tasks run
 * when their array is released: each has a line in the file fates, with its number and, for each of
 * its runs, the state that it ends in. DONE: its command runs, and it is COMPLETED. QUICK: its
 * result is there without.
 */
static const char fake[] =
	"#!/bin/bash\n"
	"cd \"$FAKE\" || exit 1\n"
	"name=${0##*/}\n"
	"echo \"$name $*\" >>calls\n"
	"if [ -e \"$name.fails\" ]; then cat \"$name.fails\" >&2; exit 1; fi\n"
	"indices() {\n"
	"	for i in ${1//,/ }; do seq \"${i%-*}\" \"${i#*-}\"; done\n"
	"}\n"
	"case $name in\n"
	"sbatch)\n"
	"	job=$(($(cat job 2>/dev/null || echo 100) + 1))\n"
	"	echo $job >job\n"
	"	echo \"${@: -2:1}\" >$job.script\n"
	"	echo \"${@: -1}\" >$job.base\n"
	"	echo \"$job;cluster\" ;;\n"
	"scontrol)\n"
	"	case $* in\n"
	"	*NumCPUs=99*) echo too many CPUs >&2; exit 1 ;;\n"
	"	update*) exit 0 ;;\n"
	"	esac\n"
	"	job=${2%%_*} base=$(<$job.base) script=$(<$job.script)\n"
	"	mapfile -t fates <fates\n"
	"	while read -r i; do\n"
	"		task=$((base + i)) n=1\n"
	"		[ ! -e runs.$task ] || n=$(($(<runs.$task) + 1))\n"
	"		echo $n >runs.$task\n"
	"		fate=(${fates[task]})\n"
	"		state=${fate[n]} reason=None priority=7\n"
	"		case $state in\n"
	"		DONE)\n"
	"			SLURM_ARRAY_TASK_ID=$i SLURM_JOB_ID=$job sh \"$script\" $base\n"
	"			state=COMPLETED ;;\n"
	"		QUICK)\n"
	"			echo \"result $task\" >\"${script%/*}/results/$task.json\"\n"
	"			state=COMPLETED ;;\n"
	"		Bad*) reason=$state state=PENDING priority=0 ;;\n"
	"		FORGOTTEN) continue ;;\n"
	"		esac\n"
	"		echo \"$job|$i|$priority|$state|$reason|node$n\" >>queue\n"
	"	done < <(indices \"$(sed 's/.*\\[//; s/]//' <<<\"$2\")\") ;;\n"
	"squeue) cat queue 2>/dev/null || : ;;\n"
	"esac\n";

#define TASKS_MAX 1003

static char folder[64];
static struct err err;
static struct slurm_task tasks[TASKS_MAX];

/* What slurm_run() has told. */
static struct {
	unsigned done, lost, reruns, order[8], asked, cancel_after;
	char text[4096]; /* a line for each task that was lost or run again */
	struct slurm_sums sums;
} told;

static const char *path_of(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static void write_text(const char *name, const char *text)
{
	FILE *file = fopen(path_of(name), "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/* A file's text, to be freed. */
static char *text_of(const char *name)
{
	FILE *file = fopen(path_of(name), "r");
	char *text = calloc(1, 65536);

	assert_non_null(text);
	if (file) {
		(void)!fread(text, 1, 65535, file);
		fclose(file);
	}
	return text;
}

static void expect_call(const char *call)
{
	char *calls = text_of("calls");

	if (!strstr(calls, call))
		fail_msg("no '%s' in:\n%s", call, calls);
	free(calls);
}

static unsigned count_calls(const char *call)
{
	char *calls = text_of("calls");
	unsigned n = 0;

	for (const char *p = calls; (p = strstr(p, call)); p++)
		n++;
	free(calls);
	return n;
}

static int make_slurm(void **state)
{
	static const char *const names[] = { "sbatch", "scontrol", "squeue", "scancel" };
	static char words[TASKS_MAX][8];
	static const char *commands[TASKS_MAX][4];
	char path[512];

	(void)state;
	strcpy(folder, "/tmp/straddle-slurm-XXXXXX");
	assert_non_null(mkdtemp(folder));
	assert_int_equal(mkdir(path_of("bin"), 0700), 0);
	assert_int_equal(mkdir(path_of("shared"), 0700), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "bin/%s", names[i]);
		write_text(path, fake);
		assert_int_equal(chmod(path_of(path), 0700), 0);
	}
	snprintf(path, sizeof(path), "%s/bin:/usr/bin:/bin", folder);
	setenv("PATH", path, 1);
	setenv("FAKE", folder, 1);
	memset(&told, 0, sizeof(told));
	for (unsigned i = 0; i < TASKS_MAX; i++) {
		snprintf(words[i], sizeof(words[i]), "%u", i);
		commands[i][0] = "sh";
		commands[i][1] = "-c";
		commands[i][2] = "echo \"result $0\" >\"$STRADDLE_SLURM_RESULT\"";
		commands[i][3] = words[i];
		tasks[i] = (struct slurm_task){ .name = words[i],
						.memory = GIB,
						.cpus = 1,
						.seconds = 90,
						.command = commands[i],
						.nr_command = 4 };
	}
	return 0;
}

static int remove_slurm(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "/bin/rm -r '%s'", folder);
	return system(command);
}

static bool tell_cancelled(void *context)
{
	(void)context;
	return told.cancel_after && ++told.asked > told.cancel_after;
}

static void note(unsigned task, const struct slurm_end *end)
{
	size_t n = strlen(told.text);

	snprintf(told.text + n, sizeof(told.text) - n, "%u %u %s: %s\n", task, end->runs,
		 end->state, end->sentence);
}

static void tell_ended(void *context, unsigned task, const struct slurm_end *end)
{
	char expected[32], found[32];
	FILE *file;

	(void)context;
	if (!end->result) {
		told.lost++;
		note(task, end);
		return;
	}
	told.done++;
	file = fopen(end->result, "r");
	assert_non_null(file);
	snprintf(expected, sizeof(expected), "result %u\n", task);
	assert_non_null(fgets(found, sizeof(found), file));
	assert_string_equal(found, expected);
	fclose(file);
	if (task < ARRAY_SIZE(told.order))
		told.order[task] = end->runs;
}

static void tell_rerun(void *context, unsigned task, const struct slurm_end *end)
{
	(void)context;
	assert_null(end->result);
	told.reruns++;
	note(task, end);
}

static void tell_sums(void *context, const struct slurm_sums *sums)
{
	(void)context;
	told.sums = *sums;
	assert_int_equal(sums->tasks, sums->waiting + sums->running + sums->done + sums->lost);
}

static struct slurm options(void)
{
	static char shared[128];

	strcpy(shared, path_of("shared"));
	return (struct slurm){ .folder = shared,
			       .poll_ms = 1,
			       .cancelled = tell_cancelled,
			       .progress = tell_sums,
			       .rerun = tell_rerun,
			       .ended = tell_ended };
}

/* The folder in the shared one is gone, or not. */
static void expect_left(bool left)
{
	assert_int_equal(rmdir(path_of("shared")) == 0, !left);
}

static void test_all_pass(void **state)
{
	struct slurm s = options();

	(void)state;
	s.at_once = 2;
	write_text("fates", "0 DONE\n1 DONE\n2 DONE\n");
	assert_int_equal(slurm_run(&s, tasks, 3, &err), 0);
	assert_int_equal(told.done, 3);
	assert_int_equal(told.lost + told.reruns, 0);
	assert_int_equal(told.sums.done, 3);
	expect_call("sbatch --parsable --hold --no-requeue --job-name=straddle-");
	expect_call(" --array=0-2%2 --nodes=1 --ntasks=1 --cpus-per-task=1 --mem=1024M --time=2 ");
	expect_call("scontrol release 101_[0-2]\n");
	assert_int_equal(count_calls("scontrol update"), 0);
	assert_int_equal(count_calls("scancel"), 0);
	expect_left(false);
}

static void test_no_tasks(void **state)
{
	struct slurm s = options();

	(void)state;
	assert_int_equal(slurm_run(&s, tasks, 0, &err), 0);
	assert_int_equal(count_calls("sbatch"), 0);
	expect_left(false);
}

/* Each task has its own needs, and all that have the same ones get them with one command. */
static void test_needs(void **state)
{
	struct slurm s = options();

	(void)state;
	tasks[0].memory = 512 * MIB + 1;
	tasks[0].seconds = 601;
	tasks[1].cpus = tasks[2].cpus = tasks[4].cpus = 4;
	tasks[3].memory = 0;
	tasks[3].cpus = 0;
	tasks[3].seconds = 0;
	tasks[5].memory = 1;
	tasks[5].seconds = 11 * 60;
	write_text("fates", "0 DONE\n1 DONE\n2 DONE\n3 DONE\n4 DONE\n5 DONE\n");
	assert_int_equal(slurm_run(&s, tasks, 6, &err), 0);
	assert_int_equal(told.done, 6);
	expect_call(" --array=0-5 --nodes=1 --ntasks=1 --cpus-per-task=1 --mem=1M --time=11 ");
	expect_call("scontrol update JobId=101_[0] MinMemoryNode=513 NumCPUs=1 CpusPerTask=1 "
		    "MinCPUsNode=1 TimeLimit=11\n");
	expect_call("scontrol update JobId=101_[1-2,4] MinMemoryNode=1024 NumCPUs=4 CpusPerTask=4 "
		    "MinCPUsNode=4 TimeLimit=2\n");
	expect_call("scontrol update JobId=101_[3] MinMemoryNode=1 NumCPUs=1 CpusPerTask=1 "
		    "MinCPUsNode=1 TimeLimit=1\n");
	assert_int_equal(count_calls("scontrol update"), 3);
}

static void test_lost(void **state)
{
	struct slurm s = options();

	(void)state;
	write_text("fates", "0 NODE_FAIL DONE\n"
			    "1 FORGOTTEN FAILED DONE\n"
			    "2 NODE_FAIL NODE_FAIL NODE_FAIL DONE\n"
			    "3 TIMEOUT DONE\n"
			    "4 OUT_OF_MEMORY DONE\n"
			    "5 CANCELLED DONE\n"
			    "6 DONE\n"
			    "7 BadConstraints DONE\n"
			    "8 COMPLETED DONE\n");
	assert_int_equal(slurm_run(&s, tasks, 9, &err), 0);
	assert_int_equal(told.done, 4);
	assert_int_equal(told.lost, 5);
	assert_int_equal(told.reruns, 6);
	assert_int_equal(told.order[0], 2);
	assert_int_equal(told.order[1], 3);
	assert_int_equal(told.order[6], 1);
	assert_string_equal(
		told.text,
		"0 1 NODE_FAIL: Slurm's job 101_0 on node1 ended with NODE_FAIL.\n"
		"1 1 : Slurm knows job 101_1 no longer, and it has left no result.\n"
		"2 1 NODE_FAIL: Slurm's job 101_2 on node1 ended with NODE_FAIL.\n"
		"3 1 TIMEOUT: Slurm's job 101_3 on node1 ended with TIMEOUT.\n"
		"4 1 OUT_OF_MEMORY: Slurm's job 101_4 on node1 ended with OUT_OF_MEMORY.\n"
		"5 1 CANCELLED: Slurm's job 101_5 on node1 ended with CANCELLED.\n"
		"7 1 BadConstraints: No node can run a job with 1024 MiB, 1 CPUs and 2 minutes "
		"(Slurm says BadConstraints).\n"
		"8 1 COMPLETED: Slurm's job 101_8 on node1 ended without a result (COMPLETED, "
		"None).\n"
		"1 2 FAILED: Slurm's job 102_1 on node2 ended without a result (FAILED, None).\n"
		"2 2 NODE_FAIL: Slurm's job 102_2 on node2 ended with NODE_FAIL.\n"
		"2 3 NODE_FAIL: Slurm's job 103_2 on node3 ended with NODE_FAIL.\n");
	expect_call(" --array=0-2,8 ");
	expect_call("scancel 101_[7]\n");
	assert_int_equal(count_calls("sbatch"), 3);
	expect_left(true);
}

/* More tasks than an array may have. */
static void test_many(void **state)
{
	struct slurm s = options();
	FILE *file = fopen(path_of("fates"), "w");

	(void)state;
	assert_non_null(file);
	for (unsigned i = 0; i < TASKS_MAX; i++)
		fprintf(file, "%u %s\n", i, i == 1 || i == 1001 ? "NODE_FAIL QUICK" : "QUICK");
	assert_int_equal(fclose(file), 0);
	s.at_once = 4;
	assert_int_equal(slurm_run(&s, tasks, TASKS_MAX, &err), 0);
	assert_int_equal(told.done, TASKS_MAX);
	assert_int_equal(told.reruns, 2);
	expect_call(" --array=0-999%2 ");
	expect_call(" --array=0-2%2 ");
	expect_call("job.sh 1000\n");
	assert_int_equal(count_calls(" --array=1%2 "), 2);
	expect_left(false);
}

/* Slurm refuses one task its needs: it alone is lost. */
static void test_refused_needs(void **state)
{
	struct slurm s = options();

	(void)state;
	tasks[1].cpus = 99;
	write_text("fates", "0 DONE\n1 DONE\n2 DONE\n");
	assert_int_equal(slurm_run(&s, tasks, 3, &err), 0);
	assert_string_equal(told.text,
			    "1 1 : Slurm refuses 1024 MiB, 99 CPUs and 2 minutes for a job: "
			    "scontrol: too many CPUs\n");
	assert_int_equal(told.done, 2);
	expect_call("scancel 101_[1]\n");
	expect_call("scontrol release 101_[0,2]\n");
	assert_int_equal(count_calls("scancel"), 1);
}

/* An array that cannot be released is cancelled. */
static void test_not_released(void **state)
{
	struct slurm s = options();

	(void)state;
	write_text("scontrol.fails", "no right\n");
	assert_int_equal(slurm_run(&s, tasks, 2, &err), -EIO);
	assert_string_equal(err.text, "scontrol: no right");
	expect_call("scancel --user=");
}

static void test_no_submission(void **state)
{
	struct slurm s = options();

	(void)state;
	write_text("sbatch.fails", "sbatch: error: Invalid account\nmore\n");
	assert_int_equal(slurm_run(&s, tasks, 2, &err), -EIO);
	assert_string_equal(err.text, "sbatch: sbatch: error: Invalid account");
	expect_left(false);
	setenv("PATH", "/nowhere", 1);
	assert_int_equal(mkdir(path_of("shared"), 0700), 0);
	assert_int_equal(slurm_run(&s, tasks, 2, &err), -ENOENT);
	assert_string_equal(err.text, "there is no program sbatch in PATH");
	s.folder = "/nowhere";
	assert_int_equal(slurm_run(&s, tasks, 2, &err), -ENOENT);
	assert_non_null(strstr(err.text, "the folder /nowhere cannot be used"));
}

/* Results count although Slurm's daemon does not answer. */
static void test_silence(void **state)
{
	struct slurm s = options();

	(void)state;
	write_text("fates", "0 DONE\n");
	write_text("squeue.fails", "squeue: error: no controller\n");
	assert_int_equal(slurm_run(&s, tasks, 1, &err), 0);
	assert_int_equal(told.done, 1);
}

static void test_cancelled(void **state)
{
	struct slurm s = options();

	(void)state;
	told.cancel_after = 6; /* asked for each array and group of needs, too */
	write_text("fates", "0 RUNNING\n1 DONE\n");
	assert_int_equal(slurm_run(&s, tasks, 2, &err), -EINTR);
	assert_int_equal(told.done, 1);
	assert_int_equal(told.sums.running, 1);
	expect_call("scancel --user=");
	expect_call(" --name=straddle-");
	expect_left(false);
}

static void test_cancelled_at_first(void **state)
{
	struct slurm s = options();

	(void)state;
	told.cancel_after = 2;
	setenv("SQUEUE_PARTITION", "none", 1);
	write_text("fates", "0 DONE\n1 DONE\n");
	assert_int_equal(slurm_run(&s, tasks, 2, &err), -EINTR);
	assert_int_equal(told.done, 0);
	expect_call("scancel --user=");
	expect_left(false);
	assert_null(getenv("SQUEUE_PARTITION"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_slurm, remove_slurm)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_all_pass),
		TEST(test_no_tasks),
		TEST(test_needs),
		TEST(test_lost),
		TEST(test_many),
		TEST(test_refused_needs),
		TEST(test_not_released),
		TEST(test_no_submission),
		TEST(test_silence),
		TEST(test_cancelled),
		TEST(test_cancelled_at_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
