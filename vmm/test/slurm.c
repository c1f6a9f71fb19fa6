#include "vmm/test/slurm.h"

#include "vmm/base/quote.h"
#include "vmm/base/units.h"
#include "vmm/host/clock.h"
#include "vmm/test/slurm_command.h"
#include "vmm/test/slurm_script.h"
#include "vmm/test/slurm_text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_SECONDS	100 /* for one program; it waits for Slurm's daemon for some time, too */
#define SILENCE_SECONDS 600 /* of Slurm, after which nobody waits any longer */
#define POLL_FIRST_MS	1000
#define POLL_MAX_MS	10000
#define SLICE_MS	100 /* between two questions whether it is cancelled */
#define WORDS_MAX	20

enum stage { STAGE_TODO, STAGE_GIVEN, STAGE_DONE, STAGE_LOST };

/* A task in its present run. */
struct task {
	enum stage stage;
	unsigned runs;
	uint64_t job; /* of its array */
	bool listed;  /* squeue's last answer has it; its line is below */
	struct slurm_line line;
	unsigned group; /* 1 and up while an array is being submitted */
};

/* An array that was submitted: index I in it is task `base` + I. */
struct array {
	uint64_t job;
	unsigned base;
};

struct jobs {
	const struct slurm *s;
	const struct slurm_task *tasks;
	struct task *state;
	unsigned n;
	struct array *arrays;
	size_t nr_arrays;
	char folder[PATH_MAX];
	char name[64]; /* of all jobs of this run, and of no others */
	struct slurm_sums told;
	char told_reason[64];
	struct err *err;
};

/* Needs in Slurm's units. */
struct needs {
	uint64_t mib;
	unsigned cpus, minutes;
};

static struct needs needs_of(const struct slurm_task *t)
{
	struct needs n = { .mib = t->memory / MIB + (t->memory % MIB != 0),
			   .cpus = t->cpus ? t->cpus : 1,
			   .minutes = t->seconds / 60 + (t->seconds % 60 != 0) };

	/* To Slurm, no megabytes are all of a node's memory, and no minutes have no limit. */
	n.mib = n.mib ? n.mib : 1;
	n.minutes = n.minutes ? n.minutes : 1;
	return n;
}

static bool is_cancelled(const struct jobs *j)
{
	return j->s->cancelled && j->s->cancelled(j->s->context);
}

/* --- the words of a command, built for one call --- */

struct words {
	char *list[WORDS_MAX + 1];
	unsigned n;
	bool failed;
};

__attribute__((format(printf, 2, 3))) static void add_word(struct words *w, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (w->n == WORDS_MAX || vasprintf(&w->list[w->n], fmt, args) < 0)
		w->failed = true;
	else
		w->n++;
	va_end(args);
}

/* Runs the command and frees its words. */
static int run_words(struct words *w, char **output, struct err *err)
{
	int ret;

	w->list[w->n] = NULL;
	ret = w->failed ? err_sys(err, ENOMEM, "out of memory for a command")
			: slurm_command_run(w->list, ANSWER_SECONDS, output, err);
	for (unsigned i = 0; i < w->n; i++)
		free(w->list[i]);
	return ret;
}

/* --- the end of a task --- */

/* The path of a file in the folder, to be freed; NULL: no memory, and what is told lacks it. */
__attribute__((format(printf, 3, 4))) static const char *file_in(const struct jobs *j, char **path,
								 const char *fmt, ...)
{
	char name[64];
	va_list args;

	va_start(args, fmt);
	vsnprintf(name, sizeof(name), fmt, args);
	va_end(args);
	if (asprintf(path, "%s/%s", j->folder, name) < 0)
		*path = NULL;
	return *path;
}

/* The index in its array of a task that was submitted. */
static unsigned index_of(unsigned task)
{
	return task % SLURM_ARRAY_MAX;
}

