#include "vmm/test/suite.h"

#include "vmm/base/quote.h"
#include "vmm/config/config.h"
#include "vmm/test/expression.h"
#include "vmm/test/suite_folders.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_LEN_MAX (64 * KIB)

/* One dimension: an option and its values. */
struct dimension {
	const char *key;
	const char *values[SUITE_VALUES_MAX];
	unsigned n, number;
};

struct section {
	const char *name; /* NULL: [default] */
	unsigned line;
	struct suite_line lines[SUITE_KEYS_MAX];
	unsigned nr_lines, nr_default; /* the first ones are those of [default] */
	struct dimension matrix[SUITE_MATRIX_MAX];
	unsigned nr_matrix;
};

struct parser {
	struct suite *suite;
	const char *file, *prefix;
	struct section defaults, section;
	bool in_case, in_default;
	struct err *err;
};

/* --- strings --- */

/* Whether an array of `n` that doubles is full. */
static bool is_full(size_t n)
{
	return !(n & (n - 1));
}

void *suite_keep(struct suite *s, void *data)
{
	if (data && is_full(s->nr_kept)) {
		void **more = realloc(s->kept, (s->nr_kept ? 2 * s->nr_kept : 1) * sizeof(*more));

		if (!more) {
			free(data);
			return NULL;
		}
		s->kept = more;
	}
	if (data)
		s->kept[s->nr_kept++] = data;
	return data;
}

static int no_memory(struct err *err)
{
	return err_set(err, ENOMEM, "out of memory for the cases");
}

/* --- commands: words, with quotes as in a shell --- */

/* Copies one word from *from to `to`, and moves *from behind it. False: a quote is not closed. */
static bool next_word(const char **from, char *to)
{
	const char *p = *from;
	char quote = 0;

	for (; *p && (quote || (*p != ' ' && *p != '\t')); p++) {
		if (!quote && (*p == '\'' || *p == '"'))
			quote = *p;
		else if (quote && *p == quote)
			quote = 0;
		else if (*p == '\\' && quote != '\'' && p[1])
			*to++ = *++p;
		else
			*to++ = *p;
	}
	*to = '\0';
	*from = p;
	return !quote;
}

static int split_command(struct suite *s, struct suite_case *c, const char *text, struct err *err)
{
	/* The last line counts, which is that of the case. */
	c->command = suite_keep(s, calloc(SUITE_WORDS_MAX, sizeof(*c->command)));
	if (!c->command)
		return no_memory(err);
	for (c->nr_command = 0;; c->nr_command++) {
		char *word;

		text += strspn(text, " \t");
		if (!*text)
			break;
		if (c->nr_command == SUITE_WORDS_MAX)
			return err_set(err, EINVAL, "the command has more than %u words",
				       SUITE_WORDS_MAX);
		word = suite_keep(s, malloc(strlen(text) + 1));
		if (!word)
			return no_memory(err);
		if (!next_word(&text, word))
			return err_set(err, EINVAL, "a quote in the command is not closed");
		c->command[c->nr_command] = word;
	}
	return c->nr_command ? 0 : err_set(err, EINVAL, "the command is empty");
}

/* --- one case --- */

static int add_case_line(struct suite *s, struct suite_case *c, const struct suite_line *l,
			 struct err *err)
{
	if (!strcmp(l->key, "command"))
		return split_command(s, c, l->value ? l->value : "", err);
	c->lines[c->nr_lines++] = *l;
	return 0;
}

/* The options that a case may give once: those of the section win over those of [default]. */
static bool is_repeatable(const char *key)
{
	const struct config_option *options;
	size_t n;

	options = config_options(&n);
	for (size_t i = 0; i < n; i++)
		if (!strcmp(options[i].name, key))
			return options[i].repeatable;
	return false;
}

