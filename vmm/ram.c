#include "vmm/ram.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/mman.h>
#include <stdlib.h>
#include <sys/mman.h>

#define CONGRUENCE GIB /* the largest page that nested page tables have */

static int shortage(const struct span *span, uint64_t page_size, int code, struct err *err)
{
	uint64_t pages = span_size(*span) / page_size;
	const char *size = page_size == GIB ? "1048576" : "2048";

	if (page_size == 4 * KIB)
		return err_sys(err, code,
			       "cannot reserve %" PRIu64 " MiB of address space for guest RAM at "
			       "%#" PRIx64 " (see ulimit -v)",
			       span_size(*span) / MIB, span->base);
	return err_sys(err, code,
		       "guest RAM at %#" PRIx64 " needs %" PRIu64 " free huge pages of %" PRIu64
		       " MiB; reserve them in /sys/kernel/mm/hugepages/hugepages-%skB/nr_hugepages "
		       "or use --page-size 4K",
		       span->base, pages, page_size / MIB, size);
}

/*
 * Reserves more address space than needed, keeps the congruent part and gives back the rest.
 *
 *	reserved:  |------------------------------------|
 *	kept:             |----- RAM -----|
 *	                  ^ same offset within a GiB as the guest address
 */
static int map_block(struct ram_block *b, uint64_t page_size, struct err *err)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
	uint64_t size = span_size(b->gpa);
	uint64_t room = size + CONGRUENCE;
	uint8_t *reserved, *hva;
	uint64_t skip;

	reserved = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (reserved == MAP_FAILED)
		return shortage(&b->gpa, page_size, errno, err);
	skip = (b->gpa.base - (uintptr_t)reserved) & (CONGRUENCE - 1);
	hva = reserved + skip;
	if (page_size == 4 * KIB)
		flags |= MAP_NORESERVE;
	else
		flags |= MAP_HUGETLB | (page_size == GIB ? MAP_HUGE_1GB : MAP_HUGE_2MB);
	if (mmap(hva, size, PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED) {
		int code = errno;

		munmap(reserved, room);
		return shortage(&b->gpa, page_size, code, err);
	}
	if (skip)
		munmap(reserved, skip);
	munmap(hva + size, room - skip - size);
	/* Both are advice: a kernel without them runs the guest as well. */
	madvise(hva, size, MADV_HUGEPAGE);
	madvise(hva, size, MADV_DONTDUMP);
	b->hva = hva;
	return 0;
}

int ram_create(struct ram *ram, const struct span *spans, size_t n, uint64_t page_size,
	       struct err *err)
{
	int ret;

	*ram = (struct ram)RAM_EMPTY;
	ram->blocks = calloc(n, sizeof(*ram->blocks));
	if (!ram->blocks)
		return err_sys(err, ENOMEM, "cannot list %zu spans of guest RAM", n);
	for (; ram->nr_blocks < n; ram->nr_blocks++) {
		struct ram_block *b = &ram->blocks[ram->nr_blocks];

		b->gpa = spans[ram->nr_blocks];
		ret = map_block(b, page_size, err);
		if (ret < 0) {
			ram_destroy(ram);
			return ret;
		}
	}
	return 0;
}

void ram_destroy(struct ram *ram)
{
	for (size_t i = 0; i < ram->nr_blocks; i++)
		munmap(ram->blocks[i].hva, span_size(ram->blocks[i].gpa));
	free(ram->blocks);
	*ram = (struct ram)RAM_EMPTY;
}

void *ram_at(const struct ram *ram, uint64_t gpa, uint64_t len)
{
	for (size_t i = 0; i < ram->nr_blocks; i++)
		if (span_holds(ram->blocks[i].gpa, gpa, len))
			return ram->blocks[i].hva + (gpa - ram->blocks[i].gpa.base);
	return NULL;
}
