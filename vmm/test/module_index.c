#include "vmm/test/module_index.h"

#include "vmm/base/quote.h"
#include "vmm/base/units.h"

#include <errno.h>
#include <string.h>

/* The longest line of Debian's kernels has 1.7 KiB. */
#define LINE_MAX_LEN (64 * KIB)

static const char *const text_names[MODULE_TEXTS] = {
	[MODULE_TEXT_DEP] = "modules.dep",
	[MODULE_TEXT_BUILTIN] = "modules.builtin",
	[MODULE_TEXT_SOFTDEP] = "modules.softdep",
	[MODULE_TEXT_ALIAS] = "modules.alias",
};

const char *module_text_name(enum module_text t)
{
	return text_names[t];
}

/* --- words --- */

struct word {
	const char *at;
	size_t len;
};

static struct word word_of(const char *text)
{
	return (struct word){ text, strlen(text) };
}

/* Takes the next line of `text`, which is the rest of one. */
static bool line_take(struct word *text, struct word *line)
{
	const char *end = text->len ? memchr(text->at, '\n', text->len) : NULL;

	if (!text->len)
		return false;
	line->at = text->at;
	line->len = end ? (size_t)(end - text->at) : text->len;
	text->at += line->len + !!end;
	text->len -= line->len + !!end;
	return true;
}

static bool index_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Takes the first word of `line`, which is the rest of one. */
static bool word_take(struct word *line, struct word *word)
{
	size_t from = 0, to;

	while (from < line->len && index_is_blank(line->at[from]))
		from++;
	to = from;
	while (to < line->len && !index_is_blank(line->at[to]))
		to++;
	*word = (struct word){ line->at + from, to - from };
	*line = (struct word){ line->at + to, line->len - to };
	return word->len;
}

/* Takes the last word of `line`, which is the front of one. */
static bool word_take_last(struct word *line, struct word *word)
{
	size_t to = line->len, from;

	while (to && index_is_blank(line->at[to - 1]))
		to--;
	from = to;
	while (from && !index_is_blank(line->at[from - 1]))
		from--;
	*word = (struct word){ line->at + from, to - from };
	line->len = from;
	return word->len;
}

static bool word_is(struct word w, const char *text)
{
	return w.len == strlen(text) && !memcmp(w.at, text, w.len);
}

/* The same name, if '-' and '_' are. */
static bool word_same(struct word a, struct word b)
{
	size_t i = 0;

	if (a.len != b.len)
		return false;
	while (i < a.len && (a.at[i] == b.at[i] || ((a.at[i] == '-' || a.at[i] == '_') &&
						    (b.at[i] == '-' || b.at[i] == '_'))))
		i++;
	return i == a.len;
}

/* "ext4" of "kernel/fs/ext4/ext4.ko.xz": from the last slash to the first dot. */
static struct word name_of_path(struct word path)
{
	size_t from = path.len;
	const char *dot;

	while (from && path.at[from - 1] != '/')
		from--;
	path = (struct word){ path.at + from, path.len - from };
	dot = path.len ? memchr(path.at, '.', path.len) : NULL;
	return dot ? (struct word){ path.at, (size_t)(dot - path.at) } : path;
}

/* --- paths --- */

static bool index_is_name(struct word w)
{
	for (size_t i = 0; i < w.len; i++) {
		char c = w.at[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
		    c != '_' && c != '-')
			return false;
	}
	return w.len && w.len <= MODULE_NAME_MAX;
}

/* True if a part of the path is "..". */
static bool climbs(struct word path)
{
	for (size_t from = 0, to; from < path.len; from = to + 1) {
		for (to = from; to < path.len && path.at[to] != '/'; to++)
			;
		if (to - from == 2 && path.at[from] == '.' && path.at[from + 1] == '.')
			return true;
	}
	return false;
}

/*
 * Turns a path of modules.dep into that from the folder on. Absolute ones are what depmod wrote
 * before it was part of kmod.
 */
static int file_of_path(const struct module_index *x, struct word path, struct module_file *file,
			struct err *err)
{
	struct word folder = word_of(x->folder), whole = path, name = name_of_path(path);

