/*
 * Reports: the whole of a plain one in each format, and that text of a hostile guest breaks none.
 */
#include "vmm/test/report.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct test_result passed = {
	.name = "boots",
	.passed = true,
	.attempts = 1,
	.sentence = "The command exited with status 0.",
	.seconds = 1.5,
	.boot_seconds = 0.75,
};
static const struct test_result flaky = {
	.name = "sometimes",
	.passed = true,
	.flaky = true,
	.attempts = 2,
	.sentence = "The command exited with status 0.",
	.seconds = 2,
	.boot_seconds = 0.5,
};
static const struct test_result failed = {
	.name = "dies",
	.verdict = VERDICT_PANIC,
	.attempts = 1,
	.sentence = "The guest's kernel panicked.",
	.line = "Kernel panic - not syncing: Fatal exception",
	.seconds = 3.25,
	.boot_seconds = -1,
	.waited = 0.125,
	.stolen = 0.25,
	.silent = 1.5,
	.silent_ran = 1.25,
	.output = "out/dies",
	.console = "line 1\r\nline 2\r\n",
	.printed = "said\n",
};
static const struct test_result late = {
	.name = "hangs",
	.verdict = VERDICT_IDLE_LIMIT,
	.attempts = 1,
	.sentence = "No output for 10 s.",
	.boot_seconds = -1,
};
static const struct test_result broken = {
	.name = "starts",
	.verdict = VERDICT_SETUP,
	.attempts = 1,
	.sentence = "There is no '/bin/x'.",
	.boot_seconds = 0.5,
};
static const struct test_result skipped = {
	.name = "sleeps",
	.skipped = true,
	.sentence = "needs /dev/kvm",
	.boot_seconds = -1,
};

/* The report of the results, to be freed. */
static char *report_of(enum report_format f, const struct test_result *const *list, unsigned n,
		       unsigned planned)
{
	struct report r;
	struct err err;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	assert_int_equal(report_begin(&r, f, out, "suite", planned, &err), 0);
	for (unsigned i = 0; i < n; i++)
		report_case(&r, list[i]);
	if (report_end(&r, 12.3456, &err))
		fail_msg("%s", err.text);
	fclose(out);
	return text;
}

static void expect(enum report_format f, const char *want)
{
	static const struct test_result *const all[] = { &passed, &flaky,  &failed,
							 &late,	  &broken, &skipped };
	char *text = report_of(f, all, 6, 7);

	assert_string_equal(text, want);
	free(text);
}

static void test_tap(void **state)
{
	(void)state;
	expect(REPORT_TAP, "TAP version 14\n"
			   "1..7\n"
			   "ok 1 - boots\n"
			   "ok 2 - sometimes\n"
			   "  ---\n"
			   "  message: \"The command exited with status 0.\"\n"
			   "  verdict: \"command\"\n"
			   "  status: 0\n"
			   "  attempts: 2\n"
			   "  flaky: true\n"
			   "  seconds: 2.000\n"
			   "  boot_seconds: 0.500\n"
			   "  waited: 0.000\n"
			   "  stolen: 0.000\n"
			   "  ...\n"
			   "not ok 3 - dies\n"
			   "  ---\n"
			   "  message: \"The guest's kernel panicked.\"\n"
			   "  verdict: \"panic\"\n"
			   "  line: \"Kernel panic - not syncing: Fatal exception\"\n"
			   "  attempts: 1\n"
			   "  flaky: false\n"
			   "  seconds: 3.250\n"
			   "  waited: 0.125\n"
			   "  stolen: 0.250\n"
			   "  output: \"out/dies\"\n"
			   "  printed: \"said\\n\"\n"
			   "  console: \"line 1\\r\\nline 2\\r\\n\"\n"
			   "  ...\n"
			   "not ok 4 - hangs\n"
			   "  ---\n"
			   "  message: \"No output for 10 s.\"\n"
			   "  verdict: \"idle-limit\"\n"
			   "  attempts: 1\n"
			   "  flaky: false\n"
			   "  seconds: 0.000\n"
			   "  waited: 0.000\n"
			   "  stolen: 0.000\n"
			   "  ...\n"
			   "not ok 5 - starts\n"
			   "  ---\n"
			   "  message: \"There is no '/bin/x'.\"\n"
			   "  verdict: \"setup\"\n"
			   "  attempts: 1\n"
			   "  flaky: false\n"
			   "  seconds: 0.000\n"
			   "  boot_seconds: 0.500\n"
			   "  waited: 0.000\n"
			   "  stolen: 0.000\n"
			   "  ...\n"
			   "ok 6 - sleeps # SKIP needs /dev/kvm\n"
			   "# 1 of 7 cases were not run\n"
			   "# 2 passed (1 flaky), 3 failed (1 errors), 1 skipped in 12.346 s\n");
}