static bool is_overridden(const struct section *sec, unsigned i)
{
	if (i >= sec->nr_default || is_repeatable(sec->lines[i].key))
		return false;
	for (unsigned j = sec->nr_default; j < sec->nr_lines; j++)
		if (!strcmp(sec->lines[j].key, sec->lines[i].key))
			return true;
	for (unsigned j = 0; j < sec->nr_matrix; j++)
		if (!strcmp(sec->matrix[j].key, sec->lines[i].key))
			return true;
	return false;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

/* How a value stands in names: a path by its last part, unless another one ends so, too. */
static const char *short_value(const struct dimension *d, unsigned at)
{
	const char *name = base_name(d->values[at]);

	for (unsigned i = 0; i < d->n; i++)
		if (i != at && !strcmp(base_name(d->values[i]), name))
			return d->values[at];
	return name;
}

/* "boot memory=512M cpus=4": the section and the values of its matrix. */
static char *name_case(struct parser *p, const unsigned *at)
{
	const struct section *sec = &p->section;
	char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	if (!file)
		return NULL;
	fprintf(file, "%s%s", p->prefix, sec->name);
	for (unsigned i = 0; i < sec->nr_matrix; i++)
		fprintf(file, " %s=%s", sec->matrix[i].key, short_value(&sec->matrix[i], at[i]));
	if (fclose(file) != 0) {
		free(text);
		return NULL;
	}
	return suite_keep(p->suite, text);
}

static struct suite_case *new_case(struct suite *s)
{
	struct suite_case *more;

	if (is_full(s->n)) {
		more = realloc(s->cases, (s->n ? 2 * s->n : 1) * sizeof(*more));
		if (!more)
			return NULL;
		s->cases = more;
	}
	s->cases[s->n] = (struct suite_case){ 0 };
	return &s->cases[s->n++];
}

/* The case with the values that `at` chooses of each dimension. */
static int make_case(struct parser *p, const unsigned *at)
{
	const struct section *sec = &p->section;
	struct suite *s = p->suite;
	struct suite_case *c = s->n < SUITE_CASES_MAX ? new_case(s) : NULL;
	int ret = 0;

	if (!c && s->n == SUITE_CASES_MAX)
		return err_set(p->err, EINVAL, "%s:%u: there are more than %u cases",
			       SHOWN(p->file), sec->line, SUITE_CASES_MAX);
	if (!c)
		return no_memory(p->err);
	c->file = p->file;
	c->line = sec->line;
	c->name = name_case(p, at);
	c->lines = suite_keep(s, calloc(SUITE_KEYS_MAX + SUITE_MATRIX_MAX, sizeof(*c->lines)));
	if (!c->name || !c->lines)
		return no_memory(p->err);
	for (unsigned i = 0; i < sec->nr_lines && ret == 0; i++) {
		if (is_overridden(sec, i))
			continue;
		ret = add_case_line(s, c, &sec->lines[i], p->err);
		if (ret < 0)
			err_prefix(p->err, ret, "%s:%u: ", SHOWN(p->file), sec->lines[i].number);
	}
	for (unsigned i = 0; i < sec->nr_matrix && ret == 0; i++) {
		const struct dimension *d = &sec->matrix[i];
		const struct suite_line line = { d->key, d->values[at[i]], d->number };

		ret = add_case_line(s, c, &line, p->err);
		if (ret < 0)
			err_prefix(p->err, ret, "%s:%u: ", SHOWN(p->file), d->number);
	}
	return ret;
}

/* Makes the cases of the section that ends: every combination of its matrix. */
static int end_section(struct parser *p)
{
	unsigned at[SUITE_MATRIX_MAX] = { 0 };

	if (!p->in_case)
		return 0;
	for (;;) {
		int i, ret = make_case(p, at);

		if (ret < 0)
			return ret;
		/* The last dimension counts fastest. */
		for (i = (int)p->section.nr_matrix - 1; i >= 0; i--) {
			if (++at[i] < p->section.matrix[i].n)
				break;
			at[i] = 0;
		}
		if (i < 0)
			return 0;
	}
}

/* --- lines --- */

static int begin_section(struct parser *p, const char *title, unsigned number)
{
	int ret = end_section(p);

	if (ret < 0)
		return ret;
	p->in_default = !strcmp(title, "default");
	p->in_case = !strncmp(title, "case ", 5) && title[5 + strspn(title + 5, " \t")];
	if (p->in_default) {
		p->defaults = (struct section){ .line = number };
		return 0;
	}
	if (!p->in_case)
		return err_set(p->err, EINVAL,
			       "%s:%u: [%s] is no section; use [case NAME] or [default]",
			       SHOWN(p->file), number, SHOWN(title));
	p->section = p->defaults;
	p->section.nr_default = p->defaults.nr_lines;
	p->section.line = number;
	p->section.name = title + 5 + strspn(title + 5, " \t");
	return 0;
}

static int add_dimension(struct parser *p, struct section *sec, const char *key, char *values,
			 unsigned number)
{
	struct dimension *d = &sec->matrix[sec->nr_matrix];
	char *value, *rest = NULL;

	if (p->in_default)
		return err_set(p->err, EINVAL,
			       "%s:%u: a matrix belongs to a case, and stands in [case NAME]",
			       SHOWN(p->file), number);
	if (sec->nr_matrix == SUITE_MATRIX_MAX)
		return err_set(p->err, EINVAL, "%s:%u: a case has at most %u matrix lines",
			       SHOWN(p->file), number, SUITE_MATRIX_MAX);
	*d = (struct dimension){ .key = key, .number = number };
	for (value = strtok_r(values, "|", &rest); value; value = strtok_r(NULL, "|", &rest)) {
		value += strspn(value, " \t");
		for (size_t n = strlen(value); n && strchr(" \t", value[n - 1]); n--)
			value[n - 1] = '\0';
		if (d->n == SUITE_VALUES_MAX)
			return err_set(p->err, EINVAL, "%s:%u: a matrix line has at most %u values",
				       SHOWN(p->file), number, SUITE_VALUES_MAX);
		if (*value)
			d->values[d->n++] = value;
	}
	if (!d->n)
		return err_set(p->err, EINVAL,
			       "%s:%u: the matrix has no values; write matrix %s = A | B",
			       SHOWN(p->file), number, SHOWN(key));
	sec->nr_matrix++;
	return 0;
}

static int add_line(struct parser *p, char *key, char *value, unsigned number)
{
	struct section *sec = p->in_default ? &p->defaults : &p->section;

	if (!p->in_default && !p->in_case)
		return err_set(p->err, EINVAL,
			       "%s:%u: '%s' stands in no section; begin one with [case NAME]",
			       SHOWN(p->file), number, SHOWN(key));
	if (!strncmp(key, "matrix ", 7))
		return add_dimension(p, sec, key + 7 + strspn(key + 7, " \t"), value ? value : "",
				     number);
	if (sec->nr_lines == SUITE_KEYS_MAX)
		return err_set(p->err, EINVAL, "%s:%u: a case has at most %u lines", SHOWN(p->file),
			       number, SUITE_KEYS_MAX);
	sec->lines[sec->nr_lines++] = (struct suite_line){ key, value, number };
	return 0;
}

/* `line` is kept by the suite. */
static int suite_parse_line(struct parser *p, char *line, unsigned number)
{
	char *key, *value, *end;
	int ret = config_split_line(line, &key, &value, p->err);

	if (ret < 0)
		return err_prefix(p->err, ret, "%s:%u: ", SHOWN(p->file), number);
	if (!*key && !value)
		return 0;
	if (*key != '[')
		return *key ? add_line(p, key, value, number)
			    : err_set(p->err, EINVAL,
				      "%s:%u: a key is missing before '='; write key = value",
				      SHOWN(p->file), number);
	end = strchr(key, ']');
	if (value || !end || end[1])
		return err_set(p->err, EINVAL,
			       "%s:%u: a section is [case NAME] or [default], without '='",
			       SHOWN(p->file), number);
	*end = '\0';
	return begin_section(p, key + 1, number);
}

int suite_parse(struct suite *s, const char *file, const char *prefix, const char *text, size_t len,
		struct err *err)
{
	struct parser *p = calloc(1, sizeof(*p));
	unsigned number = 1;
	int ret = 0;

	if (!p)
		return no_memory(err);
	*p = (struct parser){
		.suite = s, .file = suite_keep(s, strdup(file)), .prefix = prefix, .err = err
	};
	if (!p->file)
		ret = no_memory(err);
	/* A byte order mark, as config_parse_file() has it. */
	for (size_t at = len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) ? 3 : 0; at < len && ret == 0;
	     number++) {
		const char *newline = memchr(text + at, '\n', len - at);
		size_t end = newline ? (size_t)(newline - text) : len, n = end - at;
		char *line;

		if (n && text[end - 1] == '\r')
			n--;
		if (n > LINE_LEN_MAX || memchr(text + at, '\0', n)) {
			ret = err_set(err, EINVAL, "%s:%u: this is no file of cases", SHOWN(file),
				      number);
			break;
		}
		line = suite_keep(s, strndup(text + at, n));
		ret = line ? suite_parse_line(p, line, number) : no_memory(err);
		at = end + 1;
	}
	if (ret == 0)
		ret = end_section(p);
	free(p);
	return ret;
}

