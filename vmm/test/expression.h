/* Regular expressions of the user's, as POSIX has extended ones. */
#ifndef TEST_EXPRESSION_H
#define TEST_EXPRESSION_H

#include "vmm/base/err.h"

#include <regex.h>

/*
 * Compiles one for regexec() without places of matches. -EINVAL and a sentence that begins with
 * `option`, "--filter"; *regex is then nothing to be freed.
 */
int expression_compile(regex_t *regex, const char *option, const char *text, struct err *err);

#endif