static void test_ktap(void **state)
{
	(void)state;
	expect(REPORT_KTAP, "KTAP version 1\n"
			    "1..7\n"
			    "ok 1 boots\n"
			    "ok 2 sometimes # passed at attempt 2\n"
			    "#   line 1\n"
			    "#   line 2\n"
			    "#   said\n"
			    "#   Kernel panic - not syncing: Fatal exception\n"
			    "not ok 3 dies # panic: The guest's kernel panicked.\n"
			    "not ok 4 hangs # TIMEOUT idle-limit: No output for 10 s.\n"
			    "not ok 5 starts # ERROR setup: There is no '/bin/x'.\n"
			    "ok 6 sleeps # SKIP needs /dev/kvm\n"
			    "# 1 of 7 cases were not run\n"
			    "# 2 passed (1 flaky), 3 failed (1 errors), 1 skipped in 12.346 s\n");
}

#define PROPERTY(name, value) "      <property name=\"" name "\" value=\"" value "\"/>\n"
#define TIMES(waited, stolen) PROPERTY("waited", waited) PROPERTY("stolen", stolen)

static void test_junit(void **state)
{
	(void)state;
	expect(REPORT_JUNIT,
	       "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	       "<testsuite name=\"suite\" tests=\"6\" failures=\"2\" errors=\"1\" skipped=\"1\" "
	       "time=\"12.346\">\n"
	       "  <testcase classname=\"suite\" name=\"boots\" time=\"1.500\">\n"
	       "    <properties>\n" PROPERTY("verdict", "command") PROPERTY("status", "0") PROPERTY(
		       "attempts", "1") PROPERTY("flaky", "false") PROPERTY("boot_seconds", "0.750")
		       TIMES("0.000",
			     "0.000") "    </properties>\n"
				      "  </testcase>\n"
				      "  <testcase classname=\"suite\" name=\"sometimes\" "
				      "time=\"2.000\">\n"
				      "    <properties>\n" PROPERTY("verdict", "command") PROPERTY(
					      "status",
					      "0") PROPERTY("attempts",
							    "2") PROPERTY("flaky",
									  "true") PROPERTY("boot_"
											   "second"
											   "s",
											   "0.500")
					      TIMES("0.000",
						    "0.000") "    </properties>\n"
							     "  </testcase>\n"
							     "  <testcase classname=\"suite\" "
							     "name=\"dies\" time=\"3.250\">\n"
							     "    <properties>\n" PROPERTY(
								     "verdict",
								     "panic") PROPERTY("attempts",
										       "1") PROPERTY("flaky",
												     "false")
								     TIMES("0.125", "0.250") PROPERTY(
									     "output",
									     "out/dies") "    "
											 "</"
											 "propertie"
											 "s>\n"
											 "    "
											 "<failure "
											 "type="
											 "\"panic\""
											 " message="
											 "\"The "
											 "guest&"
											 "apos;s "
											 "kernel "
											 "panicked."
											 "\">"
											 "Kernel "
											 "panic - "
											 "not "
											 "syncing: "
											 "Fatal "
											 "exception"
											 "</"
											 "failure>"
											 "\n"
											 "    "
											 "<system-"
											 "out>"
											 "said\n</"
											 "system-"
											 "out>\n   "
											 " <system-"
											 "err>line "
											 "1\nline "
											 "2\n</"
											 "system-"
											 "err>\n"
											 "  "
											 "</"
											 "testcase>"
											 "\n"
											 "  "
											 "<testcase"
											 " classnam"
											 "e="
											 "\"suite\""
											 " name="
											 "\"hangs\""
											 " time="
											 "\"0."
											 "000\">\n"
											 "    "
											 "<properti"
											 "es>"
											 "\n" PROPERTY("verdict", "idle-limit") PROPERTY(
												 "a"
												 "t"
												 "t"
												 "e"
												 "m"
												 "p"
												 "t"
												 "s",
												 "1") PROPERTY("flaky",
													       "false")
												 TIMES("0.000",
												       "0.000") "    </properties>\n"
														"    <failure type=\"idle-limit\" message=\"No output for 10 s.\">"
														"No output for 10 s.</failure>\n"
														"  </testcase>\n"
														"  <testcase classname=\"suite\" name=\"starts\" time=\"0.000\">\n"
														"    <properties>\n" PROPERTY(
															"verdict",
															"setup") PROPERTY("attempts",
																	  "1")
															PROPERTY("flaky", "false") PROPERTY(
																"boot_seconds",
																"0.500")
																TIMES("0.000",
																      "0.000") "    </properties>\n"
																	       "    <error type=\"setup\" message=\"There is no &apos;/bin/x&apos;.\">"
																	       "There is no &apos;/bin/x&apos;.</error>\n"
																	       "  </testcase>\n"
																	       "  <testcase classname=\"suite\" name=\"sleeps\" time=\"0.000\">\n"
																	       "    <skipped message=\"needs /dev/kvm\"/>\n"
																	       "  </testcase>\n"
																	       "</testsuite>\n");
}