static void tell_done(struct jobs *j, unsigned task)
{
	struct task *t = &j->state[task];
	char *path, *log;
	struct slurm_end end = { .result = file_in(j, &path, "results/%u.json", task),
				 .runs = t->runs,
				 .log = file_in(j, &log, "logs/%llu_%u.txt",
						(unsigned long long)t->job, index_of(task)),
				 .state = "",
				 .sentence = "" };

	t->stage = STAGE_DONE;
	if (j->s->ended)
		j->s->ended(j->s->context, task, &end);
	free(path);
	free(log);
}

/* Run again, or lost for good. */
static void tell_lost(struct jobs *j, unsigned task, bool again, const char *state,
		      const char *sentence)
{
	struct task *t = &j->state[task];
	char *log;
	struct slurm_end end = { .runs = t->runs,
				 .log = file_in(j, &log, "logs/%llu_%u.txt",
						(unsigned long long)t->job, index_of(task)),
				 .state = state,
				 .sentence = sentence };

	again = again && t->runs < SLURM_RUNS_MAX;
	t->stage = again ? STAGE_TODO : STAGE_LOST;
	if (again ? j->s->rerun != NULL : j->s->ended != NULL)
		(again ? j->s->rerun : j->s->ended)(j->s->context, task, &end);
	free(log);
}

static void lose(struct jobs *j, unsigned task)
{
	struct task *t = &j->state[task];
	const struct slurm_line *l = &t->line;
	const char *state = t->listed ? l->state : "";
	char sentence[512];

	if (!t->listed)
		snprintf(sentence, sizeof(sentence),
			 "Slurm knows job %llu_%u no longer, and it has left no result.",
			 (unsigned long long)t->job, index_of(task));
	else if (!strcmp(state, "COMPLETED") || !strcmp(state, "FAILED"))
		snprintf(sentence, sizeof(sentence),
			 "Slurm's job %llu_%u on %s ended without a result (%s, %s).",
			 (unsigned long long)t->job, index_of(task), *l->node ? l->node : "no node",
			 state, l->reason);
	else
		snprintf(sentence, sizeof(sentence), "Slurm's job %llu_%u on %s ended with %s.",
			 (unsigned long long)t->job, index_of(task), *l->node ? l->node : "no node",
			 state);
	tell_lost(j, task, slurm_text_is_chance(state), state, sentence);
}

/* --- submitting --- */

#define GROUP_NONE 0 /* is not in the array that is being submitted */
#define GROUP_ANY  UINT_MAX

/* Whether the task is in the group. GROUP_NONE: whether it is to be run. */
static bool is_chosen(const struct jobs *j, unsigned task, unsigned group)
{
	const struct task *t = &j->state[task];

	if (group == GROUP_NONE)
		return t->stage == STAGE_TODO;
	return group == GROUP_ANY ? t->group != GROUP_NONE : t->group == group;
}

static unsigned array_end(const struct jobs *j, unsigned base)
{
	return j->n - base < SLURM_ARRAY_MAX ? j->n : base + SLURM_ARRAY_MAX;
}

/*
 * "0,2-5,9": the indices in the array at `base` of the tasks that is_chosen() is true for. To be
 * freed; NULL: no memory. "": there are none.
 */
