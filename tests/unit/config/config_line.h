/*
 * For the tests of the configuration: command lines in one string, and what becomes of them.
 */
#ifndef TESTS_UNIT_CONFIG_LINE_H
#define TESTS_UNIT_CONFIG_LINE_H

#include "vmm/config/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#define ARGS_MAX 80

/* Parses and checks a command line written as words, with '|' between those that hold blanks. */
static inline int take(struct config *c, enum config_command cmd, const char *line, struct err *err)
{
	char *words = strdup(line), *rest = words, *argv[ARGS_MAX] = { NULL };
	const char *between = strchr(line, '|') ? "|" : " ";
	int argc = 0, ret;

	*c = (struct config)CONFIG_EMPTY;
	*err = (struct err){ "" };
	while (*line && rest) {
		assert_true(argc < ARGS_MAX);
		argv[argc++] = strsep(&rest, between);
	}
	ret = config_parse(c, cmd, argc, argv, err);
	if (ret == 0)
		ret = config_check(c, cmd, err);
	free(words);
	return ret;
}

static inline void accept(struct config *c, enum config_command cmd, const char *line)
{
	struct err err;

	if (take(c, cmd, line, &err) != 0)
		fail_msg("%s: %s", line, err.text);
}

static inline void refuse(enum config_command cmd, const char *line, const char *sentence)
{
	struct config c;
	struct err err;

	if (take(&c, cmd, line, &err) != -EINVAL)
		fail_msg("'%s' is accepted; wanted: %s", line, sentence);
	if (!strstr(err.text, sentence) || strchr(err.text, '\n'))
		fail_msg("'%s':\n  got    %s\n  wanted %s", line, err.text, sentence);
	config_free(&c);
}

#endif
