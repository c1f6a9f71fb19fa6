#include "vmm/backends/pmem.h"

#include "vmm/host/fault.h"
#include "vmm/host/file_lock.h"
#include "vmm/host/ram.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNIT (2 * MIB) /* Linux maps persistent memory in units of this size (mm/memremap.c) */

static int find_size(int fd, const char *path, uint64_t *size, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, "--pmem %s cannot be looked at", path);
	*size = (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, size) < 0)
		return err_sys(err, errno, "--pmem %s does not say its size", path);
	if (!S_ISBLK(st.st_mode) && !S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "--pmem %s is neither a file nor a block device", path);
	if (!*size)
		return err_set(err, EINVAL,
			       "--pmem %s is empty; give it a size first, such as truncate -s 1G",
			       path);
	if (*size % UNIT)
		return err_set(err, EINVAL,
			       "--pmem %s has %" PRIu64 " bytes; it must have a multiple of 2 MiB: "
			       "truncate -s %%2M makes it one",
			       path, *size);
	return 0;
}

static int pmem_open_file(const char *path, int flags, struct err *err)
{
	int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 && errno == EISDIR)
		return err_set(err, EINVAL, "--pmem %s is a directory", path);
	if (fd < 0)
		return err_sys(err, errno, "--pmem %s cannot be opened%s", path,
			       (flags & O_RDWR) && (errno == EACCES || errno == EROFS)
				       ? " for writing (or is private=on meant?)"
				       : "");
	return fd;
}

int pmem_size(const char *path, uint64_t *size, struct err *err)
{
	int fd = pmem_open_file(path, O_RDONLY, err), ret;

	if (fd < 0)
		return fd;
	ret = find_size(fd, path, size, err);
	close(fd);
	return ret;
}

static int map_file(struct pmem *p, struct err *err)
{
	uint64_t size = span_size(p->gpa);
	int flags = p->private ? MAP_PRIVATE | MAP_NORESERVE : MAP_SHARED;
	uint8_t *at = ram_reserve(p->gpa);

	if (!at)
		return err_sys(err, errno, "--pmem %s: there is no address space for it", p->path);
	p->hva = at;
	if (mmap(at, size, PROT_READ | PROT_WRITE, flags | MAP_FIXED, p->fd, 0) == MAP_FAILED)
		return err_sys(err, errno, "--pmem %s cannot be mapped", p->path);
	/* Errors are ignored, because the guest runs without the advice as well. */
	madvise(at, size, MADV_HUGEPAGE);
	madvise(at, size, MADV_DONTDUMP);
	fault_list(&(struct fault_range){
		.at = at,
		.len = size,
		.is_guest = true,
		.gpa = p->gpa.base,
		.option = "--pmem",
		.path = p->path,
		.fd = p->fd,
	});
	return 0;
}

int pmem_open(struct pmem *p, const char *path, bool private, struct span gpa, struct err *err)
{
	uint64_t size;
	int ret;

	*p = (struct pmem)PMEM_EMPTY;
	p->path = path;
	p->private = private;
	p->gpa = gpa;
	p->fd = pmem_open_file(path, private ? O_RDONLY : O_RDWR, err);
	if (p->fd < 0)
		return p->fd;
	if (!private) {
		ret = file_claim(&p->fd, "--pmem", path, O_RDWR | O_CLOEXEC, "use private=on", err);
		if (ret < 0)
			goto fail;
	}
	ret = file_lock(p->fd, "--pmem", path, !private, "use private=on in both", err);
	if (ret < 0)
		goto fail;
	ret = find_size(p->fd, path, &size, err);
	if (ret < 0)
		goto fail;
	if (size != span_size(gpa)) {
		ret = err_set(err, EINVAL, "--pmem %s has changed its size meanwhile", path);
		goto fail;
	}
	/* EOPNOTSUPP: a block device, or a file system without fallocate. */
	if (!private && fallocate(p->fd, 0, 0, (off_t)size) < 0 && errno != EOPNOTSUPP) {
		ret = err_sys(err, errno,
			      "--pmem %s: its file system has no room for all its %" PRIu64 " MiB",
			      path, size / MIB);
		goto fail;
	}
	ret = map_file(p, err);
	if (ret < 0)
		goto fail;
	return 0;

fail:
	pmem_close(p);
	return ret;
}

bool pmem_watch(const struct pmem *p, int inotify)
{
	char own[sizeof("/proc/self/fd/") + 10];

	/* Watched by descriptor, because another file may have its name by now. */
	snprintf(own, sizeof(own), "/proc/self/fd/%d", p->fd);
	return inotify_add_watch(inotify, own, IN_MODIFY) >= 0;
}

void pmem_close(struct pmem *p)
{
	if (p->hva) {
		fault_unlist(p->hva);
		munmap(p->hva, span_size(p->gpa));
	}
	if (p->fd >= 0)
		close(p->fd);
	*p = (struct pmem)PMEM_EMPTY;
}

int pmem_flush(struct pmem *p, struct err *err)
{
	if (p->private || p->sync_error)
		return p->sync_error;
	__atomic_store_n(&p->is_flushing, true, __ATOMIC_RELAXED);
	if (fdatasync(p->fd) < 0)
		p->sync_error = -errno;
	__atomic_store_n(&p->is_flushing, false, __ATOMIC_RELAXED);
	if (!p->sync_error)
		return 0;
	return err_sys(
		err, -p->sync_error,
		"--pmem %s could not be written: what the guest wrote of late is lost in "
		"part; each flush of this file fails from now on, until straddle starts anew",
		p->path);
}
