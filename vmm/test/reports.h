/* The reports that one run of straddle test writes: TAP for people, and those that are asked for.
 */
#ifndef TEST_REPORTS_H
#define TEST_REPORTS_H

#include "vmm/config/config.h"
#include "vmm/test/report.h"

struct test_reports {
	struct report reports[REPORT_FORMATS];
	FILE *files[REPORT_FORMATS]; /* NULL: no such report */
	const char *paths[REPORT_FORMATS];
};

/*
 * Begins the reports of --junit, --json and --ktap, whose files are replaced, and TAP on `tap`,
 * which stays the caller's; NULL: none. `suite` must live until the end. -errno and a sentence;
 * nothing is open then.
 */
int test_reports_open(struct test_reports *r, const struct config_suite *options, FILE *tap,
		      const char *suite, unsigned planned, struct err *err);
void test_reports_case(struct test_reports *r, const struct test_result *result);
/* Ends all of them. -errno and a sentence that names the first one that is not whole. */
int test_reports_close(struct test_reports *r, double seconds, struct err *err);

#endif
