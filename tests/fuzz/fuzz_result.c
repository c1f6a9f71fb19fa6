/*
 * Whatever a file of a result has: what is taken from it is a result that a report can have, and
 * is read again as the same.
 */
#include "vmm/test/report.h"
#include "vmm/test/result_json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static char *report_of(const struct test_result *t, size_t *len)
{
	struct report report;
	char *text = NULL;
	FILE *out = open_memstream(&text, len);

	must(out && report_begin(&report, REPORT_JSON, out, "s", 1, NULL) == 0);
	report_case(&report, t);
	must(report_end(&report, t->seconds, NULL) == 0);
	must(fclose(out) == 0);
	return text;
}

static void expect_result(const struct test_result *t)
{
	struct result_json again;
	size_t len;
	char *text = report_of(t, &len);

	must(t->name && t->verdict < VERDICTS && t->seconds >= 0 && t->waited >= 0);
	must(!t->flaky || t->passed);
	must(result_json_parse(&again, text, len, NULL) == 0);
	must(again.result.verdict == t->verdict && again.result.passed == t->passed);
	must(again.result.command_status == t->command_status);
	must(again.result.attempts == t->attempts);
	must(!strcmp(again.result.sentence, t->sentence) && !strcmp(again.result.line, t->line));
	result_json_free(&again);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct result_json r;

	if (result_json_parse(&r, (const char *)data, size, NULL) == 0)
		expect_result(&r.result);
	result_json_free(&r);
	return 0;
}
