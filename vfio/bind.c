#include "vfio/bind.h"

#include "vfio/in_use.h"
#include "vfio/sysfs_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DRIVER	     "vfio-pci"
#define DRIVERS	     "/sys/bus/pci/drivers"
#define NOTES	     "/run/straddle/driver_override"
#define CLASS_BRIDGE 0x0604 /* PCI to PCI: a header of type 1 */

/* --- checks before a bind --- */

static int check_group(const char *root, const struct vfio_id *id, const struct vfio_id *ids,
		       size_t n, struct err *err)
{
	struct vfio_member members[VFIO_GROUP_MAX];
	unsigned nr;
	int ret = sysfs_group(root, id->group, members, VFIO_GROUP_MAX, &nr, err);

	if (ret < 0)
		return ret;
	for (unsigned i = 0; i < nr; i++) {
		bool named = false;

		for (size_t j = 0; j < n; j++)
			named |= !strcmp(ids[j].name, members[i].name);
		if (members[i].in_use && !named)
			return err_set(err, EBUSY,
				       "%s shares IOMMU group %u with %s, which is bound to %s: "
				       "name both, or unbind that driver",
				       id->name, id->group, members[i].name, members[i].driver);
	}
	return 0;
}

static void read_driver(const char *root, const struct vfio_id *id, char driver[64])
{
	sysfs_read_link(root, id->path, "driver", driver, 64);
}

int vfio_bind_check(const char *root, const struct vfio_id *id, const struct vfio_id *ids, size_t n,
		    struct err *err)
{
	char path[VFIO_PATH_MAX];
	long long class = 0;
	int ret;

	if (!id->pci)
		return err_set(err, EINVAL, "%s is no PCI function", id->name);
	if (id->vfio)
		return 0;
	(void)sysfs_read_number(root, id->path, "class", &class);
	if (class >> 8 == CLASS_BRIDGE)
		return err_set(err, EINVAL, "%s is a bridge; only devices can be passed through",
			       id->name);
	if (id->has_group) {
		ret = check_group(root, id, ids, n, err);
		if (ret < 0)
			return ret;
	}
	ret = vfio_check_unused(root, id, err);
	if (ret < 0)
		return ret;
	snprintf(path, sizeof(path), "%s" DRIVERS "/" DRIVER, root);
	if (access(path, F_OK) < 0)
		return err_set(err, ENODEV, "the host has no driver " DRIVER ": modprobe " DRIVER);
	return 0;
}

/* --- drivers --- */

static int bind_write_file(const char *root, const char *dir, const char *name, int flags,
			   const char *text, struct err *err)
{
	char path[VFIO_PATH_MAX];
	ssize_t len = (ssize_t)strlen(text), n;
	int fd, code;

	if (sysfs_path(path, root, dir, name) < 0)
		return err_sys(err, ENAMETOOLONG, "%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0644);
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

/* Reads driver_override; "" if there is none, for which the kernel prints "(null)". */
static void read_override(const char *root, const char *dir, const char *name, char override[64])
{
	if (sysfs_read(root, dir, name, override, 64) < 0)
		*override = '\0';
	override[strcspn(override, "\n")] = '\0';
	if (!strcmp(override, "(null)"))
		*override = '\0';
}

/*
 * Unbinds the function from its driver and binds it to the one that `override` names; "": the
 * kernel chooses.
 */
static int rebind(const char *root, const struct vfio_id *id, const char *override, char now[64],
		  struct err *err)
{
	int ret = bind_write_file(root, id->path, "driver_override", 0, *override ? override : "\n",
				  err);

	read_driver(root, id, now);
	if (ret < 0)
		return ret;
	if (*now) {
		ret = bind_write_file(root, id->path, "driver/unbind", 0, id->name, err);
		if (ret < 0)
			goto out;
	}
	ret = bind_write_file(root, "/sys/bus/pci", "drivers_probe", 0, id->name, err);
out:
	read_driver(root, id, now);
	return ret;
}

/* --- the host's own driver_override, kept while vfio-pci's is in its place --- */

static void make_directories(const char *root)
{
	static const char *const dirs[] = { "/run", "/run/straddle", NOTES };
	char path[VFIO_PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		if (snprintf(path, sizeof(path), "%s%s", root, dirs[i]) < (int)sizeof(path))
			(void)mkdir(path, 0755); /* if that fails, writing the file reports it */
}

static int note_override(const char *root, const struct vfio_id *id, const char *override,
			 struct err *err)
{
	if (!*override || !strcmp(override, DRIVER))
		return 0;
	make_directories(root);
	return bind_write_file(root, NOTES, id->name, O_CREAT | O_TRUNC, override, err);
}

static void forget_override(const char *root, const struct vfio_id *id)
{
	char path[VFIO_PATH_MAX];

	if (sysfs_path(path, root, NOTES, id->name) == 0)
		(void)unlink(path);
}

/* --- bind and unbind --- */

int vfio_bind(const char *root, const struct vfio_id *id, struct vfio_move *move, struct err *err)
{
	int ret;

	read_driver(root, id, move->was);
	snprintf(move->now, sizeof(move->now), "%s", move->was);
	read_override(root, id->path, "driver_override", move->override);
	if (id->vfio)
		return 0;
	ret = note_override(root, id, move->override, err);
	if (ret < 0)
		return ret;
	ret = rebind(root, id, DRIVER, move->now, err);
	if (ret < 0)
		goto fail;
	if (strcmp(move->now, DRIVER)) {
		ret = err_set(err, EIO,
			      "%s does not bind to " DRIVER "; the kernel log may say why",
			      id->name);
		goto fail;
	}
	return 0;

fail:
	vfio_bind_undo(root, id, move);
	return ret;
}

/* Names the old driver, because the kernel does not choose a driver that was bound by hand. */
void vfio_bind_undo(const char *root, const struct vfio_id *id, struct vfio_move *move)
{
	char dir[VFIO_PATH_MAX];

	if (id->vfio)
		return;
	(void)rebind(root, id, move->override, move->now, NULL);
	if (*move->was && !*move->now) {
		snprintf(dir, sizeof(dir), DRIVERS "/%s", move->was);
		(void)bind_write_file(root, dir, "bind", 0, id->name, NULL);
		read_driver(root, id, move->now);
	}
	forget_override(root, id);
}

int vfio_unbind(const char *root, const struct vfio_id *id, struct vfio_move *move, struct err *err)
{
	int ret;

	read_driver(root, id, move->was);
	snprintf(move->now, sizeof(move->now), "%s", move->was);
	if (!id->pci)
		return err_set(err, EINVAL, "%s is no PCI function", id->name);
	if (*move->was && !strstr(move->was, "vfio"))
		return err_set(err, EINVAL, "%s is bound to %s, not to " DRIVER, id->name,
			       move->was);
	ret = vfio_check_no_functions(root, id, err);
	if (ret < 0)
		return ret;
	read_override(root, NOTES, id->name, move->override);
	ret = rebind(root, id, move->override, move->now, err);
	if (ret < 0)
		return ret;
	forget_override(root, id);
	return 0;
}