static void test_json(void **state)
{
	(void)state;
	expect(REPORT_JSON,
	       "{\"version\":1,\"suite\":\"suite\",\"cases\":[\n"
	       "{\"name\":\"boots\",\"passed\":true,\"skipped\":false,\"flaky\":false,"
	       "\"verdict\":\"command\",\"status\":0,\"exit\":0,\"attempts\":1,"
	       "\"sentence\":\"The command exited with status 0.\",\"line\":null,\"seconds\":1.5,"
	       "\"boot_seconds\":0.75,\"waited\":0.0,\"stolen\":0.0,"
	       "\"silent\":0.0,\"silent_ran\":0.0,\"output\":null,"
	       "\"console\":null,\"printed\":null},\n"
	       "{\"name\":\"sometimes\",\"passed\":true,\"skipped\":false,\"flaky\":true,"
	       "\"verdict\":\"command\",\"status\":0,\"exit\":0,\"attempts\":2,"
	       "\"sentence\":\"The command exited with status 0.\",\"line\":null,\"seconds\":2.0,"
	       "\"boot_seconds\":0.5,\"waited\":0.0,\"stolen\":0.0,"
	       "\"silent\":0.0,\"silent_ran\":0.0,\"output\":null,"
	       "\"console\":null,\"printed\":null},\n"
	       "{\"name\":\"dies\",\"passed\":false,\"skipped\":false,\"flaky\":false,"
	       "\"verdict\":\"panic\",\"status\":null,\"exit\":103,\"attempts\":1,"
	       "\"sentence\":\"The guest's kernel panicked.\","
	       "\"line\":\"Kernel panic - not syncing: Fatal exception\",\"seconds\":3.25,"
	       "\"boot_seconds\":null,\"waited\":0.125,\"stolen\":0.25,"
	       "\"silent\":1.5,\"silent_ran\":1.25,\"output\":\"out/dies\","
	       "\"console\":\"line 1\\r\\nline 2\\r\\n\",\"printed\":\"said\\n\"},\n"
	       "{\"name\":\"hangs\",\"passed\":false,\"skipped\":false,\"flaky\":false,"
	       "\"verdict\":\"idle-limit\",\"status\":null,\"exit\":101,\"attempts\":1,"
	       "\"sentence\":\"No output for 10 s.\",\"line\":null,\"seconds\":0.0,"
	       "\"boot_seconds\":null,\"waited\":0.0,\"stolen\":0.0,"
	       "\"silent\":0.0,\"silent_ran\":0.0,\"output\":null,"
	       "\"console\":null,\"printed\":null},\n"
	       "{\"name\":\"starts\",\"passed\":false,\"skipped\":false,\"flaky\":false,"
	       "\"verdict\":\"setup\",\"status\":null,\"exit\":111,\"attempts\":1,"
	       "\"sentence\":\"There is no '/bin/x'.\",\"line\":null,\"seconds\":0.0,"
	       "\"boot_seconds\":0.5,\"waited\":0.0,\"stolen\":0.0,"
	       "\"silent\":0.0,\"silent_ran\":0.0,\"output\":null,"
	       "\"console\":null,\"printed\":null},\n"
	       "{\"name\":\"sleeps\",\"passed\":false,\"skipped\":true,\"flaky\":false,"
	       "\"verdict\":null,\"status\":null,\"exit\":null,\"attempts\":0,"
	       "\"sentence\":\"needs /dev/kvm\",\"line\":null,\"seconds\":0.0,"
	       "\"boot_seconds\":null,\"waited\":0.0,\"stolen\":0.0,"
	       "\"silent\":0.0,\"silent_ran\":0.0,\"output\":null,"
	       "\"console\":null,\"printed\":null}\n"
	       "],\"summary\":{\"planned\":7,\"cases\":6,\"passed\":2,\"failed\":3,\"errors\":1,"
	       "\"skipped\":1,\"flaky\":1,\"seconds\":12.3456}}\n");
}

