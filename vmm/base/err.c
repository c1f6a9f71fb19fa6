#include "vmm/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/*
 * Appends to the sentence. Names in it may come from files and command lines that somebody else
 * wrote: their control characters would move the cursor of the terminal that shows it, or end the
 * line of a log, so each becomes a '?'. Other bytes stay, because names may be UTF-8.
 */
static void err_append(struct err *err, const char *fmt, va_list ap)
{
	size_t len = strlen(err->text);

	vsnprintf(err->text + len, sizeof(err->text) - len, fmt, ap);
	for (char *p = err->text + len; *p; p++)
		if ((unsigned char)*p < ' ' || *p == '\x7f')
			*p = '?';
}

static void __attribute__((format(printf, 2, 3))) add(struct err *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err_append(err, fmt, ap);
	va_end(ap);
}

int err_set(struct err *err, int code, const char *fmt, ...)
{
	struct err sentence = { "" }; /* separate, because an argument may point into err->text */
	va_list ap;

	if (err) {
		va_start(ap, fmt);
		err_append(&sentence, fmt, ap);
		va_end(ap);
		*err = sentence;
	}
	return -code;
}

int err_sys(struct err *err, int code, const char *fmt, ...)
{
	struct err sentence = { "" };
	va_list ap;

	if (err) {
		va_start(ap, fmt);
		err_append(&sentence, fmt, ap);
		va_end(ap);
		add(&sentence, ": %s", strerror(code));
		*err = sentence;
	}
	return -code;
}

int err_prefix(struct err *err, int ret, const char *fmt, ...)
{
	struct err sentence = { "" };
	va_list ap;

	if (err) {
		va_start(ap, fmt);
		err_append(&sentence, fmt, ap);
		va_end(ap);
		add(&sentence, "%s", err->text);
		*err = sentence;
	}
	return ret;
}
