/*
 * Guest memory as devices see it, RAM and files (--pmem): guest-physical spans and where this
 * process has them; and who is told of what comes and goes. Base: no system calls;
 * vmm/host/ram.c and vmm/backends/pmem.c make what is looked at here, vmm/vm/memory.c owns it.
 */
#ifndef BASE_GUEST_MEMORY_H
#define BASE_GUEST_MEMORY_H

#include "vmm/base/err.h"
#include "vmm/base/limits.h"
#include "vmm/base/span.h"

#include <stddef.h>

struct ram_block {
	struct span gpa;
	uint8_t *hva;	 /* of gpa.base */
	int fd;		 /* the file that it is, borrowed; -1: none that others may map */
	uint64_t offset; /* where it begins in that */
};

/* Borrowed; the blocks are sorted by address and never overlap. */
struct guest_ram {
	const struct ram_block *blocks;
	size_t n;
};

/*
 * The host address of `gpa`, and in *len how many bytes, of those asked for, follow it there:
 * fewer if the block ends before (the next may begin where it ended). NULL: no RAM.
 */
static inline uint8_t *guest_ram_part(const struct guest_ram *ram, uint64_t gpa, uint64_t *len)
{
	size_t low = 0, high = ram->n;

	/* The first block that ends beyond `gpa` is the only one that can hold it. */
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (ram->blocks[mid].gpa.end > gpa)
			high = mid;
		else
			low = mid + 1;
	}
	if (low == ram->n || gpa < ram->blocks[low].gpa.base)
		return NULL;
	*len = min_u64(*len, ram->blocks[low].gpa.end - gpa);
	return ram->blocks[low].hva + (gpa - ram->blocks[low].gpa.base);
}

/* The host address of all `len` bytes at `gpa`, or NULL if they do not lie in one block. */
static inline uint8_t *guest_ram_at(const struct guest_ram *ram, uint64_t gpa, uint64_t len)
{
	uint64_t got = len;
	uint8_t *at = guest_ram_part(ram, gpa, &got);

	return at && got == len ? at : NULL;
}

/* --- who is told --- */

/*
 * In this order all are told of a block that comes, in the reverse order of one that goes,
 * whoever came first: a vCPU that sees a block may hand it to a device at once, so the IOMMU must
 * have it before KVM shows it.
 */
enum guest_memory_rank {
	GUEST_MEMORY_IOMMU,
	GUEST_MEMORY_KVM,
	GUEST_MEMORY_VHOST,
	GUEST_MEMORY_VHOST_USER,
};

struct guest_memory_listener_ops {
	enum guest_memory_rank rank;
	/*
	 * Whether the listener can be told of all of this, of which it may know a part. Nobody
	 * undoes it: it changes nothing but what the next one sets anew. NULL: always.
	 */
	int (*check)(void *to, const struct guest_ram *all, struct err *err);
	/*
	 * `block` has come: one of `all`, which is all that the listener knows of now. On failure
	 * it is as before.
	 */
	int (*add)(void *to, const struct guest_ram *all, const struct ram_block *block,
		   struct err *err);
	/* `block` goes, and `all` is what is left: on return nothing uses it any more. */
	void (*remove)(void *to, const struct guest_ram *all, const struct ram_block *block);
};

struct guest_memory_listener {
	const struct guest_memory_listener_ops *ops;
	void *to;
	struct guest_memory_listener *before, *after; /* guest_memory.c's */
};

/*
 * The list and its listeners. `all` may be read by any thread and is changed by one, while no vCPU
 * runs and no queue is served: blocks move inside of it.
 */
struct guest_memory {
	struct ram_block blocks[MEMORY_BLOCKS_MAX];
	struct guest_ram all; /* of them, those that are there */
	struct guest_memory_listener *first, *last;
};

/* Empty: no block, no listener. */
void guest_memory_init(struct guest_memory *m);
/*
 * A block comes, of which the caller keeps hva and fd open until it went. All listeners are asked
 * whether they can be told of it, then all are told; if one cannot, those before him are told that
 * it went, and nothing has changed. -EEXIST: it overlaps another; -E2BIG: there are too many.
 */
int guest_memory_add(struct guest_memory *m, const struct ram_block *block, struct err *err);
/* The block at `gpa` goes, if it is there. */
void guest_memory_remove(struct guest_memory *m, struct span gpa);
/*
 * From now on the listener is told, and at once of every block that is there, by address. If that
 * fails it has been told that they went, and does not listen. It is borrowed until it does not
 * listen any more.
 */
int guest_memory_listen(struct guest_memory *m, struct guest_memory_listener *l, struct err *err);
/*
 * The listener is told that every block goes, the last one first, and listens no more. Safe for
 * one that does not listen.
 */
void guest_memory_unlisten(struct guest_memory *m, struct guest_memory_listener *l);
/*
 * The listener is told nothing and listens no more, because what it was told of ends with it: to
 * close a virtual machine or a container is faster than to take block by block from it. Likewise.
 */
void guest_memory_forget(struct guest_memory *m, struct guest_memory_listener *l);

#endif