/* --- hostile text --- */

static const char *const hostile[] = {
	"",
	"ok 1",
	"not ok 2 - x\nok 3 - y\r\n1..0\nBail out! now\n",
	"x # SKIP nothing to see",
	"x \\# TODO \\\\# SKIP y",
	"x\\",
	"  ...\n...\n---\n    ...\n- a: b\n\"",
	"# Subtest: x\n    ok 1\n",
	"Subtest: x",
	"]]></failure></testcase></testsuite><testsuite>",
	"&lt;&#0;&nope; <!-- -- <![CDATA[ <?xml ' \" >",
	"\",\"passed\":true,\"x\":\"",
	"\x01\x02\x03\x04\x05\x06\x07\x08\t\x0b\x0c\x0e\x1b[2J\x1f\x7f",
	"\xff\xfe\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80\xe2\x82",
	"\xe2\x80\xa8ok 1\xe2\x80\xa9ok 2\xc2\x85ok 3\xef\xbf\xbe\xef\xbb\xbf",
	"KTAP version 1\n1..1\n  KTAP version 1\n",
};
#define HOSTILE (sizeof(hostile) / sizeof(hostile[0]))

/* The report of cases that have each hostile text in every place, half of them failed. */
static char *hostile_report(enum report_format f)
{
	static struct test_result results[HOSTILE * 2];
	const struct test_result *list[HOSTILE * 2];

	for (unsigned i = 0; i < HOSTILE * 2; i++) {
		const char *text = hostile[i / 2];
		struct test_result *t = &results[i];

		*t = (struct test_result){
			.name = text, .output = text, .console = text, .printed = text
		};
		strcpy(t->sentence, text);
		strcpy(t->line, text);
		t->verdict = VERDICT_SPLAT;
		t->skipped = i % 2;
		list[i] = t;
	}
	return report_of(f, list, HOSTILE * 2, HOSTILE * 2);
}

static bool is_utf8(const char *text)
{
	json_t *json = json_string(text);

	json_decref(json);
	return json != NULL;
}

