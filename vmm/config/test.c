/* The options of straddle test: what the guest is given, and its limits. */
#include "vmm/config/internal.h"

#include <errno.h>
#include <string.h>

int config_set_init(struct config *c, const char *value, struct err *err)
{
	c->test.no_init = !strcmp(value, "none");
	if (!c->test.no_init && strcmp(value, "auto") != 0)
		return err_set(err, EINVAL, "use auto or none");
	return 0;
}

/* Expressions are compiled by what uses them, because this folder calls no such function. */
static int add_expression(char **list, unsigned *n, unsigned max, const char *value,
			  struct err *err)
{
	int ret;

	if (*n == max)
		return err_set(err, EINVAL, "there can be at most %u; join some with |", max);
	ret = config_copy_string(&list[*n], value, err);
	if (ret == 0)
		(*n)++;
	return ret;
}

int config_add_splat(struct config *c, const char *value, struct err *err)
{
	return add_expression(c->test.allow_splats, &c->test.nr_allow_splats, CONFIG_SPLATS_MAX,
			      value, err);
}

int config_add_console_has(struct config *c, const char *value, struct err *err)
{
	return add_expression(c->test.console_has, &c->test.nr_console_has, CONFIG_PATTERNS_MAX,
			      value, err);
}

int config_add_console_lacks(struct config *c, const char *value, struct err *err)
{
	return add_expression(c->test.console_lacks, &c->test.nr_console_lacks, CONFIG_PATTERNS_MAX,
			      value, err);
}

int config_set_output(struct config *c, const char *value, struct err *err)
{
	c->test.always_output = true;
	return config_copy_path(&c->test.output, value, err);
}

int config_check_test(const struct config *c, struct err *err)
{
	if (c->test.no_init && c->nr_command)
		return err_set(err, EINVAL,
			       "--init none runs no command, but '%s' is given; leave one of them "
			       "out",
			       SHOWN(c->command[0]));
	if (c->test.no_init && c->test.root)
		return err_set(err, EINVAL,
			       "--init none mounts no root; leave --root out, or use a --disk");
	if (!c->test.no_init && !c->nr_command)
		return err_set(err, EINVAL,
			       "there is no command; add one, such as: -- @facts, or in a file "
			       "of cases: command = @facts");
	return 0;
}
