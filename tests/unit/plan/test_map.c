/*
 * The address map against its oracle: named layouts, boundaries and random worlds; and map_check()
 * against broken maps.
 */
#include "tests/unit/plan/oracle.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HT_HOLE	     UINT64_C(0xfd00000000), UINT64_C(0x10000000000)
#define RANDOM_CASES 20000
#define RANDOM_SEED  UINT64_C(0x5354524144444c45)

static struct map_request req;
static struct map map;
static struct err err;

/* --- asking --- */

static void ask(uint64_t ram, unsigned bits)
{
	memset(&req, 0, sizeof(req));
	memset(&err, 0, sizeof(err));
	req.ram_size = ram;
	req.align = 2 * MIB;
	req.guest_bits = req.host_bits = bits;
}

static void forbid(uint64_t base, uint64_t end, const char *why)
{
	struct map_forbidden *f = &req.forbidden[req.nr_forbidden++];

	f->at = (struct span){ base, end };
	snprintf(f->why, sizeof(f->why), "%s", why);
}

static void agree(void)
{
	char why[512], text[16384];

	if (oracle_agrees(&req, why, sizeof(why)))
		return;
	oracle_describe(&req, text, sizeof(text));
	fail_msg("%s\n%s", why, text);
}

/* The oracle agrees, and there is a map. */
static void fits(void)
{
	agree();
	if (map_build(&map, &req, &err))
		fail_msg("refused: %s", err.text);
}

/* The oracle agrees that there is none, and the sentence has all the words. */
static void does_not_fit(const char *word1, const char *word2)
{
	agree();
	assert_int_equal(map_build(&map, &req, &err), -ERANGE);
	if (!strstr(err.text, word1) || !strstr(err.text, word2))
		fail_msg("expected '%s' and '%s' in: %s", word1, word2, err.text);
	assert_null(strchr(err.text, '\n'));
}

static void expect(enum map_kind kind, unsigned n, const struct span *want)
{
	unsigned found = 0;

	for (unsigned i = 0; i < map.nr_regions; i++) {
		const struct map_region *r = &map.regions[i];

		if (r->kind != kind)
			continue;
		if (found >= n || r->at.base != want[found].base || r->at.end != want[found].end)
			fail_msg("%s number %u: unexpected %#" PRIx64 "-%#" PRIx64,
				 map_kind_name(kind), found, r->at.base, r->at.end);
		found++;
	}
	if (found != n)
		fail_msg("%s: %u regions instead of %u", map_kind_name(kind), found, n);
}

#define EXPECT(kind, ...)                                    \
	do {                                                 \
		const struct span want_[] = { __VA_ARGS__ }; \
		expect(kind, ARRAY_SIZE(want_), want_);      \
	} while (0)

/* --- layouts worked out by hand --- */

static void test_small(void **state)
{
	(void)state;
	ask(256 * MIB, 39);
	fits();
	EXPECT(MAP_RAM, { 0, 256 * MIB });
	EXPECT(MAP_PCI32, { 3 * GIB, 0xe0000000 }, { 0xf0000000, 0xfec00000 });
	EXPECT(MAP_ECAM, { 0xe0000000, 0xf0000000 });
	EXPECT(MAP_APIC, { 0xfec00000, 0xfef00000 });
	EXPECT(MAP_RESERVED, { 0xfeffc000, 0xff000000 });
	EXPECT(MAP_ROM, { 0xff000000, 4 * GIB });
	EXPECT(MAP_PCI64, { 4 * GIB, 68 * GIB });
	assert_int_equal(map.bits_required, 37);
	assert_int_equal(map_total(&map, MAP_RAM), 256 * MIB);
}

static void test_across_the_32bit_hole(void **state)
{
	(void)state;
	ask(3 * GIB, 39);
	fits();
	EXPECT(MAP_RAM, { 0, 3 * GIB });
	ask(3 * GIB + 2 * MIB, 39);
	fits();
	EXPECT(MAP_RAM, { 0, 3 * GIB }, { 4 * GIB, 4 * GIB + 2 * MIB });
	EXPECT(MAP_PCI64, { 5 * GIB, 69 * GIB });
}

