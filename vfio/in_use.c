#include "vfio/in_use.h"

#include "vfio/sysfs_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define FLAGS_UP     1	 /* IFF_UP */
#define NVIDIA_MAJOR 195 /* Documentation/admin-guide/devices.txt */

/* A device number of the function, which has a node in /dev. */
struct node {
	char name[64]; /* below /dev */
	bool block;
	dev_t number;
};

#define IN_USE_NODES_MAX 4096

struct function {
	const char *root;
	const struct vfio_id *id;
	char below[PATH_MAX]; /* its directory, links followed, with a slash at the end */
	struct node nodes[IN_USE_NODES_MAX];
	unsigned nr_nodes;
};

/* --- the entries of a class that belong to the function --- */

/*
 * Follows an entry of a class, which is a link to a directory below its device. False: there is no
 * such entry.
 */
static bool entry_path(const struct function *f, const char *class, const char *name,
		       char target[PATH_MAX])
{
	char dir[64], path[VFIO_PATH_MAX];

	snprintf(dir, sizeof(dir), "/sys/class/%s", class);
	return sysfs_path(path, f->root, dir, name) == 0 && realpath(path, target);
}

static bool in_use_is_on(const struct function *f, const char *class, const char *name)
{
	char target[PATH_MAX];

	return entry_path(f, class, name, target) && !strncmp(target, f->below, strlen(f->below));
}

/* Makes "nvme2n1" of "nvme2c5n1": the disk of a namespace, of a path to it. */
static bool head_of(const char *path, char head[32])
{
	unsigned subsystem, controller, namespace;
	int end = 0;

	if (sscanf(path, "nvme%uc%un%u%n", &subsystem, &controller, &namespace, &end) != 3 ||
	    path[end])
		return false;
	snprintf(head, 32, "nvme%un%u", subsystem, namespace);
	return true;
}

/* Whether the block device `name` is the disk `head` or a partition of it. */
static bool is_part_of(const struct function *f, const char *name, const char *head)
{
	char target[PATH_MAX], *last, *above;

	if (!strcmp(name, head))
		return true;
	if (!entry_path(f, "block", name, target))
		return false;
	last = strrchr(target, '/');
	*last = '\0';
	above = strrchr(target, '/');
	return above && !strcmp(above + 1, head);
}

/*
 * Whether the disk `name` uses a path of this function. With native multipath the disks of an NVMe
 * controller are below a virtual subsystem (drivers/nvme/host/multipath.c), and only hidden paths
 * are below the controller.
 */
static bool has_path_to(const struct function *f, const char *name)
{
	DIR *list = sysfs_list(f->root, "/sys/class", "block");
	struct dirent *e;
	bool found = false;
	char head[32];

	while (!found && (e = sysfs_next(list)))
		found = head_of(e->d_name, head) && in_use_is_on(f, "block", e->d_name) &&
			is_part_of(f, name, head);
	if (list)
		closedir(list);
	return found;
}

/* Adds the node of an entry that has a device number. Others, such as connectors, have none. */
static int add_node(struct function *f, const char *class, const char *name, const char *dev_dir,
		    struct err *err)
{
	char dir[VFIO_PATH_MAX], text[32];
	unsigned major, minor;
	struct node *node = &f->nodes[f->nr_nodes];

	snprintf(dir, sizeof(dir), "/sys/class/%s/%.200s", class, name);
	if (sysfs_read(f->root, dir, "dev", text, sizeof(text)) < 0 ||
	    sscanf(text, "%u:%u", &major, &minor) != 2)
		return 0;
	if (f->nr_nodes == IN_USE_NODES_MAX)
		return err_set(err, E2BIG, "%s has more than %u disks and other nodes in /dev",
			       f->id->name, IN_USE_NODES_MAX);
	*node = (struct node){ .block = !*dev_dir, .number = makedev(major, minor) };
	snprintf(node->name, sizeof(node->name), "%s%.50s", dev_dir, name);
	for (char *c = node->name + strlen(dev_dir); *c; c++)
		*c = *c == '!' ? '/' : *c; /* cciss!c0d0 */
	f->nr_nodes++;
	return 0;
}

