/* straddle bind, straddle unbind: bind PCI functions to vfio-pci and back to their own drivers. */
#include "vmm/cli/cmd.h"

#include "vfio/bind.h"

#include <errno.h>
#include <string.h>

/* Finds all devices, before any of them is changed. */
static int find_all(const struct config *c, struct vfio_id *ids, struct err *err)
{
	if (c->nr_operands > PCI_DEVICES_MAX)
		return err_set(err, EINVAL, "%u devices are given; use at most %u at a time",
			       c->nr_operands, PCI_DEVICES_MAX);
	for (unsigned i = 0; i < c->nr_operands; i++) {
		int ret = sysfs_find("", c->operands[i], &ids[i], err);

		if (ret < 0)
			return err_prefix(err, ret, "%s: ", c->operands[i]);
	}
	return 0;
}

static void cmd_bind_say(const struct vfio_id *id, const char *from, const char *to)
{
	printf("%s: %s -> %s\n", id->name, *from ? from : "no driver", *to ? to : "no driver");
}

/* Binds all or none: if one fails, those before it get their drivers back. */
static int bind_all(const struct vfio_id *ids, unsigned n, struct err *err)
{
	struct vfio_move moves[PCI_DEVICES_MAX];
	unsigned i;
	int ret = 0;

	for (i = 0; ret == 0 && i < n; i++)
		ret = vfio_bind_check("", &ids[i], ids, n, err);
	if (ret < 0)
		return ret;
	for (i = 0; i < n; i++) {
		ret = vfio_bind("", &ids[i], &moves[i], err);
		if (ret < 0)
			break;
		cmd_bind_say(&ids[i], moves[i].was, moves[i].now);
	}
	while (ret < 0 && i-- > 0) {
		struct vfio_move was = moves[i];

		vfio_bind_undo("", &ids[i], &moves[i]);
		if (strcmp(was.now, moves[i].now))
			cmd_bind_say(&ids[i], was.now, moves[i].now);
	}
	return ret;
}

static int unbind_all(const struct vfio_id *ids, unsigned n, struct err *err)
{
	struct vfio_move move;

	for (unsigned i = 0; i < n; i++) {
		int ret = vfio_unbind("", &ids[i], &move, err);

		if (ret < 0)
			return ret;
		cmd_bind_say(&ids[i], move.was, move.now);
	}
	return 0;
}

static int move_all(int (*move)(const struct vfio_id *ids, unsigned n, struct err *err),
		    enum config_command cmd, int argc, char *argv[])
{
	struct vfio_id ids[PCI_DEVICES_MAX];
	struct config c = CONFIG_EMPTY;
	struct err err;
	int status;

	if (!cmd_parse(&c, cmd, argc, argv, &status))
		goto out;
	if (find_all(&c, ids, &err) < 0) {
		status = complain(&err, STATUS_USAGE);
		goto out;
	}
	status = move(ids, c.nr_operands, &err) < 0 ? STATUS_HOST_ERROR : 0;
	fflush(stdout);
	if (status)
		complain(&err, STATUS_HOST_ERROR);
out:
	config_free(&c);
	return status;
}

int cmd_bind(int argc, char *argv[])
{
	return move_all(bind_all, CMD_BIND, argc, argv);
}

int cmd_unbind(int argc, char *argv[])
{
	return move_all(unbind_all, CMD_UNBIND, argc, argv);
}
