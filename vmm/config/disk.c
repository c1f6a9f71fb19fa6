/*
 * --disk: a raw image or block device as a virtual disk.
 *
 * Setter of the table in config/options.c, under its rules. It checks the spelling only;
 * vmm/backends/disk.c opens the file.
 */
#include "vmm/config/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum disk_key {
	KEY_PATH,
	KEY_VHOST_USER,
	KEY_READONLY,
	KEY_PRIVATE,
	KEY_DIRECT,
	KEY_DISCARD,
	KEY_ON_FULL,
	KEY_FORMAT,
	KEY_SERIAL,
	KEY_QUEUES,
	KEY_RING,
	KEYS
};

static const char *const names[KEYS] = { "path",   "vhost-user", "readonly", "private",
					 "direct", "discard",	 "on-full",  "format",
					 "serial", "queues",	 "ring" };
static const char keys[] = "path=FILE, readonly=on, private=on, direct=on, discard=on, "
			   "on-full=error, format=raw, serial=TEXT, "
			   "queues=N or ring=split, or vhost-user=SOCKET";

static int set_serial(struct config_disk *d, const char *value, struct err *err)
{
	size_t len = strlen(value);

	if (!len || len > VIRTIO_BLK_SERIAL)
		return err_set(err, EINVAL, "serial= has 1 to %u characters", VIRTIO_BLK_SERIAL);
	return config_set_text(&d->serial, value, err);
}

static int config_disk_set_queues(struct config_disk *d, const char *value, struct err *err)
{
	uint64_t n;
	int ret = config_parse_number(value, 1, VIRTIO_BLK_QUEUES_MAX, &n, err);

	if (ret < 0)
		return err_prefix(err, ret, "queues=");
	d->queues = (unsigned)n;
	return 0;
}

static int refuse_format(const char *value, struct err *err)
{
	return err_set(
		err, EINVAL,
		"format=%s: straddle reads raw images only; have qemu-storage-daemon serve others, "
		"and name its socket with vhost-user=",
		SHOWN(value));
}

static int config_disk_set_key(struct config_disk *d, enum disk_key key, const char *value,
			       struct err *err)
{
	switch (key) {
	case KEY_PATH:
		if (!*value)
			return err_set(err, EINVAL, "path= needs a file or a block device");
		return config_set_text(&d->path, value, err);
	case KEY_VHOST_USER:
		if (!*value)
			return err_set(err, EINVAL, "vhost-user= needs a socket");
		return config_set_text(&d->vhost_user, value, err);
	case KEY_READONLY:
		return config_set_switch(&d->readonly, "readonly", value, "on", "off", err);
	case KEY_PRIVATE:
		return config_set_switch(&d->private, "private", value, "on", "off", err);
	case KEY_DIRECT:
		return config_set_switch(&d->direct, "direct", value, "on", "off", err);
	case KEY_DISCARD:
		return config_set_switch(&d->discard, "discard", value, "on", "off", err);
	case KEY_ON_FULL:
		return config_set_switch(&d->fail_when_full, "on-full", value, "error", "wait",
					 err);
	case KEY_FORMAT:
		d->raw = !strcmp(value, "raw");
		return d->raw ? 0 : refuse_format(value, err);
	case KEY_SERIAL:
		return set_serial(d, value, err);
	case KEY_QUEUES:
		return config_disk_set_queues(d, value, err);
	case KEY_RING:
		d->split = !strcmp(value, "split");
		if (!d->split && strcmp(value, "packed") != 0)
			return err_set(err, EINVAL, "ring=%s: use packed or split", SHOWN(value));
		return 0;
	case KEYS:
		break;
	}
	return 0;
}

static int config_disk_set_word(struct config_disk *d, char *word, char *value, unsigned *given,
				struct err *err)
{
	int i = config_find_first_key(names, KEYS, word, &value, keys, given, err);

	return i < 0 ? i : config_disk_set_key(d, (enum disk_key)i, value, err);
}

int config_set_disk(struct config *c, const char *value, struct err *err)
{
	struct config_disk *d;
	struct words words;
	char *word, *rest;
	unsigned given = 0;
	int ret = words_init_one_more(&words, value, c->nr_disks, CONFIG_DISKS_MAX, "disks", err);

	if (ret < 0)
		return ret;
	d = &c->disks[c->nr_disks++]; /* config_free() frees it from here on */
	*d = (struct config_disk){ 0 };
	while ((word = words_next(&words, &rest))) {
		ret = config_disk_set_word(d, word, rest, &given, err);
		if (ret < 0)
			return ret;
	}
	if (d->vhost_user && (given & ~(1u << KEY_VHOST_USER | 1u << KEY_QUEUES)) != 0)
		return err_set(err, EINVAL,
			       "vhost-user= goes with queues= only; leave the rest to the program "
			       "that serves the disk");
	if (d->readonly && d->private)
		return err_set(
			err, EINVAL,
			"readonly=on and private=on exclude each other: say readonly=on for a disk "
			"that the guest cannot write, private=on for one whose writes are gone at "
			"the end");
	if (!d->path && !d->vhost_user)
		return err_set(err, EINVAL, "the file is missing: use path=FILE");
	return 0;
}
