#include "init/root.h"
#include "init/clock.h"
#include "init/kernel.h"
#include "init/say.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* In the initramfs, until the root is switched. */
#define ROOT_LOWER "/straddle/lower" /* what the host gave, read-only */
#define ROOT_UPPER "/straddle/upper" /* a tmpfs with what the guest changes */
#define ROOT_NEW   "/straddle/root"

#define ROOT_WAIT_MS 2000 /* for a device whose driver was loaded a moment ago */

/* --- mounts of every guest --- */

/* Returns 0 or -errno; a file system of this type that is there already is fine. */
static int mount_at(const char *type, const char *at, unsigned long flags, const char *data)
{
	(void)mkdir(at, 0755);
	if (mount(type, at, type, flags, data) < 0 && errno != EBUSY)
		return -errno;
	return 0;
}

/* The devices without which nothing runs, for kernels without devtmpfs. */
static void make_nodes(const char *serial)
{
	static const struct {
		const char *path;
		unsigned major, minor; /* Documentation/admin-guide/devices.txt */
	} nodes[] = {
		{ "/dev/null", 1, 3 },	 { "/dev/zero", 1, 5 },	   { "/dev/full", 1, 7 },
		{ "/dev/random", 1, 8 }, { "/dev/urandom", 1, 9 }, { "/dev/kmsg", 1, 11 },
		{ "/dev/tty", 5, 0 },	 { "/dev/console", 5, 1 }, { "/dev/ptmx", 5, 2 },
	};
	char path[64];

	(void)mount_at("tmpfs", "/dev", MS_NOSUID, "mode=0755");
	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++)
		(void)mknod(nodes[i].path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor));
	if (serial && !strncmp(serial, "ttyS", 4)) {
		snprintf(path, sizeof(path), "/dev/%s", serial);
		(void)mknod(path, S_IFCHR | 0600, makedev(4, 64 + (unsigned)atoi(serial + 4)));
	}
}

/* A kernel opens no console for an initramfs that has no /dev/console; then 0 to 2 are free. */
static void open_console(void)
{
	int fd = open("/dev/console", O_RDWR | O_NOCTTY);

	if (fd < 0)
		fd = open("/dev/null", O_RDWR);
	for (int i = 0; i < 3; i++)
		(void)dup2(fd, i);
	if (fd > 2)
		close(fd);
}

/* Directories whose files are memory. */
static void mount_memory(void)
{
	(void)mount_at("tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755");
	(void)mount_at("tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777");
}

