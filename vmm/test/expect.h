/*
 * What a case must look like to pass: how it ends (--expect), and what its console must have and
 * must not have (--console-has, --console-lacks).
 *
 * Without any of them a case passes if its command ends with status 0.
 */
#ifndef TEST_EXPECT_H
#define TEST_EXPECT_H

#include "vmm/config/config.h"
#include "vmm/test/verdict.h"

#include <regex.h>

#define EXPECT_LINE_MAX                                                           \
	1024 /* bytes of a console's line that are looked at; the rest is dropped \
	      */

struct test_expect_pattern {
	regex_t regex;
	const char *text; /* borrowed from the config */
	bool found;
};

struct test_expect {
	enum verdict verdict;
	unsigned status; /* of VERDICT_COMMAND */
	struct test_expect_pattern has[CONFIG_PATTERNS_MAX], lacks[CONFIG_PATTERNS_MAX];
	unsigned nr_has, nr_lacks;
	char unwanted[EXPECT_LINE_MAX + 1]; /* the first line that a pattern of `lacks` matched */
	char line[EXPECT_LINE_MAX + 1];	    /* that is being printed */
	unsigned len;
};

/*
 * Reads the options, whose strings must outlive *e. -EINVAL and a sentence; *e is then good for
 * test_expect_free() alone, as a zeroed one is.
 */
int test_expect_init(struct test_expect *e, const struct config_test *options, struct err *err);
/* Looks at the next bytes of the console. */
void test_expect_feed(struct test_expect *e, const uint8_t *bytes, size_t n);
/*
 * Judges the end: sets result->passed. What ended otherwise than it must is VERDICT_UNEXPECTED with
 * a sentence, unless the verdict says that nothing can be told of the guest.
 */
void test_expect_judge(struct test_expect *e, struct test_result *result);
void test_expect_free(struct test_expect *e);

#endif
