/* Results that come back as JSON: what was written is what is read, and nothing else is taken. */
#include "vmm/test/result_json.h"

#include "vmm/test/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static struct err err;

/* The report of the results, to be freed. */
static char *report_of(const struct test_result *results, unsigned n, size_t *len)
{
	struct report r;
	char *text = NULL;
	FILE *out = open_memstream(&text, len);

	assert_non_null(out);
	assert_int_equal(report_begin(&r, REPORT_JSON, out, "suite", n, &err), 0);
	for (unsigned i = 0; i < n; i++)
		report_case(&r, &results[i]);
	assert_int_equal(report_end(&r, 1, &err), 0);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void expect_same_text(const char *a, const char *b)
{
	assert_true(!a == !b);
	if (a)
		assert_string_equal(a, b);
}

static void expect_round_trip(const struct test_result *t)
{
	struct result_json r;
	size_t len;
	char *text = report_of(t, 1, &len);

	assert_int_equal(result_json_parse(&r, text, len, &err), 0);
	expect_same_text(r.result.name, t->name);
	assert_int_equal(r.result.verdict, t->verdict);
	assert_int_equal(r.result.passed, t->passed);
	assert_int_equal(r.result.flaky, t->flaky);
	assert_int_equal(r.result.skipped, t->skipped);
	assert_int_equal(r.result.attempts, t->attempts);
	assert_int_equal(r.result.command_status, t->command_status);
	assert_string_equal(r.result.sentence, t->sentence);
	assert_string_equal(r.result.line, t->line);
	assert_true(r.result.seconds == t->seconds && r.result.boot_seconds == t->boot_seconds);
	assert_true(r.result.waited == t->waited && r.result.stolen == t->stolen);
	assert_true(r.result.silent == t->silent && r.result.silent_ran == t->silent_ran);
	expect_same_text(r.result.output, t->output);
	expect_same_text(r.result.console, t->console);
	expect_same_text(r.result.printed, t->printed);
	result_json_free(&r);
	free(text);
}

static void test_round_trips(void **state)
{
	(void)state;
	for (enum verdict v = 0; v < VERDICTS; v++)
		for (unsigned status = 0; status <= 255; status += 51) {
			struct test_result t = { .name = "case",
						 .verdict = v,
						 .passed = !status,
						 .attempts = 1 + status,
						 .sentence = "So \"it\" was.",
						 .boot_seconds = status ? 0.25 : -1 };

			t.flaky = t.passed && v % 2;
			if (v == VERDICT_COMMAND)
				t.command_status = status;
			if (status) {
				t.seconds = 1.5;
				t.waited = 0.125;
				t.stolen = 2;
				t.silent = 3;
				t.silent_ran = 2.5;
				t.output = "out/x";
				t.printed = "ok\n";
				t.console = "one\r\ntwo\t\033\n";
				strcpy(t.line, "BUG: \xc3\xa4");
			}
			expect_round_trip(&t);
		}
	expect_round_trip(&(const struct test_result){
		.name = "skipped", .skipped = true, .sentence = "why", .boot_seconds = -1 });
}

/* A report is refused unless all of it is there. */
static void test_torn(void **state)
{
	const struct test_result t = { .name = "case", .attempts = 1, .console = "text" };
	struct result_json r;
	size_t len;
	char *text = report_of(&t, 1, &len);

	(void)state;
	assert_int_equal(text[len - 1], '\n');
	for (size_t n = 0; n < len - 1; n++) {
		assert_int_equal(result_json_parse(&r, text, n, &err), -EINVAL);
		assert_non_null(strstr(err.text, "there is no whole report in JSON"));
		result_json_free(&r);
	}
	free(text);
}

/* A sentence with characters that a report writes as longer ones is cut between characters. */
static void test_long_text(void **state)
{
	struct test_result t = { .name = "case", .attempts = 1 };
	struct result_json r;
	size_t len;
	char *text;

	(void)state;
	memset(t.sentence, '\xff', sizeof(t.sentence) - 1);
	text = report_of(&t, 1, &len);
	assert_int_equal(result_json_parse(&r, text, len, &err), 0);
	assert_int_equal(strlen(r.result.sentence), 1023);
	assert_memory_equal(r.result.sentence + 1020, "\xef\xbf\xbd", 3);
	result_json_free(&r);
	free(text);
	memcpy(t.sentence, "abc", 3);
	text = report_of(&t, 1, &len);
	assert_int_equal(result_json_parse(&r, text, len, &err), 0);
	assert_int_equal(strlen(r.result.sentence), 1023);
	memcpy(t.sentence, "abcd", 4);
	free(text);
	result_json_free(&r);
	text = report_of(&t, 1, &len);
	assert_int_equal(result_json_parse(&r, text, len, &err), 0);
	assert_int_equal(strlen(r.result.sentence), 1021);
	result_json_free(&r);
	free(text);
}

static const char whole[] =
	"{\"version\":1,\"cases\":[{\"name\":\"n\",\"passed\":true,\"skipped\":false,"
	"\"flaky\":false,\"verdict\":\"command\",\"status\":0,\"exit\":0,\"attempts\":1,"
	"\"sentence\":\"s\",\"line\":null,\"seconds\":1.0,\"boot_seconds\":null,"
	"\"waited\":0.0,\"stolen\":0.0,\"silent\":0.0,\"silent_ran\":0.0,\"output\":null,"
	"\"console\":null,\"printed\":null}]}";

/* The report above with `from` made `to`. Returns the parser's answer. */
static int parse_with(const char *from, const char *to)
{
	const char *at = strstr(whole, from);
	struct result_json r;
	char text[1024];
	int ret;

	assert_non_null(at);
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - whole), whole, to, at + strlen(from));
	ret = result_json_parse(&r, text, strlen(text), &err);
	result_json_free(&r);
	return ret;
}

