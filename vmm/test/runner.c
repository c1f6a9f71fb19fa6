#include "vmm/test/runner.h"

#include "vmm/base/quote.h"
#include "vmm/host/loop.h"
#include "vmm/host/signals.h"
#include "vmm/test/evidence.h"
#include "vmm/test/need.h"
#include "vmm/test/printed.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILL_SECONDS 15 /* after SIGTERM: a case has 10 for its guest to power off */

/* What a case's process leaves its parent. */
struct outcome {
	struct test_result result; /* its strings are those below, or none */
	char output[PATH_MAX];
	char console[4096];
	bool done;
};

enum run_state { RUN_WAITS, RUN_RUNS, RUN_ENDED };

struct run {
	const struct suite_case *of;
	struct admission_need need;
	enum run_state state;
	unsigned attempts;
	pid_t pid;
	struct test_result last; /* of the attempt before, without its strings */
	struct outcome *outcome; /* shared with the process */
	struct printed printed;
	struct runner *runner;
};

struct runner {
	const struct config_suite *how;
	const char *folder;
	const struct runner_user *user;
	struct run *runs; /* the largest first */
	struct admission_waiter *waiters;
	unsigned n;
	unsigned first;	   /* no run before this one waits */
	unsigned *running; /* counts.running indices of `runs` */
	struct admission admission;
	struct runner_counts counts;
	struct loop loop;
	int signals, timer;
	sigset_t mask;	       /* before the runner's */
	bool stop;	       /* no case is started any more */
	int signal;	       /* that ended the runner, or 0 */
	unsigned seconds_left; /* until what still runs is killed; 0: no limit */
	struct err err;	       /* an error of the runner itself */
	int ret;
};

/* --- a case's process --- */

static void give_result(struct outcome *to, const struct test_result *result)
{
	to->result = *result;
	to->result.name = NULL;
	to->result.output = NULL;
	to->result.console = NULL;
	if (result->output)
		snprintf(to->output, sizeof(to->output), "%s", result->output);
	if (result->console)
		snprintf(to->console, sizeof(to->console), "%s", result->console);
	to->done = true;
}

static int configure_case(const struct runner *r, const struct run *run, struct config *c,
			  struct err *err)
{
	char name[NAME_MAX], attempt[32] = "";
	int ret = r->user->configure(r->user->to, run->of, c, err);

	if (ret < 0)
		return ret;
	if (run->attempts > 1)
		snprintf(attempt, sizeof(attempt), ".attempt-%u", run->attempts);
	snprintf(name, sizeof(name), "%s%s", run->of->folder, attempt);
	if (!c->test.output && asprintf(&c->test.output, "%s/%s", r->folder, name) < 0) {
		c->test.output = NULL;
		return err_sys(err, ENOMEM, "out of memory for a file name");
	}
	return test_core_in_folder(&c->test, name, err);
}

static void run_in_process(const struct runner *r, const struct run *run)
{
	struct test_result result = { .name = run->of->name, .verdict = VERDICT_HOST_ERROR };
	struct test_case *t = calloc(1, sizeof(*t));
	struct err err = { "" };
	int ret;

	if (!t || test_case_init(t, &err) < 0)
		_exit(1);
	ret = configure_case(r, run, &t->vm->config, &err);
	if (ret == 0) {
		test_case_run(t, &result);
		ret = test_evidence_leave(t, &result, &err);
	} else {
		snprintf(result.sentence, sizeof(result.sentence), "%s", err.text);
	}
	if (ret < 0)
		fprintf(stderr, "straddle: %s\n", err.text);
	give_result(run->outcome, &result);
	test_case_free(t);
}

/* The case has the signals of the runner's start, no input, and a pipe for what it prints. */
static void __attribute__((noreturn))
run_process(const struct runner *r, struct run *run, pid_t parent, int out)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent || null < 0)
		_exit(1);
	/* Ctrl-C is the runner's, which ends its cases and still writes the reports. */
	setpgid(0, 0);
	if (dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
	    dup2(out, STDERR_FILENO) < 0)
		_exit(1);
	close(r->signals);
	close(r->timer);
	close(r->loop.wake);
	printed_close(&run->printed);
	for (unsigned i = 0; i < r->counts.running; i++)
		printed_close(&r->runs[r->running[i]].printed);
	sigprocmask(SIG_SETMASK, &r->mask, NULL);
	run_in_process(r, run);
	_exit(0);
}