	if (path.len > folder.len && !memcmp(path.at, folder.at, folder.len) && path.at[0] == '/' &&
	    path.at[folder.len] == '/')
		path = (struct word){ path.at + folder.len + 1, path.len - folder.len - 1 };
	if (!path.len || path.at[0] == '/' || climbs(path))
		return err_set(err, EINVAL,
			       "%s/modules.dep names '%s', which does not lie in that folder: run "
			       "depmod for it",
			       x->folder, SHOWN_N(whole.at, whole.len));
	if (path.len > MODULE_PATH_MAX || !index_is_name(name))
		return err_set(err, EINVAL,
			       "%s/modules.dep names '%s', which is no path of a kernel module",
			       x->folder, SHOWN_N(whole.at, whole.len));
	*file = (struct module_file){ path.at, path.len, name.at, name.len };
	return 0;
}

/* --- the texts --- */

static struct word index_text(const struct module_index *x, enum module_text t)
{
	return (struct word){ x->texts[t].data, x->texts[t].len };
}

static bool is_comment(struct word line)
{
	return !line.len || line.at[0] == '#';
}

/* Splits a line of modules.dep, "PATH: PATHS", at its colon. */
static bool dep_split(struct word line, struct word *path, struct word *needs)
{
	const char *colon = line.len ? memchr(line.at, ':', line.len) : NULL;

	if (!colon)
		return false;
	*path = (struct word){ line.at, (size_t)(colon - line.at) };
	*needs = (struct word){ colon + 1, line.len - path->len - 1 };
	return true;
}

static const char *line_fault(enum module_text t, struct word line)
{
	struct word path, needs;

	if (line.len > LINE_MAX_LEN)
		return "is longer than 64 KiB";
	if (t == MODULE_TEXT_DEP && !is_comment(line) && !dep_split(line, &path, &needs))
		return "has no colon behind a path";
	return NULL;
}

int module_index_check(const struct module_index *x, struct err *err)
{
	for (enum module_text t = 0; t < MODULE_TEXTS; t++) {
		struct word text = index_text(x, t), line;

		if (text.len && text.at[text.len - 1] != '\n')
			return err_set(err, EINVAL,
				       "%s/%s ends in the middle of a line: run depmod to write it "
				       "anew",
				       x->folder, text_names[t]);
		if (text.len && memchr(text.at, 0, text.len))
			return err_set(err, EINVAL,
				       "%s/%s has a zero byte in it: run depmod to write it anew",
				       x->folder, text_names[t]);
		for (unsigned n = 1; line_take(&text, &line); n++) {
			const char *fault = line_fault(t, line);

			if (fault)
				return err_set(err, EINVAL,
					       "line %u of %s/%s %s: run depmod to write it anew",
					       n, x->folder, text_names[t], fault);
		}
	}
	return 0;
}

/* Finds the line of modules.dep for a module. */
static bool dep_find(const struct module_index *x, struct word name, struct word *path,
		     struct word *needs)
{
	struct word text = index_text(x, MODULE_TEXT_DEP), line;

	while (line_take(&text, &line))
		if (!is_comment(line) && dep_split(line, path, needs) &&
		    word_same(name_of_path(*path), name))
			return true;
	return false;
}

static bool builtin_has(const struct module_index *x, struct word name)
{
	struct word text = index_text(x, MODULE_TEXT_BUILTIN), line;

	while (line_take(&text, &line))
		if (word_same(name_of_path(line), name))
			return true;
	return false;
}

/* Takes the next module for which `alias` stands from `text`, the rest of modules.alias. */
static bool alias_take(struct word *text, struct word alias, struct word *module)
{
	struct word line, word;

	while (line_take(text, &line))
		if (word_take(&line, &word) && word_is(word, "alias") && word_take(&line, &word) &&
		    word_same(word, alias) && word_take(&line, module))
			return true;
	return false;
}

/* --- the list --- */

struct search {
	const struct module_index *x;
	struct module_list *list;
	struct err *err;
};

static struct word name_of_file(const struct module_file *file)
{
	return (struct word){ file->name, file->name_len };
}

static bool is_listed(const struct module_list *list, struct word name)
{
	for (unsigned i = 0; i < list->n; i++)
		if (word_same(name_of_file(&list->files[i]), name))
			return true;
	return false;
}

/* A soft dependency, or what it needs, needs the very module that it should be loaded before. */
#define OPEN_CIRCLE (-EDEADLK)

/*
 * Returns 1 if the needs of module `name` are being added, so that it is on the way already, and
 * whoever names it can do without. Of a circle without a soft dependency no module can be loaded,
 * which is an error; any other is opened by leaving the soft dependency out: OPEN_CIRCLE, without
 * a sentence.
 */