void root_early(const char *serial)
{
	static const char *const links[][2] = {
		{ "/proc/self/fd", "/dev/fd" },
		{ "/proc/self/fd/0", "/dev/stdin" },
		{ "/proc/self/fd/1", "/dev/stdout" },
		{ "/proc/self/fd/2", "/dev/stderr" },
	};

	(void)umask(0);
	if (mount_at("devtmpfs", "/dev", MS_NOSUID, "mode=0755") < 0)
		make_nodes(serial);
	open_console();
	(void)mount_at("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	(void)mount_at("sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		(void)symlink(links[i][0], links[i][1]);
	(void)mount_at("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC,
		       "mode=0620,gid=5,ptmxmode=0666");
	(void)mount_at("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777");
	mount_memory();
}

/* The kernel gives a loopback device that is up its addresses (inetdev_event(), addrconf.c). */
static void bring_up_loopback(void)
{
	struct ifreq request = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	if (ioctl(fd, SIOCGIFFLAGS, &request) == 0) {
		request.ifr_flags |= IFF_UP;
		(void)ioctl(fd, SIOCSIFFLAGS, &request);
	}
	close(fd);
}

/* --- a virtio file system --- */

/* virtio_fs_get_tree() of fs/fuse/virtio_fs.c: EINVAL if no device has the tag. */
static int mount_fs(const char *tag, struct err *err)
{
	uint64_t deadline = clock_ms() + ROOT_WAIT_MS;

	while (mount(tag, ROOT_LOWER, "virtiofs", MS_RDONLY, NULL) < 0) {
		if (errno == ENODEV)
			return err_set(err, ENODEV,
				       "the guest's kernel has no virtiofs driver, which --root "
				       "needs: give its modules by --modules");
		if (errno != EINVAL)
			return err_sys(err, errno, "the virtio file system '%s' cannot be mounted",
				       tag);
		if (!clock_left(deadline))
			return err_set(err, EINVAL,
				       "the guest's kernel finds no virtio file system '%s': does "
				       "it have the driver virtio_pci?",
				       tag);
		clock_sleep(20);
	}
	return 0;
}

/* --- a disk --- */

static bool has_magic(const uint8_t *head, size_t len, size_t at, const char *magic)
{
	size_t size = strlen(magic);

	return at + size <= len && !memcmp(head + at, magic, size);
}

/* Numbers from include/uapi/linux/magic.h and the file systems' own headers. */
enum root_disk root_disk_kind(const uint8_t *head, size_t len)
{
	if (has_magic(head, len, 1024 + 56, "\x53\xef")) /* struct ext2_super_block.s_magic */
		return ROOT_DISK_EXT;
	if (has_magic(head, len, 0, "XFSB"))
		return ROOT_DISK_XFS;
	if (has_magic(head, len, 0x10040, "_BHRfS_M")) /* struct btrfs_super_block.magic */
		return ROOT_DISK_BTRFS;
	if (has_magic(head, len, 0, "hsqs"))
		return ROOT_DISK_SQUASHFS;
	if (has_magic(head, len, 1024, "\xe2\xe1\xf5\xe0"))
		return ROOT_DISK_EROFS;
	if (has_magic(head, len, 54, "FAT") ||
	    has_magic(head, len, 82, "FAT32")) /* the kind, in boot sectors */
		return ROOT_DISK_VFAT;
	if (has_magic(head, len, 510, "\x55\xaa"))
		return ROOT_DISK_PARTITIONS;
	return ROOT_DISK_UNKNOWN;
}

/* Finds the disk in /sys/block; its name there is that in /dev. */
static bool find_disk(char name[64], const char *serial)
{
	DIR *dir = opendir("/sys/block");
	const struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir))) {
		char text[128];

		if (entry->d_name[0] == '.' || strlen(entry->d_name) >= 64)
			continue;
		strcpy(name, entry->d_name);
		found = (kernel_read(text, sizeof(text), "/sys/block/%s/serial", name) ||
			 kernel_read(text, sizeof(text), "/sys/block/%s/device/serial", name)) &&
			!strcmp(text, serial);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* Makes the disk's node if there is no devtmpfs that has. */
static void make_disk_node(const char *path, const char *name)
{
	char text[32], *end;
	unsigned long major;

	if (access(path, F_OK) == 0)
		return;
	if (!kernel_read(text, sizeof(text), "/sys/block/%s/dev", name)) /* "254:0" */
		return;
	major = strtoul(text, &end, 10);
	if (*end == ':')
		(void)mknod(path, S_IFBLK | 0600, makedev(major, strtoul(end + 1, NULL, 10)));
}

static enum root_disk probe_disk(const char *path, struct err *err)
{
	static uint8_t head[ROOT_DISK_HEAD];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = 0;

	while (fd >= 0 && len < sizeof(head) && (n = read(fd, head + len, sizeof(head) - len)) > 0)
		len += (size_t)n;
	if (fd < 0 || n < 0)
		(void)err_sys(err, errno, "the disk %s cannot be read", path);
	if (fd >= 0)
		close(fd);
	return fd < 0 || n < 0 ? ROOT_DISK_UNKNOWN : root_disk_kind(head, len);
}

/*
 * The drivers of each kind, and the option by which each leaves a journal alone that it would have
 * to replay: the disk may not be written.
 */
static const struct {
	const char *name;
	struct {
		const char *type, *as_it_is;
	} drivers[3];
} root_disks[] = {
	[ROOT_DISK_EXT] = { "ext2, ext3 or ext4",
			    { { "ext4", "noload" }, { "ext3", "noload" }, { "ext2", NULL } } },
	[ROOT_DISK_XFS] = { "xfs", { { "xfs", "norecovery" } } },
	[ROOT_DISK_BTRFS] = { "btrfs", { { "btrfs", "rescue=nologreplay" } } },
	[ROOT_DISK_SQUASHFS] = { "squashfs", { { "squashfs", NULL } } },
	[ROOT_DISK_EROFS] = { "erofs", { { "erofs", NULL } } },
	[ROOT_DISK_VFAT] = { "vfat", { { "vfat", NULL } } },
};

/* Returns 0 or -errno; ENODEV: this kernel has no driver for it. */
static int mount_kind(const char *path, enum root_disk kind)
{
	int ret = -ENODEV;

	for (unsigned i = 0; i < 3 && root_disks[kind].drivers[i].type; i++) {
		const char *type = root_disks[kind].drivers[i].type;
		const char *as_it_is = root_disks[kind].drivers[i].as_it_is;

		if (mount(path, ROOT_LOWER, type, MS_RDONLY, NULL) == 0)
			return 0;
		if (as_it_is && errno == EROFS &&
		    mount(path, ROOT_LOWER, type, MS_RDONLY, as_it_is) == 0)
			return 0;
		if (errno != ENODEV)
			ret = -errno;
	}
	return ret;
}

static int mount_disk(const char *serial, struct err *err)
{
	uint64_t deadline = clock_ms() + ROOT_WAIT_MS;
	char name[64], path[80];
	enum root_disk kind;
	int ret;

	while (!find_disk(name, serial)) {
		if (!clock_left(deadline))
			return err_set(err, ENODEV,
				       "the guest's kernel finds no disk with the serial number "
				       "'%s': does it have the drivers virtio_pci and virtio_blk? "
				       "Give its modules by --modules",
				       serial);
		clock_sleep(20);
	}
	snprintf(path, sizeof(path), "/dev/%s", name);
	make_disk_node(path, name);
	*err->text = '\0';
	kind = probe_disk(path, err);
	if (*err->text)
		return -EIO;
	if (kind == ROOT_DISK_PARTITIONS)
		return err_set(err, EINVAL,
			       "the disk of --root has partitions; give one that is a file system "
			       "as a whole");
	if (kind == ROOT_DISK_UNKNOWN)
		return err_set(err, EINVAL,
			       "the disk of --root holds no file system that init knows: ext2 to "
			       "4, xfs, btrfs, squashfs, erofs, vfat");
	ret = mount_kind(path, kind);
	if (ret == -ENODEV)
		return err_set(err, ENODEV,
			       "the guest's kernel has no driver for the file system of --root's "
			       "disk, %s: give its modules by --modules",
			       root_disks[kind].name);
	if (ret < 0)
		return err_sys(err, -ret, "the disk of --root, %s with %s, cannot be mounted", path,
			       root_disks[kind].name);
	return 0;
}

/* --- the switch --- */

/*
 * Lays a memory file system over the root. *base is the path of the result: ROOT_LOWER itself on a
 * kernel without overlayfs.
 */
static int lay_over(const char **base, bool wanted, struct wire *w, struct err *err)
{
	int ret;

	*base = wanted ? ROOT_NEW : ROOT_LOWER;
	if (!wanted)
		return wire_step(w, err, "has a root that is read-only, but for /tmp and /run");
	ret = mount_at("tmpfs", ROOT_UPPER, 0, "mode=0755");
	if (ret < 0)
		return err_sys(err, -ret, "the guest's kernel cannot mount a tmpfs");
	if (mkdir(ROOT_UPPER "/upper", 0755) < 0 || mkdir(ROOT_UPPER "/work", 0755) < 0 ||
	    mkdir(ROOT_NEW, 0755) < 0)
		return err_sys(err, errno, "the directories for --root cannot be made");
	ret = mount_at("overlay", ROOT_NEW, 0,
		       "lowerdir=" ROOT_LOWER ",upperdir=" ROOT_UPPER "/upper,workdir=" ROOT_UPPER
		       "/work");
	if (ret == 0)
		return 0;
	*base = ROOT_LOWER;
	return wire_step(
		w, err, "has a root that is read-only, because overlayfs cannot be mounted: %s%s",
		strerror(-ret),
		ret == -ENODEV ? " (the kernel lacks it; give its modules by --modules)" : "");
}

/* Moves a mount of the initramfs to the same place of the new root. */
static int carry_mount(const char *base, const char *name, struct wire *w, struct err *err)
{
	char to[64];
	struct stat st;

	snprintf(to, sizeof(to), "%s%s", base, name);
	(void)mkdir(to, 0755);
	if (lstat(to, &st) == 0 && S_ISDIR(st.st_mode) && mount(name, to, NULL, MS_MOVE, NULL) == 0)
		return 0;
	return wire_step(w, err, "has a root without %s", name);
}

/* Deletes what is in this directory of the initramfs, to give its memory back. */
static void delete_tree(int at, const char *name, dev_t dev)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		struct stat st;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
		    fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != dev)
			continue;
		if (S_ISDIR(st.st_mode)) {
			delete_tree(fd, entry->d_name, dev);
			(void)unlinkat(fd, entry->d_name, AT_REMOVEDIR);
		} else {
			(void)unlinkat(fd, entry->d_name, 0);
		}
	}
	if (dir)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
}

