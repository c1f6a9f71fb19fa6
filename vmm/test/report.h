/*
 * Results of straddle test for programs: TAP 14, KTAP, JUnit's XML and JSON.
 *
 * Names come from the user, sentences, lines and consoles in part from the guest, which is hostile:
 * whatever bytes they have, the report stays well-formed and says of each case what its result
 * says. Bytes that are no UTF-8 become U+FFFD, and so do control characters that a format forbids.
 */
#ifndef TEST_REPORT_H
#define TEST_REPORT_H

#include "vmm/base/err.h"
#include "vmm/test/verdict.h"

#include <stdio.h>

enum report_format {
	REPORT_TAP,   /* version 14, testanything.org/tap-version-14-specification.html */
	REPORT_KTAP,  /* version 1, Documentation/dev-tools/ktap.rst */
	REPORT_JUNIT, /* one <testsuite>, as Ant, Maven, Jenkins and GitLab read it */
	REPORT_JSON,  /* one object: "version", "suite", "cases", "summary" */
	REPORT_FORMATS,
};

/* "tap", "ktap", "junit", "json". */
const char *report_format_word(enum report_format f);
/* The format of that word, or REPORT_FORMATS. */
enum report_format report_format_of_word(const char *word);

struct report_summary {
	unsigned planned; /* cases that there are */
	unsigned cases;	  /* that are in the report: passed, failed and skipped ones */
	unsigned passed, failed, skipped;
	unsigned flaky;	 /* of those that passed */
	unsigned errors; /* of those that failed: not the guest's fault, see report_is_error() */
};

/*
 * A report that is being written. JUnit's first line has the sums, so its cases wait in memory for
 * the end; the others are written case by case.
 */
struct report {
	enum report_format format;
	FILE *out;
	const char *suite;
	struct report_summary summary;
	FILE *cases; /* where cases go: `out`, or the memory */
	char *memory;
	size_t memory_len;
	int failed; /* 0, or the errno value of the first failure */
};

/*
 * Begins a report of `planned` cases. `suite` and `out` stay the caller's and must live until the
 * end. Returns 0, or -ENOMEM, after which report_end() must not be called.
 */
int report_begin(struct report *r, enum report_format format, FILE *out, const char *suite,
		 unsigned planned, struct err *err);
void report_case(struct report *r, const struct test_result *t);
/*
 * Ends it after `seconds` of wall-clock time. Cases of which nothing was reported are counted as
 * not run. Returns 0, or a negative errno if any part could not be written.
 */
int report_end(struct report *r, double seconds, struct err *err);

/*
 * Whether a case that ended like this failed for no reason of the guest's: JUnit tells errors from
 * failures, and KTAP has "# ERROR".
 */
bool report_is_error(enum verdict v);

#endif
