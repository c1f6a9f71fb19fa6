/*
 * straddle test: a case (test/case.h) from its options to its exit status, and what it leaves.
 */
#include "vmm/cli/cmd.h"

#include "vmm/test/case.h"
#include "vmm/test/evidence.h"
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

static int cmd_test_run(struct test_case *t)
{
	const struct config *c = &t->vm->config;
	struct test_result result = { .name = c->kernel };
	struct test_reports reports;
	struct err err;

	if (test_reports_open(&reports, &c->suite, NULL, c->kernel, 1, &err) < 0) {
		complain(&err, STATUS_HOST_ERROR);
		return verdict_status(VERDICT_HOST_ERROR, 0);
	}
	if (test_core_in_folder(&t->vm->config.test, "straddle", &err) < 0 ||
	    test_case_complete(t, &result, &err) < 0)
		complain(&err, STATUS_HOST_ERROR);
	print_result(c, &result);
	test_reports_case(&reports, &result);
	if (test_reports_close(&reports, result.seconds, &err) < 0) {
		complain(&err, STATUS_HOST_ERROR);
		return verdict_status(VERDICT_HOST_ERROR, 0);
	}
	return test_result_status(&result);
}

/* Takes *c over. */
static int cmd_test_one(struct config *c)
{
	struct test_case *t = calloc(1, sizeof(*t));
	struct err err;
	int status;

	if (!t || test_case_init(t, &err) < 0) {
		free(t);
		config_free(c);
		err_sys(&err, ENOMEM, "out of memory for the case");
		complain(&err, STATUS_HOST_ERROR);
		return verdict_status(VERDICT_HOST_ERROR, 0);
	}
	t->vm->config = *c;
	status = cmd_test_run(t);
	test_case_free(t);
	free(t);
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