/* Numbers of include/uapi/linux/magic.h: what an initramfs is unpacked into. */
#define ROOT_RAMFS 0x858458f6u
#define ROOT_TMPFS 0x01021994u

static void free_initramfs(void)
{
	struct statfs fs;
	struct stat st;

	if (statfs("/", &fs) == 0 && stat("/", &st) == 0 &&
	    ((uint32_t)fs.f_type == ROOT_RAMFS || (uint32_t)fs.f_type == ROOT_TMPFS))
		delete_tree(AT_FDCWD, "/", st.st_dev);
}

static int switch_root(const char *base, struct wire *w, struct err *err)
{
	static const char *const moved[] = { "/dev", "/proc", "/sys" };
	int ret = 0;

	/* Anew in the new root, where links have another meaning. */
	(void)umount2("/run", MNT_DETACH);
	(void)umount2("/tmp", MNT_DETACH);
	for (size_t i = 0; ret == 0 && i < sizeof(moved) / sizeof(moved[0]); i++)
		ret = carry_mount(base, moved[i], w, err);
	if (ret < 0)
		return ret;
	if (chdir(base) < 0)
		return err_sys(err, errno, "the root cannot be entered");
	free_initramfs();
	if (mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return err_sys(err, errno, "the root cannot be switched");
	return 0;
}

int root_make(const struct spec *spec, struct wire *w, struct err *err)
{
	const char *base = ROOT_LOWER;
	int ret;

	bring_up_loopback();
	if (spec->hostname)
		(void)sethostname(spec->hostname, strlen(spec->hostname));
	if (spec->root == SPEC_ROOT_NONE) {
		(void)mkdir("/root", 0700);
		return 0;
	}
	if (mkdir(ROOT_LOWER, 0755) < 0)
		return err_sys(err, errno, "the directories for --root cannot be made");
	ret = spec->root == SPEC_ROOT_FS ? mount_fs(spec->root_name, err)
					 : mount_disk(spec->root_name, err);
	if (ret == 0)
		ret = lay_over(&base, !spec->no_layer, w, err);
	if (ret == 0)
		ret = switch_root(base, w, err);
	if (ret < 0)
		return ret;
	(void)umask(0);
	mount_memory();
	(void)mkdir("/root", 0700);
	if (!strcmp(base, ROOT_LOWER))
		(void)mount_at("tmpfs", "/var/tmp", MS_NOSUID | MS_NODEV, "mode=1777");
	return 0;
}
