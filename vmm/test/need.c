#include "vmm/test/need.h"

#include "vmm/base/units.h"
#include "vmm/host/cgroup.h"
#include "vmm/host/cpus.h"
#include "vmm/host/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Of a running guest beside its RAM: devices, page tables, initramfs and the helper programs. */
#define OVERHEAD (64 * MIB)

#define NAMES_MAX                                                                          \
	(CONFIG_DISKS_MAX + CONFIG_NETS_MAX + CONFIG_FS_MAX + PMEM_MAX + PCI_DEVICES_MAX + \
	 NODES_MAX + 4)

/* Adds "KIND VALUE"; a value of NULL is none. */
static int add_name(struct admission_need *need, const char *kind, const char *value,
		    struct err *err)
{
	char *name;

	if (!value)
		return 0;
	if (asprintf(&name, "%s %s", kind, value) < 0)
		return err_sys(err, ENOMEM, "out of memory for the cases");
	need->names[need->nr_names++] = name;
	return 0;
}

/* "41:00.0" is in segment 0000. */
static int add_device(struct admission_need *need, const char *name, struct err *err)
{
	char full[32];

	if (strlen(name) != strlen("41:00.0"))
		return add_name(need, "device", name, err);
	snprintf(full, sizeof(full), "0000:%s", name);
	return add_name(need, "device", full, err);
}

static int add_disk(struct admission_need *need, const struct config_disk *d, struct err *err)
{
	if (d->vhost_user)
		return add_name(need, "socket", d->vhost_user, err);
	return d->readonly || d->private ? 0 : add_name(need, "file", d->path, err);
}

static int add_net(struct admission_need *need, const struct config_net *n, struct err *err)
{
	int ret = add_name(need, "tap", n->tap, err);

	return ret < 0 ? ret : add_name(need, "socket", n->vhost_user, err);
}

static int add_lists(const struct config *c, struct admission_need *need, struct err *err)
{
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < c->nr_vfio; i++)
		ret = add_device(need, c->vfio[i].name, err);
	for (unsigned i = 0; ret == 0 && i < c->nr_disks; i++)
		ret = add_disk(need, &c->disks[i], err);
	for (unsigned i = 0; ret == 0 && i < c->nr_nets; i++)
		ret = add_net(need, &c->nets[i], err);
	for (unsigned i = 0; ret == 0 && i < c->nr_fs; i++)
		ret = add_name(need, "socket", c->fs[i].socket, err);
	for (unsigned i = 0; ret == 0 && i < c->nr_pmem; i++)
		ret = c->pmem[i].private ? 0 : add_name(need, "file", c->pmem[i].path, err);
	return ret;
}

/* In a folder each case has a file of its own. */
static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/*
 * Huge pages are counted as those of the whole host. Cases that have theirs from one node of it run
 * one after the other, because that node may have none left.
 */
static int add_nodes(const struct config *c, struct admission_need *need, struct err *err)
{
	bool added[CONFIG_HOST_NODES] = { false };
	char number[16];
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < c->nr_nodes && c->page_size != 4 * KIB; i++) {
		const struct config_node *node = &c->nodes[i];

		if (!node->bound || node->host >= ARRAY_SIZE(added) || added[node->host])
			continue;
		added[node->host] = true;
		snprintf(number, sizeof(number), "%u", node->host);
		ret = add_name(need, "huge pages of node", number, err);
	}
	return ret;
}

static int add_single(const struct config *c, struct admission_need *need, struct err *err)
{
	char cid[16] = "";
	int ret = add_name(need, "socket", c->control, err);

	if (ret < 0)
		return ret;
	ret = add_name(need, "socket", c->vsock_socket, err);
	if (ret < 0)
		return ret;
	if (c->test.core && !is_folder(c->test.core))
		ret = add_name(need, "file", c->test.core, err);
	if (ret < 0 || !c->vsock_cid || c->vsock_socket)
		return ret;
	/* The kernel serves it, and a CID is the host's. */
	snprintf(cid, sizeof(cid), "%u", c->vsock_cid);
	return add_name(need, "vsock", cid, err);
}

int test_need_of(const struct config *c, struct admission_need *need, struct err *err)
{
	uint64_t ram = c->fold ? min_u64(c->fold, c->memory) : c->memory;
	enum admission_kind pages = c->page_size == GIB	      ? ADMISSION_HUGE_1G
				    : c->page_size == 2 * MIB ? ADMISSION_HUGE_2M
							      : ADMISSION_MEMORY;
	int ret;

	*need = (struct admission_need){ .amounts = { [ADMISSION_CPUS] = c->cpus } };
	need->amounts[pages] += ram;
	need->amounts[ADMISSION_MEMORY] += OVERHEAD;
	need->names = calloc(NAMES_MAX, sizeof(*need->names));
	if (!need->names)
		return err_sys(err, ENOMEM, "out of memory for the cases");
	ret = add_lists(c, need, err);
	if (ret == 0)
		ret = add_nodes(c, need, err);
	return ret < 0 ? ret : add_single(c, need, err);
}

void test_need_free(struct admission_need *need)
{
	while (need->nr_names)
		free(need->names[--need->nr_names]);
	free(need->names);
	need->names = NULL;
}

void test_need_room(const char *root, uint64_t total[ADMISSION_KINDS])
{
	struct host_memory memory;
	struct cgroup_room group;

	host_memory_probe(root, &memory);
	cgroup_room_read(root, &group);
	/* 0 would count nothing: in a group that is full cases run one at a time. */
	total[ADMISSION_MEMORY] = max_u64(1, min_u64(memory.available, group.memory_limit.bytes));
	total[ADMISSION_HUGE_2M] = memory.huge[HOST_PAGES_2M] * 2 * MIB;
	total[ADMISSION_HUGE_1G] = memory.huge[HOST_PAGES_1G] * GIB;
	total[ADMISSION_CPUS] = cpus_usable(root);
}
