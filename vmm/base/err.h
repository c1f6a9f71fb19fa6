/*
 * What went wrong, in one sentence.
 *
 * A function that can fail returns 0 or a negative errno and writes the sentence where the failure
 * is known: it names the thing, the value and the way out. Callers may prefix it; only main prints.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

struct err {
	char text[1024]; /* control characters of names in it are shown as "?" */
};

/* Writes the sentence and returns -code: `return err_set(err, ENOENT, ...)`. `err` may be NULL. */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* As err_set, and appends ": " and the system's words for `code`. */
int err_sys(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts a prefix before the sentence and returns `ret` unchanged. */
int err_prefix(struct err *err, int ret, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
