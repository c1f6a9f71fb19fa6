/*
 * Reading the command line and the configuration file by the option table, and --help.
 *
 * Called by the commands before anything is opened; the caller reads the file. Touches struct
 * config and the heap (its strings), nothing else.
 */
#include "vmm/config/internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_LEN_MAX 65536

void config_free(struct config *c)
{
	free(c->kernel);
	for (unsigned i = 0; i < c->nr_initrds; i++)
		free(c->initrds[i]);
	free(c->append);
	for (unsigned i = 0; i < c->nr_cpu_lists; i++)
		free(c->cpu_lists[i]);
	free(c->serial.path);
	free(c->console.path);
	free(c->vsock_socket);
	free(c->control);
	free(c->plan_file);
	free(c->config_file);
	free(c->dtb_file);
	free(c->test.root);
	free(c->test.modules);
	for (unsigned i = 0; i < c->test.nr_allow_splats; i++)
		free(c->test.allow_splats[i]);
	free(c->test.expect);
	for (unsigned i = 0; i < c->test.nr_console_has; i++)
		free(c->test.console_has[i]);
	for (unsigned i = 0; i < c->test.nr_console_lacks; i++)
		free(c->test.console_lacks[i]);
	config_forget_suite(c);
	free(c->test.output);
	free(c->test.core);
	for (unsigned i = 0; i < c->nr_vfio; i++) {
		free(c->vfio[i].name);
		free(c->vfio[i].rom_file);
		free(c->vfio[i].token);
	}
	for (unsigned i = 0; i < c->nr_disks; i++) {
		free(c->disks[i].path);
		free(c->disks[i].vhost_user);
		free(c->disks[i].serial);
	}
	for (unsigned i = 0; i < c->nr_pmem; i++)
		free(c->pmem[i].path);
	for (unsigned i = 0; i < c->nr_nets; i++) {
		free(c->nets[i].tap);
		free(c->nets[i].vhost_user);
	}
	for (unsigned i = 0; i < c->nr_fs; i++) {
		free(c->fs[i].socket);
		free(c->fs[i].tag);
	}
	*c = (struct config)CONFIG_EMPTY;
}

bool config_shares_ram(const struct config *c)
{
	bool shared = c->nr_fs;

	for (unsigned i = 0; i < c->nr_disks; i++)
		shared |= c->disks[i].vhost_user != NULL;
	for (unsigned i = 0; i < c->nr_nets; i++)
		shared |= c->nets[i].kind == NET_VHOST_USER;
	return shared;
}

static const char *command_name(enum config_command cmd)
{
	switch (cmd) {
	case CMD_RUN:
		return "run";
	case CMD_PLAN:
		return "plan";
	case CMD_CHECK:
		return "check";
	case CMD_BIND:
		return "bind";
	case CMD_UNBIND:
		return "unbind";
	case CMD_TEST:
		return "test";
	}
	return "";
}

/* "run, plan and check": the commands that have an option of that name. */
static const char *belongs_to(const char *name, char buf[64])
{
	const struct config_option *options;
	size_t len = 0, n;
	unsigned all = 0;

	options = config_options(&n);
	for (size_t i = 0; i < n; i++)
		all |= strcmp(options[i].name, name) ? 0 : options[i].commands;
	for (unsigned left = all; left; left &= left - 1) {
		unsigned cmd = left & -left;
		const char *between = cmd == all || !len ? "" : left == cmd ? " and " : ", ";

		len += (size_t)snprintf(buf + len, 64 - len, "%s%s", between,
					command_name((enum config_command)cmd));
	}
	return buf;
}

/* --- finding an option --- */

static const struct config_option *option_at(size_t i)
{
	size_t n;

	return config_options(&n) + i;
}

static bool is_name(const char *name, size_t len, const char *wanted)
{
	return strlen(wanted) == len && !memcmp(wanted, name, len);
}

