/*
 * Finds complaints of the guest's kernel (BUG, WARNING, Oops, lock and memory checkers, stalls, the
 * OOM killer) in the bytes of its console. Panics are base/panic.h's.
 *
 * The guest is hostile and its users print what they like. Words therefore count only where the
 * kernel prints them: at the start of a line, behind the level, time and caller that printk puts
 * there (kernel/printk/printk.c, info_print_prefix()); or behind a time in the middle of a line,
 * because the kernel does not end the line that a program has begun, and a prompt is such a line.
 * A kernel's log that a user prints with dmesg has the same look and counts, too.
 *
 * A kernel that is started with "quiet" keeps warnings from its console (loglevel 4,
 * CONFIG_CONSOLE_LOGLEVEL_QUIET), so what is not printed is not found.
 */
#ifndef TEST_SPLAT_H
#define TEST_SPLAT_H

#include "vmm/base/err.h"
#include "vmm/test/verdict.h"

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPLAT_LINE_MAX	1024 /* bytes of a line that are looked at; the rest is dropped */
#define SPLAT_TEXT_MAX	511  /* of those, behind the beginning of the kernel's own words */
#define SPLAT_ALLOW_MAX 64

/* Where the words must be for a complaint. */
enum splat_how {
	SPLAT_AT_START, /* of a line, or behind a time: no program says them by chance */
	SPLAT_STAMPED,	/* behind a time only, because programs say such words as well */
};

/* A row of the list. A "*" in its words stands for any text, and any text may follow them. */
struct splat_words {
	const char *words;
	enum splat_how how;
	enum verdict verdict;
	bool late; /* a complaint about time, as a guest has it that gets no host CPU */
};

/* The list, for tests: `*n` rows. */
const struct splat_words *splat_list(size_t *n);

/* The expressions of --allow-splat; the zero value has none. */
struct splat_allow {
	regex_t regex[SPLAT_ALLOW_MAX];
	unsigned n;
};

/*
 * Adds a POSIX extended regular expression. Lines that match it behind printk's prefix are no
 * complaints. Returns 0, -EINVAL with regcomp()'s words, or -E2BIG.
 */
int splat_allow_add(struct splat_allow *a, const char *regex, struct err *err);
void splat_allow_free(struct splat_allow *a);

/* The state of one console's output. The zero value is at the start of a line. */
struct splat {
	uint16_t len;
	uint8_t escape; /* inside an escape sequence of a terminal, which is dropped */
	char line[SPLAT_LINE_MAX + 1];
	/* What was found first: */
	const struct splat_words *found; /* NULL: nothing */
	char text[SPLAT_TEXT_MAX + 1];	 /* the line with printk's prefix, printable */
};

/*
 * Feeds the next bytes; `allow` may be NULL. Returns true if these bytes end the line of the first
 * complaint. Later ones do not replace it.
 */
bool splat_feed(struct splat *s, const struct splat_allow *allow, const void *bytes, size_t n);

/* The console has ended, perhaps within a line. Returns as splat_feed(). */
bool splat_end(struct splat *s, const struct splat_allow *allow);

#endif
