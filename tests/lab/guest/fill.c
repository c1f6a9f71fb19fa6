/*
 * fill [KEEP]: takes all free memory but KEEP MiB (default 64), fills it, verifies it, and prints
 * on which side of the AMD hole its pages lie:
 *
 *	fill low_mib=N below_mib=N above_mib=N bad=N
 *
 * (below 4 GiB, from there to the hole at 0xFD_0000_0000, from 1 TiB). Every word holds its own
 * address, and verification begins when the last word is written, so two pages that are the same
 * memory show as bad. Runs in the guest, as root: /proc/self/pagemap hides addresses from others.
 *
 * fill victim: takes one page, says where it is ("lab: victim GPA"), waits for a line and reads it.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE	   4096u
#define MIB	   (UINT64_C(1) << 20)
#define HOLE_START UINT64_C(0xfd00000000)
#define HOLE_END   UINT64_C(0x10000000000)

static uint64_t available_bytes(void)
{
	char line[128];
	uint64_t kib = 0;
	FILE *f = fopen("/proc/meminfo", "r");

	while (f && fgets(line, sizeof(line), f) &&
	       sscanf(line, "MemAvailable: %" SCNu64, &kib) != 1)
		;
	if (f)
		fclose(f);
	return kib * 1024;
}

/* Documentation/admin-guide/mm/pagemap.rst: bit 63 present, bits 54:0 frame number. */
static uint64_t page_address(int pagemap, const void *page)
{
	uint64_t entry;

	if (pread(pagemap, &entry, sizeof(entry), (off_t)((uintptr_t)page / PAGE * 8)) !=
		    sizeof(entry) ||
	    !(entry >> 63))
		return 0;
	return (entry & ((UINT64_C(1) << 55) - 1)) * PAGE;
}

static int be_victim(void)
{
	volatile uint64_t *page =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return 1;
	*page = 42;
	printf("lab: victim %" PRIu64 "\n",
	       page_address(open("/proc/self/pagemap", O_RDONLY), (const void *)page));
	fflush(stdout);
	getchar();
	return *page != 42;
}

static int fill(int argc, char **argv)
{
	uint64_t keep = (argc > 1 ? strtoull(argv[1], NULL, 0) : 64) * MIB;
	uint64_t available = available_bytes(), size, words, bad = 0;
	uint64_t low = 0, below = 0, hole = 0, above = 0;
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	volatile uint64_t *mem;

	if (pagemap < 0 || available <= keep) {
		printf("fill: no pagemap or only %" PRIu64 " bytes available\n", available);
		return EXIT_FAILURE;
	}
	size = (available - keep) & ~(2 * MIB - 1);
	words = size / sizeof(*mem);
	mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED) {
		perror("fill: mmap");
		return EXIT_FAILURE;
	}
	for (uint64_t i = 0; i < words; i++)
		mem[i] = (uintptr_t)&mem[i];
	for (uint64_t i = 0; i < words; i++)
		bad += mem[i] != (uintptr_t)&mem[i];
	for (uint64_t i = 0; i < words; i += PAGE / sizeof(*mem)) {
		uint64_t at = page_address(pagemap, (const void *)&mem[i]);

		if (!at)
			bad++;
		else if (at < 4096 * MIB)
			low++;
		else if (at < HOLE_START)
			below++;
		else if (at < HOLE_END)
			hole++;
		else
			above++;
	}
	printf("fill low_mib=%" PRIu64 " below_mib=%" PRIu64 " above_mib=%" PRIu64 " bad=%" PRIu64
	       "\n",
	       low * PAGE / MIB, below * PAGE / MIB, above * PAGE / MIB, bad + hole);
	return bad || hole ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	return argc > 1 && !strcmp(argv[1], "victim") ? be_victim() : fill(argc, argv);
}