static char *list_indices(const struct jobs *j, unsigned base, unsigned group)
{
	unsigned end = array_end(j, base);
	const char *comma = "";
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (unsigned i = base; i < end; i++) {
		unsigned first = i;

		if (!is_chosen(j, i, group))
			continue;
		while (i + 1 < end && is_chosen(j, i + 1, group))
			i++;
		fprintf(out, i > first ? "%s%u-%u" : "%s%u", comma, first - base, i - base);
		comma = ",";
	}
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static bool are_same(struct needs a, struct needs b)
{
	return a.mib == b.mib && a.cpus == b.cpus && a.minutes == b.minutes;
}

/* What the array asks for at first: the least memory and CPUs, and the longest time. */
static struct needs first_needs(const struct jobs *j, unsigned base)
{
	struct needs all = { .mib = UINT64_MAX, .cpus = UINT_MAX };

	for (unsigned i = base; i < array_end(j, base); i++) {
		struct needs n = needs_of(&j->tasks[i]);

		if (!is_chosen(j, i, GROUP_NONE))
			continue;
		all.mib = n.mib < all.mib ? n.mib : all.mib;
		all.cpus = n.cpus < all.cpus ? n.cpus : all.cpus;
		all.minutes = n.minutes > all.minutes ? n.minutes : all.minutes;
	}
	return all;
}

/* Submits the array, held. `indices` is its list, `at_once` 0 or how many tasks may run. */
static int submit_array(struct jobs *j, unsigned base, const char *indices, unsigned at_once,
			struct needs needs, uint64_t *job)
{
	struct words w = { .n = 0 };
	char *answer = NULL;
	int ret;

	add_word(&w, "sbatch");
	add_word(&w, "--parsable");
	add_word(&w, "--hold");
	add_word(&w, "--no-requeue");
	add_word(&w, "--job-name=%s", j->name);
	if (at_once)
		add_word(&w, "--array=%s%%%u", indices, at_once);
	else
		add_word(&w, "--array=%s", indices);
	add_word(&w, "--nodes=1");
	add_word(&w, "--ntasks=1");
	add_word(&w, "--cpus-per-task=%u", needs.cpus);
	add_word(&w, "--mem=%lluM", (unsigned long long)needs.mib);
	add_word(&w, "--time=%u", needs.minutes);
	add_word(&w, "--output=%s/logs/%%A_%%a.txt", j->folder);
	add_word(&w, "%s/job.sh", j->folder);
	add_word(&w, "%u", base);
	ret = run_words(&w, &answer, j->err);
	if (ret == 0 && !slurm_text_job(answer, job))
		ret = err_set(j->err, EPROTO, "sbatch --parsable says '%s', which is no job",
			      SHOWN(answer));
	free(answer);
	return ret;
}

/* Gives tasks of the array their own needs. */
static int give_needs(uint64_t job, const char *indices, struct needs n, struct err *err)
{
	struct words w = { .n = 0 };

	add_word(&w, "scontrol");
	add_word(&w, "update");
	add_word(&w, "JobId=%llu_[%s]", (unsigned long long)job, indices);
	add_word(&w, "MinMemoryNode=%llu", (unsigned long long)n.mib);
	add_word(&w, "NumCPUs=%u", n.cpus);
	add_word(&w, "CpusPerTask=%u", n.cpus);
	add_word(&w, "MinCPUsNode=%u", n.cpus);
	add_word(&w, "TimeLimit=%u", n.minutes);
	return run_words(&w, NULL, err);
}

static void cancel_indices(uint64_t job, const char *indices)
{
	struct words w = { .n = 0 };
	struct err ignored;

	add_word(&w, "scancel");
	add_word(&w, "%llu_[%s]", (unsigned long long)job, indices);
	(void)run_words(&w, NULL, &ignored);
}

/* Puts the tasks into groups of the same needs, numbered from 1. Returns how many there are. */
static unsigned make_groups(struct jobs *j, unsigned base)
{
	unsigned end = array_end(j, base), groups = 0;

	for (unsigned i = base; i < end; i++)
		j->state[i].group = GROUP_NONE;
	for (unsigned i = base; i < end; i++) {
		if (!is_chosen(j, i, GROUP_NONE) || j->state[i].group)
			continue;
		groups++;
		for (unsigned k = i; k < end; k++)
			if (is_chosen(j, k, GROUP_NONE) &&
			    are_same(needs_of(&j->tasks[k]), needs_of(&j->tasks[i])))
				j->state[k].group = groups;
	}
	return groups;
}

/* Gives a group its needs. Tasks that Slurm refuses them are lost. */
static int adjust_group(struct jobs *j, uint64_t job, unsigned base, unsigned group,
			struct needs first)
{
	char *indices = list_indices(j, base, group), sentence[512];
	struct err refused;
	unsigned task = base;
	struct needs own;

	if (!indices)
		return err_sys(j->err, ENOMEM, "out of memory for a job array");
	while (j->state[task].group != group)
		task++;
	own = needs_of(&j->tasks[task]);
	if (!are_same(own, first) && give_needs(job, indices, own, &refused) < 0) {
		cancel_indices(job, indices);
		snprintf(sentence, sizeof(sentence),
			 "Slurm refuses %llu MiB, %u CPUs and %u minutes for a job: %.300s",
			 (unsigned long long)own.mib, own.cpus, own.minutes, refused.text);
		for (; task < array_end(j, base); task++)
			if (is_chosen(j, task, group)) {
				j->state[task].group = GROUP_NONE;
				tell_lost(j, task, false, "", sentence);
			}
	}
	free(indices);
	return 0;
}

/* Lets the tasks of the array run. Those that were cancelled must not be named. */
static int release_array(struct jobs *j, uint64_t job, unsigned base)
{
	char *indices = list_indices(j, base, GROUP_ANY);
	struct words w = { .n = 0 };
	int ret = 0;

	if (!indices)
		return err_sys(j->err, ENOMEM, "out of memory for a job array");
	if (*indices) {
		add_word(&w, "scontrol");
		add_word(&w, "release");
		add_word(&w, "%llu_[%s]", (unsigned long long)job, indices);
		ret = run_words(&w, NULL, j->err);
	}
	free(indices);
	return ret;
}

static int keep_array(struct jobs *j, uint64_t job, unsigned base)
{
	struct array *more = realloc(j->arrays, (j->nr_arrays + 1) * sizeof(*more));

	if (!more)
		return err_sys(j->err, ENOMEM, "out of memory for a job array");
	j->arrays = more;
	j->arrays[j->nr_arrays++] = (struct array){ job, base };
	return 0;
}

/* Cancels an array that is still held; its tasks are to be run as before. */
static void take_back(struct jobs *j, uint64_t job, unsigned base)
{
	struct words w = { .n = 0 };
	struct err ignored;

	add_word(&w, "scancel");
	add_word(&w, "%llu", (unsigned long long)job);
	(void)run_words(&w, NULL, &ignored);
	for (unsigned i = base; i < array_end(j, base); i++)
		if (j->state[i].stage == STAGE_GIVEN && j->state[i].job == job) {
			j->state[i].stage = STAGE_TODO;
			j->state[i].runs--;
		}
}

/* Submits those tasks from `base` on that are to be run. */
static int submit_part(struct jobs *j, unsigned base, unsigned at_once)
{
	char *indices = list_indices(j, base, GROUP_NONE);
	struct needs first = first_needs(j, base);
	unsigned groups = make_groups(j, base);
	uint64_t job;
	int ret = 0;

	if (!indices)
		return err_sys(j->err, ENOMEM, "out of memory for a job array");
	if (groups)
		ret = submit_array(j, base, indices, at_once, first, &job);
	free(indices);
	if (!groups || ret < 0)
		return ret;
	ret = keep_array(j, job, base);
	for (unsigned i = base; i < array_end(j, base); i++)
		if (j->state[i].group) {
			j->state[i].stage = STAGE_GIVEN;
			j->state[i].job = job;
			j->state[i].runs++;
			j->state[i].listed = false;
		}
	for (unsigned g = 1; g <= groups && ret == 0; g++)
		ret = is_cancelled(j) ? err_set(j->err, EINTR, "cancelled")
				      : adjust_group(j, job, base, g, first);
	if (ret == 0)
		ret = release_array(j, job, base);
	if (ret < 0)
		take_back(j, job, base);
	return ret;
}

/* Submits all tasks that are to be run. */
static int submit_all(struct jobs *j)
{
	unsigned arrays = 0, at_once = j->s->at_once;
	int ret = 0;

	for (unsigned base = 0; base < j->n; base += SLURM_ARRAY_MAX)
		arrays += make_groups(j, base) > 0;
	if (at_once && arrays)
		at_once = at_once > arrays ? at_once / arrays : 1;
	for (unsigned base = 0; base < j->n && ret == 0; base += SLURM_ARRAY_MAX)
		ret = is_cancelled(j) ? err_set(j->err, EINTR, "cancelled")
				      : submit_part(j, base, at_once);
	return ret;
}

/* --- waiting --- */

static struct task *task_of(const struct jobs *j, const struct slurm_line *l)
{
	for (size_t i = 0; i < j->nr_arrays; i++) {
		const struct array *a = &j->arrays[i];

		if (a->job == l->job && l->index < array_end(j, a->base) - a->base) {
			struct task *t = &j->state[a->base + l->index];

			return t->stage == STAGE_GIVEN && t->job == l->job ? t : NULL;
		}
	}
	return NULL;
}

/* Asks Slurm what all tasks do. */
static int ask_squeue(struct jobs *j, struct err *err)
{
	struct words w = { .n = 0 };
	struct slurm_line line;
	char *answer = NULL;
	const char *p;
	int ret;

	add_word(&w, "squeue");
	add_word(&w, "--noheader");
	add_word(&w, "--array");
	add_word(&w, "--states=all");
	add_word(&w, "--user=%u", getuid());
	add_word(&w, "--name=%s", j->name);
	add_word(&w, "--format=%s", SLURM_TEXT_FORMAT);
	ret = run_words(&w, &answer, err);
	if (ret < 0)
		return ret;
	for (unsigned i = 0; i < j->n; i++)
		j->state[i].listed = false;
	for (p = answer; slurm_text_line(&p, &line);) {
		struct task *t = task_of(j, &line);

		if (t) {
			t->listed = true;
			t->line = line;
		}
	}
	free(answer);
	return 0;
}

/*
 * Looks which results are there. An NFS client may show a folder as it was up to a minute ago
 * (nfs(5), acdirmax), but not once it has changed the folder itself.
 */
static int find_results(struct jobs *j)
{
	char *results, *look;
	struct dirent *entry;
	DIR *dir = NULL;
	int fd, ret = 0;

	if (!file_in(j, &results, "results") || !file_in(j, &look, "results/look")) {
		free(results);
		return err_sys(j->err, ENOMEM, "out of memory for a file name");
	}
	fd = open(look, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || close(fd) < 0 || unlink(look) < 0 || !(dir = opendir(results)))
		ret = err_sys(j->err, errno, "%s cannot be read", results);
	while (dir && (entry = readdir(dir))) {
		unsigned task;
		char end;

		if (sscanf(entry->d_name, "%9u.jso%c", &task, &end) == 2 && end == 'n' &&
		    task < j->n && j->state[task].stage == STAGE_GIVEN)
			tell_done(j, task);
	}
	if (dir)
		closedir(dir);
	free(look);
	free(results);
	return ret;
}

/* A task that waits for what no node has would wait for ever. */
static void give_up(struct jobs *j, unsigned task)
{
	struct task *t = &j->state[task];
	struct needs n = needs_of(&j->tasks[task]);
	char index[16], sentence[512];

	snprintf(index, sizeof(index), "%u", index_of(task));
	cancel_indices(t->job, index);
	snprintf(sentence, sizeof(sentence),
		 "No node can run a job with %llu MiB, %u CPUs and %u minutes (Slurm says %s).",
		 (unsigned long long)n.mib, n.cpus, n.minutes, t->line.reason);
	tell_lost(j, task, false, t->line.reason, sentence);
}

/* Finds the tasks that have ended without a result. Call it after ask_squeue(), find_results(). */
static void find_lost(struct jobs *j)
{
	for (unsigned i = 0; i < j->n; i++) {
		struct task *t = &j->state[i];

		if (t->stage != STAGE_GIVEN)
			continue;
		if (!t->listed || slurm_text_state(&t->line) == SLURM_ENDED)
			lose(j, i);
		else if (slurm_text_state(&t->line) == SLURM_NEVER)
			give_up(j, i);
	}
}

static struct slurm_sums sum_up(const struct jobs *j)
{
	struct slurm_sums sums = { .tasks = j->n, .reason = "" };

	for (unsigned i = 0; i < j->n; i++) {
		const struct task *t = &j->state[i];

		if (t->stage == STAGE_DONE)
			sums.done++;
		else if (t->stage == STAGE_LOST)
			sums.lost++;
		else if (t->listed && slurm_text_state(&t->line) == SLURM_RUNS)
			sums.running++;
		else {
			sums.waiting++;
			if (t->listed)
				sums.reason = t->line.reason;
		}
	}
	return sums;
}

static void tell_progress(struct jobs *j)
{
	struct slurm_sums now = sum_up(j), *old = &j->told;

	if (!j->s->progress ||
	    (now.waiting == old->waiting && now.running == old->running && now.done == old->done &&
	     now.lost == old->lost && !strcmp(now.reason, j->told_reason)))
		return;
	snprintf(j->told_reason, sizeof(j->told_reason), "%s", now.reason);
	*old = now;
	j->s->progress(j->s->context, &now);
}

static bool has_stage(const struct jobs *j, enum stage stage)
{
	for (unsigned i = 0; i < j->n; i++)
		if (j->state[i].stage == stage)
			return true;
	return false;
}

/* Sleeps, but not for long once it is cancelled. */
static void pause_for(const struct jobs *j, unsigned ms)
{
	const struct timespec slice = { .tv_nsec = SLICE_MS * 1000000L };

	for (unsigned slept = 0; slept < ms && !is_cancelled(j); slept += SLICE_MS)
		nanosleep(&slice, NULL);
}

static bool are_left(const struct jobs *j)
{
	return has_stage(j, STAGE_GIVEN) || has_stage(j, STAGE_TODO);
}

/*
 * One look at all tasks. *answered is when Slurm has last done all that it was asked: whose
 * controller is started again, or is busy, refuses for a while, also lost tasks that are to run
 * again.
 */
static int look(struct jobs *j, uint64_t *answered)
{
	struct err why;
	int asked = ask_squeue(j, &why), ret = find_results(j);

	if (ret < 0)
		return ret;
	if (asked == 0) {
		find_lost(j);
		if (has_stage(j, STAGE_TODO) && (asked = submit_all(j)) < 0)
			why = *j->err;
		if (asked == -EINTR)
			return asked;
	}
	if (asked == 0)
		*answered = host_clock_ns();
	else if (host_clock_since(*answered) > SILENCE_SECONDS && are_left(j))
		return err_set(j->err, ETIMEDOUT, "Slurm has refused for %d minutes: %s",
			       SILENCE_SECONDS / 60, why.text);
	return 0;
}

static int wait_for_all(struct jobs *j)
{
	unsigned most = j->s->poll_ms ? j->s->poll_ms : POLL_MAX_MS;
	unsigned pause = most < POLL_FIRST_MS ? most : POLL_FIRST_MS;
	uint64_t answered = host_clock_ns();
	int ret = 0;

	while (ret == 0 && are_left(j)) {
		tell_progress(j);
		pause_for(j, pause);
		if (is_cancelled(j))
			return err_set(j->err, EINTR, "cancelled");
		ret = look(j, &answered);
		pause = pause + POLL_FIRST_MS < most ? pause + POLL_FIRST_MS : most;
	}
	tell_progress(j);
	return ret;
}

/* --- the folder --- */

static int remove_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	(void)remove(path);
	return 0;
}