/* --- which cases run --- */

static int compare_names(const void *a, const void *b)
{
	const struct suite_case *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* Reports are read by names. */
static int check_names(const struct suite *s, struct err *err)
{
	struct suite_case *sorted = calloc(s->n ? s->n : 1, sizeof(*sorted));
	int ret = 0;

	if (!sorted)
		return no_memory(err);
	if (s->n)
		memcpy(sorted, s->cases, s->n * sizeof(*sorted));
	qsort(sorted, s->n, sizeof(*sorted), compare_names);
	for (unsigned i = 1; i < s->n && ret == 0; i++)
		if (!strcmp(sorted[i - 1].name, sorted[i].name))
			ret = err_set(err, EINVAL,
				      "%s:%u: the case '%s' is also in %s:%u; give one of them "
				      "another name",
				      SHOWN(sorted[i].file), sorted[i].line, SHOWN(sorted[i].name),
				      SHOWN(sorted[i - 1].file), sorted[i - 1].line);
	free(sorted);
	return ret;
}

static int filter_cases(struct suite *s, const char *filter, struct err *err)
{
	unsigned n = 0;
	regex_t regex;
	int ret = expression_compile(&regex, "--filter", filter, err);

	if (ret < 0)
		return ret;
	for (unsigned i = 0; i < s->n; i++)
		if (!regexec(&regex, s->cases[i].name, 0, NULL, 0))
			s->cases[n++] = s->cases[i];
	regfree(&regex);
	s->n = n;
	return n ? 0
		 : err_set(err, EINVAL,
			   "no case's name matches --filter '%s'; --list shows "
			   "them",
			   SHOWN(filter));
}

/* Dealt out like cards, because neighbours are often alike. */
static void take_shard(struct suite *s, unsigned shard, unsigned shards)
{
	unsigned n = 0;

	for (unsigned i = shard - 1; i < s->n; i += shards)
		s->cases[n++] = s->cases[i];
	s->n = n;
}

static int repeat_cases(struct suite *s, unsigned repeat, struct err *err)
{
	size_t n = (size_t)s->n * repeat;
	struct suite_case *all;

	if (n > SUITE_CASES_MAX)
		return err_set(err, EINVAL,
			       "--repeat %u makes %zu cases, and %u are the most; use less", repeat,
			       n, SUITE_CASES_MAX);
	all = calloc(n ? n : 1, sizeof(*all));
	if (!all)
		return no_memory(err);
	for (size_t i = 0; i < n; i++) {
		char *name = NULL;

		all[i] = s->cases[i / repeat];
		if (asprintf(&name, "%s (%zu of %u)", all[i].name, i % repeat + 1, repeat) < 0)
			name = NULL;
		all[i].name = suite_keep(s, name);
		if (!all[i].name) {
			free(all);
			return no_memory(err);
		}
	}
	free(s->cases);
	s->cases = all;
	s->n = (unsigned)n;
	return 0;
}

int suite_select(struct suite *s, const struct config_suite *how, struct err *err)
{
	int ret = check_names(s, err);

	if (ret < 0)
		return ret;
	if (!s->n)
		return err_set(err, EINVAL, "there are no cases; write one as [case NAME]");
	if (how->filter) {
		ret = filter_cases(s, how->filter, err);
		if (ret < 0)
			return ret;
	}
	if (how->shards)
		take_shard(s, how->shard, how->shards);
	if (how->repeat > 1)
		ret = repeat_cases(s, how->repeat, err);
	return ret == 0 ? suite_name_folders(s, err) : ret;
}

/* --- a case's configuration --- */

int suite_apply(const struct suite_case *of, struct config *c, struct err *err)
{
	struct config_source from;

	config_source_of_lines(&from, c);
	from.also = "command";
	for (unsigned i = 0; i < of->nr_lines; i++) {
		const struct suite_line *l = &of->lines[i];
		int ret = config_apply_line(c, &from, CMD_TEST, l->key, l->value, err);

		if (ret < 0)
			return err_prefix(err, ret, "%s:%u: ", SHOWN(of->file), l->number);
	}
	c->command = of->command;
	c->nr_command = of->nr_command;
	return 0;
}

void suite_free(struct suite *s)
{
	for (size_t i = 0; i < s->nr_kept; i++)
		free(s->kept[i]);
	free(s->kept);
	free(s->cases);
	*s = (struct suite){ 0 };
}
