/*
 * straddle test FILE|DIR...: reads the cases, runs them (test/runner.h), and reports: TAP on
 * standard output, one live line on a terminal, other formats into files.
 */
#include "vmm/cli/cmd.h"

#include "vmm/base/quote.h"
#include "vmm/host/clock.h"
#include "vmm/host/image.h"
#include "vmm/test/evidence.h"
#include "vmm/test/expect.h"
#include "vmm/test/reports.h"
#include "vmm/test/runner.h"
#include "vmm/test/slurm_suite.h"
#include "vmm/test/splat.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".test" /* of the files in a folder */

#define STATUS_FAILED 1 /* some case did not pass */

struct suite_run {
	const struct config *options; /* of the command line */
	int argc;
	char **argv;
	struct suite suite;
	struct config_suite how;
	const char *task_report; /* of a task of Slurm, for the process that waits for it */
	struct test_reports reports;
	bool live;	 /* standard error is a terminal */
	bool live_shown; /* and the line is there */
	bool failed;
};

/* --- files --- */

static int read_cases(struct suite_run *r, const char *path, const char *prefix, struct err *err)
{
	struct image file;
	int ret = image_open(&file, "the file of cases", path, err);

	if (ret < 0)
		return ret;
	ret = suite_parse(&r->suite, path, prefix, (const char *)file.data, file.len, err);
	image_close(&file);
	return ret;
}

/* "net/" for tests/net.test. */
static void make_prefix(const char *path, char *prefix, size_t size)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	size_t n = strlen(name), end = strlen(SUFFIX);

	if (n > end && !strcmp(name + n - end, SUFFIX))
		n -= end;
	snprintf(prefix, size, "%.*s/", (int)n, name);
}

static int is_file_of_cases(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name), end = strlen(SUFFIX);

	return *entry->d_name != '.' && n > end && !strcmp(entry->d_name + n - end, SUFFIX);
}

static int read_folder(struct suite_run *r, const char *folder, struct err *err)
{
	struct dirent **names;
	int ret = 0, n = scandir(folder, &names, is_file_of_cases, alphasort);

	if (n < 0)
		return err_sys(err, errno, "the folder %s cannot be read", SHOWN(folder));
	if (!n)
		ret = err_set(err, EINVAL, "the folder %s has no file *" SUFFIX, SHOWN(folder));
	for (int i = 0; i < n; i++) {
		char path[PATH_MAX], prefix[NAME_MAX + 2];

		snprintf(path, sizeof(path), "%s/%s", folder, names[i]->d_name);
		make_prefix(path, prefix, sizeof(prefix));
		if (ret == 0)
			ret = read_cases(r, path, prefix, err);
		free(names[i]);
	}
	free(names);
	return ret;
}

/* Names begin with that of their file, unless there is only one. */
static int read_operand(struct suite_run *r, const char *path, struct err *err)
{
	char prefix[NAME_MAX + 2] = "";
	struct stat st;

	if (stat(path, &st) < 0)
		return err_sys(err, errno,
			       "'%s' is no file of cases; a command of the guest stands behind --: "
			       "straddle test --kernel FILE -- %s",
			       SHOWN(path), SHOWN(path));
	if (S_ISDIR(st.st_mode))
		return read_folder(r, path, err);
	if (r->options->nr_operands > 1)
		make_prefix(path, prefix, sizeof(prefix));
	return read_cases(r, path, prefix, err);
}

/* A task of --slurm runs its one case, and its report is not for the user. */
static int choose_task(struct suite_run *r, struct err *err)
{
	int ret = slurm_suite_choose(&r->suite, &r->task_report, err);

	if (!r->task_report)
		return ret;
	r->how.slurm = false;
	r->how.jobs = 1;
	r->how.count_cpus = false;
	r->how.junit = r->how.ktap = NULL;
	r->how.json = (char *)r->task_report;
	return ret;
}

static int read_suite(struct suite_run *r, struct err *err)
{
	int ret;

	for (unsigned i = 0; i < r->options->nr_operands; i++) {
		ret = read_operand(r, r->options->operands[i], err);
		if (ret < 0)
			return ret;
	}
	ret = suite_select(&r->suite, &r->how, err);
	return ret < 0 ? ret : choose_task(r, err);
}

/* --- a case's configuration --- */

/* Says that an expression is none before anything starts. */
static int check_expectations(const struct config *c, struct err *err)
{
	struct test_expect expect = { 0 };
	struct splat_allow allow = { .n = 0 };
	int ret = test_expect_init(&expect, &c->test, err);

	for (unsigned i = 0; ret == 0 && i < c->test.nr_allow_splats; i++)
		ret = splat_allow_add(&allow, c->test.allow_splats[i], err);
	test_expect_free(&expect);
	splat_allow_free(&allow);
	return ret;
}