/* --- results --- */

void runner_count(struct runner_counts *counts, const struct test_result *result)
{
	if (result->skipped)
		counts->skipped++;
	else if (result->passed)
		counts->passed++;
	else
		counts->failed++;
}

static void report_run(struct runner *r, struct run *run, struct test_result *result)
{
	run->state = RUN_ENDED;
	result->name = run->of->name;
	result->attempts = run->attempts;
	result->flaky = result->passed && run->attempts > 1;
	runner_count(&r->counts, result);
	r->user->ended(r->user->to, result);
	r->stop |= r->how->fail_fast && !result->passed && !result->skipped;
}

static void forget_pipe(struct runner *r, struct run *run)
{
	loop_forget(&r->loop, run->printed.fd);
	printed_close(&run->printed);
}

/* What is known of a case whose process left no result. */
static void explain_end(const struct runner *r, struct test_result *result, int status)
{
	*result = (struct test_result){ .verdict = VERDICT_HOST_ERROR, .boot_seconds = -1 };
	if (r->signal)
		result->verdict = VERDICT_INTERRUPTED;
	if (WIFSIGNALED(status))
		snprintf(result->sentence, sizeof(result->sentence),
			 "straddle itself was ended by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(result->sentence, sizeof(result->sentence),
			 "straddle itself ended without a result, with status %d",
			 WEXITSTATUS(status));
}

/* A mistake of the user stays one, and a runner that ends tries nothing again. */
static bool tries_again(const struct runner *r, const struct run *run,
			const struct test_result *result)
{
	return !result->passed && run->attempts <= r->how->retry && !r->stop &&
	       result->verdict != VERDICT_USAGE;
}

static void wait_for_room(struct runner *r, struct run *run)
{
	unsigned i = (unsigned)(run - r->runs);

	r->counts.waiting++;
	r->waiters[i].need = &run->need;
	r->first = i < r->first ? i : r->first;
}

static void end_run(struct runner *r, struct run *run, int status)
{
	struct outcome *outcome = run->outcome;
	struct test_result result = outcome->result;

	if (outcome->done) {
		result.output = *outcome->output ? outcome->output : NULL;
		result.console = *outcome->console ? outcome->console : NULL;
	} else {
		explain_end(r, &result, status);
	}
	printed_drain(&run->printed);
	result.printed = printed_tail(&run->printed);
	if (result.output)
		printed_write(&run->printed, result.output);
	admission_give(&r->admission, &run->need);
	if (tries_again(r, run, &result)) {
		run->state = RUN_WAITS;
		run->last = result;
		run->last.output = run->last.console = run->last.printed = NULL;
		wait_for_room(r, run);
	} else {
		report_run(r, run, &result);
	}
	forget_pipe(r, run);
	munmap(outcome, sizeof(*outcome));
	run->outcome = NULL;
}

/* --- starting --- */

static void fail_runner(struct runner *r, int ret)
{
	if (r->ret == 0)
		r->ret = ret;
	r->stop = true;
}

static void printed_ready(void *to, short revents)
{
	struct run *run = to;

	(void)revents;
	/* Its end is told by SIGCHLD, because helper programs may have the pipe as well. */
	if (!printed_read(&run->printed))
		loop_forget(&run->runner->loop, run->printed.fd);
}

static int start_process(struct runner *r, struct run *run)
{
	pid_t parent = getpid();
	int ends[2], ret;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(&r->err, errno, "cannot make a pipe");
	printed_open(&run->printed, ends[0]);
	ret = loop_watch(&r->loop, ends[0], POLLIN, printed_ready, run, &r->err);
	run->pid = ret < 0 ? -1 : fork();
	if (run->pid == 0)
		run_process(r, run, parent, ends[1]);
	if (ret == 0 && run->pid < 0)
		ret = err_sys(&r->err, errno, "cannot start a process for a case");
	close(ends[1]);
	if (ret < 0)
		forget_pipe(r, run);
	return ret;
}

