/*
 * --fs: a folder of the host that virtiofsd shares with the guest; --pmem: a file of the host that
 * is persistent memory of the guest.
 *
 * Setters of the table in config/options.c, under its rules.
 */
#include "vmm/config/internal.h"

#include <errno.h>
#include <string.h>

enum fs_key { KEY_SOCKET, KEY_TAG, KEYS };

static const char *const names[KEYS] = { "socket", "tag" };
static const char keys[] = "socket=SOCKET,tag=TAG";

/* Each tag must be unique, because the guest mounts a folder by its tag. */
static int check_tag(const struct config *c, const struct config_fs *f, struct err *err)
{
	size_t len = strlen(f->tag);

	if (!len || len > VIRTIO_FS_TAG)
		return err_set(err, EINVAL, "tag= has 1 to %u bytes", VIRTIO_FS_TAG);
	for (unsigned i = 0; &c->fs[i] != f; i++)
		if (!strcmp(c->fs[i].tag, f->tag))
			return err_set(err, EINVAL, "another folder has tag=%s; choose another",
				       SHOWN(f->tag));
	return 0;
}

int config_set_fs(struct config *c, const char *value, struct err *err)
{
	struct config_fs *f;
	struct words words;
	char *word, *rest;
	unsigned given = 0;
	int ret =
		words_init_one_more(&words, value, c->nr_fs, CONFIG_FS_MAX, "shared folders", err);

	if (ret < 0)
		return ret;
	f = &c->fs[c->nr_fs++]; /* config_free() frees it from here on */
	while (ret >= 0 && (word = words_next(&words, &rest))) {
		ret = config_find_key(names, KEYS, word, rest, keys, &given, err);
		if (ret >= 0)
			ret = config_set_text(ret == KEY_TAG ? &f->tag : &f->socket, rest, err);
	}
	if (ret < 0)
		return ret;
	if (!f->socket || !f->tag || !*f->socket)
		return err_set(err, EINVAL, "use %s", keys);
	return check_tag(c, f, err);
}

/* --- --pmem --- */

enum pmem_key { PMEM_FILE, PMEM_PRIVATE, PMEM_KEYS };

static const char *const pmem_names[PMEM_KEYS] = { "file", "private" };
static const char pmem_keys[] = "file=FILE or private=on";

static int set_pmem_word(struct config_pmem *p, char *word, char *value, unsigned *given,
			 struct err *err)
{
	int i = config_find_first_key(pmem_names, PMEM_KEYS, word, &value, pmem_keys, given, err);

	if (i == PMEM_FILE)
		return config_set_text(&p->path, value, err);
	return i < 0 ? i : config_set_switch(&p->private, "private", value, "on", "off", err);
}

int config_set_pmem(struct config *c, const char *value, struct err *err)
{
	struct config_pmem *p;
	struct words words;
	char *word, *rest;
	unsigned given = 0;
	int ret = words_init_one_more(&words, value, c->nr_pmem, PMEM_MAX, "files", err);

	if (ret < 0)
		return ret;
	p = &c->pmem[c->nr_pmem++]; /* config_free() frees it from here on */
	while ((word = words_next(&words, &rest))) {
		ret = set_pmem_word(p, word, rest, &given, err);
		if (ret < 0)
			return ret;
	}
	if (!p->path || !*p->path)
		return err_set(err, EINVAL, "the file is missing: use file=FILE");
	return 0;
}
