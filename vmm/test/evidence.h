/*
 * What a case leaves in a folder: the console with the time of each line, the result as JSON, the
 * plan and the kernel's command line, what the CPUs were doing and, of a case that failed, what
 * `straddle check` says of the host.
 */
#ifndef TEST_EVIDENCE_H
#define TEST_EVIDENCE_H

#include "vmm/test/case.h"

/* Where cases leave what they leave, without --output. */
#define TEST_EVIDENCE_FOLDER "straddle-test"

/* Makes the folder of --output, and those above it. -errno and a sentence. */
int test_output_folder(const char *path, struct err *err);
/*
 * Writes the folder config.test.output, TEST_EVIDENCE_FOLDER if that is NULL, and sets
 * result->output. Files of an earlier case are replaced. -errno and a sentence; result->output is
 * then NULL.
 */
int test_evidence_write(const struct test_case *t, struct test_result *result, struct err *err);

/*
 * Where --core names a folder, lets the core be NAME.core in it. -ENOMEM.
 */
int test_core_in_folder(struct config_test *c, const char *name, struct err *err);
/*
 * Writes the folder if the user asked for one, or if something else failed than the command. As
 * test_evidence_write().
 */
int test_evidence_leave(const struct test_case *t, struct test_result *result, struct err *err);

#endif
