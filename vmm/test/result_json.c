#include "vmm/test/result_json.h"

#include "vmm/base/quote.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COMMAND_STATUS_MAX 255 /* of wait(2), or 128 and the number of a signal */

/* The case's object that is being read; `ret` is the first error, after which nothing is read. */
struct reader {
	const json_t *object;
	int ret;
	struct err *err;
};

static const json_t *member(struct reader *rd, const char *key)
{
	const json_t *value = json_object_get(rd->object, key);

	if (!value && rd->ret == 0)
		rd->ret = err_set(rd->err, EINVAL, "the report's case has no \"%s\"", key);
	return rd->ret == 0 ? value : NULL;
}

static bool has_type(const json_t *value, json_type a, json_type b)
{
	return json_typeof(value) == a || json_typeof(value) == b;
}

static void is_wrong(struct reader *rd, const char *key, const char *wanted)
{
	rd->ret = err_set(rd->err, EINVAL, "\"%s\" of the report's case is not %s", key, wanted);
}

static bool read_flag(struct reader *rd, const char *key)
{
	const json_t *value = member(rd, key);

	if (value && !has_type(value, JSON_TRUE, JSON_FALSE))
		is_wrong(rd, key, "true or false");
	return json_is_true(value);
}

static unsigned read_count(struct reader *rd, const char *key, unsigned max)
{
	const json_t *value = member(rd, key);
	json_int_t n = json_integer_value(value);

	if (value && (!has_type(value, JSON_INTEGER, JSON_INTEGER) || n < 0 || n > (json_int_t)max))
		is_wrong(rd, key, "a number that it can have");
	return rd->ret == 0 ? (unsigned)n : 0;
}

/* -1 for null, which only some may be. */
static double read_seconds(struct reader *rd, const char *key, bool may_be_null)
{
	const json_t *value = member(rd, key);
	double x = json_number_value(value);

	if (may_be_null && json_is_null(value))
		return -1;
	if (value && (!has_type(value, JSON_INTEGER, JSON_REAL) || x < 0))
		is_wrong(rd, key, "a number of seconds");
	return rd->ret == 0 ? x : 0;
}

/* NULL: null, which only some may be, or an error. */
static const char *read_string(struct reader *rd, const char *key, bool may_be_null)
{
	const json_t *value = member(rd, key);

	if (value && !has_type(value, JSON_STRING, may_be_null ? JSON_NULL : JSON_STRING))
		is_wrong(rd, key, "a text");
	return rd->ret == 0 ? json_string_value(value) : NULL;
}

/* Copies what fits, in whole characters of UTF-8, of which a byte 10xxxxxx is never the first. */
static void copy_text(char *to, size_t size, const char *from)
{
	size_t n = from ? strlen(from) : 0;

	if (n >= size)
		for (n = size - 1; n && ((unsigned char)from[n] & 0xc0) == 0x80;)
			n--;
	if (n)
		memcpy(to, from, n);
	to[n] = '\0';
}

static char *keep_text(struct reader *rd, const char *text)
{
	char *copy = text ? strdup(text) : NULL;

	if (text && !copy && rd->ret == 0)
		rd->ret = err_set(rd->err, ENOMEM, "out of memory for a result");
	return copy;
}

/* How a case that ran has ended. "exit" follows from the other two, so it must agree with them. */
static void read_verdict(struct reader *rd, struct test_result *t)
{
	const char *word = read_string(rd, "verdict", false);
	unsigned exit = read_count(rd, "exit", COMMAND_STATUS_MAX);

	if (rd->ret < 0)
		return;
	t->verdict = verdict_of_word(word);
	if (t->verdict == VERDICTS) {
		rd->ret = err_set(rd->err, EINVAL,
				  "the report's verdict '%s' is unknown here; is it of another "
				  "version of straddle?",
				  SHOWN(word));
		return;
	}
	if (t->verdict == VERDICT_COMMAND)
		t->command_status = read_count(rd, "status", COMMAND_STATUS_MAX);
	if (rd->ret == 0 && exit != (unsigned)test_result_status(t))
		is_wrong(rd, "exit", "that of its verdict");
}