static FILE *create_file(struct jobs *j, const char *name, int *ret)
{
	char *path;
	FILE *file = file_in(j, &path, "%s", name) ? fopen(path, "we") : NULL;

	if (!file)
		*ret = err_sys(j->err, errno, "%s cannot be written", path ? path : name);
	free(path);
	return file;
}

static int close_file(struct jobs *j, FILE *file, const char *name)
{
	bool failed = ferror(file);

	if (fclose(file) != 0 || failed)
		return err_sys(j->err, errno, "%s/%s cannot be written", j->folder, name);
	return 0;
}

static int write_scripts(struct jobs *j)
{
	int ret = 0;
	FILE *file = create_file(j, "job.sh", &ret);

	if (!file)
		return ret;
	slurm_script_put_job(file, j->folder);
	ret = close_file(j, file, "job.sh");
	file = ret == 0 ? create_file(j, "tasks.sh", &ret) : NULL;
	if (!file)
		return ret;
	slurm_script_begin_tasks(file);
	for (unsigned i = 0; i < j->n; i++)
		slurm_script_put_task(file, i, j->tasks[i].command, j->tasks[i].nr_command);
	slurm_script_end_tasks(file);
	return close_file(j, file, "tasks.sh");
}

static int make_shared_folder(struct jobs *j)
{
	static const char *const names[] = { "results", "logs" };
	char *absolute = realpath(j->s->folder, NULL);
	int n;

	if (!absolute)
		return err_sys(j->err, errno, "the folder %s cannot be used", j->s->folder);
	n = snprintf(j->folder, sizeof(j->folder), "%s/slurm.XXXXXX", absolute);
	free(absolute);
	if (n >= (int)sizeof(j->folder) || !mkdtemp(j->folder)) {
		int code = n >= (int)sizeof(j->folder) ? ENAMETOOLONG : errno;

		*j->folder = '\0';
		return err_sys(j->err, code, "cannot make a folder in %s", j->s->folder);
	}
	snprintf(j->name, sizeof(j->name), "straddle-%d-%s", getpid(), strrchr(j->folder, '.') + 1);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char *path;
		int ret = 0;

		if (!file_in(j, &path, "%s", names[i]) || mkdir(path, 0700) < 0)
			ret = err_sys(j->err, errno, "cannot make %s/%s", j->folder, names[i]);
		free(path);
		if (ret < 0)
			return ret;
	}
	return write_scripts(j);
}

