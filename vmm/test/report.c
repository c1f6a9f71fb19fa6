#include "vmm/test/report.h"

#include "vmm/test/report_text.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char *const words[REPORT_FORMATS] = {
	[REPORT_TAP] = "tap",
	[REPORT_KTAP] = "ktap",
	[REPORT_JUNIT] = "junit",
	[REPORT_JSON] = "json",
};

const char *report_format_word(enum report_format f)
{
	return words[f];
}

enum report_format report_format_of_word(const char *word)
{
	enum report_format f = 0;

	while (f < REPORT_FORMATS && strcmp(word, words[f]))
		f++;
	return f;
}

bool report_is_error(enum verdict v)
{
	return v == VERDICT_STARVED || v == VERDICT_SETUP || v == VERDICT_HOST_ERROR ||
	       v == VERDICT_USAGE || v == VERDICT_INTERRUPTED;
}

static bool is_limit(enum verdict v)
{
	return v == VERDICT_BOOT_LIMIT || v == VERDICT_IDLE_LIMIT || v == VERDICT_LIMIT;
}

/* No format has a word for a number that is none. */
static double real(double x)
{
	return x - x == 0 ? x : 0;
}

static const char *named(const char *name)
{
	return name && *name ? name : "unnamed";
}

static bool report_has(const char *text)
{
	return text && *text;
}

/* --- TAP --- */

/* Between quotes on one line: Perl's reader takes little of YAML, and the guest writes no line. */
static void yaml_text(FILE *out, const char *key, const char *text)
{
	fprintf(out, "  %s: \"", key);
	report_text(out, text, report_put_quoted);
	fputs("\"\n", out);
}

static void yaml_block(FILE *out, const struct test_result *t)
{
	fputs("  ---\n", out);
	yaml_text(out, "message", t->sentence);
	yaml_text(out, "verdict", verdict_word(t->verdict));
	if (t->verdict == VERDICT_COMMAND)
		fprintf(out, "  status: %u\n", t->command_status);
	if (*t->line)
		yaml_text(out, "line", t->line);
	fprintf(out, "  attempts: %u\n  flaky: %s\n  seconds: %.3f\n", t->attempts,
		t->flaky ? "true" : "false", real(t->seconds));
	if (t->boot_seconds >= 0)
		fprintf(out, "  boot_seconds: %.3f\n", real(t->boot_seconds));
	fprintf(out, "  waited: %.3f\n  stolen: %.3f\n", real(t->waited), real(t->stolen));
	if (t->output)
		yaml_text(out, "output", t->output);
	if (report_has(t->printed))
		yaml_text(out, "printed", t->printed);
	if (report_has(t->console))
		yaml_text(out, "console", t->console);
	fputs("  ...\n", out);
}

static void tap_case(struct report *r, const struct test_result *t)
{
	fprintf(r->cases, "%s %u - ", t->passed || t->skipped ? "ok" : "not ok", r->summary.cases);
	report_text(r->cases, named(t->name), report_put_tap);
	if (t->skipped) {
		fputs(" # SKIP ", r->cases);
		report_text(r->cases, t->sentence, report_put_tap);
	}
	fputc('\n', r->cases);
	if (!t->skipped && (!t->passed || t->flaky))
		yaml_block(r->cases, t);
}

/* --- KTAP --- */

/*
 * Diagnostic lines have three blanks behind their "#", because "# Subtest: ..." would begin a
 * subtest.
 */
static void ktap_lines(FILE *out, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");

		fputs("#   ", out);
		report_text_n(out, text, n, report_put_ktap);
		fputc('\n', out);
		text += n + (text[n] == '\n');
	}
}

static void ktap_case(struct report *r, const struct test_result *t)
{
	bool failed = !t->passed && !t->skipped;
	FILE *out = r->cases;

	if (failed && report_has(t->console))
		ktap_lines(out, t->console);
	if (failed && report_has(t->printed))
		ktap_lines(out, t->printed);
	if (failed && *t->line)
		ktap_lines(out, t->line);
	fprintf(out, "%s %u ", failed ? "not ok" : "ok", r->summary.cases);
	report_text(out, named(t->name), report_put_ktap);
	if (t->skipped)
		fputs(" # SKIP ", out);
	else if (failed)
		fprintf(out, " # %s%s: ",
			is_limit(t->verdict)	      ? "TIMEOUT "
			: report_is_error(t->verdict) ? "ERROR "
						      : "",
			verdict_word(t->verdict));
	else if (t->flaky)
		fprintf(out, " # passed at attempt %u", t->attempts);
	if (failed || t->skipped)
		report_text(out, t->sentence, report_put_ktap);
	fputc('\n', out);
}

