/*
 * Runs many cases on the nodes of a Slurm cluster (slurm.h), as runner.h does on this machine.
 *
 * Each task runs this program with the words of its own command line, and a variable of the
 * environment that says which case is meant; it writes a report of that case. So program, files of
 * cases, kernels and the folder must have the same paths on all nodes.
 */
#ifndef TEST_SLURM_SUITE_H
#define TEST_SLURM_SUITE_H

#include "vmm/test/runner.h"

struct slurm_suite {
	const struct suite *cases;
	const struct config_suite *how;
	const char *folder;
	const struct runner_user *user;
	/* what follows "straddle test" */
	int argc;
	char *const *argv;
};

/*
 * Judges the cases, runs them, and tells `user` of each: 0; -EINVAL if one cannot be, and none was
 * submitted; -EINTR if a signal ended them; another negative errno.
 */
int slurm_suite_run(const struct slurm_suite *s, struct err *err);
/*
 * In a task: leaves of the cases the one that it is to run, and tells where its report goes. NULL:
 * this process is no task. -EINVAL and a sentence: there is no such case.
 */
int slurm_suite_choose(struct suite *s, const char **report, struct err *err);

#endif