/* --- all --- */

static bool has_rerun(const struct jobs *j)
{
	for (unsigned i = 0; i < j->n; i++)
		if (j->state[i].runs > 1)
			return true;
	return false;
}

/* By their name, because an sbatch that was killed may have submitted an array all the same. */
static void cancel_all(const struct jobs *j)
{
	struct words w = { .n = 0 };
	struct err ignored;

	add_word(&w, "scancel");
	add_word(&w, "--user=%u", getuid());
	add_word(&w, "--name=%s", j->name);
	(void)run_words(&w, NULL, &ignored);
}

/* Variables of the user's that hide jobs from squeue, or keep scancel from cancelling them. */
static void forget_filters(void)
{
	static const char *const names[] = {
		"SQUEUE_ACCOUNT",  "SQUEUE_LICENSES",	  "SQUEUE_PARTITION", "SQUEUE_QOS",
		"SCANCEL_ACCOUNT", "SCANCEL_INTERACTIVE", "SCANCEL_NAME",     "SCANCEL_PARTITION",
		"SCANCEL_QOS",	   "SCANCEL_STATE",	  "SCANCEL_USER",     "SCANCEL_WCKEY",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unsetenv(names[i]);
}

int slurm_run(const struct slurm *s, const struct slurm_task *tasks, unsigned n, struct err *err)
{
	struct jobs *j = calloc(1, sizeof(*j));
	struct task *state = calloc(n ? n : 1, sizeof(*state));
	int ret;

	if (!j || !state) {
		free(state);
		free(j);
		return err_sys(err, ENOMEM, "out of memory for %u cases", n);
	}
	forget_filters();
	*j = (struct jobs){ .s = s, .tasks = tasks, .state = state, .n = n, .err = err };
	ret = make_shared_folder(j);
	if (ret == 0) {
		ret = submit_all(j);
		if (ret == 0)
			ret = wait_for_all(j);
		/* A task that was taken for lost may have ended, and its second run not. */
		if (ret < 0 || has_rerun(j))
			cancel_all(j);
	}
	if (*j->folder && !has_stage(j, STAGE_LOST))
		nftw(j->folder, remove_file, 16, FTW_DEPTH | FTW_PHYS);
	free(j->arrays);
	free(state);
	free(j);
	return ret;
}
