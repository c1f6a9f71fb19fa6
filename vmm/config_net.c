/*
 * --net: a network adapter, and what it is connected to.
 *
 * Setter of the table in config_options.c, under its rules. Spelling only: what there is of it on
 * this host is vmm/net.c's to say.
 */
#include "vmm/config_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_TAP 15 /* IFNAMSIZ and a NUL: linux/if.h */

static const char kinds[] = "user, tap=NAME, fd=N or vhost-user=SOCKET, and then "
			    "mac=52:54:00:12:34:56 or, with tap and fd, vhost=on or off";

static int set_tap(struct config_net *n, const char *name, struct err *err)
{
	size_t len = strlen(name);

	if (!len || len > NAME_MAX_TAP || strpbrk(name, "/ \t"))
		return err_set(err, EINVAL, "tap=%s is no name of an interface: 1 to %u characters",
			       SHOWN(name), NAME_MAX_TAP);
	n->kind = NET_TAP;
	return config_set_text(&n->tap, name, err);
}

static int set_fd(struct config_net *n, const char *value, struct err *err)
{
	uint64_t fd;
	int ret = config_parse_number(value, 3, 65535, &fd, err);

	if (ret < 0)
		return err_prefix(err, ret, "fd=");
	n->kind = NET_FD;
	n->fd = (int)fd;
	return 0;
}

static int set_vhost_user(struct config_net *n, const char *path, struct err *err)
{
	if (!*path)
		return err_set(err, EINVAL, "vhost-user= needs a socket");
	n->kind = NET_VHOST_USER;
	return config_set_text(&n->vhost_user, path, err);
}

static int set_kind(struct config_net *n, const char *word, const char *value, struct err *err)
{
	if (!strcmp(word, "user") && !value)
		n->kind = NET_USER;
	else if (!strcmp(word, "tap") && value)
		return set_tap(n, value, err);
	else if (!strcmp(word, "fd") && value)
		return set_fd(n, value, err);
	else if (!strcmp(word, "vhost-user") && value)
		return set_vhost_user(n, value, err);
	else
		return err_set(err, EINVAL, "it is %s", kinds);
	return 0;
}

/* Six bytes, of one station and not of a group: IEEE 802. */
static int set_mac(struct config_net *n, const char *value, struct err *err)
{
	unsigned b[6];
	int end = 0;
	bool good = strlen(value) == 17 && strspn(value, "0123456789abcdefABCDEF:") == 17 &&
		    sscanf(value, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4],
			   &b[5], &end) == 6 &&
		    end == 17;

	if (!good || (b[0] & 1))
		return err_set(err, EINVAL,
			       "mac=%s is no address of a station, such as 52:54:00:12:34:56",
			       SHOWN(value));
	for (unsigned i = 0; i < 6; i++)
		n->mac[i] = (uint8_t)b[i];
	n->has_mac = true;
	return 0;
}

static int set_vhost(struct config_net *n, const char *value, struct err *err)
{
	bool on;
	int ret;

	if (n->kind == NET_USER || n->kind == NET_VHOST_USER)
		return err_set(err, EINVAL, "vhost= is for tap and fd; leave it out");
	ret = config_set_switch(&on, "vhost", value, "on", "off", err);
	if (ret == 0)
		n->vhost = on ? VHOST_ON : VHOST_OFF;
	return ret;
}

static int set_word(struct config_net *n, const char *word, const char *value, struct err *err)
{
	bool mac = !strcmp(word, "mac"), vhost = !strcmp(word, "vhost");

	if ((!mac && !vhost) || !value)
		return err_set(err, EINVAL, "'%s' is unknown here; it is %s", SHOWN(word), kinds);
	if (mac ? n->has_mac : n->vhost != VHOST_AUTO)
		return err_set(err, EINVAL, "%s is given twice; keep one", word);
	return mac ? set_mac(n, value, err) : set_vhost(n, value, err);
}

int config_set_net(struct config *c, const char *value, struct err *err)
{
	struct config_net *n;
	struct words words;
	char *word, *rest;
	int ret = words_init(&words, value, err);

	if (ret < 0)
		return ret;
	if (c->nr_nets == CONFIG_NETS_MAX)
		return err_set(err, EINVAL, "there can be at most %u network adapters",
			       CONFIG_NETS_MAX);
	n = &c->nets[c->nr_nets++]; /* config_free's from now on */
	word = words_next(&words, &rest);
	ret = set_kind(n, word, rest, err);
	while (ret == 0 && (word = words_next(&words, &rest)))
		ret = set_word(n, word, rest, err);
	return ret;
}
