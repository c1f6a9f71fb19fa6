/*
 * Checks what a drive's DMA brings by data: reads the same blocks with O_DIRECT into pages that lie
 * where the test wants them, and compares. Nothing is written to the drive.
 *
 *	dmaread DEVICE		lines `dma to=PLACE gpa=0x... pages=N bad=N`
 *
 * Status 1: some are bad, or it cannot read.
 *
 * Places: low (below 4 GiB), below (4 GiB to 1 TiB), above (from 1 TiB).
 */
#include "../lab/guest/pages.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BLOCKS 64

static struct page pages[PLACES][PAIR];

static uint8_t wanted[BLOCKS][PAGE];

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
	find_pages(pages);
	for (unsigned place = 0; place < PLACES; place++)
		if (pages[place][0].data && !first)
			first = &pages[place][0];
	for (unsigned i = 0; first && i < BLOCKS; i++) {
		memset(first->data, 0x5a, PAGE); /* which no drive brings */
		if (pread(fd, first->data, PAGE, (off_t)i * step) != PAGE)
			all++;
		memcpy(wanted[i], first->data, PAGE);
	}
	for (unsigned place = 0; place < PLACES; place++) {
		unsigned bad;

		if (!pages[place][0].data)
			continue;
		bad = compare(fd, step, &pages[place][0]);
		printf("dma to=%s gpa=%#" PRIx64 " pages=%d bad=%u\n", place_names[place],
		       pages[place][0].gpa, BLOCKS, bad);
		all += bad;
	}
	return all > 0 || !first;
}