static int add_class(struct function *f, const char *class, const char *dev_dir, struct err *err)
{
	DIR *list = sysfs_list(f->root, "/sys/class", class);
	bool blocks = !strcmp(class, "block");
	struct dirent *e;
	int ret = 0;

	while (ret == 0 && (e = sysfs_next(list)))
		if (in_use_is_on(f, class, e->d_name) || (blocks && has_path_to(f, e->d_name)))
			ret = add_node(f, class, e->d_name, dev_dir, err);
	if (list)
		closedir(list);
	return ret;
}

/* Adds /dev/nvidiaN, which NVIDIA's driver does not list in sysfs. */
static void add_nvidia(struct function *f)
{
	char dir[VFIO_PATH_MAX], text[4096], *at;
	unsigned minor;

	snprintf(dir, sizeof(dir), "/proc/driver/nvidia/gpus/%s", f->id->name);
	if (sysfs_read(f->root, dir, "information", text, sizeof(text)) < 0)
		return;
	at = strstr(text, "Device Minor:");
	if (!at || sscanf(at, "Device Minor: %u", &minor) != 1 || f->nr_nodes == IN_USE_NODES_MAX)
		return;
	f->nodes[f->nr_nodes] = (struct node){ .number = makedev(NVIDIA_MAJOR, minor) };
	snprintf(f->nodes[f->nr_nodes++].name, sizeof(f->nodes[0].name), "nvidia%u", minor);
}

/* --- disks: the use that a sentence can name --- */

static FILE *open_text(const struct function *f, const char *dir, const char *name)
{
	char path[VFIO_PATH_MAX];

	return sysfs_path(path, f->root, dir, name) < 0 ? NULL : fopen(path, "re");
}

/*
 * Looks in proc_pid_mountinfo(5) for the disk's number, and behind " - " for its name as the
 * source, because btrfs shows only that.
 */
static bool is_mounted(const struct function *f, const struct node *node)
{
	char line[4096], number[32], field[32], source[256], wanted[80], *rest;
	FILE *file = open_text(f, "/proc/self", "mountinfo");
	bool found = false;

	snprintf(number, sizeof(number), "%u:%u", major(node->number), minor(node->number));
	snprintf(wanted, sizeof(wanted), "/dev/%s", node->name);
	while (file && !found && fgets(line, sizeof(line), file)) {
		found = sscanf(line, "%*s %*s %31s", field) == 1 && !strcmp(field, number);
		rest = strstr(line, " - ");
		found |= rest && sscanf(rest, " - %*s %255s", source) == 1 &&
			 !strcmp(source, wanted);
	}
	if (file)
		fclose(file);
	return found;
}

static bool is_swap(const struct function *f, const struct node *node)
{
	FILE *file = open_text(f, "/proc", "swaps");
	char line[4096], wanted[80];
	bool found = false;

	snprintf(wanted, sizeof(wanted), "/dev/%s ", node->name);
	while (file && !found && fgets(line, sizeof(line), file))
		found = !strncmp(line, wanted, strlen(wanted));
	if (file)
		fclose(file);
	return found;
}

/* Finds a device of device-mapper, md or bcache that is made of this one. */
static bool has_holder(const struct function *f, const struct node *node, char holder[64])
{
	char dir[VFIO_PATH_MAX];
	struct dirent *e;
	DIR *list;

	snprintf(dir, sizeof(dir), "/sys/class/block/%s", node->name);
	list = sysfs_list(f->root, dir, "holders");
	e = sysfs_next(list);
	snprintf(holder, 64, "%.63s", e ? e->d_name : "");
	if (list)
		closedir(list);
	return *holder;
}

static int check_known(const struct function *f, const struct node *node, struct err *err)
{
	char holder[64];

	if (is_mounted(f, node))
		return err_set(err, EBUSY, "%s is in use: its disk %s is mounted (umount /dev/%s)",
			       f->id->name, node->name, node->name);
	if (is_swap(f, node))
		return err_set(err, EBUSY,
			       "%s is in use: its disk %s is used for swapping (swapoff /dev/%s)",
			       f->id->name, node->name, node->name);
	if (has_holder(f, node, holder))
		return err_set(err, EBUSY,
			       "%s is in use: its disk %s is part of another block device, %s",
			       f->id->name, node->name, holder);
	return 0;
}

