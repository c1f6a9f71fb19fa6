/*
 * A file that is persistent memory of the guest (--pmem): mapped into this process and the guest,
 * and written back when the guest flushes it.
 *
 * Host side. Opened once, outlives guest resets. Its blocks are reserved on the host's disk at
 * once, because a write to a mapped page for which a full file system has no block would end the
 * guest.
 */
#ifndef BACKENDS_PMEM_H
#define BACKENDS_PMEM_H

#include "vmm/base/err.h"
#include "vmm/base/span.h"

#include <stdbool.h>

struct pmem {
	int fd;		  /* -1: not open */
	const char *path; /* borrowed */
	bool private;	  /* writes stay in this process's memory */
	struct span gpa;
	uint8_t *hva;	  /* of gpa.base; NULL: not mapped */
	int sync_error;	  /* of the first flush that failed */
	bool is_flushing; /* atomic */
};

#define PMEM_EMPTY       \
	{                \
		.fd = -1 \
	}

/* Finds the size in bytes of a file or block device. -EINVAL if it is not a multiple of 2 MiB. */
int pmem_size(const char *path, uint64_t *size, struct err *err);
/*
 * Opens the file and maps it for a guest that has it at `gpa`, which has the size from pmem_size().
 */
int pmem_open(struct pmem *p, const char *path, bool private, struct span gpa, struct err *err);
void pmem_close(struct pmem *p);

/*
 * Adds the file to `inotify`, which then reports writes and changes of size; false: not possible,
 * as for a block device. This is needed because KVM reports nothing when a guest accesses a part
 * that was cut off: its workers for asynchronous page faults (virt/kvm/async_pf.c) try for ever to
 * get the page.
 */
bool pmem_watch(const struct pmem *p, int inotify);

/*
 * Returns 0 when all earlier writes of the guest are on the disk. A negative errno: some are not.
 * All later flushes fail as well, because the kernel counts pages that it could not write as
 * written, and reports the error only once. The sentence is written the first time only. Called by
 * one thread at a time.
 */
int pmem_flush(struct pmem *p, struct err *err);

#endif