size_t config_find_option(const char *name, size_t len, enum config_command cmd)
{
	size_t n, found = NO_OPTION;
	const struct config_option *options = config_options(&n);

	for (size_t i = 0; i < n; i++)
		if (is_name(name, len, options[i].name) &&
		    (found == NO_OPTION || options[i].commands & cmd))
			found = i;
	return found;
}

bool config_option_given(const struct config *c, const char *name)
{
	size_t n;
	const struct config_option *options = config_options(&n);

	for (size_t i = 0; i < n; i++)
		if (c->given.at[i] && !strcmp(options[i].name, name))
			return true;
	return false;
}

/*
 * The flag that this name unsets, or NO_OPTION: --no-rng is the opposite of --rng, and --reboot
 * that of --no-reboot. Only flags that may stand in a configuration file have one, because only
 * they can have been set where the user does not look.
 */
static size_t find_opposite(const char *name, size_t len)
{
	size_t n;
	const struct config_option *options = config_options(&n);

	for (size_t i = 0; i < n; i++) {
		const struct config_option *o = &options[i];

		if (o->argument || !o->in_file)
			continue;
		if (!strncmp(o->name, "no-", 3) ? is_name(name, len, o->name + 3)
						: len > 3 && !strncmp(name, "no-", 3) &&
							  is_name(name + 3, len - 3, o->name))
			return i;
	}
	return NO_OPTION;
}

/* --- applying one --- */

static int check_use(const struct config_source *from, size_t id, const char *value,
		     struct err *err)
{
	const struct config_option *o = option_at(id);

	if (o->argument && !value)
		return err_set(err, EINVAL, "%s%s needs a value: %s%s%s%s", from->dashes, o->name,
			       from->dashes, o->name, from->assign, o->argument);
	if (!o->argument && value && !o->in_file)
		return err_set(err, EINVAL, "%s%s takes no value, but '%s' is given", from->dashes,
			       o->name, SHOWN(value));
	if (!o->repeatable && o->argument && from->given.at[id])
		return err_set(err, EINVAL,
			       "%s%s is given twice, the second time as '%s'; keep one",
			       from->dashes, o->name, SHOWN(value));
	return 0;
}

static int apply(struct config *c, struct config_source *from, size_t id, const char *value,
		 struct err *err)
{
	const struct config_option *o = option_at(id);
	int ret = check_use(from, id, value, err);

	if (ret < 0)
		return ret;
	if (from->fixed.at[id] && !o->repeatable) {
		/* The value does not count, but a mistake in it is reported all the same. */
		struct config unused = CONFIG_EMPTY;

		ret = o->set(&unused, value, err);
		config_free(&unused);
	} else {
		ret = o->set(c, value, err);
	}
	if (ret < 0)
		return err_prefix(err, ret, "%s%s%s%s: ", from->dashes, o->name, value ? " " : "",
				  !value	   ? ""
				  : *value == '\0' ? "''"
						   : SHOWN(value));
	from->given.at[id] = c->given.at[id] = true;
	return 0;
}

/* --- the command line --- */

struct args {
	int argc, at;
	char *const *argv;
};

static const char *next_arg(struct args *args)
{
	return args->at < args->argc ? args->argv[args->at++] : NULL;
}

/* "--me" may be --memory: the one option of the command that begins so. */
static int find_by_prefix(const char *name, size_t len, enum config_command cmd, size_t *id,
			  struct err *err)
{
	size_t nr_options;
	const struct config_option *options = config_options(&nr_options);
	char names[200] = "";
	unsigned n = 0;

	for (size_t i = 0; i < nr_options && len; i++) {
		const struct config_option *o = &options[i];
		size_t used = strlen(names);

		if (!(o->commands & cmd) || strncmp(o->name, name, len) != 0)
			continue;
		*id = i;
		n++;
		snprintf(names + used, sizeof(names) - used, "%s--%s", used ? ", " : "", o->name);
	}
	if (n == 1)
		return 0;
	if (n > 1)
		return err_set(err, EINVAL, "--%s could be %s; write more of it",
			       SHOWN_N(name, len), names);
	return -ENOENT;
}