/* --- disks: any claim, asked of the kernel --- */

/*
 * Every lasting user of a block device claims it (block/bdev.c, bd_prepare_to_claim()): file
 * systems in any mount namespace, ZFS, swap, RAID. A disk counts as claimed if one of its
 * partitions is. An open with O_EXCL fails if there is a claim.
 */
static int check_claimed(const struct function *f, const struct node *node, struct err *err)
{
	char path[VFIO_PATH_MAX];
	struct stat st;
	int fd, code;

	if (sysfs_path(path, f->root, "/dev", node->name) < 0)
		return err_sys(err, ENAMETOOLONG, "%s", node->name);
	fd = open(path, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && (errno == ENXIO || errno == ENOMEDIUM))
		return 0; /* a drive with nothing in it */
	if (fd < 0 && errno == EBUSY)
		return err_set(err, EBUSY,
			       "%s is in use: its disk %s is claimed by something that is not seen "
			       "from here, such as a mount in another namespace (a container), a "
			       "pool of ZFS, or a program; end that first",
			       f->id->name, node->name);
	if (fd < 0 && (errno == EACCES || errno == EPERM))
		return err_set(err, errno,
			       "%s may not be opened by this user, to see whether it is in use: "
			       "run it as root",
			       path);
	if (fd < 0)
		return err_sys(err, errno,
			       "whether %s is in use cannot be told: its disk %s cannot be opened",
			       f->id->name, path);
	code = fstat(fd, &st) < 0 ? errno : 0;
	close(fd);
	if (code || st.st_rdev != node->number)
		return err_set(err, code ? code : ENODEV,
			       "whether %s is in use cannot be told: %s is not the node %u:%u of "
			       "its disk",
			       f->id->name, path, major(node->number), minor(node->number));
	return 0;
}

/* --- programs --- */

/*
 * Returns the node that `path`, a link in /proc, refers to. Asks for cached attributes only,
 * because a server that does not answer would block the call.
 */
static const struct node *node_of(const struct function *f, const char *path)
{
	struct statx st;

	if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0)
		return NULL;
	for (unsigned i = 0; i < f->nr_nodes; i++)
		if (f->nodes[i].number == makedev(st.stx_rdev_major, st.stx_rdev_minor) &&
		    (f->nodes[i].block ? S_ISBLK(st.stx_mode) : S_ISCHR(st.stx_mode)))
			return &f->nodes[i];
	return NULL;
}

/* Reads the name of a process, which the process itself sets to any bytes. */
static void program_name(const struct function *f, const char *dir, char name[32])
{
	if (sysfs_read(f->root, dir, "comm", name, 32) < 0)
		snprintf(name, 32, "a program");
	name[strcspn(name, "\n")] = '\0';
	for (char *c = name; *c; c++)
		*c = isprint((unsigned char)*c) ? *c : '?';
}

static int check_program(const struct function *f, const char *pid, struct err *err)
{
	char dir[64], path[VFIO_PATH_MAX], name[32];
	const struct node *node;
	struct dirent *e;
	DIR *list;
	int ret = 0;

	snprintf(dir, sizeof(dir), "/proc/%.20s", pid);
	list = sysfs_list(f->root, dir, "fd");
	while (ret == 0 && (e = sysfs_next(list))) {
		snprintf(path, sizeof(path), "%s%s/fd/%.20s", f->root, dir, e->d_name);
		node = node_of(f, path);
		if (!node)
			continue;
		program_name(f, dir, name);
		ret = err_set(err, EBUSY,
			      "%s is in use: %s (process %s) has /dev/%s open; end it first",
			      f->id->name, name, pid, node->name);
	}
	if (list)
		closedir(list);
	return ret;
}

/*
 * Refuses if a program has a node of the function open: disks may be open without a claim, and
 * drivers of graphics devices wait for their clients, or crash. Processes that this user may not
 * inspect are skipped.
 */
