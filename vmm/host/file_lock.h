/*
 * Keeps an image from other programs and from this host's own kernel: from all of them, or from
 * those that write.
 *
 * Host side. Locks of open file descriptions (fcntl(2)), on the bytes that QEMU locks, so that
 * either keeps the other out; and the exclusive claim of a block device that mounts, swap, LVM, md
 * and device-mapper make as well. Both wait up to a second for the present holder, because that may
 * be a process that was killed and whose requests are not complete yet.
 */
#ifndef HOST_FILE_LOCK_H
#define HOST_FILE_LOCK_H

#include "vmm/base/err.h"

#include <stdbool.h>

/*
 * Locks a file against all other programs (`alone`) or against those that write, for as long as
 * this open file is open. -EBUSY: another process holds it; the sentence names `option` and `path`,
 * and ends with the way out. 0 also where the kernel or the file system has no locks.
 */
int file_lock(int fd, const char *option, const char *path, bool alone, const char *way_out,
	      struct err *err);

/*
 * Claims a block device that is to be written: opens `path` with `flags` and O_EXCL, closes *fd and
 * replaces it. Does nothing for any other file. -EBUSY: the device is mounted, or is part of
 * another one.
 */
int file_claim(int *fd, const char *option, const char *path, int flags, const char *way_out,
	       struct err *err);

#endif