static int make_outcome(struct runner *r, struct run *run)
{
	void *at = mmap(NULL, sizeof(*run->outcome), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return err_sys(&r->err, errno, "no memory for a case's result");
	run->outcome = at;
	return 0;
}

static int start_run(struct runner *r, struct run *run)
{
	int ret = make_outcome(r, run);

	if (ret < 0)
		return ret;
	ret = admission_take(&r->admission, &run->need, &r->err);
	if (ret < 0)
		goto forget;
	run->attempts++;
	ret = start_process(r, run);
	if (ret < 0)
		goto give;
	run->state = RUN_RUNS;
	r->waiters[run - r->runs].need = NULL;
	r->counts.waiting--;
	r->running[r->counts.running++] = (unsigned)(run - r->runs);
	return 0;

give:
	admission_give(&r->admission, &run->need);
forget:
	munmap(run->outcome, sizeof(*run->outcome));
	run->outcome = NULL;
	return ret;
}

/* Of the cases that wait the first, which is the largest; NULL: none waits. */
static const struct admission_waiter *first_waiter(struct runner *r)
{
	while (r->first < r->n && !r->waiters[r->first].need)
		r->first++;
	return r->first < r->n ? &r->waiters[r->first] : NULL;
}

/* Starts what fits. */
static void start_runs(struct runner *r)
{
	const struct admission_waiter *first;
	ptrdiff_t i;

	while (!r->stop && (first = first_waiter(r)) &&
	       (i = admission_next(&r->admission, &r->waiters[r->first], r->n - r->first)) >= 0) {
		int ret = start_run(r, &r->runs[r->first + (size_t)i]);

		if (ret < 0)
			fail_runner(r, ret);
	}
	first = first_waiter(r);
	r->counts.waits_for = first ? admission_ask(&r->admission, first->need) : ADMISSION_NOW;
}

/* --- events --- */

static void signal_runs(struct runner *r, int signal)
{
	for (unsigned i = 0; i < r->counts.running; i++)
		kill(r->runs[r->running[i]].pid, signal);
}

static void go_on(struct runner *r)
{
	start_runs(r);
	r->user->changed(r->user->to, &r->counts);
	if (!r->counts.running && (r->stop || !r->counts.waiting))
		loop_stop(&r->loop);
}

static void reap_runs(struct runner *r)
{
	int status;

	for (unsigned i = 0; i < r->counts.running;) {
		struct run *run = &r->runs[r->running[i]];

		if (waitpid(run->pid, &status, WNOHANG) != run->pid) {
			i++;
			continue;
		}
		r->running[i] = r->running[--r->counts.running];
		end_run(r, run, status);
	}
}

/* The first signal asks the cases to end, a second one ends them. */
static void runner_interrupt(struct runner *r, int signal)
{
	signal_runs(r, r->signal ? SIGKILL : SIGTERM);
	r->signal = signal;
	r->stop = true;
	r->seconds_left = KILL_SECONDS;
}

static void runner_signalled(void *to, short revents)
{
	struct runner *r = to;
	struct signalfd_siginfo info;

	(void)revents;
	while (read(r->signals, &info, sizeof(info)) == sizeof(info))
		if (info.ssi_signo != SIGCHLD)
			runner_interrupt(r, (int)info.ssi_signo);
	reap_runs(r);
	go_on(r);
}

static void runner_tick(void *to, short revents)
{
	struct runner *r = to;
	uint64_t n;

	(void)revents;
	if (read(r->timer, &n, sizeof(n)) != sizeof(n))
		return;
	if (r->seconds_left && --r->seconds_left == 0)
		signal_runs(r, SIGKILL);
	r->user->changed(r->user->to, &r->counts);
}

void runner_signals(sigset_t *set)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

	signals_not_ignored(ends, ARRAY_SIZE(ends), set);
}

static int watch_events(struct runner *r)
{
	const struct itimerspec second = { { 1, 0 }, { 1, 0 } };
	sigset_t set;
	int ret;

	runner_signals(&set);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, &r->mask) < 0)
		return err_sys(&r->err, errno, "cannot block signals");
	r->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	r->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (r->signals < 0 || r->timer < 0 || timerfd_settime(r->timer, 0, &second, NULL) < 0)
		return err_sys(&r->err, errno, "cannot watch signals and time");
	ret = loop_watch(&r->loop, r->signals, POLLIN, runner_signalled, r, &r->err);
	if (ret < 0)
		return ret;
	return loop_watch(&r->loop, r->timer, POLLIN, runner_tick, r, &r->err);
}

/* --- the whole --- */

