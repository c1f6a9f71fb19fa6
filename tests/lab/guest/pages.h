/*
 * Pages of this process that lie where a test of DMA wants them: below 4 GiB, from there to 1 TiB,
 * above. A guest learns the guest-physical address of its pages from /proc/self/pagemap, as root.
 */
#ifndef GUEST_PAGES_H
#define GUEST_PAGES_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE	   4096
#define PAGE_CHUNK (64 * PAGE)
#define PLACES	   3
#define PAIR	   2 /* pages of a place */

static const char *const place_names[PLACES] = { "low", "below", "above" };

struct page {
	uint8_t *data; /* NULL: none was found */
	uint64_t gpa;
};

static inline unsigned place_of(uint64_t gpa)
{
	return gpa < UINT64_C(1) << 32 ? 0 : gpa < UINT64_C(1) << 40 ? 1 : 2;
}

static inline uint64_t gpa_of(int pagemap, const uint8_t *at)
{
	uint64_t entry = 0;

	if (pread(pagemap, &entry, 8, (off_t)((uintptr_t)at / PAGE * 8)) != 8 || !(entry >> 63))
		return 0;
	return (entry & ((UINT64_C(1) << 55) - 1)) * PAGE;
}

static inline bool found_all(struct page pages[PLACES][PAIR])
{
	for (unsigned p = 0; p < PLACES; p++)
		if (!pages[p][PAIR - 1].data)
			return false;
	return true;
}

static inline void keep_page(struct page pages[PLACES][PAIR], uint8_t *at, uint64_t gpa)
{
	for (unsigned i = 0; gpa && i < PAIR; i++) {
		struct page *page = &pages[place_of(gpa)][i];

		if (page->data)
			continue;
		*page = (struct page){ at, gpa };
		break;
	}
}

/* Takes memory, PAGE_CHUNK by PAGE_CHUNK, until each place has a pair, or 8/10 of it are taken. */
static inline void find_pages(struct page pages[PLACES][PAIR])
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	size_t most = (size_t)sysconf(_SC_AVPHYS_PAGES) * PAGE / 10 * 8;

	for (size_t taken = 0; taken < most && !found_all(pages); taken += PAGE_CHUNK) {
		uint8_t *at = mmap(NULL, PAGE_CHUNK, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_LOCKED, -1, 0);
		uint8_t *last = at + PAGE_CHUNK - PAGE;

		if (at == MAP_FAILED)
			break;
		keep_page(pages, at, gpa_of(pagemap, at));
		keep_page(pages, last, gpa_of(pagemap, last));
	}
	close(pagemap);
}

#endif