static void read_case(struct reader *rd, struct result_json *r)
{
	struct test_result *t = &r->result;

	*t = (struct test_result){ .skipped = read_flag(rd, "skipped") };
	t->passed = read_flag(rd, "passed");
	t->flaky = read_flag(rd, "flaky");
	if (!t->skipped)
		read_verdict(rd, t);
	t->attempts = read_count(rd, "attempts", INT_MAX);
	copy_text(t->sentence, sizeof(t->sentence), read_string(rd, "sentence", false));
	copy_text(t->line, sizeof(t->line), read_string(rd, "line", true));
	t->seconds = read_seconds(rd, "seconds", false);
	t->boot_seconds = read_seconds(rd, "boot_seconds", true);
	t->waited = read_seconds(rd, "waited", false);
	t->stolen = read_seconds(rd, "stolen", false);
	t->silent = read_seconds(rd, "silent", false);
	t->silent_ran = read_seconds(rd, "silent_ran", false);
	t->name = r->name = keep_text(rd, read_string(rd, "name", false));
	t->output = r->output = keep_text(rd, read_string(rd, "output", true));
	t->console = r->console = keep_text(rd, read_string(rd, "console", true));
	t->printed = r->printed = keep_text(rd, read_string(rd, "printed", true));
	if (rd->ret == 0 && ((t->flaky && !t->passed) || (t->skipped && t->passed)))
		is_wrong(rd, "passed", "what its other words say");
}

int result_json_parse(struct result_json *r, const char *text, size_t len, struct err *err)
{
	struct reader rd = { .err = err };
	json_error_t error;
	json_t *report = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	const json_t *cases = json_object_get(report, "cases");

	*r = (struct result_json){ .name = NULL };
	if (!report)
		rd.ret = err_set(err, EINVAL, "there is no whole report in JSON: line %d: %s",
				 error.line, SHOWN(error.text));
	else if (json_integer_value(json_object_get(report, "version")) != 1)
		rd.ret = err_set(err, EINVAL, "this is no report of version 1 of straddle test");
	else if (json_array_size(cases) != 1)
		rd.ret = err_set(err, EINVAL, "the report has %zu cases, not one",
				 json_array_size(cases));
	if (rd.ret == 0) {
		rd.object = json_array_get(cases, 0);
		read_case(&rd, r);
	}
	json_decref(report);
	return rd.ret;
}

/* Reads the whole file to *text, to be freed. */
static int read_report(int fd, char **text, size_t *len, struct err *err)
{
	struct stat st;
	size_t n = 0;

	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, "cannot be read");
	if (!S_ISREG(st.st_mode) || st.st_size > RESULT_JSON_MAX)
		return err_set(err, EINVAL, "is no file of at most %u bytes", RESULT_JSON_MAX);
	*text = malloc((size_t)st.st_size + 1);
	if (!*text)
		return err_sys(err, ENOMEM, "cannot be read");
	while (n < (size_t)st.st_size) {
		ssize_t got = read(fd, *text + n, (size_t)st.st_size - n);

		if (got < 0)
			return err_sys(err, errno, "cannot be read");
		if (!got)
			break;
		n += (size_t)got;
	}
	*len = n;
	return 0;
}

int result_json_read(struct result_json *r, const char *path, struct err *err)
{
	/* O_NONBLOCK, because to open a FIFO that nobody writes to would wait for ever. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW), ret;
	char *text = NULL;
	size_t len = 0;

	*r = (struct result_json){ .name = NULL };
	if (fd < 0)
		return err_sys(err, errno, "%s cannot be opened", path);
	ret = read_report(fd, &text, &len, err);
	close(fd);
	if (ret < 0)
		err_prefix(err, ret, "%s ", path);
	else if ((ret = result_json_parse(r, text, len, err)) < 0)
		err_prefix(err, ret, "%s: ", path);
	free(text);
	return ret;
}

void result_json_free(struct result_json *r)
{
	free(r->name);
	free(r->output);
	free(r->console);
	free(r->printed);
	*r = (struct result_json){ .name = NULL };
}
