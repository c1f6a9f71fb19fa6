/*
 * --net: a network adapter, and what it is connected to.
 *
 * Setter of the table in config/options.c, under its rules. It checks the spelling only;
 * vmm/backends/net.c opens the connection.
 */
#include "vmm/config/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_TAP 15 /* IFNAMSIZ less the NUL: linux/if.h */

static const char kinds[] =
	"user, tap=NAME, fd=N:N:... or vhost-user=SOCKET, and then mac=52:54:00:12:34:56, with tap "
	"and fd vhost=on or off, with tap queues=N";

static int set_tap(struct config_net *n, const char *name, struct err *err)
{
	size_t len = strlen(name);

	if (!len || len > NAME_MAX_TAP || strpbrk(name, "/ \t"))
		return err_set(err, EINVAL,
			       "tap=%s is not the name of an interface: 1 to %u characters",
			       SHOWN(name), NAME_MAX_TAP);
	n->kind = NET_TAP;
	return config_set_text(&n->tap, name, err);
}

/* Reads N[:N...], a descriptor for each queue pair. */
static int set_fds(struct config_net *n, char *value, struct err *err)
{
	char *word;

	n->kind = NET_FD;
	n->queues = 0;
	while ((word = strsep(&value, ":"))) {
		uint64_t fd;
		int ret = config_parse_number(word, 3, 65535, &fd, err);

		if (ret < 0)
			return err_prefix(err, ret, "fd=");
		if (n->queues == VIRTIO_NET_PAIRS_MAX)
			return err_set(err, EINVAL, "fd= has at most %u descriptors",
				       VIRTIO_NET_PAIRS_MAX);
		for (unsigned i = 0; i < n->queues; i++)
			if (n->fds[i] == (int)fd)
				return err_set(err, EINVAL, "fd= has %d twice", n->fds[i]);
		n->fds[n->queues++] = (int)fd;
	}
	return 0;
}

static int set_vhost_user(struct config_net *n, const char *path, struct err *err)
{
	if (!*path)
		return err_set(err, EINVAL, "vhost-user= needs a socket");
	n->kind = NET_VHOST_USER;
	return config_set_text(&n->vhost_user, path, err);
}

static int set_kind(struct config_net *n, const char *word, char *value, struct err *err)
{
	if (!strcmp(word, "user") && !value)
		n->kind = NET_USER;
	else if (!strcmp(word, "tap") && value)
		return set_tap(n, value, err);
	else if (!strcmp(word, "fd") && value)
		return set_fds(n, value, err);
	else if (!strcmp(word, "vhost-user") && value)
		return set_vhost_user(n, value, err);
	else
		return err_set(err, EINVAL, "use %s", kinds);
	return 0;
}

/* Reads the MAC address of one station, as opposed to a group address (IEEE 802). */
static int set_mac(struct config_net *n, const char *value, struct err *err)
{
	unsigned b[6];
	int end = 0;
	bool good = strlen(value) == 17 && strspn(value, "0123456789abcdefABCDEF:") == 17 &&
		    sscanf(value, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4],
			   &b[5], &end) == 6 &&
		    end == 17;

	if (!good || (b[0] & 1))
		return err_set(
			err, EINVAL,
			"mac=%s is not a unicast MAC address; use one such as 52:54:00:12:34:56",
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

static int config_net_set_queues(struct config_net *n, const char *value, struct err *err)
{
	uint64_t queues;
	int ret;

	if (n->kind != NET_TAP)
		return err_set(err, EINVAL,
			       "queues= is for tap; fd has one for each descriptor: fd=3:4");
	ret = config_parse_number(value, 1, VIRTIO_NET_PAIRS_MAX, &queues, err);
	if (ret < 0)
		return err_prefix(err, ret, "queues=");
	n->queues = (unsigned)queues;
	return 0;
}

static int config_net_set_word(struct config_net *n, const char *word, const char *value,
			       unsigned *given, struct err *err)
{
	static const char *const names[] = { "mac", "vhost", "queues" };
	static int (*const setters[])(struct config_net * n, const char *value,
				      struct err *err) = { set_mac, set_vhost,
							   config_net_set_queues };
	int i = config_find_key(names, ARRAY_SIZE(names), word, value, kinds, given, err);

	return i < 0 ? i : setters[i](n, value, err);
}

int config_set_net(struct config *c, const char *value, struct err *err)
{
	struct config_net *n;
	struct words words;
	unsigned given = 0;
	char *word, *rest;
	int ret = words_init_one_more(&words, value, c->nr_nets, CONFIG_NETS_MAX,
				      "network adapters", err);

	if (ret < 0)
		return ret;
	n = &c->nets[c->nr_nets++]; /* config_free() frees it from here on */
	n->queues = 1;
	word = words_next(&words, &rest);
	ret = set_kind(n, word, rest, err);
	while (ret == 0 && (word = words_next(&words, &rest)))
		ret = config_net_set_word(n, word, rest, &given, err);
	return ret;
}
