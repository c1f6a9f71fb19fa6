/*
 * Files of cases: any text expands into cases that can be applied, or is refused with one printable
 * sentence that says where; names and expectations never leave their bounds.
 *
 * Input: the text of a file, then, behind the first NUL byte, what its cases print on the console.
 */
#include "vmm/test/expect.h"
#include "vmm/test/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LOOK_MAX 20 /* cases that are looked at */

static void broken(const char *what, const struct err *err)
{
	fprintf(stderr, "%s: %s\n", what, err->text);
	abort();
}

static void check_refusal(int ret, const struct err *err, const char *begin)
{
	if (ret != -EINVAL && ret != -ENOMEM)
		broken("refused with another code than EINVAL", err);
	if (strncmp(err->text, begin, strlen(begin)) != 0)
		broken("a sentence that does not say where", err);
	for (const char *p = err->text; *p; p++)
		if (*p < ' ' || *p > '~')
			broken("a sentence that is not printable", err);
}

static void check_case(const struct suite_case *of, const uint8_t *console, size_t n)
{
	struct test_expect expect = { .verdict = VERDICT_COMMAND };
	struct test_result result = { .verdict = VERDICT_COMMAND };
	struct config c = CONFIG_EMPTY;
	struct err err = { "" };
	int ret = suite_apply(of, &c, &err);

	if (ret < 0)
		check_refusal(ret, &err, "x:");
	else if ((ret = test_expect_init(&expect, &c.test, &err)) < 0)
		check_refusal(ret, &err, "--");
	if (ret == 0) {
		test_expect_feed(&expect, console, n);
		test_expect_judge(&expect, &result);
		if (result.passed != (result.verdict == VERDICT_COMMAND && !c.test.expect) &&
		    !c.test.expect && !c.test.nr_console_has && !c.test.nr_console_lacks)
			broken("a judgement without a reason", &err);
	}
	test_expect_free(&expect);
	config_free(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = memchr(data, '\0', size);
	size_t len = nul ? (size_t)(nul - data) : size;
	const uint8_t *console = nul ? nul + 1 : data;
	size_t printed = nul ? size - len - 1 : 0;
	const struct config_suite how = { .repeat = 2 };
	struct suite suite = { 0 };
	struct err err = { "" };
	int ret;

	if (size > 4096)
		return 0;
	ret = suite_parse(&suite, "x", "", (const char *)data, len, &err);
	if (ret < 0) {
		check_refusal(ret, &err, ret == -EINVAL ? "x:" : "");
	} else {
		for (unsigned i = 0; i < suite.n && i < LOOK_MAX; i++)
			check_case(&suite.cases[i], console, printed);
		if (suite.n < 1000)
			(void)suite_select(&suite, &how, &err);
	}
	suite_free(&suite);
	return 0;
}
