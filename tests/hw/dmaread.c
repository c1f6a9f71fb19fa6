/*
 * Checks what a drive's DMA brings by data: reads the same blocks with O_DIRECT into pages that lie
 * where the test wants them, and compares. Nothing is written to the drive. The guest learns the
 * guest-physical address of its pages from /proc/self/pagemap.
 *
 *	dmaread DEVICE		lines `dma to=PLACE gpa=0x... pages=N bad=N`, and status 1 if some
 *are
 *
 * Places: low (below 4 GiB), below (4 GiB to 1 TiB), above (from 1 TiB).
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE   4096
#define CHUNK  (64 * PAGE)
#define PLACES 3
#define BLOCKS 64

static const char *const names[PLACES] = { "low", "below", "above" };

static struct page {
	uint8_t *data;
	uint64_t gpa;
} pages[PLACES];

static uint8_t wanted[BLOCKS][PAGE];

static unsigned place_of(uint64_t gpa)
{
	return gpa < UINT64_C(1) << 32 ? 0 : gpa < UINT64_C(1) << 40 ? 1 : 2;
}

static uint64_t gpa_of(int pagemap, const uint8_t *at)
{
	uint64_t entry = 0;

	if (pread(pagemap, &entry, 8, (off_t)((uintptr_t)at / PAGE * 8)) != 8 || !(entry >> 63))
		return 0;
	return (entry & ((UINT64_C(1) << 55) - 1)) * PAGE;
}

/* Takes memory, CHUNK by CHUNK, until there is a page in every place, or `most` bytes are taken. */
static void find_pages(size_t most)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	unsigned found = 0;

	for (size_t taken = 0; taken < most && found < PLACES; taken += CHUNK) {
		uint8_t *at = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_LOCKED, -1, 0);
		uint64_t gpa = at == MAP_FAILED ? 0 : gpa_of(pagemap, at);

		if (at == MAP_FAILED)
			break;
		if (!gpa || pages[place_of(gpa)].data)
			continue;
		pages[place_of(gpa)] = (struct page){ at, gpa };
		found++;
	}
	close(pagemap);
}

/* Reads blocks that are spread over the drive. Returns how many are not as they were at first. */
static unsigned compare(int fd, off_t step, const struct page *page)
{
	unsigned bad = 0;

	for (unsigned i = 0; i < BLOCKS; i++) {
		memset(page->data, (int)~i, PAGE);
		if (pread(fd, page->data, PAGE, (off_t)i * step) != PAGE)
			bad++;
		else
			bad += memcmp(page->data, wanted[i], PAGE) != 0;
	}
	return bad;
}

int main(int argc, char *argv[])
{
	int fd = argc > 1 ? open(argv[1], O_RDONLY | O_DIRECT) : -1;
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END), step = size / BLOCKS / PAGE * PAGE;
	const struct page *first = NULL;
	unsigned all = 0;

	if (step == 0) {
		printf("dma cannot read %s\n", argc > 1 ? argv[1] : "nothing");
		return 1;
	}
	find_pages((size_t)sysconf(_SC_AVPHYS_PAGES) * PAGE / 10 * 8);
	for (unsigned place = 0; place < PLACES; place++)
		if (pages[place].data && !first)
			first = &pages[place];
	for (unsigned i = 0; first && i < BLOCKS; i++) {
		memset(first->data, 0x5a, PAGE); /* which no drive brings */
		if (pread(fd, first->data, PAGE, (off_t)i * step) != PAGE)
			all++;
		memcpy(wanted[i], first->data, PAGE);
	}
	for (unsigned place = 0; place < PLACES; place++) {
		unsigned bad;

		if (!pages[place].data)
			continue;
		bad = compare(fd, step, &pages[place]);
		printf("dma to=%s gpa=%#" PRIx64 " pages=%d bad=%u\n", names[place],
		       pages[place].gpa, BLOCKS, bad);
		all += bad;
	}
	return all > 0 || !first;
}
