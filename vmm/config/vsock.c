/*
 * --vsock: sockets between guest and host, and who serves them.
 *
 * Setter of the table in config/options.c, under its rules.
 */
#include "vmm/config/internal.h"

#include <errno.h>

enum vsock_key { KEY_CID, KEY_SOCKET, KEYS };

static const char *const names[KEYS] = { "cid", "socket" };
static const char keys[] = "cid=N or cid=N,socket=PATH";

/* Context ids 0 to 2 are reserved, and 2^32 - 1 means any of them (linux/vm_sockets.h). */
static int set_cid(struct config *c, const char *value, struct err *err)
{
	uint64_t cid;
	int ret = config_parse_number(value, 3, UINT32_MAX - 1, &cid, err);

	if (ret == 0)
		c->vsock_cid = (uint32_t)cid;
	return ret;
}

int config_set_vsock(struct config *c, const char *value, struct err *err)
{
	struct words words;
	char *word, *rest;
	unsigned given = 0;
	int ret = words_init(&words, value, err);

	while (ret >= 0 && (word = words_next(&words, &rest))) {
		ret = config_find_key(names, KEYS, word, rest, keys, &given, err);
		if (ret == KEY_CID)
			ret = set_cid(c, rest, err);
		else if (ret == KEY_SOCKET)
			ret = config_set_text(&c->vsock_socket, rest, err);
	}
	if (ret < 0)
		return ret;
	if (!c->vsock_cid || (c->vsock_socket && !*c->vsock_socket))
		return err_set(err, EINVAL, "use %s", keys);
	return 0;
}
