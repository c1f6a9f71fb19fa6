/*
 * Runs many cases, each in a process of its own, as many at a time as the host has room for.
 *
 * A process for each case, because a case that crashes, hangs or is killed must not take the others
 * along, and because all it holds (memory, devices, sockets, helper programs) goes with it. The
 * kernel kills it when the runner ends in whatever way (PR_SET_PDEATHSIG). Results come back in
 * memory that the two share. One thread; called before any other is started.
 */
#ifndef TEST_RUNNER_H
#define TEST_RUNNER_H

#include "vmm/test/admission.h"
#include "vmm/test/suite.h"
#include "vmm/test/verdict.h"

#include <signal.h>

struct runner_counts {
	unsigned waiting, running, passed, failed, skipped;
	enum admission_answer waits_for; /* what the largest waiting case waits for */
};

/* Counts a case that has ended or is skipped. */
void runner_count(struct runner_counts *counts, const struct test_result *result);

struct runner_user {
	/*
	 * Gives *c the configuration of a case, judged by config_check(). Called for every case
	 * before the first one starts, and again in its process. -EINVAL and a sentence.
	 */
	int (*configure)(void *to, const struct suite_case *of, struct config *c, struct err *err);
	/* A case has ended for good, in the order of their ends; or it is skipped. */
	void (*ended)(void *to, const struct test_result *result);
	/* After each change, and every second. */
	void (*changed)(void *to, const struct runner_counts *counts);
	void *to;
};

/* The signals that end a run: those that its parent does not ignore, as nohup does. */
void runner_signals(sigset_t *set);

struct runner;

/*
 * Judges every case and returns a runner for them, which the caller frees; the arguments must live
 * until then. `folder` is where what they leave goes. NULL and a sentence, *ret -EINVAL if it is
 * the user's mistake.
 */
struct runner *runner_new(const struct suite *s, const struct config_suite *how, const char *folder,
			  const struct runner_user *user, int *ret, struct err *err);
/*
 * Runs the cases and returns when all have ended: 0; -EINTR and a sentence if SIGINT, SIGTERM,
 * SIGHUP or SIGQUIT ended them, and those that ran have VERDICT_INTERRUPTED; another negative
 * errno. All cases are told to `ended` in any case.
 */
int runner_run(struct runner *r, struct err *err);
void runner_free(struct runner *r);

#endif
