#include "vfio/bind.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DRIVER	 "vfio-pci"
#define FLAGS_UP 1 /* IFF_UP */

/* --- is it in use? --- */

static FILE *open_at(const char *root, const char *dir, const char *name)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s%s/%s", root, dir, name) >= PATH_MAX)
		return NULL;
	return fopen(path, "re");
}

static long read_number(const char *root, const char *dir, const char *name)
{
	FILE *file = open_at(root, dir, name);
	long value = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%li", &value) != 1)
		value = 0;
	fclose(file);
	return value;
}

static DIR *list_at(const char *root, const char *dir, const char *name)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s%s/%s", root, dir, name) >= PATH_MAX)
		return NULL;
	return opendir(path);
}

static struct dirent *next_entry(DIR *list)
{
	struct dirent *e;

	do
		e = list ? readdir(list) : NULL;
	while (e && e->d_name[0] == '.');
	return e;
}

/* Its major:minor stands in the third field of mountinfo (proc(5)), its name in /proc/swaps. */
static const char *block_use(const char *root, const char *dir, const char *name)
{
	char dev[32] = "", line[4096], field[32], swap[64];
	const char *use = NULL;
	FILE *file = open_at(root, dir, "dev");
	DIR *holders;

	if (!file)
		return NULL;
	if (fscanf(file, "%31s", dev) != 1)
		dev[0] = '\0';
	fclose(file);
	file = open_at(root, "/proc/self", "mountinfo");
	while (file && !use && fgets(line, sizeof(line), file))
		if (sscanf(line, "%*s %*s %31s", field) == 1 && !strcmp(field, dev))
			use = "is mounted";
	if (file)
		fclose(file);
	snprintf(swap, sizeof(swap), "/dev/%.50s ", name);
	file = open_at(root, "/proc", "swaps");
	while (file && !use && fgets(line, sizeof(line), file))
		if (!strncmp(line, swap, strlen(swap)))
			use = "is used for swapping";
	if (file)
		fclose(file);
	holders = list_at(root, dir, "holders");
	if (!use && next_entry(holders))
		use = "is part of another block device";
	if (holders)
		closedir(holders);
	return use;
}

/* A disk and its partitions, which are directories in the disk's. */
static int check_disk(const char *root, const struct vfio_id *id, const char *disk, struct err *err)
{
	char dir[VFIO_PATH_MAX], part[PATH_MAX];
	const char *use;
	struct dirent *e;
	int ret = 0;
	DIR *list;

	snprintf(dir, sizeof(dir), "/sys/block/%.200s", disk);
	use = block_use(root, dir, disk);
	if (use)
		return err_set(err, EBUSY, "%s is in use: its disk %s %s", id->name, disk, use);
	list = list_at(root, "/sys/block", disk);
	while (ret == 0 && (e = next_entry(list))) {
		snprintf(part, sizeof(part), "%s/%.200s", dir, e->d_name);
		use = strncmp(e->d_name, disk, strlen(disk)) ? NULL
							     : block_use(root, part, e->d_name);
		if (use)
			ret = err_set(err, EBUSY, "%s is in use: its partition %s %s", id->name,
				      e->d_name, use);
	}
	if (list)
		closedir(list);
	return ret;
}

static int check_disks(const char *root, const struct vfio_id *id, struct err *err)
{
	DIR *list = list_at(root, "/sys", "block");
	char path[VFIO_PATH_MAX], target[PATH_MAX];
	struct dirent *e;
	int ret = 0;

	while (ret == 0 && (e = next_entry(list))) {
		snprintf(path, sizeof(path), "%s/sys/block/%.200s", root, e->d_name);
		/* Disks are links to their place below the device that they are on. */
		if (realpath(path, target) && strstr(target, id->path))
			ret = check_disk(root, id, e->d_name, err);
	}
	if (list)
		closedir(list);
	return ret;
}

static int check_nets(const char *root, const struct vfio_id *id, struct err *err)
{
	DIR *list = list_at(root, id->path, "net");
	char dir[PATH_MAX];
	struct dirent *e;
	int ret = 0;

	while (ret == 0 && (e = next_entry(list))) {
		snprintf(dir, sizeof(dir), "%s/net/%.60s", id->path, e->d_name);
		if (read_number(root, dir, "flags") & FLAGS_UP)
			ret = err_set(err, EBUSY,
				      "%s is in use: its network interface %s is up (ip link set "
				      "%s down)",
				      id->name, e->d_name, e->d_name);
	}
	if (list)
		closedir(list);
	return ret;
}

