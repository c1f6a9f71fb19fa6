#include "vmm/test/expression.h"

#include "vmm/base/quote.h"

#include <errno.h>

int expression_compile(regex_t *regex, const char *option, const char *text, struct err *err)
{
	int code = regcomp(regex, text, REG_EXTENDED | REG_NOSUB);
	char why[256];

	if (!code)
		return 0;
	regerror(code, regex, why, sizeof(why));
	return err_set(err, EINVAL, "%s '%s' is no extended regular expression: %s", option,
		       SHOWN(text), why);
}
