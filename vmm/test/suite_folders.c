#include "vmm/test/suite_folders.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A file's name has at most 255 bytes (NAME_MAX): a hash and ".attempt-2" must have room as well.
 */
#define PLAIN_MAX 200

/* FNV-1a of 32 bits (draft-eastlake-fnv, section 2). */
static uint32_t hash_name(const char *name)
{
	uint32_t hash = 0x811c9dc5;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 0x01000193;
	return hash;
}

/* Returns the folder's name, to be freed, or NULL. `hashed`: it must have the hash. */
static char *folder_name(const char *name, bool hashed)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    ".=+-_,@:";
	char text[PLAIN_MAX + 1], *folder;
	size_t at = 0;
	int n;

	for (const char *p = name; *p && at < PLAIN_MAX; p++)
		if (*p != '(' && *p != ')')
			text[at++] = strchr(plain, *p) ? *p : '_';
	text[at] = '\0';
	if (*text == '.') /* neither hidden nor the folder above */
		*text = '_';
	n = hashed ? asprintf(&folder, "%s-%08x", text, hash_name(name))
		   : asprintf(&folder, "%s", text);
	return n < 0 ? NULL : folder;
}

static int set_folder(struct suite *s, struct suite_case *c, bool hashed, struct err *err)
{
	c->folder = suite_keep(s, folder_name(c->name, hashed));
	return c->folder ? 0 : err_set(err, ENOMEM, "out of memory for the cases");
}

struct entry {
	struct suite_case *of;
};

static int compare_folders(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return strcmp(x->of->folder, y->of->folder);
}

/* Gives a hash to those that follow each other with the same folder. */
static int tell_apart(struct suite *s, const struct entry *sorted, struct err *err)
{
	int ret = 0;

	for (unsigned i = 0, n; i < s->n && ret == 0; i += n) {
		for (n = 1; i + n < s->n && !compare_folders(&sorted[i], &sorted[i + n]);)
			n++;
		for (unsigned k = i; n > 1 && k < i + n && ret == 0; k++)
			ret = set_folder(s, sorted[k].of, true, err);
	}
	return ret;
}

int suite_name_folders(struct suite *s, struct err *err)
{
	struct entry *sorted = calloc(s->n ? s->n : 1, sizeof(*sorted));
	int ret = sorted ? 0 : err_set(err, ENOMEM, "out of memory for the cases");

	for (unsigned i = 0; i < s->n && ret == 0; i++) {
		sorted[i].of = &s->cases[i];
		ret = set_folder(s, sorted[i].of, false, err);
	}
	if (ret == 0) {
		qsort(sorted, s->n, sizeof(*sorted), compare_folders);
		ret = tell_apart(s, sorted, err);
	}
	free(sorted);
	return ret;
}