static int check_group(const char *root, const struct vfio_id *id, const struct vfio_id *ids,
		       size_t n, struct err *err)
{
	struct vfio_member members[VFIO_GROUP_MAX];
	unsigned nr;
	int ret = sysfs_group(root, id->group, members, VFIO_GROUP_MAX, &nr, err);

	for (unsigned i = 0; ret == 0 && i < nr; i++) {
		bool named = false;

		for (size_t j = 0; j < n; j++)
			named |= !strcmp(ids[j].name, members[i].name);
		if (members[i].in_use && !named)
			return err_set(err, EBUSY,
				       "%s shares IOMMU group %u with %s, which is bound to %s: "
				       "name both, or unbind that driver",
				       id->name, id->group, members[i].name, members[i].driver);
	}
	return ret;
}

static int check_unused(const char *root, const struct vfio_id *id, const struct vfio_id *ids,
			size_t n, struct err *err)
{
	int ret = id->has_group ? check_group(root, id, ids, n, err) : 0;

	if (ret == 0 && read_number(root, id->path, "boot_vga"))
		ret = err_set(err, EBUSY, "%s is in use: it is the boot display", id->name);
	if (ret == 0)
		ret = check_nets(root, id, err);
	return ret < 0 ? ret : check_disks(root, id, err);
}

/* --- drivers --- */

static int write_file(const char *root, const char *dir, const char *name, const char *text,
		      struct err *err)
{
	char path[PATH_MAX];
	ssize_t len = (ssize_t)strlen(text), n;
	int fd, code;

	if (snprintf(path, sizeof(path), "%s%s/%s", root, dir, name) >= PATH_MAX)
		return err_sys(err, ENAMETOOLONG, "%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : write(fd, text, (size_t)len);
	code = errno;
	if (fd >= 0)
		close(fd);
	if (n == len)
		return 0;
	if (code == EACCES || code == EPERM)
		return err_set(err, code, "%s may not be written by this user: run it as root",
			       path);
	return err_sys(err, code, "%s cannot be written", path);
}

static void read_driver(const char *root, const struct vfio_id *id, char driver[64])
{
	char path[PATH_MAX], target[VFIO_PATH_MAX];
	const char *slash;
	ssize_t n;

	driver[0] = '\0';
	if (snprintf(path, sizeof(path), "%s%s/driver", root, id->path) >= PATH_MAX)
		return;
	n = readlink(path, target, sizeof(target) - 1);
	if (n <= 0)
		return;
	target[n] = '\0';
	slash = strrchr(target, '/');
	snprintf(driver, 64, "%.63s", slash ? slash + 1 : target);
}

/* From whatever driver it has to the one that `override` names; "\n": the kernel's choice. */
static int rebind(const char *root, const struct vfio_id *id, const char *override, char now[64],
		  struct err *err)
{
	int ret = write_file(root, id->path, "driver_override", override, err);

	read_driver(root, id, now);
	if (ret == 0 && *now)
		ret = write_file(root, id->path, "driver/unbind", id->name, err);
	if (ret == 0)
		ret = write_file(root, "/sys/bus/pci", "drivers_probe", id->name, err);
	read_driver(root, id, now);
	return ret;
}

int vfio_bind(const char *root, const struct vfio_id *id, const struct vfio_id *ids, size_t n,
	      char was[64], char now[64], struct err *err)
{
	char path[VFIO_PATH_MAX], back[64];
	int ret;

	read_driver(root, id, was);
	snprintf(now, 64, "%.63s", was);
	if (!id->pci)
		return err_set(err, EINVAL, "%s is no PCI function", id->name);
	if (strstr(was, "vfio"))
		return 0;
	ret = check_unused(root, id, ids, n, err);
	if (ret < 0)
		return ret;
	snprintf(path, sizeof(path), "%s/sys/bus/pci/drivers/" DRIVER, root);
	if (access(path, F_OK) < 0)
		return err_set(err, ENODEV, "the host has no driver " DRIVER ": modprobe " DRIVER);
	ret = rebind(root, id, DRIVER, now, err);
	if (ret == 0 && strcmp(now, DRIVER))
		ret = err_set(err, EIO,
			      "%s does not bind to " DRIVER "; the kernel log may say why",
			      id->name);
	if (ret < 0)
		(void)rebind(root, id, "\n", back, NULL);
	return ret;
}

int vfio_unbind(const char *root, const struct vfio_id *id, char was[64], char now[64],
		struct err *err)
{
	read_driver(root, id, was);
	snprintf(now, 64, "%.63s", was);
	if (!id->pci)
		return err_set(err, EINVAL, "%s is no PCI function", id->name);
	if (*was && !strstr(was, "vfio"))
		return err_set(err, EINVAL, "%s is bound to %s, not to " DRIVER, id->name, was);
	return rebind(root, id, "\n", now, err);
}
