#include "init/spec.h"

#include <errno.h>
#include <string.h>

/* The value of a string "KEY=VALUE" if it has this key, or NULL. */
static const char *value_of(const char *string, const char *key)
{
	size_t len = strlen(key);

	return !strncmp(string, key, len) && string[len] == '=' ? string + len + 1 : NULL;
}

/* Decimal digits, 1 to 2^32 - 1. */
static bool parse_port(uint32_t *port, const char *value)
{
	uint64_t number = 0;

	if (!*value)
		return false;
	for (; *value; value++) {
		if (*value < '0' || *value > '9')
			return false;
		number = 10 * number + (uint64_t)(*value - '0');
		if (number > UINT32_MAX)
			return false;
	}
	*port = (uint32_t)number;
	return number > 0;
}

static bool parse_root(struct spec *s, const char *value)
{
	static const char *const kinds[] = {
		[SPEC_ROOT_FS] = "fs:",
		[SPEC_ROOT_DISK] = "disk:",
	};

	if (!strcmp(value, "none"))
		return true;
	for (enum spec_root kind = SPEC_ROOT_FS; kind <= SPEC_ROOT_DISK; kind++) {
		size_t len = strlen(kinds[kind]);

		if (strncmp(value, kinds[kind], len) != 0)
			continue;
		s->root = kind;
		s->root_name = value + len;
		return *s->root_name;
	}
	return false;
}

/* False: no such key, or a value that it cannot have. */
static bool parse_string(struct spec *s, const char *string)
{
	const char *value;

	if ((value = value_of(string, "port")))
		return parse_port(&s->port, value);
	if ((value = value_of(string, "root")))
		return parse_root(s, value);
	if ((value = value_of(string, "layer"))) {
		s->no_layer = !strcmp(value, "off");
		return s->no_layer;
	}
	if ((value = value_of(string, "serial")))
		return *(s->serial = value) && !strchr(value, '/');
	if ((value = value_of(string, "dir")))
		return *(s->dir = value);
	if ((value = value_of(string, "hostname")))
		return *(s->hostname = value);
	if ((value = value_of(string, "stdin"))) {
		s->input = !strcmp(value, "on");
		return s->input;
	}
	if ((value = value_of(string, "arg"))) {
		if (s->nr_args++ == 0)
			s->command = value;
		return true;
	}
	if ((value = value_of(string, "env")))
		return strchr(value, '=') && *value != '=';
	return (value = value_of(string, "module")) && *value;
}

int spec_parse(struct spec *s, const char *text, size_t len, struct err *err)
{
	*s = (struct spec){ .text = text, .len = len };
	if (len && text[len - 1])
		return err_set(err, EINVAL, "the last string of /straddle/spec does not end");
	for (size_t at = 0; at < len; at += strlen(text + at) + 1)
		if (!parse_string(s, text + at))
			return err_set(err, EINVAL,
				       "/straddle/spec has '%s', which this init does not know; "
				       "both must come from the same straddle",
				       text + at);
	if (!s->command || !*s->command)
		return err_set(err, EINVAL, "/straddle/spec names no command");
	return 0;
}

const char *spec_next(const struct spec *s, const char *key, const char *previous)
{
	size_t at = previous ? (size_t)(previous - s->text) + strlen(previous) + 1 : 0;

	for (; at < s->len; at += strlen(s->text + at) + 1) {
		const char *value = value_of(s->text + at, key);

		if (value)
			return value;
	}
	return NULL;
}