static int unknown_option(const char *dashes, const char *name, size_t len, enum config_command cmd,
			  struct err *err)
{
	const struct suggestion meant = config_suggest(name, len, cmd, false, NULL);

	if (meant.needless)
		return err_set(err, EINVAL, "unknown option %s%s; leave it out, because %s", dashes,
			       SHOWN_N(name, len), meant.needless);
	if (meant.option)
		return err_set(err, EINVAL, "unknown option %s%s; did you mean --%s?", dashes,
			       SHOWN_N(name, len), meant.option);
	return err_set(err, EINVAL, "unknown option %s%s; straddle %s --help lists the options",
		       dashes, SHOWN_N(name, len), command_name(cmd));
}

static int parse_long(struct config *c, struct config_source *from, enum config_command cmd,
		      const char *text, struct args *args, struct err *err)
{
	size_t len = strcspn(text, "=");
	const char *value = text[len] ? text + len + 1 : NULL;
	size_t id = config_find_option(text, len, cmd);
	char commands[64];
	int ret = 0;

	if (id == NO_OPTION && !value && (id = find_opposite(text, len)) != NO_OPTION)
		value = "off";
	if (id != NO_OPTION && !(option_at(id)->commands & cmd))
		return err_set(err, EINVAL,
			       "--%s is not an option of straddle %s; it belongs to straddle %s",
			       option_at(id)->name, command_name(cmd),
			       belongs_to(option_at(id)->name, commands));
	if (id == NO_OPTION)
		ret = find_by_prefix(text, len, cmd, &id, err);
	if (ret == -ENOENT)
		return unknown_option("--", text, len, cmd, err);
	if (ret < 0)
		return ret;
	if (!value && option_at(id)->argument)
		value = next_arg(args);
	return apply(c, from, id, value, err);
}

static size_t find_letter(char letter, enum config_command cmd)
{
	size_t n;
	const struct config_option *options = config_options(&n);

	for (size_t i = 0; i < n; i++)
		if (options[i].letter == letter && options[i].commands & cmd)
			return i;
	return NO_OPTION;
}

/* "-v", "-m 1G", "-m1G", "-vm1G". */
static int parse_letters(struct config *c, struct config_source *from, enum config_command cmd,
			 const char *text, struct args *args, struct err *err)
{
	size_t len = strcspn(text, "=");
	int ret = 0;

	/* -memory and -smp, as some programs write them, are not -m emory and -s mp. */
	if (len > 1 &&
	    (config_find_option(text, len, cmd) != NO_OPTION || config_is_foreign(text, len)))
		return unknown_option("-", text, len, cmd, err);
	while (ret == 0 && *text) {
		const char *value = NULL;
		size_t id = find_letter(*text, cmd);

		if (id == NO_OPTION)
			return unknown_option("-", text, 1, cmd, err);
		text++;
		if (option_at(id)->argument) {
			value = *text ? text : next_arg(args);
			text = "";
		}
		ret = apply(c, from, id, value, err);
	}
	return ret;
}

/* All words behind "--" are the guest's command, also those that look like options. */
static void take_command(struct config *c, struct args *args)
{
	c->command = args->argv + args->at;
	c->nr_command = (unsigned)(args->argc - args->at);
	args->at = args->argc;
}

/* Operands must follow each other, because config.operands is a part of argv. */
static int add_operand(struct config *c, enum config_command cmd, const struct args *args,
		       struct err *err)
{
	char *const *operand = &args->argv[args->at - 1];

	if (!(cmd & (CMD_BIND | CMD_UNBIND | CMD_TEST)))
		return err_set(err, EINVAL,
			       "'%s' is not an option, and straddle %s takes nothing else; "
			       "straddle %s --help lists the options",
			       SHOWN(*operand), command_name(cmd), command_name(cmd));
	if (!c->nr_operands)
		c->operands = operand;
	if (operand != c->operands + c->nr_operands)
		return err_set(err, EINVAL, "'%s' comes after an option; name all %s together",
			       SHOWN(*operand), cmd == CMD_TEST ? "files" : "devices");
	c->nr_operands++;
	return 0;
}