/* --- JUnit --- */

static void xml_attribute(FILE *out, const char *key, const char *text)
{
	fprintf(out, " %s=\"", key);
	report_text(out, text, report_put_xml);
	fputc('"', out);
}

static void xml_property(FILE *out, const char *name, const char *value)
{
	fputs("      <property", out);
	xml_attribute(out, "name", name);
	xml_attribute(out, "value", value);
	fputs("/>\n", out);
}

static void xml_real(FILE *out, const char *name, double x)
{
	char text[64];

	snprintf(text, sizeof(text), "%.3f", real(x));
	xml_property(out, name, text);
}

static void xml_properties(FILE *out, const struct test_result *t)
{
	char text[16];

	fputs("    <properties>\n", out);
	xml_property(out, "verdict", verdict_word(t->verdict));
	if (t->verdict == VERDICT_COMMAND) {
		snprintf(text, sizeof(text), "%u", t->command_status);
		xml_property(out, "status", text);
	}
	snprintf(text, sizeof(text), "%u", t->attempts);
	xml_property(out, "attempts", text);
	xml_property(out, "flaky", t->flaky ? "true" : "false");
	if (t->boot_seconds >= 0)
		xml_real(out, "boot_seconds", t->boot_seconds);
	xml_real(out, "waited", t->waited);
	xml_real(out, "stolen", t->stolen);
	if (t->output)
		xml_property(out, "output", t->output);
	fputs("    </properties>\n", out);
}

static void xml_failure(FILE *out, const struct test_result *t)
{
	const char *element = report_is_error(t->verdict) ? "error" : "failure";

	fprintf(out, "    <%s", element);
	xml_attribute(out, "type", verdict_word(t->verdict));
	xml_attribute(out, "message", t->sentence);
	fputc('>', out);
	report_text(out, *t->line ? t->line : t->sentence, report_put_xml_text);
	fprintf(out, "</%s>\n", element);
}

static void xml_output(FILE *out, const char *element, const char *text)
{
	if (!report_has(text))
		return;
	fprintf(out, "    <%s>", element);
	report_text(out, text, report_put_xml_text);
	fprintf(out, "</%s>\n", element);
}

static void junit_case(struct report *r, const struct test_result *t)
{
	FILE *out = r->cases;

	fputs("  <testcase", out);
	xml_attribute(out, "classname", named(r->suite));
	xml_attribute(out, "name", named(t->name));
	fprintf(out, " time=\"%.3f\">\n", real(t->seconds));
	if (t->skipped) {
		fputs("    <skipped", out);
		xml_attribute(out, "message", t->sentence);
		fputs("/>\n", out);
	} else {
		xml_properties(out, t);
		if (!t->passed)
			xml_failure(out, t);
	}
	xml_output(out, "system-out", t->printed);
	xml_output(out, "system-err", t->console);
	fputs("  </testcase>\n", out);
}

static void junit_end(struct report *r, double seconds)
{
	const struct report_summary *s = &r->summary;

	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite", r->out);
	xml_attribute(r->out, "name", named(r->suite));
	fprintf(r->out,
		" tests=\"%u\" failures=\"%u\" errors=\"%u\" skipped=\"%u\" time=\"%.3f\">\n",
		s->cases, s->failed - s->errors, s->errors, s->skipped, seconds);
	fwrite(r->memory, 1, r->memory_len, r->out);
	fputs("</testsuite>\n", r->out);
}

/* --- JSON --- */

/* NULL is null. Returns NULL if there is no memory. */
static json_t *report_json_text(const char *text)
{
	char *clean;
	json_t *json;

	if (!text)
		return json_null();
	clean = report_clean(text);
	json = clean ? json_string(clean) : NULL;
	free(clean);
	return json;
}

/* Writes `json` and gives it up; NULL: there was no memory for it. */
static void put_json(struct report *r, json_t *json)
{
	if (!json ||
	    json_dumpf(json, r->cases, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9)))
		r->failed = r->failed ? r->failed : json ? EIO : ENOMEM;
	json_decref(json);
}

