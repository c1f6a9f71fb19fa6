/*
 * straddle test: a case (test/case.h) from its options to its exit status, and what it leaves.
 */
#include "vmm/cli/cmd.h"

#include "vmm/test/case.h"
#include "vmm/test/evidence.h"
#include "vmm/test/keep.h"
#include "vmm/test/reports.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void print_result(const struct config *c, const struct test_result *r)
{
	if ((!r->passed && r->verdict != VERDICT_COMMAND) || c->verbose)
		fprintf(stderr, "straddle: %s: %s\n", verdict_word(r->verdict), r->sentence);
	if (r->output)
		fprintf(stderr, "straddle: console and more are in %s\n", r->output);
}

/* The one case, with what is written of it. */
struct one_case {
	struct test_case test; /* the first field: cmd_test_finish() gets it */
	struct test_result result;
	struct test_reports reports;
	bool failed; /* to write something */
};

/* Writes and prints how the case ended: with --keep before its guest is looked at. */
static void cmd_test_finish(struct test_case *t)
{
	struct one_case *one = (struct one_case *)t;
	struct err err;

	if (test_evidence_leave(t, &one->result, &err) < 0)
		complain(&err, STATUS_HOST_ERROR);
	print_result(&t->vm->config, &one->result);
	test_reports_case(&one->reports, &one->result);
	if (test_reports_close(&one->reports, one->result.seconds, &err) < 0) {
		complain(&err, STATUS_HOST_ERROR);
		one->failed = true;
	}
}

static int cmd_test_run(struct one_case *one)
{
	struct test_case *t = &one->test;
	struct config *c = &t->vm->config;
	struct err err;

	one->result = (struct test_result){ .name = c->kernel };
	if (test_core_in_folder(&c->test, "straddle", &err) < 0 ||
	    test_reports_open(&one->reports, &c->suite, NULL, c->kernel, 1, &err) < 0) {
		complain(&err, STATUS_HOST_ERROR);
		return verdict_status(VERDICT_HOST_ERROR, 0);
	}
	t->keeps = cmd_test_finish;
	test_case_run(t, &one->result);
	if (!t->kept)
		cmd_test_finish(t);
	if (c->test.keep && !t->kept && !one->result.passed && test_keep_lacks(t))
		fprintf(stderr, "straddle: --keep: %s\n", test_keep_lacks(t));
	return one->failed ? verdict_status(VERDICT_HOST_ERROR, 0)
			   : test_result_status(&one->result);
}

/* Takes *c over. */
static int cmd_test_one(struct config *c)
{
	struct one_case *one = calloc(1, sizeof(*one));
	struct err err;
	int status;

	if (!one || test_case_init(&one->test, &err) < 0) {
		free(one);
		config_free(c);
		err_sys(&err, ENOMEM, "out of memory for the case");
		complain(&err, STATUS_HOST_ERROR);
		return verdict_status(VERDICT_HOST_ERROR, 0);
	}
	one->test.vm->config = *c;
	status = cmd_test_run(one);
	test_case_free(&one->test);
	free(one);
	return status;
}

/* There is no vm before it is clear what runs, because a vm has threads, and many cases fork. */
int cmd_test(int argc, char *argv[])
{
	struct config c = CONFIG_EMPTY;
	int status;

	if (cmd_parse(&c, CMD_TEST, argc, argv, &status)) {
		if (!c.nr_operands)
			return cmd_test_one(&c);
		status = cmd_test_suite(&c, argc, argv);
	} else if (status == STATUS_USAGE) {
		status = verdict_status(VERDICT_USAGE, 0);
	}
	config_free(&c);
	return status;
}
