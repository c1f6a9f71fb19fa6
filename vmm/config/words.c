/*
 * Options whose values are lists of words: --cpus; and how such lists are read.
 *
 * Setters of the table in config/options.c, under its rules.
 */
#include "vmm/config/internal.h"

#include <errno.h>
#include <string.h>

/* --- N,key=value,key=value --- */

int words_init(struct words *w, const char *value, struct err *err)
{
	size_t len = strlen(value);

	if (len >= sizeof(w->text))
		return err_set(err, EINVAL, "the value is longer than %zu characters",
			       sizeof(w->text) - 1);
	memcpy(w->text, value, len + 1);
	w->rest = w->text;
	return 0;
}

int words_init_one_more(struct words *w, const char *value, unsigned n, unsigned max,
			const char *what, struct err *err)
{
	int ret = words_init(w, value, err);

	if (ret == 0 && n == max)
		ret = err_set(err, EINVAL, "there can be at most %u %s", max, what);
	return ret;
}

char *words_next(struct words *w, char **value)
{
	char *word = strsep(&w->rest, ",");

	*value = word ? strchr(word, '=') : NULL;
	if (*value)
		*(*value)++ = '\0';
	return word;
}

int set_number_word(struct number_word *words, size_t n, const char *key, const char *value,
		    const char *or_else, struct err *err)
{
	int ret;

	for (size_t i = 0; i < n; i++) {
		struct number_word *w = &words[i];

		if (strcmp(w->key, key) != 0)
			continue;
		if (w->given)
			return err_set(err, EINVAL, "%s is given twice; keep one", key);
		if (!value)
			return err_set(err, EINVAL, "%s needs a number: %s=N", key, key);
		w->given = true;
		ret = config_parse_number(value, w->min, w->max, &w->value, err);
		return ret < 0 ? err_prefix(err, ret, "%s=%s: ", key, SHOWN(value)) : 0;
	}
	return err_set(err, EINVAL, "'%s' is unknown here; use %s", SHOWN(key), or_else);
}

/* --- START-END --- */

/* Reads one end of a range; what is not whole bytes is rounded up or down to 2 MiB. */
static int parse_end(const char *text, bool up, uint64_t *at, struct err *err)
{
	return up ? config_parse_size_up(text, at, err) : config_parse_size(text, at, err);
}

int config_parse_span(const char *text, bool outwards, struct span *at, struct err *err)
{
	const char *dash = strchr(text, '-');
	size_t len = dash ? (size_t)(dash - text) : 0;
	char start[128];
	struct span read;
	int ret;

	if (!len || len >= sizeof(start))
		return err_set(err, EINVAL,
			       "a range is START-END, such as 0xfd00000000-0x10000000000");
	memcpy(start, text, len);
	start[len] = '\0';
	ret = parse_end(start, !outwards, &read.base, err);
	if (ret < 0)
		return ret;
	ret = parse_end(dash + 1, outwards, &read.end, err);
	if (ret < 0)
		return ret;
	if (read.base == read.end)
		return err_set(err, EINVAL,
			       "the range is empty; END is the first address after it");
	if (read.base > read.end)
		return err_set(err, EINVAL, "the range ends before it starts; write START-END");
	*at = read;
	return 0;
}

/* --- --cpus --- */

/*
 * Reads N[,sockets=N][,dies=N][,cores=N][,threads=N]; numbers left out stay 0 until config_check()
 * computes them.
 */
int config_set_cpus(struct config *c, const char *value, struct err *err)
{
	struct number_word n[] = {
		{ "cpus", 1, CPUS_MAX, 0, false },  { "sockets", 1, CPUS_MAX, 0, false },
		{ "cores", 1, CPUS_MAX, 0, false }, { "threads", 1, CPUS_MAX, 0, false },
		{ "dies", 1, CPUS_MAX, 0, false },
	};
	struct words words;
	char *key, *number;
	bool first = true;
	int ret = words_init(&words, value, err);

	while (ret == 0 && (key = words_next(&words, &number))) {
		if (first && !number) {
			n[0].given = true;
			ret = config_parse_number(key, n[0].min, n[0].max, &n[0].value, err);
		} else {
			ret = set_number_word(n, ARRAY_SIZE(n), key, number,
					      "N,sockets=N,dies=N,cores=N,threads=N", err);
		}
		first = false;
	}
	if (ret < 0)
		return ret;
	c->cpus = (unsigned)n[0].value;
	c->sockets = (unsigned)n[1].value;
	c->cores = (unsigned)n[2].value;
	c->threads = (unsigned)n[3].value;
	c->dies = n[4].given ? (unsigned)n[4].value : 1;
	return 0;
}

int config_parse_cpu_range(char *text, unsigned n, unsigned *first, unsigned *last, struct err *err)
{
	char *to = strchr(text, '-');
	uint64_t from, end;
	int ret;

	if (to)
		*to++ = '\0';
	ret = config_parse_number(text, 0, n - 1, &from, err);
	if (ret < 0)
		return ret;
	end = from;
	if (to) {
		ret = config_parse_number(to, 0, n - 1, &end, err);
		if (ret < 0)
			return ret;
	}
	if (end < from)
		return err_set(err, EINVAL, "CPU %u comes after CPU %u; write the lower one first",
			       (unsigned)from, (unsigned)end);
	*first = (unsigned)from;
	*last = (unsigned)end;
	return 0;
}

/* --- keys with values that are words --- */

int config_find_key(const char *const *names, unsigned n, const char *key, const char *value,
		    const char *keys, unsigned *given, struct err *err)
{
	unsigned i = 0;

	while (i < n && strcmp(key, names[i]) != 0)
		i++;
	if (i == n)
		return err_set(err, EINVAL, "'%s' is unknown here; use %s", SHOWN(key), keys);
	if (!value)
		return err_set(err, EINVAL, "%s needs a value; use %s", key, keys);
	if (*given >> i & 1)
		return err_set(err, EINVAL, "%s is given twice; keep one", key);
	*given |= 1u << i;
	return (int)i;
}

int config_find_first_key(const char *const *names, unsigned n, char *word, char **value,
			  const char *keys, unsigned *given, struct err *err)
{
	if (!*value && !*given) {
		*value = word;
		*given = 1;
		return 0;
	}
	return config_find_key(names, n, word, *value, keys, given, err);
}

int config_set_switch(bool *to, const char *key, const char *value, const char *yes, const char *no,
		      struct err *err)
{
	if (strcmp(value, yes) != 0 && strcmp(value, no) != 0)
		return err_set(err, EINVAL, "%s=%s: use %s or %s", key, SHOWN(value), yes, no);
	*to = !strcmp(value, yes);
	return 0;
}

int config_set_text(char **to, const char *value, struct err *err)
{
	*to = strdup(value);
	return *to ? 0 : err_set(err, ENOMEM, "out of memory for the value");
}
