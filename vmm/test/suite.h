/*
 * Files of cases for straddle test: sections of options, and matrices of values that expand into
 * cases with readable names.
 *
 *	# What follows holds for all cases below it.
 *	[default]
 *	kernel = /boot/vmlinuz
 *	limit = 120
 *
 *	[case boot]
 *	matrix memory = 512M | 1100G
 *	matrix cpus = 1 | 4
 *	command = @facts
 *
 *	[case no-root]
 *	append = rdinit=/none
 *	command = @status 0
 *	expect = panic
 *	console-has = Unable to mount root
 *
 * Lines are those of --config; keys are the options of straddle test that may stand there, and
 * command and matrix KEY. The text is untrusted; it is only read.
 */
#ifndef TEST_SUITE_H
#define TEST_SUITE_H

#include "vmm/base/err.h"
#include "vmm/config/config.h"

#include <stddef.h>

#define SUITE_CASES_MAX	 10000
#define SUITE_KEYS_MAX	 128 /* lines of one case, those of [default] among them */
#define SUITE_MATRIX_MAX 8   /* dimensions */
#define SUITE_VALUES_MAX 256 /* of one dimension */
#define SUITE_WORDS_MAX	 256 /* of a command */

/* A line of a case. */
struct suite_line {
	const char *key, *value; /* value NULL: a flag */
	unsigned number;	 /* in the file, from 1 on */
};

/* One case. Strings and arrays belong to the suite. */
struct suite_case {
	const char *name;
	const char *folder; /* where it leaves what it leaves (suite_folders.h); NULL before */
	const char *file;
	unsigned line; /* of its section */
	struct suite_line *lines;
	unsigned nr_lines;
	char **command;
	unsigned nr_command;
};

struct suite {
	struct suite_case *cases;
	unsigned n;
	void **kept; /* every string and array of the cases */
	size_t nr_kept;
};

/*
 * Adds the cases of a file's text; names begin with `prefix`, which may be "". -EINVAL and a
 * sentence that begins with "FILE:LINE: "; the suite then holds some of the cases, and is good for
 * suite_free() alone.
 */
int suite_parse(struct suite *s, const char *file, const char *prefix, const char *text, size_t len,
		struct err *err);
/*
 * Leaves of the cases those that --filter and --shard choose, each as often as --repeat says, under
 * names and with folders of their own. -EINVAL and a sentence: two cases have one name, or none is
 * chosen.
 */
int suite_select(struct suite *s, const struct config_suite *how, struct err *err);
/*
 * Gives *c the options of the case that it does not have yet, and its command, which is borrowed.
 * -EINVAL and a sentence that begins with "FILE:LINE: ".
 */
int suite_apply(const struct suite_case *of, struct config *c, struct err *err);
/* Keeps allocated memory until suite_free(). Returns it; or NULL, and it is freed: no memory. */
void *suite_keep(struct suite *s, void *data);
/* Frees all. Allowed on a zeroed struct. */
void suite_free(struct suite *s);

#endif
