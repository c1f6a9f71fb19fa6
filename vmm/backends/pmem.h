/*
 * A file that the guest has as memory (--pmem): mapped here, shown by KVM, written back when the
 * guest flushes it.
 *
 * Host side. Opened once, outlives guest resets. Its blocks are reserved on the host's disk at
 * once: a file system that is full later could not tell the guest but by ending it.
 */
#ifndef BACKENDS_PMEM_H
#define BACKENDS_PMEM_H

#include "vmm/base/err.h"
#include "vmm/base/span.h"

#include <stdbool.h>

struct pmem {
	int fd;		  /* -1: not open */
	const char *path; /* borrowed */
	bool private;	  /* what is written stays in this process */
	struct span gpa;
	uint8_t *hva;	  /* of gpa.base; NULL: not mapped */
	int sync_error;	  /* of the first flush that failed */
	bool is_flushing; /* atomic */
};

#define PMEM_EMPTY       \
	{                \
		.fd = -1 \
	}

/* The bytes of a file or block device that can be memory: whole pages of 2 MiB. -EINVAL otherwise.
 */
int pmem_size(const char *path, uint64_t *size, struct err *err);
/* Maps all of it, for a guest that has it at `gpa`, whose size is pmem_size's. */
int pmem_open(struct pmem *p, const char *path, bool private, struct span gpa, struct err *err);
void pmem_close(struct pmem *p);

/*
 * Has `inotify` tell when somebody writes to the file or changes its size; false: it cannot, as of
 * a block device. A guest that touches what is cut off may not go on, and KVM does not tell: it
 * tries for ever, in its workers for asynchronous page faults (virt/kvm/async_pf.c), to get the
 * page.
 */
bool pmem_watch(const struct pmem *p, int inotify);

/*
 * Returns when all that the guest wrote before is on the disk. A negative errno: it is not, and no
 * later flush can say otherwise: the kernel takes what it could not write for written, and tells of
 * it once. There is a sentence the first time. One thread at a time.
 */
int pmem_flush(struct pmem *p, struct err *err);

#endif
