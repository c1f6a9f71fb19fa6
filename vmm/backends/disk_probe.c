#include "vmm/backends/disk_internal.h"

#include "vmm/backends/disk_format.h"
#include "vmm/base/span.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define SECTOR 512

/* --- the kind of file --- */

int disk_probe_type(struct disk *d, struct err *err)
{
	struct stat st;

	if (fstat(d->fd, &st) < 0)
		return err_sys(err, errno, "--disk %s cannot be looked at", d->path);
	if (S_ISDIR(st.st_mode))
		return err_set(err, EINVAL,
			       "--disk %s is a directory; a disk is a file or a block "
			       "device",
			       d->path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_set(err, EINVAL, "--disk %s is neither a file nor a block device",
			       d->path);
	d->is_device = S_ISBLK(st.st_mode);
	return 0;
}

/* Finds the size of the file or device in bytes. */
static int find_end(const struct disk *d, uint64_t *size, struct err *err)
{
	struct stat st;

	if (fstat(d->fd, &st) < 0)
		return err_sys(err, errno, "--disk %s cannot be looked at", d->path);
	*size = (uint64_t)st.st_size;
	if (d->is_device && ioctl(d->fd, BLKGETSIZE64, size) < 0)
		return err_sys(err, errno, "--disk %s does not say its size", d->path);
	return 0;
}

int disk_probe_format(const struct disk *d, struct err *err)
{
	uint8_t head[DISK_FORMAT_HEAD], tail[DISK_FORMAT_TAIL];
	const char *format;
	ssize_t n, m = 0;
	uint64_t size;
	int ret = find_end(d, &size, err);

	if (ret < 0 || d->options.raw)
		return ret;
	/*
	 * A read error here is ignored, because it says nothing about the format; the guest meets
	 * it when it reads.
	 */
	n = pread(d->fd, head, sizeof(head), 0);
	if (size >= sizeof(tail))
		m = pread(d->fd, tail, sizeof(tail), (off_t)(size - sizeof(tail)));
	format = disk_format(head, n < 0 ? 0 : (size_t)n, tail, m < 0 ? 0 : (size_t)m);
	if (!format)
		return 0;
	return err_set(
		err, EINVAL,
		"--disk %s has the format %s, and straddle serves raw images: have "
		"qemu-storage-daemon serve it (--disk vhost-user=SOCKET), or make it raw "
		"(qemu-img convert -O raw); if it is raw, and its guest wrote that there, say "
		"%s,format=raw",
		d->path, format, d->path);
}

/* --- the size of its blocks --- */

/* Whether the file is on a disk of larger blocks, which O_DIRECT can only read and write whole. */
static bool needs_whole_blocks(int direct)
{
	_Alignas(DISK_BLOCK_MAX) uint8_t sector[SECTOR];

	return pread(direct, sector, SECTOR, 0) < 0 && errno == EINVAL;
}

/*
 * The alignment of O_DIRECT in bytes; 0: the kernel (before 6.1) or the file system does not report
 * it.
 */
static uint32_t direct_alignment(int direct)
{
#ifdef STATX_DIOALIGN
	struct statx st;

	if (statx(direct, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) == 0 &&
	    (st.stx_mask & STATX_DIOALIGN))
		return st.stx_dio_offset_align;
#endif
	(void)direct;
	return 0;
}

/* Returns `bytes` if it is a power of two and not less than `least`, else `least`. */
static uint32_t sane(uint64_t bytes, uint32_t least)
{
	return bytes > least && bytes <= UINT32_MAX && !(bytes & (bytes - 1)) ? (uint32_t)bytes
									      : least;
}

/* Reads the topology of a block device. Values that the kernel does not report stay 0. */
static void probe_device(struct disk *d)
{
	unsigned physical = 0, min_io = 0, opt_io = 0;
	int first = 0;

	(void)ioctl(d->fd, BLKPBSZGET, &physical);
	(void)ioctl(d->fd, BLKALIGNOFF, &first);
	(void)ioctl(d->fd, BLKIOMIN, &min_io);
	(void)ioctl(d->fd, BLKIOOPT, &opt_io);
	d->topology = (struct disk_topology){
		.physical = sane(physical, d->block_size),
		.first = first > 0 ? (uint32_t)first : 0, /* -1: the device is not aligned at all */
		.min_io = min_io,
		.opt_io = opt_io,
	};
}

int disk_probe_blocks(struct disk *d, int direct, struct err *err)
{
	struct stat st;
	int block = SECTOR;

	if (d->is_device && ioctl(d->fd, BLKSSZGET, &block) < 0)
		return err_sys(err, errno, "--disk %s does not say the size of its blocks",
			       d->path);
	if (!d->is_device && direct >= 0) {
		block = (int)sane(direct_alignment(direct), SECTOR);
		if (block == SECTOR && needs_whole_blocks(direct))
			block = DISK_BLOCK_MAX;
	}
	if (block > DISK_BLOCK_MAX && direct >= 0)
		return err_set(
			err, EINVAL,
			"--disk %s has blocks of %d bytes, and guests know at most %u; leave "
			"direct=on out",
			d->path, block, DISK_BLOCK_MAX);
	d->block_size = (uint32_t)min_u64((unsigned)block, DISK_BLOCK_MAX);
	if (d->is_device)
		probe_device(d);
	if (d->options.is_private) { /* less than a cluster is copied first: disk_overlay.h */
		d->topology.physical = (uint32_t)max_u64(d->topology.physical, DISK_CLUSTER);
		d->topology.first = 0;
		return 0;
	}
	if (d->is_device)
		return 0;
	/* The file system's block, or a page of the page cache. */
	if (fstat(d->fd, &st) < 0)
		return err_sys(err, errno, "--disk %s cannot be looked at", d->path);
	block = (int)min_u64(sane((uint64_t)st.st_blksize, d->block_size), DISK_BLOCK_MAX);
	d->topology = (struct disk_topology){ .physical = (uint32_t)block };
	return 0;
}

int disk_probe_size(struct disk *d, struct err *err)
{
	uint64_t size;
	int ret = find_end(d, &size, err);

	if (ret < 0)
		return ret;
	if (!size)
		return err_set(err, EINVAL,
			       "--disk %s is empty; give it a size first, such as truncate -s 10G",
			       d->path);
	if (size % d->block_size)
		return err_set(err, EINVAL,
			       "--disk %s has %" PRIu64 " bytes, which is no multiple of %u; "
			       "truncate -s %%%u makes it one",
			       d->path, size, d->block_size, d->block_size);
	d->size = size;
	return 0;
}

/* --- discards --- */

/*
 * Reads a number of /sys/block/DISK/queue, for a partition that of its disk. 0: the kernel does not
 * report it.
 */
static uint64_t queue_number(dev_t dev, const char *name)
{
	static const char *const places[] = { "", "../" };
	char path[128], text[32];

	for (unsigned i = 0; i < 2; i++) {
		ssize_t n = -1;
		int fd;

		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%squeue/%s", major(dev),
			 minor(dev), places[i], name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
		if (n <= 0)
			return 0;
		text[n] = '\0';
		return strtoull(text, NULL, 10);
	}
	return 0;
}

/*
 * Whether the file system can punch holes. Tried beyond the end of the file, where no data can be
 * lost.
 */
static bool makes_holes(const struct disk *d)
{
	int fd = d->options.is_private ? d->overlay.fd : d->fd;

	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)d->size,
			 DISK_BLOCK_MAX) == 0 ||
	       (errno != EOPNOTSUPP && errno != ENOSYS);
}

int disk_probe_discard(struct disk *d, struct err *err)
{
	struct disk_topology *t = &d->topology;
	struct stat st;

	t->discard_max = 0;
	t->discard_granularity = t->physical;
	if (!d->options.discard || d->options.readonly)
		return 0;
	if (!d->is_device || d->options.is_private) {
		t->discard_max = makes_holes(d) ? UINT64_MAX : 0;
		return 0;
	}
	if (fstat(d->fd, &st) < 0)
		return err_sys(err, errno, "--disk %s cannot be looked at", d->path);
	t->discard_max = queue_number(st.st_rdev, "discard_max_bytes");
	t->discard_granularity = (uint32_t)max_u64(
		min_u64(queue_number(st.st_rdev, "discard_granularity"), UINT32_MAX - SECTOR + 1),
		d->block_size);
	return 0;
}