int config_parse(struct config *c, enum config_command cmd, int argc, char *const argv[],
		 struct err *err)
{
	struct config_source from = { .dashes = "--", .assign = " " };
	struct args args = { argc, 0, argv };
	bool options_end = false;
	const char *arg;
	int ret = 0;

	/* --help is answered although the words behind it may be wrong. */
	while (ret == 0 && !c->help && !c->version && (arg = next_arg(&args))) {
		if (options_end || arg[0] != '-' || !arg[1])
			ret = add_operand(c, cmd, &args, err);
		else if (!strcmp(arg, "--") && cmd == CMD_TEST)
			take_command(c, &args);
		else if (!strcmp(arg, "--"))
			options_end = true;
		else if (arg[1] == '-')
			ret = parse_long(c, &from, cmd, arg + 2, &args, err);
		else
			ret = parse_letters(c, &from, cmd, arg + 1, &args, err);
	}
	/* "straddle test uname -r" */
	if (ret < 0 && cmd == CMD_TEST && c->nr_operands)
		return err_prefix(err, ret,
				  "'%s' is taken for a file of cases, because a command of the "
				  "guest stands behind --; ",
				  SHOWN(c->operands[0]));
	return ret;
}

/* --- the configuration file --- */

static bool is_blank(char ch)
{
	return ch == ' ' || ch == '\t';
}

static char *skip_blanks(char *text)
{
	while (is_blank(*text))
		text++;
	return text;
}

static void trim_end(char *text)
{
	size_t len = strlen(text);

	while (len && is_blank(text[len - 1]))
		len--;
	text[len] = '\0';
}

/* Ends the text at a '#' that stands at its beginning or after a blank. */
static void cut_comment(char *text)
{
	for (char *p = text; (p = strchr(p, '#')); p++) {
		if (p == text || is_blank(p[-1])) {
			*p = '\0';
			return;
		}
	}
}

/* Removes the quotes in place. NULL: the closing quote is missing. */
static char *unquote(char *text)
{
	for (char *p = strchr(text + 1, '"'); p; p = strchr(p + 1, '"')) {
		char *after = skip_blanks(p + 1);

		if (!*after || (*after == '#' && after > p + 1)) {
			*p = '\0';
			return text + 1;
		}
	}
	return NULL;
}

int config_split_line(char *line, char **key, char **value, struct err *err)
{
	char *equals;

	*key = skip_blanks(line);
	*value = NULL;
	equals = **key == '#' ? NULL : strchr(*key, '=');
	if (equals) {
		*equals = '\0';
		*value = skip_blanks(equals + 1);
	}
	/* "key # a = b": the '=' is in the comment. */
	if (strchr(*key, '#'))
		*value = NULL;
	cut_comment(*key);
	trim_end(*key);
	if (!*value)
		return 0;
	if (**value == '"') {
		*value = unquote(*value);
		return *value ? 0
			      : err_set(err, EINVAL,
					"%s: the closing quote is missing, or followed by more",
					SHOWN(*key));
	}
	cut_comment(*value);
	trim_end(*value);
	return 0;
}

void config_source_of_lines(struct config_source *from, const struct config *c)
{
	*from = (struct config_source){ .fixed = c->given, .dashes = "", .assign = " = " };
}