static int compare_runs(const void *a, const void *b)
{
	const struct run *x = a, *y = b;
	int order = admission_compare(&x->need, &y->need);

	return order ? order : x->of < y->of ? -1 : 1; /* as in the files */
}

/* Judges every case before the first one starts. */
static int plan_runs(struct runner *r, const struct suite *s)
{
	r->runs = calloc(s->n ? s->n : 1, sizeof(*r->runs));
	r->waiters = calloc(s->n ? s->n : 1, sizeof(*r->waiters));
	r->running = calloc(s->n ? s->n : 1, sizeof(*r->running));
	if (!r->runs || !r->waiters || !r->running)
		return err_sys(&r->err, ENOMEM, "out of memory for the cases");
	while (r->n < s->n) {
		struct run *run = &r->runs[r->n];
		struct config c = CONFIG_EMPTY;
		int ret;

		*run = (struct run){ .of = &s->cases[r->n++], .runner = r, .printed.fd = -1 };
		ret = r->user->configure(r->user->to, run->of, &c, &r->err);
		if (ret == 0)
			ret = test_need_of(&c, &run->need, &r->err);
		config_free(&c);
		if (ret < 0)
			return ret;
	}
	qsort(r->runs, r->n, sizeof(*r->runs), compare_runs);
	for (unsigned i = 0; i < r->n; i++)
		r->waiters[i].need = &r->runs[i].need;
	r->counts.waiting = r->n;
	return 0;
}

/* Cases that were not started are in the report, too. */
static void skip_the_rest(struct runner *r)
{
	for (unsigned i = 0; i < r->n; i++) {
		struct test_result result = { .skipped = true, .boot_seconds = -1 };
		size_t len = 0;

		if (r->runs[i].state != RUN_WAITS)
			continue;
		if (r->runs[i].attempts) {
			result = r->runs[i].last;
			len = strlen(result.sentence);
		}
		snprintf(result.sentence + len, sizeof(result.sentence) - len, "%s, because %s",
			 len ? "; not tried again" : "not run",
			 r->signal ? "the run was interrupted"
			 : r->ret  ? "of an error of the host"
				   : "another case failed (--fail-fast)");
		report_run(r, &r->runs[i], &result);
	}
}

static int runner_open(struct runner *r)
{
	uint64_t room[ADMISSION_KINDS];
	int ret = loop_create(&r->loop, &r->err);

	if (ret < 0)
		return ret;
	test_need_room("", room);
	if (!r->how->count_cpus)
		room[ADMISSION_CPUS] = 0; /* nothing of it is counted */
	admission_init(&r->admission, room, r->how->jobs ? r->how->jobs : 1);
	return watch_events(r);
}

struct runner *runner_new(const struct suite *s, const struct config_suite *how, const char *folder,
			  const struct runner_user *user, int *ret, struct err *err)
{
	struct runner *r = calloc(1, sizeof(*r));

	if (!r) {
		*ret = err_sys(err, ENOMEM, "out of memory for the cases");
		return NULL;
	}
	*r = (struct runner){ .how = how,
			      .folder = folder,
			      .user = user,
			      .loop = LOOP_EMPTY,
			      .signals = -1,
			      .timer = -1 };
	*ret = plan_runs(r, s);
	if (*ret == 0)
		return r;
	*err = r->err;
	runner_free(r);
	return NULL;
}

int runner_run(struct runner *r, struct err *err)
{
	int ret = runner_open(r);

	if (ret == 0) {
		go_on(r);
		ret = r->counts.running ? loop_run(&r->loop, &r->err) : 0;
	}
	if (ret < 0)
		fail_runner(r, ret);
	skip_the_rest(r);
	if (r->ret < 0)
		*err = r->err;
	else if (r->signal)
		return err_set(err, EINTR, "the cases were ended by %s", strsignal(r->signal));
	return r->ret;
}

void runner_free(struct runner *r)
{
	for (unsigned i = 0; i < r->n; i++)
		test_need_free(&r->runs[i].need);
	if (r->signals >= 0) {
		close(r->signals);
		sigprocmask(SIG_SETMASK, &r->mask, NULL);
	}
	if (r->timer >= 0)
		close(r->timer);
	loop_destroy(&r->loop);
	admission_free(&r->admission);
	free(r->runs);
	free(r->waiters);
	free(r->running);
	free(r);
}
