/*
 * straddle bind, straddle unbind: PCI functions to vfio-pci and back.
 */
#include "vmm/cmd.h"

#include "vfio/bind.h"

#include <errno.h>

/* All of them are found before any is touched. */
static int find_all(const struct config *c, struct vfio_id *ids, struct err *err)
{
	if (c->nr_operands > HOST_PCI_MAX)
		return err_set(err, EINVAL, "at most %u devices at a time", HOST_PCI_MAX);
	for (unsigned i = 0; i < c->nr_operands; i++) {
		int ret = sysfs_find("", c->operands[i], &ids[i], err);

		if (ret < 0)
			return err_prefix(err, ret, "%s: ", c->operands[i]);
	}
	return 0;
}

static int move(bool bind, const struct vfio_id *id, const struct vfio_id *ids, unsigned n,
		struct err *err)
{
	char was[64], now[64];
	int ret = bind ? vfio_bind("", id, ids, n, was, now, err)
		       : vfio_unbind("", id, was, now, err);

	if (ret == 0)
		printf("%s: %s -> %s\n", id->name, *was ? was : "no driver",
		       *now ? now : "no driver");
	return ret;
}

static int move_all(bool bind, enum config_command cmd, int argc, char *argv[])
{
	struct vfio_id ids[HOST_PCI_MAX];
	struct config c = CONFIG_EMPTY;
	struct err err;
	int status, ret;

	if (!cmd_parse(&c, cmd, argc, argv, &status))
		goto out;
	ret = find_all(&c, ids, &err);
	status = ret < 0 ? STATUS_USAGE : STATUS_HOST_ERROR;
	for (unsigned i = 0; ret == 0 && i < c.nr_operands; i++)
		ret = move(bind, &ids[i], ids, c.nr_operands, &err);
	fflush(stdout);
	status = ret < 0 ? complain(&err, (enum status)status) : 0;
out:
	config_free(&c);
	return status;
}

int cmd_bind(int argc, char *argv[])
{
	return move_all(true, CMD_BIND, argc, argv);
}

int cmd_unbind(int argc, char *argv[])
{
	return move_all(false, CMD_UNBIND, argc, argv);
}