static int check_programs(const struct function *f, struct err *err)
{
	DIR *list = f->nr_nodes ? sysfs_list(f->root, "", "proc") : NULL;
	struct dirent *e;
	int ret = 0;

	while (ret == 0 && (e = sysfs_next(list)))
		if (isdigit((unsigned char)e->d_name[0]))
			ret = check_program(f, e->d_name, err);
	if (list)
		closedir(list);
	return ret;
}

/* --- network interfaces, the display, virtual functions --- */

static int check_nets(const struct function *f, struct err *err)
{
	DIR *list = sysfs_list(f->root, "/sys/class", "net");
	char dir[VFIO_PATH_MAX];
	struct dirent *e;
	int ret = 0;

	while (ret == 0 && (e = sysfs_next(list))) {
		long long flags = 0;

		if (!in_use_is_on(f, "net", e->d_name))
			continue;
		snprintf(dir, sizeof(dir), "/sys/class/net/%.60s", e->d_name);
		(void)sysfs_read_number(f->root, dir, "flags", &flags);
		if (flags & FLAGS_UP)
			ret = err_set(err, EBUSY,
				      "%s is in use: its network interface %s is up (ip link set "
				      "%s down)",
				      f->id->name, e->d_name, e->d_name);
	}
	if (list)
		closedir(list);
	return ret;
}

int vfio_check_no_functions(const char *root, const struct vfio_id *id, struct err *err)
{
	long long n = 0;

	(void)sysfs_read_number(root, id->path, "sriov_numvfs", &n);
	if (n <= 0)
		return 0;
	return err_set(err, EBUSY,
		       "%s is in use: it has %lld virtual functions, which go with its driver, "
		       "whoever has them; end what uses them, then write 0 to sriov_numvfs in %s",
		       id->name, n, id->path);
}

/* Tries again for a while, because udev opens a new device for a moment to identify it. */
static int check_programs_patiently(const struct function *f, struct err *err)
{
	int ret = check_programs(f, err);

	for (unsigned i = 0; ret == -EBUSY && i < 5; i++) {
		usleep(200 * 1000);
		ret = check_programs(f, err);
	}
	return ret;
}

static int in_use_check_nodes(struct function *f, struct err *err)
{
	int ret = add_class(f, "block", "", err);

	if (ret < 0)
		return ret;
	for (unsigned i = 0; i < f->nr_nodes; i++) {
		ret = check_known(f, &f->nodes[i], err);
		if (ret < 0)
			return ret;
	}
	for (unsigned i = 0; i < f->nr_nodes; i++) {
		ret = check_claimed(f, &f->nodes[i], err);
		if (ret < 0)
			return ret;
	}
	ret = add_class(f, "drm", "dri/", err);
	if (ret < 0)
		return ret;
	ret = add_class(f, "accel", "accel/", err);
	if (ret < 0)
		return ret;
	add_nvidia(f);
	return check_programs_patiently(f, err);
}

int vfio_check_unused(const char *root, const struct vfio_id *id, struct err *err)
{
	struct function *f = calloc(1, sizeof(*f));
	char path[PATH_MAX], real[PATH_MAX];
	long long boot_display = 0;
	int ret;

	if (!f)
		return err_sys(err, ENOMEM, "out of memory for the users of %s", id->name);
	f->root = root;
	f->id = id;
	snprintf(path, sizeof(path), "%s%s", root, id->path);
	if (!realpath(path, real) ||
	    snprintf(f->below, sizeof(f->below), "%s/", real) >= (int)sizeof(f->below)) {
		ret = err_set(err, ENODEV, "%s is not there", path);
		goto out;
	}
	(void)sysfs_read_number(root, id->path, "boot_vga", &boot_display);
	if (boot_display) {
		ret = err_set(err, EBUSY, "%s is in use: it is the boot display", id->name);
		goto out;
	}
	ret = vfio_check_no_functions(root, id, err);
	if (ret < 0)
		goto out;
	ret = check_nets(f, err);
	if (ret < 0)
		goto out;
	ret = in_use_check_nodes(f, err);
out:
	free(f);
	return ret;
}