static void json_case(struct report *r, const struct test_result *t)
{
	bool ran = !t->skipped, command = ran && t->verdict == VERDICT_COMMAND;

	if (r->summary.cases > 1)
		fputs(",\n", r->cases);
	put_json(r,
		 json_pack("{s:o, s:b, s:b, s:b, s:o, s:o, s:o, s:I, s:o, s:o, s:f, s:o, s:f, s:f, "
			   "s:f, s:f, s:o, s:o, s:o}",
			   "name", report_json_text(named(t->name)), "passed", ran && t->passed,
			   "skipped", t->skipped, "flaky", ran && t->flaky, "verdict",
			   ran ? report_json_text(verdict_word(t->verdict)) : json_null(), "status",
			   command ? json_integer((json_int_t)t->command_status) : json_null(),
			   "exit", ran ? json_integer(test_result_status(t)) : json_null(),
			   "attempts", (json_int_t)t->attempts, "sentence",
			   report_json_text(t->sentence), "line",
			   *t->line ? report_json_text(t->line) : json_null(), "seconds",
			   real(t->seconds), "boot_seconds",
			   t->boot_seconds >= 0 ? json_real(real(t->boot_seconds)) : json_null(),
			   "waited", real(t->waited), "stolen", real(t->stolen), "silent",
			   real(t->silent), "silent_ran", real(t->silent_ran), "output",
			   report_json_text(t->output), "console", report_json_text(t->console),
			   "printed", report_json_text(t->printed)));
}

static void json_begin(struct report *r)
{
	fputs("{\"version\":1,\"suite\":", r->out);
	put_json(r, report_json_text(named(r->suite)));
	fputs(",\"cases\":[\n", r->out);
}

static void json_end(struct report *r, double seconds)
{
	const struct report_summary *s = &r->summary;

	fputs("\n],\"summary\":", r->out);
	put_json(r, json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f}", "planned",
			      (json_int_t)s->planned, "cases", (json_int_t)s->cases, "passed",
			      (json_int_t)s->passed, "failed", (json_int_t)s->failed, "errors",
			      (json_int_t)s->errors, "skipped", (json_int_t)s->skipped, "flaky",
			      (json_int_t)s->flaky, "seconds", seconds));
	fputs("}\n", r->out);
}

/* --- all --- */

static void (*const put_case[REPORT_FORMATS])(struct report *r, const struct test_result *t) = {
	[REPORT_TAP] = tap_case,
	[REPORT_KTAP] = ktap_case,
	[REPORT_JUNIT] = junit_case,
	[REPORT_JSON] = json_case,
};

int report_begin(struct report *r, enum report_format format, FILE *out, const char *suite,
		 unsigned planned, struct err *err)
{
	*r = (struct report){ .format = format, .out = out, .suite = suite, .cases = out };
	r->summary.planned = planned;
	switch (format) {
	case REPORT_TAP:
		fprintf(out, "TAP version 14\n1..%u\n", planned);
		break;
	case REPORT_KTAP:
		fprintf(out, "KTAP version 1\n1..%u\n", planned);
		break;
	case REPORT_JUNIT:
		r->cases = open_memstream(&r->memory, &r->memory_len);
		if (!r->cases)
			return err_sys(err, errno, "cannot make the report");
		break;
	default:
		json_begin(r);
		break;
	}
	return 0;
}

void report_case(struct report *r, const struct test_result *t)
{
	struct report_summary *s = &r->summary;

	s->cases++;
	if (t->skipped) {
		s->skipped++;
	} else if (t->passed) {
		s->passed++;
		s->flaky += t->flaky;
	} else {
		s->failed++;
		s->errors += report_is_error(t->verdict);
	}
	put_case[r->format](r, t);
	/* Whoever reads a pipe sees each case when it ends. */
	if (fflush(r->cases) && !r->failed)
		r->failed = errno;
}

/* The sums as a comment, which TAP and KTAP have no other place for. */
static void put_comment(struct report *r, double seconds)
{
	const struct report_summary *s = &r->summary;

	/* Not as TAP's "Bail out!", because every case that is there has its result. */
	if (s->cases < s->planned)
		fprintf(r->out, "# %u of %u cases were not run\n", s->planned - s->cases,
			s->planned);
	fprintf(r->out, "# %u passed (%u flaky), %u failed (%u errors), %u skipped in %.3f s\n",
		s->passed, s->flaky, s->failed, s->errors, s->skipped, seconds);
}

int report_end(struct report *r, double seconds, struct err *err)
{
	seconds = real(seconds);
	if (r->cases != r->out && fclose(r->cases) && !r->failed)
		r->failed = errno;
	if (r->format == REPORT_JUNIT)
		junit_end(r, seconds);
	else if (r->format == REPORT_JSON)
		json_end(r, seconds);
	else
		put_comment(r, seconds);
	free(r->memory);
	r->memory = NULL;
	if (fflush(r->out) && !r->failed)
		r->failed = errno;
	if (ferror(r->out) && !r->failed)
		r->failed = EIO;
	if (!r->failed)
		return 0;
	return err_sys(err, r->failed, "cannot write the report (%s)", words[r->format]);
}