/* The hypertransport hole: sizes on both sides of every change of layout. */
static void test_amd(void **state)
{
	static const struct {
		uint64_t gib, above; /* RAM above the hole ends here, in GiB; 0: none */
		uint64_t pci;	     /* where the 64-bit window begins, in GiB */
	} cases[] = {
		{ 946, 0, 947 },      { 947, 0, 948 },	    { 1010, 0, 1011 },	  { 1011, 0, 1024 },
		{ 1012, 1025, 1025 }, { 1024, 1037, 1037 }, { 1100, 1113, 1113 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t pci = cases[i].pci * GIB, below = min_u64(1012 * GIB - pci, 64 * GIB);

		ask(cases[i].gib * GIB, 48);
		forbid(HT_HOLE, "AMD IOMMU: HyperTransport");
		fits();
		if (cases[i].above)
			EXPECT(MAP_RAM, { 0, 3 * GIB }, { 4 * GIB, 1012 * GIB },
			       { TIB, cases[i].above * GIB });
		else
			EXPECT(MAP_RAM, { 0, 3 * GIB }, { 4 * GIB, (cases[i].gib + 1) * GIB });
		if (pci >= TIB)
			EXPECT(MAP_PCI64, { pci, pci + 64 * GIB });
		else if (below == 64 * GIB)
			EXPECT(MAP_PCI64, { pci, pci + 64 * GIB });
		else
			EXPECT(MAP_PCI64, { pci, 1012 * GIB }, { TIB, TIB + 64 * GIB - below });
		if (map.bits_required == 41)
			EXPECT(MAP_RESERVED, { 0xfeffc000, 0xff000000 }, { HT_HOLE });
		assert_int_equal(map.bits_required, pci + 64 * GIB > 1012 * GIB ? 41 : 40);
	}
}

static void test_amd_12_tib(void **state)
{
	(void)state;
	ask(12 * TIB, 48);
	forbid(HT_HOLE, "AMD IOMMU: HyperTransport");
	forbid((UINT64_C(1) << 48) - 12 * GIB, UINT64_C(1) << 48, "AMD CPU");
	fits();
	EXPECT(MAP_RAM, { 0, 3 * GIB }, { 4 * GIB, 1012 * GIB }, { TIB, 12 * TIB + 13 * GIB });
	assert_int_equal(map.bits_required, 44);
}

static void test_too_few_bits(void **state)
{
	(void)state;
	/* 40 bits hold 1011 GiB of RAM, but not the window that follows. */
	ask(946 * GIB, 40);
	forbid(HT_HOLE, "AMD IOMMU: HyperTransport");
	fits();
	ask(1011 * GIB, 40);
	forbid(HT_HOLE, "AMD IOMMU: HyperTransport");
	does_not_fit("41", "40");
	/* Intel client parts */
	ask(512 * GIB - 2 * GIB, 39);
	fits();
	ask(512 * GIB - GIB, 39);
	does_not_fit("40", "39");
	/* the narrower of host and guest */
	ask(512 * GIB, 39);
	req.host_bits = 46;
	does_not_fit("40", "39");
	ask(512 * GIB, 46);
	req.host_bits = 39;
	does_not_fit("40", "39");
}

/* 256 MiB below the hole and 256 MiB above it: the small guest that stands across it. */
static void test_straddling(void **state)
{
	(void)state;
	ask(GIB, 48);
	req.low_memory = 512 * MIB;
	req.high_memory_start = UINT64_C(0xfcf0000000);
	forbid(HT_HOLE, "AMD IOMMU: HyperTransport");
	fits();
	EXPECT(MAP_RAM, { 0, 512 * MIB }, { UINT64_C(0xfcf0000000), UINT64_C(0xfd00000000) },
	       { TIB, TIB + 256 * MIB });
	EXPECT(MAP_PCI32, { 3 * GIB, 0xe0000000 }, { 0xf0000000, 0xfec00000 });
	EXPECT(MAP_PCI64, { TIB + GIB, TIB + 65 * GIB });
}

static void test_low_memory(void **state)
{
	(void)state;
	/* A larger low part pushes the 32-bit window up. */
	ask(8 * GIB, 40);
	req.low_memory = 3 * GIB + 128 * MIB;
	fits();
	EXPECT(MAP_RAM, { 0, 3 * GIB + 128 * MIB }, { 4 * GIB, 9 * GIB - 128 * MIB });
	EXPECT(MAP_PCI32, { 3 * GIB + 128 * MIB, 0xe0000000 }, { 0xf0000000, 0xfec00000 });
	/* A larger window pushes the low part down, by whole GiB. */
	ask(8 * GIB, 40);
	req.pci32_size = GIB;
	fits();
	EXPECT(MAP_RAM, { 0, 2 * GIB }, { 4 * GIB, 10 * GIB });
	EXPECT(MAP_PCI32, { 2 * GIB, 0xe0000000 }, { 0xf0000000, 0xfec00000 });
	/* No room for both. */
	ask(8 * GIB, 40);
	req.pci32_size = 3 * GIB;
	agree();
	assert_int_equal(map_build(&map, &req, &err), -ERANGE);
	/* Boot structures lie in the first 2 MiB. */
	ask(8 * GIB, 40);
	forbid(0x9f000, 0xa0000, "in the way");
	agree();
	assert_int_equal(map_build(&map, &req, &err), -ERANGE);
}

static void test_hotplug(void **state)
{
	(void)state;
	/* Begins on a GiB boundary, the last piece has the remainder. */
	ask(4 * GIB + 512 * MIB, 40);
	req.max_memory = 7 * GIB;
	fits();
	EXPECT(MAP_HOTPLUG, { 6 * GIB, 8 * GIB + 512 * MIB });
	EXPECT(MAP_PCI64, { 9 * GIB, 73 * GIB });
	/* Even when all RAM is low. */
	ask(GIB, 40);
	req.max_memory = 2 * GIB;
	fits();
	EXPECT(MAP_HOTPLUG, { 4 * GIB, 5 * GIB });
	/* Around a hole, without the half GiB that a DIMM would not fit into. */
	ask(4 * GIB, 40);
	req.max_memory = 8 * GIB;
	forbid(6 * GIB + 512 * MIB, 8 * GIB, "hole");
	fits();
	EXPECT(MAP_HOTPLUG, { 5 * GIB, 6 * GIB }, { 8 * GIB, 11 * GIB });
	/* The same place takes it when it is all that is left. */
	ask(4 * GIB, 40);
	req.max_memory = 5 * GIB + 512 * MIB;
	forbid(6 * GIB + 512 * MIB, 8 * GIB, "hole");
	fits();
	EXPECT(MAP_HOTPLUG, { 5 * GIB, 6 * GIB + 512 * MIB });
	/* Across the AMD hole. */
	ask(1000 * GIB, 48);
	req.max_memory = 1100 * GIB;
	forbid(HT_HOLE, "AMD");
	fits();
	EXPECT(MAP_HOTPLUG, { 1001 * GIB, 1012 * GIB }, { TIB, TIB + 89 * GIB });
}

static void test_pmem(void **state)
{
	(void)state;
	/* Above RAM, each on a GiB, never joined; the window is behind them. */
	ask(4 * GIB, 40);
	req.pmem[0] = 512 * MIB;
	req.pmem[1] = req.pmem[2] = GIB;
	req.nr_pmem = 3;
	fits();
	EXPECT(MAP_PMEM, { 5 * GIB, 5 * GIB + 512 * MIB }, { 6 * GIB, 7 * GIB },
	       { 7 * GIB, 8 * GIB });
	EXPECT(MAP_PCI64, { 8 * GIB, 72 * GIB });
	/* One that does not fit below the AMD hole lies above it, whole. */
	ask(1000 * GIB, 48);
	req.pmem[0] = 12 * GIB;
	req.nr_pmem = 1;
	forbid(HT_HOLE, "AMD");
	fits();
	EXPECT(MAP_PMEM, { TIB, TIB + 12 * GIB });
	req.pmem[0] = 11 * GIB;
	fits();
	EXPECT(MAP_PMEM, { 1001 * GIB, 1012 * GIB });
	/* Nowhere in one piece. */
	ask(GIB, 52);
	req.pmem[0] = 8 * GIB;
	req.nr_pmem = 1;
	for (unsigned i = 0; i < 4; i++)
		forbid((11 + 7 * i) * GIB, (12 + 7 * i) * GIB, "hole");
	forbid(36 * GIB, ADDRESS_SPACE_END, "all that follows");
	does_not_fit("--pmem, in one piece", "8192 MiB");
}

static void test_pci64(void **state)
{
	(void)state;
	/* Whole units of the largest BAR, aligned to it, around the hole. */
	ask(384 * GIB, 48);
	req.largest_bar = 128 * GIB;
	req.pci64_size = 6 * 128 * GIB;
	forbid(HT_HOLE, "AMD");
	fits();
	EXPECT(MAP_PCI64, { 512 * GIB, 896 * GIB }, { TIB, TIB + 384 * GIB });
	/* Above where high RAM would begin, even if there is none. */
	ask(GIB, 40);
	req.high_memory_start = 16 * GIB;
	fits();
	EXPECT(MAP_PCI64, { 16 * GIB, 80 * GIB });
}

/* The default shrinks to what address bits and forbidden ranges leave, and to what BARs need. */
static void test_pci64_default(void **state)
{
	(void)state;
	ask(GIB, 36);
	fits();
	EXPECT(MAP_PCI64, { 4 * GIB, 64 * GIB });
	ask(512 * GIB - 40 * GIB, 39);
	fits();
	EXPECT(MAP_PCI64, { 473 * GIB, 512 * GIB });
	req.pci64_size = 40 * GIB; /* asked for: all of it or nothing */
	does_not_fit("40", "39");
	req.pci64_size = 39 * GIB;
	fits();
	ask(GIB, 33);
	fits();
	EXPECT(MAP_PCI64, { 4 * GIB, 8 * GIB });
	ask(GIB, 32);
	does_not_fit("33", "32");
	/* Whole units of the largest BAR, which may leave more than the last GiB unused. */
	ask(GIB, 37);
	req.largest_bar = 32 * GIB;
	req.pci64_least = 40 * GIB;
	fits();
	EXPECT(MAP_PCI64, { 32 * GIB, 96 * GIB });
	req.pci64_least = 100 * GIB;
	does_not_fit("38", "37");
	ask(GIB, 36);
	req.largest_bar = 32 * GIB;
	req.pci64_least = 40 * GIB;
	does_not_fit("37", "36");
	/* An IOMMU that ends first */
	ask(GIB, 46);
	forbid(20 * GIB, ADDRESS_SPACE_END, "narrow");
	fits();
	EXPECT(MAP_PCI64, { 4 * GIB, 20 * GIB });
}

/* Video memory and ROMs of a PC lie in RAM that nobody is told of. */
static void test_bios_area(void **state)
{
	(void)state;
	ask(GIB, 39);
	forbid(0xa0000, 0x100000, "--reserve");
	forbid(0xe8000, 0xe9000, "direct");
	fits();
	EXPECT(MAP_RAM, { 0, GIB });
	EXPECT(MAP_RESERVED, { 0xfeffc000, 0xff000000 });
	assert_int_equal(map.nr_forbidden, 1);
	ask(GIB, 39);
	forbid(0xa0000, 0x100001, "too much");
	does_not_fit("too much", "begin at address 0");
	ask(GIB, 39);
	forbid(0xb0000, 0xb1000, "in the area");
	forbid(0x1000, 0x2000, "not there");
	does_not_fit("not there", "[0x1000, 0x2000)");
}

static void test_nodes(void **state)
{
	(void)state;
	ask(6 * GIB, 40);
	req.nr_nodes = 3;
	req.node_sizes[0] = GIB;
	req.node_sizes[1] = 4 * GIB;
	req.node_sizes[2] = GIB;
	req.max_memory = 8 * GIB;
	fits();
	EXPECT(MAP_RAM, { 0, GIB }, { GIB, 3 * GIB }, { 4 * GIB, 6 * GIB }, { 6 * GIB, 7 * GIB });
	assert_int_equal(map.regions[1].node, 1);
	/* As many as there may be. */
	ask(64 * 64 * MIB, 40);
	req.nr_nodes = 64;
	for (unsigned i = 0; i < 64; i++)
		req.node_sizes[i] = 64 * MIB;
	fits();
}

/* --- holes in all the awkward places --- */

static void test_holes(void **state)
{
	/* Where RAM and hotplug space of 8 and 16 GiB begin and end, and the fixed places. */
	static const uint64_t places[] = {
		2 * MIB,    GIB,     3 * GIB, 0xd0000000, 0xe0000000, 0xfec00000, 0xfeffc000,
		0xff000000, 4 * GIB, 5 * GIB, 9 * GIB,	  17 * GIB,   81 * GIB,
	};
	static const uint64_t sizes[] = { 1,	       4096,	  2 * MIB - 1, 2 * MIB,
					  2 * MIB + 1, 512 * MIB, GIB,	       12 * GIB };

	(void)state;
	for (unsigned p = 0; p < ARRAY_SIZE(places); p++) {
		for (unsigned s = 0; s < ARRAY_SIZE(sizes); s++) {
			for (int shift = -1; shift <= 1; shift++) {
				uint64_t at = places[p] + (uint64_t)(int64_t)shift;

				/* beginning there, ending there, and both with nothing between */
				for (unsigned how = 1; how < 4; how++) {
					ask(8 * GIB, 40);
					req.max_memory = 16 * GIB;
					if (how & 1)
						forbid(at, at + sizes[s], "above");
					if (how & 2)
						forbid(at > sizes[s] ? at - sizes[s] : 0, at,
						       "below");
					agree();
				}
			}
		}
	}
}

static void test_hole_over_everything_high(void **state)
{
	(void)state;
	ask(8 * GIB, 48);
	forbid(4 * GIB, UINT64_MAX, "everything");
	agree();
	assert_int_equal(map_build(&map, &req, &err), -ERANGE);
	/* Beyond what is used it is of no interest. */
	ask(8 * GIB, 48);
	forbid(9 * GIB + 64 * GIB, UINT64_MAX, "an IOMMU of few bits");
	fits();
	EXPECT(MAP_RESERVED, { 0xfeffc000, 0xff000000 });
	ask(8 * GIB, 48);
	forbid(9 * GIB + 64 * GIB - 1, UINT64_MAX, "an IOMMU of few bits");
	fits();
	EXPECT(MAP_PCI64, { 9 * GIB, 9 * GIB + 63 * GIB });
	req.pci64_size = 64 * GIB;
	does_not_fit("64-bit PCI window", "an IOMMU of few bits");
}

static void test_reserved(void **state)
{
	(void)state;
	ask(8 * GIB, 40);
	forbid(0xfee00000, 0xfef00000, "msi");	    /* inside the APIC region */
	forbid(0xfebff000, 0xff800000, "across");   /* the fixed ones stay whole */
	forbid(9 * GIB, 9 * GIB + 1, "one byte");   /* just above RAM */
	forbid(200 * GIB, 201 * GIB, "far beyond"); /* above the top: not mentioned */
	fits();
	EXPECT(MAP_RESERVED, { 0xfebff000, 0xfec00000 }, { 0xfef00000, 0xfeffc000 },
	       { 0xfeffc000, 0xff000000 }, { 9 * GIB, 9 * GIB + 1 });
	EXPECT(MAP_APIC, { 0xfec00000, 0xfef00000 });
	EXPECT(MAP_PCI32, { 3 * GIB, 0xe0000000 }, { 0xf0000000, 0xfeb00000 });
	EXPECT(MAP_PCI64, { 10 * GIB, 74 * GIB });
}

/* Many odd holes are no different from one. */
static void test_many_holes(void **state)
{
	(void)state;
	ask(64 * GIB, 40);
	req.max_memory = 128 * GIB;
	for (uint64_t i = 0; i < MAP_FORBIDDEN_MAX; i++)
		forbid(4 * GIB + i * (GIB + 17 * MIB) + i,
		       4 * GIB + i * (GIB + 17 * MIB) + 2 * i + 1, "odd");
	fits();
	ask(64 * 16 * MIB, 40);
	req.nr_nodes = 64;
	for (uint64_t i = 0; i < MAP_FORBIDDEN_MAX; i++)
		forbid(4 * MIB + i * 6 * MIB, 4 * MIB + i * 6 * MIB + 1, "odd");
	for (unsigned i = 0; i < 64; i++)
		req.node_sizes[i] = 16 * MIB;
	fits();
}

static void test_forbidden(void **state)
{
	(void)state;
	ask(GIB, 40);
	forbid(30 * GIB, 31 * GIB, "a");
	forbid(20 * GIB, 22 * GIB, "b");
	forbid(21 * GIB, 23 * GIB, "c");
	forbid(21 * GIB, 21 * GIB, "empty");
	forbid(22 * GIB, 22 * GIB + 1, "b");
	forbid(23 * GIB, 24 * GIB, "adjacent");
	fits();
	assert_int_equal(map.nr_forbidden, 3);
	assert_int_equal(map.forbidden[0].at.base, 20 * GIB);
	assert_int_equal(map.forbidden[0].at.end, 23 * GIB);
	assert_string_equal(map.forbidden[0].why, "b; c");
	assert_int_equal(map.forbidden[1].at.base, 23 * GIB);
	assert_string_equal(map.forbidden[1].why, "adjacent");
	assert_int_equal(map.forbidden[2].at.base, 30 * GIB);
	assert_string_equal(map.forbidden[2].why, "a");
}

/* Reasons that do not fit are cut, and the result is still a string. */
static void test_long_reasons(void **state)
{
	char why[MAP_WHY_MAX];

	(void)state;
	ask(GIB, 40);
	for (char c = 'a'; c < 'd'; c++) {
		memset(why, c, sizeof(why) - 1);
		why[sizeof(why) - 1] = 0;
		forbid(20 * GIB, 22 * GIB, why);
	}
	fits();
	assert_int_equal(map.nr_forbidden, 1);
	assert_int_equal(map.forbidden[0].why[0], 'a');
}

/* --- requests that break their own rules --- */

static void test_invalid(void **state)
{
	(void)state;
	ask(GIB + 4096, 40);
	assert_int_equal(map_build(&map, &req, &err), -EINVAL);
	ask(0, 40);
	assert_int_equal(map_build(&map, &req, &err), -EINVAL);
	ask(2 * GIB, 40);
	req.max_memory = GIB;
	assert_int_equal(map_build(&map, &req, &err), -EINVAL);
	ask(2 * GIB, 40);
	req.align = MIB;
	assert_int_equal(map_build(&map, &req, &err), -EINVAL);
	ask(2 * GIB, 40);
	req.align = 3 * MIB;
	assert_int_equal(map_build(&map, &req, &err), -EINVAL);
	ask(2 * GIB, 40);
	req.nr_nodes = 2;
	req.node_sizes[0] = req.node_sizes[1] = 2 * GIB;
	assert_int_equal(map_build(&map, &req, &err), -EINVAL);
	assert_true(err.text[0]);
}

/* --- random worlds --- */

static uint64_t next_random(uint64_t *x)
{
	/* Vigna's splitmix64: any seed will do. */
	uint64_t z = *x += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static void test_random(void **state)
{
	unsigned refused = 0;

	(void)state;
	for (uint64_t i = 0; i < RANDOM_CASES; i++) {
		uint64_t x = RANDOM_SEED + i, bytes[40];
		char why[512], text[4096];

		for (unsigned j = 0; j < ARRAY_SIZE(bytes); j++)
			bytes[j] = next_random(&x);
		oracle_request(&req, (const uint8_t *)bytes, sizeof(bytes));
		if (!oracle_agrees(&req, why, sizeof(why))) {
			oracle_describe(&req, text, sizeof(text));
			fail_msg("seed %#" PRIx64 ": %s\n%s", RANDOM_SEED + i, why, text);
		}
		refused += map_build(&map, &req, NULL) != 0;
	}
	/* A generator that only makes impossible worlds, or none, would test little. */
	assert_in_range(refused, RANDOM_CASES / 20, RANDOM_CASES * 2 / 3);
}

/* --- map_check() --- */

static struct map_region *first(enum map_kind kind)
{
	for (unsigned i = 0; i < map.nr_regions; i++)
		if (map.regions[i].kind == kind)
			return &map.regions[i];
	fail_msg("no %s", map_kind_name(kind));
	return NULL;
}

static void fresh(void)
{
	ask(8 * GIB, 40);
	forbid(6 * GIB, 7 * GIB, "hole");
	req.max_memory = 16 * GIB;
	fits();
	assert_int_equal(map_check(&map, &err), 0);
}

static void test_check_refuses(void **state)
{
	(void)state;
	fresh();
	first(MAP_RAM)->at.end = 4 * GIB; /* over window and ROM */
	assert_int_equal(map_check(&map, &err), -EINVAL);
	fresh();
	map.forbidden[0].at.base -= 1; /* into RAM */
	assert_int_equal(map_check(&map, &err), -EINVAL);
	fresh();
	map.forbidden[map.nr_forbidden++] = (struct map_forbidden){
		.at = { first(MAP_PCI64)->at.base, first(MAP_PCI64)->at.base + 1 },
		.why = "late",
	};
	assert_int_equal(map_check(&map, &err), -EINVAL);
	fresh();
	map.regions[0].at.end = map.regions[0].at.base;
	assert_int_equal(map_check(&map, &err), -EINVAL);
	fresh();
	struct map_region swap = map.regions[0];

	map.regions[0] = map.regions[1];
	map.regions[1] = swap;
	assert_int_equal(map_check(&map, &err), -EINVAL);
	fresh();
	map.nr_regions = MAP_REGIONS_MAX + 1;
	assert_int_equal(map_check(&map, &err), -EINVAL);
	fresh();
	map.nr_forbidden = MAP_FORBIDDEN_MAX + 1;
	assert_int_equal(map_check(&map, &err), -EINVAL);
	fresh();
	map.bits_required -= 1;
	assert_int_equal(map_check(&map, &err), -EINVAL);
	fresh();
	first(MAP_HOTPLUG)->at.base += 4096;
	assert_int_equal(map_check(&map, &err), -EINVAL);
	assert_true(err.text[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_across_the_32bit_hole),
		cmocka_unit_test(test_amd),
		cmocka_unit_test(test_amd_12_tib),
		cmocka_unit_test(test_too_few_bits),
		cmocka_unit_test(test_straddling),
		cmocka_unit_test(test_low_memory),
		cmocka_unit_test(test_hotplug),
		cmocka_unit_test(test_pmem),
		cmocka_unit_test(test_pci64),
		cmocka_unit_test(test_pci64_default),
		cmocka_unit_test(test_bios_area),
		cmocka_unit_test(test_nodes),
		cmocka_unit_test(test_holes),
		cmocka_unit_test(test_hole_over_everything_high),
		cmocka_unit_test(test_reserved),
		cmocka_unit_test(test_many_holes),
		cmocka_unit_test(test_forbidden),
		cmocka_unit_test(test_long_reasons),
		cmocka_unit_test(test_invalid),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_check_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
