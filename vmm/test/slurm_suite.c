#include "vmm/test/slurm_suite.h"

#include "vmm/base/quote.h"
#include "vmm/test/evidence.h"
#include "vmm/test/limits.h"
#include "vmm/test/need.h"
#include "vmm/test/result_json.h"
#include "vmm/test/slurm.h"
#include "vmm/test/slurm_script.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CASE_VARIABLE "STRADDLE_SLURM_CASE"

#define START_SECONDS 60	     /* of straddle itself, and its end */
#define MOST_SECONDS  (24 * 60 * 60) /* of a case that has no limit */
#define LOG_SHOWN     4096	     /* bytes of the end of a lost task's log */

/* A case's task. */
struct part {
	char *variable; /* "STRADDLE_SLURM_CASE=NAME" */
	const char **words;
	char *loss; /* how it was lost before it ran again, or NULL */
	bool ended;
};

struct slurm_cases {
	const struct slurm_suite *s;
	struct part *parts;
	struct slurm_task *tasks;
	char program[PATH_MAX];
	struct runner_counts counts;
	sigset_t signals;
	int signal; /* that ended the run, or 0 */
	bool stop;  /* a case has failed, and --fail-fast */
};

/* --- tasks --- */

/* A case may run --retry times again, each time as long as a host that starves it lets it. */
static unsigned clock_seconds(const struct config *c, const struct config_suite *how)
{
	uint64_t seconds = (uint64_t)c->test.limit * LIMITS_PATIENCE * (how->retry + 1ull);

	return seconds && seconds < MOST_SECONDS ? (unsigned)seconds + START_SECONDS : MOST_SECONDS;
}

static int make_words(const struct slurm_cases *m, unsigned i, struct err *err)
{
	struct part *p = &m->parts[i];
	unsigned n = 0;

	p->words = calloc((size_t)m->s->argc + 4, sizeof(*p->words));
	if (!p->words ||
	    asprintf(&p->variable, CASE_VARIABLE "=%s", m->s->cases->cases[i].name) < 0) {
		p->variable = NULL;
		return err_sys(err, ENOMEM, "out of memory for the cases");
	}
	p->words[n++] = "env";
	p->words[n++] = p->variable;
	p->words[n++] = m->program;
	p->words[n++] = "test";
	for (int k = 0; k < m->s->argc; k++)
		p->words[n++] = m->s->argv[k];
	m->tasks[i].command = p->words;
	m->tasks[i].nr_command = n;
	return 0;
}

static int make_task(const struct slurm_cases *m, unsigned i, struct err *err)
{
	const struct suite_case *of = &m->s->cases->cases[i];
	struct config c = CONFIG_EMPTY;
	struct admission_need need = { .names = NULL };
	int ret = m->s->user->configure(m->s->user->to, of, &c, err);

	if (ret == 0)
		ret = test_need_of(&c, &need, err);
	if (ret == 0) {
		m->tasks[i] = (struct slurm_task){
			.name = of->name,
			.memory = need.amounts[ADMISSION_MEMORY] + need.amounts[ADMISSION_HUGE_2M] +
				  need.amounts[ADMISSION_HUGE_1G],
			.cpus = (unsigned)need.amounts[ADMISSION_CPUS],
			.seconds = clock_seconds(&c, m->s->how),
		};
		ret = make_words(m, i, err);
	}
	test_need_free(&need);
	config_free(&c);
	return ret;
}

static int make_tasks(struct slurm_cases *m, struct err *err)
{
	unsigned n = m->s->cases->n;
	ssize_t len = readlink("/proc/self/exe", m->program, sizeof(m->program) - 1);
	int ret = 0;

	if (len < 0)
		return err_sys(err, errno, "cannot tell where straddle is (/proc/self/exe)");
	m->program[len] = '\0';
	m->parts = calloc(n ? n : 1, sizeof(*m->parts));
	m->tasks = calloc(n ? n : 1, sizeof(*m->tasks));
	if (!m->parts || !m->tasks)
		return err_sys(err, ENOMEM, "out of memory for the cases");
	for (unsigned i = 0; i < n && ret == 0; i++)
		ret = make_task(m, i, err);
	return ret;
}

static void free_tasks(struct slurm_cases *m)
{
	for (unsigned i = 0; m->parts && i < m->s->cases->n; i++) {
		free(m->parts[i].variable);
		free(m->parts[i].words);
		free(m->parts[i].loss);
	}
	free(m->parts);
	free(m->tasks);
}

/* --- results --- */

static void tell_result(struct slurm_cases *m, unsigned task, struct test_result *result)
{
	m->parts[task].ended = true;
	result->name = m->tasks[task].name;
	runner_count(&m->counts, result);
	m->stop |= m->s->how->fail_fast && !result->passed && !result->skipped;
	m->s->user->ended(m->s->user->to, result);
}

/* A case that ran again after it was lost says so. */
static void add_loss(const struct part *p, struct test_result *result, unsigned runs)
{
	size_t n = strlen(result->sentence);

	result->attempts += runs - 1;
	result->flaky |= result->passed && runs > 1;
	if (p->loss)
		snprintf(result->sentence + n, sizeof(result->sentence) - n,
			 " It ran again, because it was lost: %s", p->loss);
}

