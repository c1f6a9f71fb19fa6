/*
 * Guest memory as devices see it, RAM and files (--pmem): guest-physical spans with the host
 * addresses at which this process has mapped them, and the listeners that are told of each block
 * added or removed. Base: no system calls; vmm/host/ram.c and vmm/backends/pmem.c map the memory,
 * vmm/vm/memory.c owns the list.
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
	int fd;		 /* of the file behind the block, borrowed; -1: none that others may map */
	uint64_t offset; /* of gpa.base in that file */
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

/* --- listeners --- */

/*
 * The order in which listeners are told of a block that is added, whoever began to listen first; a
 * block that is removed is told in the reverse order. The IOMMU must have a block before KVM shows
 * it, because a vCPU that sees it may hand it to a device at once; it comes last only while the
 * guest has no device yet (--prefault background).
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
	 * Asks whether the listener can take this whole list, a part of which it may know already.
	 * Nothing undoes a check, so it may change only what the next check sets anew. NULL: it
	 * takes any list.
	 */
	int (*check)(void *to, const struct guest_ram *all, struct err *err);
	/*
	 * `block` was added. It is one of `all`, which is the list as the listener knows it from
	 * now on. On failure the listener is as before.
	 */
	int (*add)(void *to, const struct guest_ram *all, const struct ram_block *block,
		   struct err *err);
	/*
	 * `block` is removed, and `all` is what is left. On return the listener uses no part of
	 * `block`.
	 */
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
 * Adds a block; the caller keeps its hva and fd open until it is removed. All listeners are asked
 * first (`check`), then told; if one fails, those that were told before it are told that the block
 * is removed, and nothing has changed. -EEXIST: it overlaps another block; -E2BIG: there are too
 * many.
 */
int guest_memory_add(struct guest_memory *m, const struct ram_block *block, struct err *err);
/* Removes the block that has exactly this span, if there is one. */
void guest_memory_remove(struct guest_memory *m, struct span gpa);
/*
 * Makes the listener one of those that are told, and tells it at once of every block, by address.
 * On failure it has been told that those blocks are removed, and does not listen. Borrowed while it
 * listens.
 */
int guest_memory_listen(struct guest_memory *m, struct guest_memory_listener *l, struct err *err);
/*
 * The two halves of guest_memory_listen(), for a listener that takes long: the first one tells it,
 * on any thread as long as no block comes or goes, and on failure it is as before; the second one
 * makes it listen, on the thread that adds and removes blocks. guest_memory_untell() takes back the
 * first.
 */
int guest_memory_tell(const struct guest_memory *m, const struct guest_memory_listener *l,
		      struct err *err);
void guest_memory_untell(const struct guest_memory *m, const struct guest_memory_listener *l);
void guest_memory_join(struct guest_memory *m, struct guest_memory_listener *l);
/*
 * Tells the listener that every block is removed, the last one first, and makes it listen no more.
 * Does nothing if it does not listen.
 */
void guest_memory_unlisten(struct guest_memory *m, struct guest_memory_listener *l);
/*
 * Makes the listener listen no more without telling it anything, because closing a virtual machine
 * or a container gives all memory back faster than block by block. Does nothing if it does not
 * listen.
 */
void guest_memory_forget(struct guest_memory *m, struct guest_memory_listener *l);

#endif