/* The next line of *text, which ends it in place, or NULL. */
static char *next_line(char **text)
{
	char *line = *text, *end = strchr(line, '\n');

	if (!end)
		return NULL;
	*end = '\0';
	*text = end + 1;
	/* What a reader may take for the end of a line. */
	for (const char *c = line; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			fail_msg("a control character in '%s'", line);
	if (strstr(line, "\xc2\x85") || strstr(line, "\xe2\x80\xa8") || !is_utf8(line))
		fail_msg("'%s' has what ends a line", line);
	return line;
}

/* Whether the line is `start`, a number, and a description with "# SKIP" if it is to be skipped. */
static void expect_point(const char *line, const char *start, unsigned n, bool escapes)
{
	bool skip = n % 2 == 0;
	char want[64];
	const char *hash;

	snprintf(want, sizeof(want), "%s %u %s", skip ? "ok" : "not ok", n, start);
	if (strncmp(line, want, strlen(want)) != 0)
		fail_msg("'%s' does not begin with '%s'", line, want);
	for (hash = line; *hash && *hash != '#'; hash++)
		if (escapes && *hash == '\\')
			hash++;
	if (skip && strncmp(hash, "# SKIP ", 7) != 0)
		fail_msg("'%s' is not skipped", line);
	if (!skip && strstr(escapes ? hash : line, "# SKIP"))
		fail_msg("'%s' is skipped", line);
	if (!skip && escapes && *hash)
		fail_msg("'%s' has a directive", line);
	if (*hash && (hash[-1] != ' ' || (!escapes && strchr(hash + 1, '#'))))
		fail_msg("'%s' has a wrong '#'", line);
}

/* `"..."`, and nothing else. */
static bool is_quoted(const char *text)
{
	if (*text++ != '"')
		return false;
	for (; *text && *text != '"'; text++)
		if (*text == '\\' && !*++text)
			return false;
	return !strcmp(text, "\"");
}

static void expect_yaml(char **text)
{
	char *line = next_line(text);

	assert_string_equal(line, "  ---");
	while ((line = next_line(text)) && strcmp(line, "  ...") != 0) {
		const char *value = strstr(line, ": ");

		if (strncmp(line, "  ", 2) != 0)
			fail_msg("'%s' is not in the block", line);
		assert_non_null(value);
		if (value[2] == '"')
			assert_true(is_quoted(value + 2));
	}
	assert_non_null(line);
}

static void test_hostile_tap(void **state)
{
	char *whole = hostile_report(REPORT_TAP), *text = whole, *line;
	unsigned n = 0;

	(void)state;
	assert_string_equal(next_line(&text), "TAP version 14");
	assert_string_equal(next_line(&text), "1..32");
	while ((line = next_line(&text)) && n < HOSTILE * 2) {
		n++;
		expect_point(line, "- ", n, true);
		if (n % 2)
			expect_yaml(&text);
	}
	assert_non_null(line);
	assert_true(strncmp(line, "# 0 passed", 10) == 0);
	assert_string_equal(text, "");
	free(whole);
}

static void test_hostile_ktap(void **state)
{
	char *whole = hostile_report(REPORT_KTAP), *text = whole, *line;
	unsigned n = 0;

	(void)state;
	assert_string_equal(next_line(&text), "KTAP version 1");
	assert_string_equal(next_line(&text), "1..32");
	while ((line = next_line(&text)) && n < HOSTILE * 2) {
		if (strncmp(line, "#   ", 4) != 0)
			expect_point(line, "", ++n, false);
	}
	assert_non_null(line);
	assert_true(strncmp(line, "# 0 passed", 10) == 0);
	assert_string_equal(text, "");
	free(whole);
}

static void test_hostile_json(void **state)
{
	char *text = hostile_report(REPORT_JSON);
	json_error_t why;
	json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &why), *cases;

	(void)state;
	if (!json)
		fail_msg("%s", why.text);
	cases = json_object_get(json, "cases");
	assert_int_equal(json_array_size(cases), HOSTILE * 2);
	for (size_t i = 0; i < HOSTILE * 2; i++) {
		json_t *one = json_array_get(cases, i);
		const char *sentence = json_string_value(json_object_get(one, "sentence"));

		assert_int_equal(json_object_size(one), 19);
		assert_true(json_is_false(json_object_get(one, "passed")));
		if (is_utf8(hostile[i / 2]))
			assert_string_equal(sentence, hostile[i / 2]);
		else
			assert_non_null(strstr(sentence, "\xef\xbf\xbd"));
	}
	json_decref(json);
	free(text);
}

/* --- a small judge of XML: elements that are closed in order, attributes, text, references --- */

static const char *xml_char(const char *at)
{
	static const char *const references[] = { "&amp;",  "&lt;", "&gt;",  "&quot;",
						  "&apos;", "&#9;", "&#10;", "&#13;" };

	if ((unsigned char)*at < ' ' && *at != '\n' && *at != '\t')
		fail_msg("a control character at '%.40s'", at);
	if (!strncmp(at, "]]>", 3) || !strncmp(at, "\xef\xbf\xbe", 3))
		fail_msg("forbidden at '%.40s'", at);
	if (*at != '&')
		return at + 1;
	for (size_t i = 0; i < sizeof(references) / sizeof(references[0]); i++)
		if (!strncmp(at, references[i], strlen(references[i])))
			return at + strlen(references[i]);
	fail_msg("an unknown reference at '%.40s'", at);
	return at;
}

#define XML_NAME "abcdefghijklmnopqrstuvwxyz-_"

/* ` name="value"`, any number of them. Returns what follows. */
static const char *xml_attributes(const char *at)
{
	while (*at == ' ') {
		at++;
		at += strspn(at, XML_NAME);
		assert_true(at[0] == '=' && at[1] == '"');
		for (at += 2; *at != '"'; at = xml_char(at))
			assert_true(*at && *at != '<');
		at++;
	}
	return at;
}