static int circle_check(const struct search *s, struct word name, bool soft)
{
	bool softly = soft;

	for (unsigned i = s->list->nr_open; i-- > 0; softly |= s->list->open[i].soft) {
		if (!word_same(name_of_file(&s->list->open[i].file), name))
			continue;
		if (softly)
			return soft ? 1 : OPEN_CIRCLE;
		return err_set(s->err, ELOOP,
			       "%s/modules.dep says that module %s needs itself: run depmod to "
			       "write it anew",
			       s->x->folder, SHOWN_N(name.at, name.len));
	}
	return 0;
}

static int add_one(const struct search *s, struct word name, bool soft, enum module_where *where);

/*
 * Adds all modules for which a word of a user or of a soft dependency stands: a module, or else an
 * alias of several.
 */
static int add_word(const struct search *s, struct word name, bool soft, enum module_where *where)
{
	struct word text = index_text(s->x, MODULE_TEXT_ALIAS), module;
	int ret = add_one(s, name, soft, where);

	if (ret || *where != MODULE_NOWHERE)
		return ret;
	while (!ret && alias_take(&text, name, &module)) {
		enum module_where there;

		ret = add_one(s, module, soft, &there);
		if (there > *where)
			*where = there;
	}
	return ret;
}

/* Adds what one word of modules.softdep stands for, or nothing if that is not possible. */
static int add_soft_word(const struct search *s, struct word word)
{
	unsigned n = s->list->n, nr_open = s->list->nr_open;
	enum module_where where;
	int ret = add_word(s, word, true, &where);

	if (ret != OPEN_CIRCLE)
		return ret;
	s->list->n = n;
	s->list->nr_open = nr_open;
	return 0;
}

/* Adds the words behind "pre:" of the lines "softdep NAME pre: ..." of a module. */
static int add_soft(const struct search *s, struct word name)
{
	struct word text = index_text(s->x, MODULE_TEXT_SOFTDEP), line, word;
	int ret = 0;

	while (!ret && line_take(&text, &line)) {
		bool pre = false;

		if (!word_take(&line, &word) || !word_is(word, "softdep") ||
		    !word_take(&line, &word) || !word_same(word, name))
			continue;
		while (!ret && word_take(&line, &word)) {
			if (word_is(word, "pre:") || word_is(word, "post:"))
				pre = word_is(word, "pre:");
			else if (pre)
				ret = add_soft_word(s, word);
		}
	}
	return ret;
}

/* Adds modules of modules.dep: the last of a line is loaded first. */
static int add_hard(const struct search *s, struct word needs, const struct module_file *file)
{
	enum module_where where;
	struct word path;
	int ret = 0;

	while (!ret && word_take_last(&needs, &path)) {
		ret = add_one(s, name_of_path(path), false, &where);
		if (!ret && where == MODULE_NOWHERE)
			ret = err_set(s->err, EINVAL,
				      "%s/modules.dep has no line for '%s', which module %s needs: "
				      "run depmod to write it anew",
				      s->x->folder, SHOWN_N(path.at, path.len),
				      SHOWN_N(file->name, file->name_len));
	}
	return ret;
}

static int add_one(const struct search *s, struct word name, bool soft, enum module_where *where)
{
	struct word path, needs;
	struct module_file file;
	int ret;

	*where = MODULE_IN_FILE;
	if (is_listed(s->list, name))
		return 0;
	ret = circle_check(s, name, soft);
	if (ret)
		return ret < 0 ? ret : 0;
	if (!dep_find(s->x, name, &path, &needs)) {
		*where = builtin_has(s->x, name) ? MODULE_IN_KERNEL : MODULE_NOWHERE;
		return 0;
	}
	ret = file_of_path(s->x, path, &file, s->err);
	if (!ret && s->list->n + s->list->nr_open == MODULES_MAX)
		ret = err_set(s->err, E2BIG, "%s: more than %u modules are needed", s->x->folder,
			      MODULES_MAX);
	if (ret)
		return ret;
	s->list->open[s->list->nr_open].file = file;
	s->list->open[s->list->nr_open++].soft = soft;
	ret = add_soft(s, name);
	if (!ret)
		ret = add_hard(s, needs, &file);
	s->list->nr_open--;
	if (!ret)
		s->list->files[s->list->n++] = file;
	return ret;
}

int module_list_add(struct module_list *list, const struct module_index *x, const char *name,
		    enum module_where *where, struct err *err)
{
	return add_word(&(struct search){ x, list, err }, word_of(name), false, where);
}
