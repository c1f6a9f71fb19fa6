/*
 * Reads a result back from a report that report.c wrote as JSON: that of a case that ran in another
 * process, or on another machine.
 *
 * The text is untrusted. Whatever it is, the result is either refused with a sentence, or has only
 * values that a case can end with.
 */
#ifndef TEST_RESULT_JSON_H
#define TEST_RESULT_JSON_H

#include "vmm/base/err.h"
#include "vmm/test/verdict.h"

#define RESULT_JSON_MAX (4u << 20) /* bytes of a report; a console's tail is the most of it */

/* A result, and its strings. */
struct result_json {
	struct test_result result;
	char *name, *output, *console, *printed;
};

/*
 * Reads the report of one case. -EINVAL: it is none, or its end is missing; -ENOMEM. Sentences
 * begin in lower case and name no file. result_json_free() is allowed after any failure.
 */
int result_json_parse(struct result_json *r, const char *text, size_t len, struct err *err);
/* The same of a file, which the sentences name. */
int result_json_read(struct result_json *r, const char *path, struct err *err);
void result_json_free(struct result_json *r);

#endif