/* The end of a file, to be freed; NULL: it has none. */
static char *end_of_log(const char *path)
{
	FILE *file = path ? fopen(path, "re") : NULL;
	char *text = file ? calloc(1, LOG_SHOWN + 1) : NULL;

	if (text && fseek(file, -LOG_SHOWN, SEEK_END) < 0)
		rewind(file);
	if (text && !fread(text, 1, LOG_SHOWN, file)) {
		free(text);
		text = NULL;
	}
	if (file)
		fclose(file);
	return text;
}

static void tell_lost_case(struct slurm_cases *m, unsigned task, const struct slurm_end *end)
{
	struct test_result result = { .verdict = VERDICT_LOST,
				      .attempts = end->runs,
				      .boot_seconds = -1 };
	char *log = end_of_log(end->log);

	snprintf(result.sentence, sizeof(result.sentence), "%s", end->sentence);
	result.printed = log;
	tell_result(m, task, &result);
	free(log);
}

static void slurm_case_ended(void *to, unsigned task, const struct slurm_end *end)
{
	struct slurm_cases *m = to;
	struct result_json r;
	struct err err;

	if (!end->result) {
		tell_lost_case(m, task, end);
		return;
	}
	if (result_json_read(&r, end->result, &err) < 0) {
		result_json_free(&r);
		r.result = (struct test_result){ .verdict = VERDICT_HOST_ERROR,
						 .attempts = 1,
						 .boot_seconds = -1 };
		snprintf(r.result.sentence, sizeof(r.result.sentence), "%s", err.text);
	}
	/* A node skips its only case for an error of its own. */
	if (r.result.skipped) {
		r.result.skipped = false;
		r.result.verdict = VERDICT_HOST_ERROR;
	}
	add_loss(&m->parts[task], &r.result, end->runs);
	tell_result(m, task, &r.result);
	result_json_free(&r);
}

static void slurm_case_lost(void *to, unsigned task, const struct slurm_end *end)
{
	struct part *p = &((struct slurm_cases *)to)->parts[task];

	free(p->loss);
	p->loss = strdup(end->sentence);
}

static void slurm_case_sums(void *to, const struct slurm_sums *sums)
{
	struct slurm_cases *m = to;

	m->counts.waiting = sums->waiting;
	m->counts.running = sums->running;
	m->counts.waits_for = ADMISSION_WAITS_FOR_END;
	m->s->user->changed(m->s->user->to, &m->counts);
}

/* Whether no more cases should run: after a signal, or the first failure. */
static bool is_stopped(void *to)
{
	struct slurm_cases *m = to;
	const struct timespec now = { .tv_sec = 0 };
	int signal = sigtimedwait(&m->signals, NULL, &now);

	if (signal > 0)
		m->signal = signal;
	return m->signal || m->stop;
}

/* Cases that have not ended are in the report, too. */
static void skip_unfinished(struct slurm_cases *m, int ret)
{
	for (unsigned i = 0; i < m->s->cases->n; i++) {
		struct test_result result = { .skipped = true, .boot_seconds = -1 };

		if (m->parts[i].ended)
			continue;
		snprintf(result.sentence, sizeof(result.sentence), "not run to its end, because %s",
			 m->signal	 ? "the run was interrupted"
			 : ret != -EINTR ? "of an error of the host"
					 : "another case failed (--fail-fast)");
		tell_result(m, i, &result);
	}
}

/* --- the whole --- */

static int run_tasks(struct slurm_cases *m, struct err *err)
{
	const struct slurm jobs = { .folder = m->s->folder,
				    .at_once = m->s->how->count_cpus ? 0 : m->s->how->jobs,
				    .context = m,
				    .cancelled = is_stopped,
				    .progress = slurm_case_sums,
				    .rerun = slurm_case_lost,
				    .ended = slurm_case_ended };
	sigset_t before;
	int ret = test_output_folder(m->s->folder, err);

	if (ret < 0)
		return ret;
	runner_signals(&m->signals);
	sigprocmask(SIG_BLOCK, &m->signals, &before);
	ret = slurm_run(&jobs, m->tasks, m->s->cases->n, err);
	skip_unfinished(m, ret);
	(void)rmdir(m->s->folder); /* if nothing was left in it */
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (m->signal)
		return err_set(err, EINTR, "the cases were ended by %s", strsignal(m->signal));
	return ret == -EINTR ? 0 : ret;
}

int slurm_suite_run(const struct slurm_suite *s, struct err *err)
{
	struct slurm_cases *m = calloc(1, sizeof(*m));
	int ret;

	if (!m)
		return err_sys(err, ENOMEM, "out of memory for the cases");
	m->s = s;
	ret = make_tasks(m, err);
	if (ret == 0)
		ret = run_tasks(m, err);
	free_tasks(m);
	free(m);
	return ret;
}

int slurm_suite_choose(struct suite *s, const char **report, struct err *err)
{
	const char *name = getenv(CASE_VARIABLE);

	*report = name ? getenv(SLURM_RESULT_VARIABLE) : NULL;
	if (!*report)
		return 0;
	for (unsigned i = 0; i < s->n; i++)
		if (!strcmp(s->cases[i].name, name)) {
			s->cases[0] = s->cases[i];
			s->n = 1;
			return 0;
		}
	return err_set(err, EINVAL,
		       "there is no case '%s'; are the files of cases the same on all nodes?",
		       SHOWN(name));
}