int config_apply_line(struct config *c, struct config_source *from, enum config_command cmd,
		      const char *key, const char *value, struct err *err)
{
	struct suggestion meant;
	size_t id;

	if (!*key)
		return err_set(err, EINVAL, "a key is missing before '='; write key = value");
	id = config_find_option(key, strlen(key), cmd);
	if (id == NO_OPTION && !value && (id = find_opposite(key, strlen(key))) != NO_OPTION)
		value = "off";
	if (id != NO_OPTION && option_at(id)->in_file && option_at(id)->commands & cmd)
		return apply(c, from, id, value, err);
	if (id != NO_OPTION)
		return err_set(err, EINVAL,
			       "'%s' cannot stand in a configuration file; give it on the command "
			       "line",
			       SHOWN(key));
	meant = config_suggest(key, strlen(key), cmd, true, from->also);
	if (meant.needless)
		return err_set(err, EINVAL, "unknown key '%s'; leave it out, because %s",
			       SHOWN(key), meant.needless);
	if (meant.option)
		return err_set(err, EINVAL, "unknown key '%s'; did you mean %s?", SHOWN(key),
			       meant.option);
	return err_set(err, EINVAL,
		       "unknown key '%s'; keys are the long options without their dashes",
		       SHOWN(key));
}

static int parse_line(struct config *c, struct config_source *from, enum config_command cmd,
		      char *line, struct err *err)
{
	char *key, *value;
	int ret = config_split_line(line, &key, &value, err);

	return ret < 0 || (!*key && !value) ? ret
					    : config_apply_line(c, from, cmd, key, value, err);
}

int config_parse_file(struct config *c, enum config_command cmd, const char *name, const char *text,
		      size_t len, struct err *err)
{
	struct config_source from;
	/* Editors of other systems begin UTF-8 with a byte order mark (Unicode 15, section 23.8).
	 */
	size_t begin = len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) ? 3 : 0;
	unsigned line = 1;
	int ret = 0;

	config_source_of_lines(&from, c);
	for (size_t at = begin; ret == 0 && at < len; line++) {
		const char *newline = memchr(text + at, '\n', len - at);
		size_t end = newline ? (size_t)(newline - text) : len;
		size_t n = end - at;
		char *copy;

		if (n && text[end - 1] == '\r')
			n--;
		if (n > LINE_LEN_MAX || memchr(text + at, '\0', n)) {
			ret = err_set(err, EINVAL, "%s; this is no configuration file",
				      n > LINE_LEN_MAX ? "the line is longer than 64 KiB"
						       : "the line holds a NUL byte");
		} else if ((copy = strndup(text + at, n))) {
			ret = parse_line(c, &from, cmd, copy, err);
			free(copy);
		} else {
			ret = err_set(err, ENOMEM, "out of memory for the line");
		}
		if (ret < 0)
			return err_prefix(err, ret, "%s:%u: ", SHOWN(name), line);
		at = end + 1;
	}
	return ret;
}

/* --- --help --- */

#define HELP_COLUMN 32

struct help {
	char *out;
	size_t cap, len;
};

static void __attribute__((format(printf, 2, 3))) help_add(struct help *h, const char *fmt, ...)
{
	bool room = h->len < h->cap;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(room ? h->out + h->len : NULL, room ? h->cap - h->len : 0, fmt, ap);
	va_end(ap);
	h->len += (size_t)n;
}

static void help_option(struct help *h, const struct config_option *o)
{
	char letter[8] = "    ";
	const char *line = o->help;
	size_t begin = h->len;

	if (o->letter)
		snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	help_add(h, "  %s--%s%s%s", letter, o->name, o->argument ? " " : "",
		 o->argument ? o->argument : "");
	while (line) {
		const char *end = strchr(line, '\n');
		int used = (int)(h->len - begin);

		help_add(h, "%*s%.*s\n", HELP_COLUMN - used, "",
			 end ? (int)(end - line) : (int)strlen(line), line);
		line = end ? end + 1 : NULL;
		begin = h->len;
	}
}

size_t config_help(enum config_command cmd, char *out, size_t cap)
{
	struct help h = { out, cap, 0 };
	size_t n;
	const struct config_option *options = config_options(&n);

	for (size_t i = 0; i < n; i++)
		if (options[i].commands & cmd)
			help_option(&h, &options[i]);
	return h.len;
}