/* The element at `at` and all in it; counts elements of the name. Returns what follows. */
static const char *xml_element(const char *at, const char *counted, unsigned *count)
{
	const char *name = at + 1;
	size_t n = strspn(name, XML_NAME);

	assert_true(*at == '<' && n > 0);
	*count += n == strlen(counted) && !strncmp(name, counted, n);
	at = xml_attributes(name + n);
	if (!strncmp(at, "/>", 2))
		return at + 2;
	assert_true(*at == '>');
	for (at++; strncmp(at, "</", 2) != 0;) {
		assert_true(*at != '\0');
		at = *at == '<' ? xml_element(at, counted, count) : xml_char(at);
	}
	at += 2;
	assert_true(!strncmp(at, name, n) && at[n] == '>');
	return at + n + 1;
}

static void test_hostile_junit(void **state)
{
	static const char head[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
	static const struct {
		const char *element;
		unsigned n;
	} counts[] = {
		{ "testsuite", 1 },
		{ "testcase", HOSTILE * 2 },
		{ "failure", HOSTILE },
		{ "skipped", HOSTILE },
		{ "error", 0 },
		{ "system-out", HOSTILE * 2 - 2 },
		{ "system-err", HOSTILE * 2 - 2 },
	};
	char *text = hostile_report(REPORT_JUNIT);

	(void)state;
	assert_true(is_utf8(text));
	assert_true(!strncmp(text, head, strlen(head)));
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		unsigned n = 0;

		assert_string_equal(xml_element(text + strlen(head), counts[i].element, &n), "\n");
		assert_int_equal(n, counts[i].n);
	}
	free(text);
}

/* --- the rest --- */

static void test_words(void **state)
{
	(void)state;
	for (enum report_format f = 0; f < REPORT_FORMATS; f++)
		assert_int_equal(report_format_of_word(report_format_word(f)), f);
	assert_int_equal(report_format_of_word("yaml"), REPORT_FORMATS);
}

/* Numbers that are none, no cases, and text as long as it may be. */
static void test_edges(void **state)
{
	struct test_result t = { .name = NULL, .seconds = 0.0 / 0.0, .boot_seconds = 1 / 0.0 };
	const struct test_result *list[] = { &t };

	(void)state;
	memset(t.sentence, 'x', sizeof(t.sentence) - 1);
	memset(t.line, 'y', sizeof(t.line) - 1);
	for (enum report_format f = 0; f < REPORT_FORMATS; f++) {
		char *text = report_of(f, list, 1, 1);

		assert_non_null(strstr(text, "unnamed"));
		assert_null(strstr(text, "nan"));
		assert_null(strstr(text, "inf"));
		free(text);
		text = report_of(f, list, 0, 0);
		if (f == REPORT_JSON) {
			json_t *json = json_loads(text, 0, NULL);

			assert_non_null(json);
			json_decref(json);
		}
		free(text);
	}
}

/* A full disk is told at the end. */
static void test_full(void **state)
{
	(void)state;
	for (enum report_format f = 0; f < REPORT_FORMATS; f++) {
		FILE *full = fopen("/dev/full", "w");
		struct report r;
		struct err err;

		assert_non_null(full);
		assert_int_equal(report_begin(&r, f, full, "suite", 1, &err), 0);
		report_case(&r, &failed);
		assert_int_equal(report_end(&r, 1, &err), -ENOSPC);
		assert_non_null(strstr(err.text, report_format_word(f)));
		fclose(full);
	}
	/* A stream that keeps nothing knows only that it failed. */
	for (enum report_format f = 0; f < REPORT_FORMATS; f++) {
		FILE *full = fopen("/dev/full", "w");
		struct report r;

		assert_non_null(full);
		setvbuf(full, NULL, _IONBF, 0);
		assert_int_equal(report_begin(&r, f, full, "suite", 1, NULL), 0);
		report_case(&r, &failed);
		assert_int_equal(report_end(&r, 1, NULL), -EIO);
		fclose(full);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tap),	     cmocka_unit_test(test_ktap),
		cmocka_unit_test(test_junit),	     cmocka_unit_test(test_json),
		cmocka_unit_test(test_hostile_tap),  cmocka_unit_test(test_hostile_ktap),
		cmocka_unit_test(test_hostile_json), cmocka_unit_test(test_hostile_junit),
		cmocka_unit_test(test_words),	     cmocka_unit_test(test_edges),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
