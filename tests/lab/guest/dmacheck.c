/*
 * Checks DMA by data, never by status: writes patterns to a block device with O_DIRECT from pages
 * that lie where the test wants them, and reads them back into pages that lie elsewhere. The guest
 * learns the guest-physical address of its pages from /proc/self/pagemap.
 *
 *	dmacheck DEVICE		lines `dma from=PLACE gpa=0x... to=PLACE gpa=0x... bad=N`
 *
 * Places: low (below 4 GiB), below (4 GiB to 1 TiB), above (from 1 TiB).
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE   4096
#define CHUNK  (64 * PAGE)
#define PLACES 3
#define PAIR   2	  /* one page to write from, one to read into */
#define FIRST  (16 << 20) /* bytes into the device */

static const char *const names[PLACES] = { "low", "below", "above" };

static struct page {
	uint8_t *data;
	uint64_t gpa;
} pages[PLACES][PAIR];

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

static bool found_all(void)
{
	for (unsigned p = 0; p < PLACES; p++)
		if (!pages[p][PAIR - 1].data)
			return false;
	return true;
}

static void keep(uint8_t *at, uint64_t gpa)
{
	for (unsigned i = 0; gpa && i < PAIR; i++) {
		struct page *page = &pages[place_of(gpa)][i];

		if (page->data)
			continue;
		*page = (struct page){ at, gpa };
		break;
	}
}

/* Takes memory, CHUNK by CHUNK, until there is a pair of pages in every place, or memory ends. */
static void find_pages(size_t most)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY);

	for (size_t taken = 0; taken < most && !found_all(); taken += CHUNK) {
		uint8_t *at = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_LOCKED, -1, 0);

		if (at == MAP_FAILED)
			break;
		keep(at, gpa_of(pagemap, at));
		keep(at + CHUNK - PAGE, gpa_of(pagemap, at + CHUNK - PAGE));
	}
	close(pagemap);
}

static uint8_t pattern(unsigned seed, unsigned i)
{
	return (uint8_t)(seed * 37 + i * 11 + (i >> 8) * 101);
}

static void check(int fd, unsigned from, unsigned to, unsigned seed)
{
	const struct page *out = &pages[from][0], *in = &pages[to][1];
	off_t at = FIRST + (off_t)seed * PAGE;
	unsigned bad = 0;

	if (!out->data || !in->data)
		return;
	for (unsigned i = 0; i < PAGE; i++)
		out->data[i] = pattern(seed, i);
	memset(in->data, 0, PAGE);
	if (pwrite(fd, out->data, PAGE, at) != PAGE)
		bad += PAGE;
	memset(out->data, 0, PAGE); /* what comes back comes from the device */
	if (pread(fd, in->data, PAGE, at) != PAGE)
		bad += PAGE;
	for (unsigned i = 0; i < PAGE; i++)
		bad += in->data[i] != pattern(seed, i);
	printf("dma from=%s gpa=%#" PRIx64 " to=%s gpa=%#" PRIx64 " bad=%u\n", names[from],
	       out->gpa, names[to], in->gpa, bad);
}

/* The disk's first sectors say their own number: what the host wrote there. */
static void check_text(int fd, unsigned place)
{
	struct page *in = &pages[place][1];
	unsigned bad = 0;
	char want[512];

	if (!in->data)
		return;
	memset(in->data, 0, PAGE);
	if (pread(fd, in->data, PAGE, 64 * PAGE) != PAGE)
		bad++;
	for (unsigned i = 0; i < PAGE / 512; i++) {
		int n = snprintf(want, sizeof(want), "straddle lab disk, sector %06u", 64 * 8 + i);

		bad += memcmp(in->data + i * 512, want, (size_t)n) != 0;
	}
	printf("dma text to=%s gpa=%#" PRIx64 " bad=%u\n", names[place], in->gpa, bad);
}

int main(int argc, char *argv[])
{
	int fd = argc > 1 ? open(argv[1], O_RDWR | O_DIRECT) : -1;

	if (fd < 0) {
		printf("dma bad: cannot open %s\n", argc > 1 ? argv[1] : "nothing");
		return 1;
	}
	find_pages((size_t)sysconf(_SC_AVPHYS_PAGES) * PAGE / 10 * 8);
	for (unsigned from = 0; from < PLACES; from++)
		for (unsigned to = 0; to < PLACES; to++)
			check(fd, from, to, from * PLACES + to);
	for (unsigned place = 0; place < PLACES; place++)
		check_text(fd, place);
	return 0;
}
