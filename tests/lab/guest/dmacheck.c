/*
 * Checks DMA by data, never by status: writes patterns to a block device with O_DIRECT from pages
 * that lie where the test wants them, and reads them back into pages that lie elsewhere.
 *
 *	dmacheck DEVICE		lines `dma from=PLACE gpa=0x... to=PLACE gpa=0x... bad=N`
 *
 * Places: low (below 4 GiB), below (4 GiB to 1 TiB), above (from 1 TiB).
 */
#include "pages.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FIRST (16 << 20) /* bytes into the device */

static struct page pages[PLACES][PAIR]; /* one to write from, one to read into */

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
	printf("dma from=%s gpa=%#" PRIx64 " to=%s gpa=%#" PRIx64 " bad=%u\n", place_names[from],
	       out->gpa, place_names[to], in->gpa, bad);
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
	printf("dma text to=%s gpa=%#" PRIx64 " bad=%u\n", place_names[place], in->gpa, bad);
}

int main(int argc, char *argv[])
{
	int fd = argc > 1 ? open(argv[1], O_RDWR | O_DIRECT) : -1;

	if (fd < 0) {
		printf("dma bad: cannot open %s\n", argc > 1 ? argv[1] : "nothing");
		return 1;
	}
	find_pages(pages);
	for (unsigned from = 0; from < PLACES; from++)
		for (unsigned to = 0; to < PLACES; to++)
			check(fd, from, to, from * PLACES + to);
	for (unsigned place = 0; place < PLACES; place++)
		check_text(fd, place);
	return 0;
}