static void test_refusals(void **state)
{
	static const struct {
		const char *from, *to, *sentence;
	} rows[] = {
		{ "\"version\":1", "\"version\":2", "no report of version 1" },
		{ "\"cases\":[{", "\"cases\":[{},{", "has 2 cases" },
		{ "\"cases\":[{", "\"cases\":[],\"x\":[{", "has 0 cases" },
		{ "\"cases\":[{", "\"cases\":[7],\"x\":[{", "has no \"skipped\"" },
		{ "\"name\":\"n\"", "\"nome\":\"n\"", "has no \"name\"" },
		{ "\"name\":\"n\"", "\"name\":null", "\"name\" of the report's case is not" },
		{ "\"name\":\"n\"", "\"name\":\"a\\u0000b\"", "no whole report" },
		{ "\"name\":\"n\"", "\"name\":\"\xff\"", "no whole report" },
		{ "\"name\":\"n\"", "\"name\":\"n\",\"name\":\"m\"", "no whole report" },
		{ "\"passed\":true", "\"passed\":1", "\"passed\" of" },
		{ "\"flaky\":false,\"v", "\"flaky\":null,\"v", "\"flaky\" of" },
		{ "\"passed\":true,\"skipped\":false,\"flaky\":false",
		  "\"passed\":false,\"skipped\":false,\"flaky\":true", "other words" },
		{ "\"skipped\":false", "\"skipped\":true", "other words" },
		{ "\"command\"", "\"fine\"", "'fine' is unknown" },
		{ "\"command\"", "null", "\"verdict\" of" },
		{ "\"exit\":0", "\"exit\":103", "\"exit\" of" },
		{ "\"status\":0", "\"status\":256", "\"status\" of" },
		{ "\"status\":0", "\"status\":-1", "\"status\" of" },
		{ "\"status\":0", "\"status\":null", "\"status\" of" },
		{ "\"exit\":0", "\"exit\":1e0", "\"exit\" of" },
		{ "\"attempts\":1", "\"attempts\":99999999999", "\"attempts\" of" },
		{ "\"seconds\":1.0", "\"seconds\":-1.0", "\"seconds\" of" },
		{ "\"seconds\":1.0", "\"seconds\":null", "\"seconds\" of" },
		{ "\"boot_seconds\":null", "\"boot_seconds\":\"1\"", "\"boot_seconds\" of" },
		{ "\"seconds\":1.0", "\"seconds\":1e999", "no whole report" },
		{ "\"console\":null", "\"console\":[]", "\"console\" of" },
	};

	(void)state;
	assert_int_equal(parse_with("\"n\"", "\"n\""), 0);
	/* A case can be expected to end otherwise than with status 0. */
	assert_int_equal(parse_with("\"command\"", "\"panic\""), 0);
	assert_int_equal(parse_with("\"status\":0", "\"status\":7"), 0);
	assert_int_equal(parse_with("\"passed\":true", "\"passed\":false"), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(parse_with(rows[i].from, rows[i].to), -EINVAL);
		if (!strstr(err.text, rows[i].sentence))
			fail_msg("%s: %s", rows[i].to, err.text);
	}
}

static void test_files(void **state)
{
	char folder[] = "/tmp/straddle-result-XXXXXX", path[64];
	struct result_json r;
	FILE *file;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/r.json", folder);
	assert_int_equal(result_json_read(&r, path, &err), -ENOENT);
	assert_non_null(strstr(err.text, "r.json cannot be opened"));
	assert_int_equal(result_json_read(&r, folder, &err), -EINVAL);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(result_json_read(&r, path, &err), -EINVAL);
	assert_non_null(strstr(err.text, "r.json is no file of at most"));
	assert_int_equal(unlink(path), 0);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fputs(whole, file) < 0, 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(result_json_read(&r, path, &err), 0);
	assert_string_equal(r.result.name, "n");
	result_json_free(&r);
	assert_int_equal(truncate(path, 20), 0);
	assert_int_equal(result_json_read(&r, path, &err), -EINVAL);
	assert_non_null(strstr(err.text, "r.json: there is no whole report"));
	assert_int_equal(truncate(path, RESULT_JSON_MAX + 1), 0);
	assert_int_equal(result_json_read(&r, path, &err), -EINVAL);
	unlink(path);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips), cmocka_unit_test(test_torn),
		cmocka_unit_test(test_long_text),   cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
