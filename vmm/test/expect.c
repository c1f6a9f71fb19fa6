#include "vmm/test/expect.h"

#include "vmm/base/quote.h"
#include "vmm/test/expression.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- options --- */

static int read_status(struct test_expect *e, const char *text, struct err *err)
{
	char *end;
	unsigned long status = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || status > 255)
		return err_set(err, EINVAL, "--expect: '%s' is no status; use a number up to 255",
			       SHOWN(text));
	e->verdict = VERDICT_COMMAND;
	e->status = (unsigned)status;
	return 0;
}

/* "status 3", or the word of a verdict. */
static int read_expect(struct test_expect *e, const char *text, struct err *err)
{
	if (!strncmp(text, "status ", strlen("status ")))
		return read_status(e, text + strlen("status "), err);
	e->verdict = verdict_of_word(text);
	if (e->verdict != VERDICTS && e->verdict != VERDICT_COMMAND &&
	    e->verdict != VERDICT_UNEXPECTED)
		return 0;
	return err_set(err, EINVAL,
		       "--expect: '%s' is no ending; use 'status N', or a word such as panic "
		       "(straddle test --help lists them)",
		       SHOWN(text));
}

static int compile(struct test_expect_pattern *list, unsigned *nr, const char *option,
		   char *const *texts, unsigned n, struct err *err)
{
	for (; *nr < n; (*nr)++) {
		struct test_expect_pattern *p = &list[*nr];
		int ret = expression_compile(&p->regex, option, texts[*nr], err);

		if (ret < 0)
			return ret;
		p->text = texts[*nr];
	}
	return 0;
}

int test_expect_init(struct test_expect *e, const struct config_test *options, struct err *err)
{
	int ret = options->expect ? read_expect(e, options->expect, err) : 0;

	if (ret < 0)
		return ret;
	ret = compile(e->has, &e->nr_has, "--console-has:", options->console_has,
		      options->nr_console_has, err);
	if (ret < 0)
		return ret;
	return compile(e->lacks, &e->nr_lacks, "--console-lacks:", options->console_lacks,
		       options->nr_console_lacks, err);
}

void test_expect_free(struct test_expect *e)
{
	while (e->nr_has)
		regfree(&e->has[--e->nr_has].regex);
	while (e->nr_lacks)
		regfree(&e->lacks[--e->nr_lacks].regex);
}

/* --- the console --- */

static void look_for(struct test_expect_pattern *list, unsigned n, const char *line, char *first)
{
	for (unsigned i = 0; i < n; i++) {
		if (list[i].found || regexec(&list[i].regex, line, 0, NULL, 0) != 0)
			continue;
		list[i].found = true;
		if (first && !*first)
			strcpy(first, line);
	}
}

static void end_line(struct test_expect *e)
{
	e->line[e->len] = '\0';
	if (e->len) {
		look_for(e->has, e->nr_has, e->line, NULL);
		look_for(e->lacks, e->nr_lacks, e->line, e->unwanted);
	}
	e->len = 0;
}

void test_expect_feed(struct test_expect *e, const uint8_t *bytes, size_t n)
{
	if (!e->nr_has && !e->nr_lacks)
		return;
	for (; n--; bytes++) {
		if (*bytes == '\n' || *bytes == '\r')
			end_line(e);
		else if (e->len < EXPECT_LINE_MAX)
			e->line[e->len++] = *bytes >= ' ' && *bytes < 0x7f ? (char)*bytes : '?';
	}
}

/* --- the verdict --- */

/* Whether a guest that was neither heard nor run to its end could be judged at all. */
static bool tells_nothing(enum verdict v)
{
	return v == VERDICT_STARVED || v == VERDICT_HOST_ERROR || v == VERDICT_USAGE ||
	       v == VERDICT_INTERRUPTED;
}

static void __attribute__((format(printf, 2, 3))) fail(struct test_result *r, const char *fmt, ...)
{
	va_list ap;

	r->passed = false;
	r->verdict = VERDICT_UNEXPECTED;
	va_start(ap, fmt);
	vsnprintf(r->sentence, sizeof(r->sentence), fmt, ap);
	va_end(ap);
}

static const struct test_expect_pattern *find(const struct test_expect_pattern *list, unsigned n,
					      bool found)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i].found == found)
			return &list[i];
	return NULL;
}

static void judge_ending(const struct test_expect *e, struct test_result *r)
{
	char wanted[64];
	struct test_result was = *r;

	r->passed = r->verdict == e->verdict &&
		    (r->verdict != VERDICT_COMMAND || r->command_status == e->status);
	/* A command's own bad status stays what it is where nothing else was asked for. */
	if (r->passed || tells_nothing(r->verdict) ||
	    (e->verdict == VERDICT_COMMAND && e->status == 0))
		return;
	if (e->verdict == VERDICT_COMMAND)
		snprintf(wanted, sizeof(wanted), "status %u", e->status);
	else
		snprintf(wanted, sizeof(wanted), "%s", verdict_word(e->verdict));
	fail(r, "the end must be %s, but was %s: %.*s", wanted, verdict_word(was.verdict), 900,
	     was.sentence);
}

void test_expect_judge(struct test_expect *e, struct test_result *result)
{
	const struct test_expect_pattern *p;

	end_line(e);
	judge_ending(e, result);
	if (!result->passed)
		return;
	p = find(e->lacks, e->nr_lacks, true);
	if (p) {
		fail(result, "the console must not have '%s', but it has: %.600s", SHOWN(p->text),
		     e->unwanted);
		snprintf(result->line, sizeof(result->line), "%.500s", e->unwanted);
		return;
	}
	p = find(e->has, e->nr_has, false);
	if (p)
		fail(result, "the console must have '%s', but no line of it matches",
		     SHOWN(p->text));
}
