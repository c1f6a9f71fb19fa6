/*
 * An image for ourselves, or for readers alone: against other programs, and against this host's own
 * kernel.
 *
 * Host side. Locks of open file descriptions (fcntl(2)), on the bytes that QEMU locks, so that
 * either keeps the other out; and the claim of a block device that mounts, swap, LVM, md and
 * device-mapper make, too. Both wait a second for whoever has the file: it may be a process that
 * was killed and whose requests are not done yet.
 */
#ifndef HOST_FILE_LOCK_H
#define HOST_FILE_LOCK_H

#include "vmm/base/err.h"

#include <stdbool.h>

/*
 * Keeps a file to ourselves (`alone`) or to readers, for as long as this open file is open. -EBUSY:
 * somebody has it; the sentence names `option` and `path`, and ends with the way out. 0 also where
 * the kernel or the file system has no locks.
 */
int file_lock(int fd, const char *option, const char *path, bool alone, const char *way_out,
	      struct err *err);

/*
 * For a block device that is to be written: opens `path` with `flags` once more, as one that
 * nothing else of this host may have (O_EXCL), and puts that in the place of *fd; any other file
 * stays as it is. -EBUSY: it is mounted, or a part of something.
 */
int file_claim(int *fd, const char *option, const char *path, int flags, const char *way_out,
	       struct err *err);

#endif