/* The command line wins over the case, and the case over --config. */
static int suite_run_configure(void *to, const struct suite_case *of, struct config *c,
			       struct err *err)
{
	const struct suite_run *r = to;
	int ret = config_parse(c, CMD_TEST, r->argc, r->argv, err);

	if (ret < 0)
		return ret;
	config_forget_suite(c);
	free(c->test.output); /* the folder for all of them */
	c->test.output = NULL;
	ret = suite_apply(of, c, err);
	if (ret < 0)
		return ret;
	ret = cmd_parse_file(c, CMD_TEST, err);
	if (ret < 0)
		return ret;
	ret = cmd_settle(c, CMD_TEST, err);
	if (ret == 0)
		ret = check_expectations(c, err);
	return ret < 0 ? err_prefix(err, ret, "%s:%u: ", SHOWN(of->file), of->line) : 0;
}

/* --- what is shown --- */

static void hide_live(struct suite_run *r)
{
	if (r->live_shown)
		fputs("\r\033[K", stderr);
	r->live_shown = false;
}

static void suite_run_ended(void *to, const struct test_result *result)
{
	struct suite_run *r = to;

	hide_live(r);
	r->failed |= !result->passed && !result->skipped;
	test_reports_case(&r->reports, result);
}

static void suite_run_changed(void *to, const struct runner_counts *n)
{
	struct suite_run *r = to;
	char line[160];
	int len;

	if (!r->live)
		return;
	len = snprintf(line, sizeof(line), "%u running, %u passed, %u failed", n->running,
		       n->passed, n->failed);
	if (n->waiting)
		snprintf(line + len, sizeof(line) - (size_t)len, ", %u waiting for %s", n->waiting,
			 admission_word(n->waits_for));
	hide_live(r);
	fprintf(stderr, "%.79s", line);
	fflush(stderr);
	r->live_shown = true;
}

static int list_cases(const struct suite_run *r)
{
	for (unsigned i = 0; i < r->suite.n; i++)
		printf("%s\n", r->suite.cases[i].name);
	return fflush(stdout) == 0 ? 0 : verdict_status(VERDICT_HOST_ERROR, 0);
}

/* --- the run --- */

static int fail_suite(const struct err *err, enum verdict v)
{
	complain(err, STATUS_HOST_ERROR);
	return verdict_status(v, 0);
}

static int run_on_slurm(struct suite_run *r, const char *folder, const struct runner_user *user,
			struct err *err)
{
	const struct slurm_suite all = { &r->suite, &r->how, folder, user, r->argc, r->argv };

	return slurm_suite_run(&all, err);
}

static int run_cases(struct suite_run *r, struct runner *runner, const char *folder,
		     const struct runner_user *user)
{
	const struct config *c = r->options;
	uint64_t begin = host_clock_ns();
	struct err err, unwritten;
	int ret = test_reports_open(&r->reports, &r->how, stdout, c->operands[0], r->suite.n, &err);

	if (ret < 0)
		return fail_suite(&err, VERDICT_HOST_ERROR);
	ret = r->how.slurm ? run_on_slurm(r, folder, user, &err) : runner_run(runner, &err);
	hide_live(r);
	if (test_reports_close(&r->reports, host_clock_since(begin), &unwritten) < 0 && ret == 0)
		return fail_suite(&unwritten, VERDICT_HOST_ERROR);
	if (ret < 0)
		return fail_suite(&err, ret == -EINTR ? VERDICT_INTERRUPTED : VERDICT_HOST_ERROR);
	return r->failed ? STATUS_FAILED : 0;
}

/* All cases are judged first, also for --list. */
static int plan_cases(struct suite_run *r)
{
	const struct runner_user user = { suite_run_configure, suite_run_ended, suite_run_changed,
					  r };
	const struct config *c = r->options;
	const char *folder = c->test.output ? c->test.output : TEST_EVIDENCE_FOLDER;
	struct runner *runner;
	struct err err;
	int ret, status;

	runner = runner_new(&r->suite, &r->how, folder, &user, &ret, &err);
	if (!runner)
		return fail_suite(&err, ret == -EINVAL ? VERDICT_USAGE : VERDICT_HOST_ERROR);
	status = c->suite.list ? list_cases(r) : run_cases(r, runner, folder, &user);
	runner_free(runner);
	return status;
}

int cmd_test_suite(const struct config *c, int argc, char *argv[])
{
	struct suite_run r = { .options = c,
			       .argc = argc,
			       .argv = argv,
			       .how = c->suite,
			       .live = isatty(STDERR_FILENO) };
	struct err err;
	int status;

	if (read_suite(&r, &err) < 0)
		status = fail_suite(&err, VERDICT_USAGE);
	else
		status = plan_cases(&r);
	suite_free(&r.suite);
	return status;
}
