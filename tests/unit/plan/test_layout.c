/*
 * --layout hole: places of RAM worked out by hand, refusals, and random ranges, each of which must
 * then have RAM on both sides.
 */
#include "vmm/plan/layout.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HT_BASE	     UINT64_C(0xfd00000000)
#define RANDOM_CASES 20000
#define RANDOM_SEED  UINT64_C(0x424f544853494445)

static struct map_request req;
static struct map map;
static struct err err;

static void ask(uint64_t ram, unsigned bits)
{
	req = (struct map_request){ .ram_size = ram,
				    .align = 2 * MIB,
				    .guest_bits = bits,
				    .host_bits = bits,
				    .both_sides = true };
}

static struct map_forbidden *keep_free(uint64_t base, uint64_t end)
{
	struct map_forbidden *f = &req.forbidden[req.nr_forbidden++];

	f->at = (struct span){ base, end };
	snprintf(f->why, sizeof(f->why), "reason %u", req.nr_forbidden);
	return f;
}

static void amd(uint64_t ram, unsigned bits)
{
	ask(ram, bits);
	keep_free(HT_BASE, TIB);
}

/* RAM lies in these places and no others. */
static void expect_ram(const struct span *want, unsigned n)
{
	unsigned found = 0;

	err.text[0] = '\0';
	if (map_build(&map, &req, &err) < 0 || map_check(&map, &err) < 0)
		fail_msg("refused: %s", err.text);
	for (unsigned i = 0; i < map.nr_regions; i++) {
		struct span at = map.regions[i].at;

		if (map.regions[i].kind != MAP_RAM)
			continue;
		if (found >= n || at.base != want[found].base || at.end != want[found].end)
			fail_msg("RAM number %u: unexpected %#" PRIx64 "-%#" PRIx64, found, at.base,
				 at.end);
		found++;
	}
	assert_int_equal(found, n);
}

#define EXPECT_RAM(...)                                      \
	do {                                                 \
		const struct span want_[] = { __VA_ARGS__ }; \
		expect_ram(want_, ARRAY_SIZE(want_));        \
	} while (0)

static void refused(const char *words)
{
	assert_int_equal(map_build(&map, &req, &err), -ERANGE);
	if (!strstr(err.text, words))
		fail_msg("expected '%s' in: %s", words, err.text);
	assert_null(strchr(err.text, '\n'));
}

static void test_one_range(void **state)
{
	(void)state;
	amd(GIB, 48);
	EXPECT_RAM({ 0, 512 * MIB }, { HT_BASE - 256 * MIB, HT_BASE }, { TIB, TIB + 256 * MIB });
	assert_int_equal(map.bits_required, 41);
	/* --low-memory says how much is low. */
	req.low_memory = 768 * MIB;
	EXPECT_RAM({ 0, 768 * MIB }, { HT_BASE - 128 * MIB, HT_BASE }, { TIB, TIB + 128 * MIB });
	req.low_memory = 2 * GIB;
	EXPECT_RAM({ 0, GIB - 4 * MIB }, { HT_BASE - 2 * MIB, HT_BASE }, { TIB, TIB + 2 * MIB });
	/* What cannot be halved */
	amd(10 * MIB, 41);
	EXPECT_RAM({ 0, 4 * MIB }, { HT_BASE - 2 * MIB, HT_BASE }, { TIB, TIB + 4 * MIB });
	/* Low RAM ends at 3 GiB, and RAM below the hole does not reach below 4 GiB. */
	amd(16 * GIB, 48);
	EXPECT_RAM({ 0, 3 * GIB }, { HT_BASE - (13 * GIB / 2), HT_BASE },
		   { TIB, TIB + (13 * GIB / 2) });
	amd(2100 * GIB, 48);
	EXPECT_RAM({ 0, 3 * GIB }, { 4 * GIB, HT_BASE }, { TIB, TIB + 1089 * GIB });
	amd(4 * GIB, 48);
	req.align = GIB;
	EXPECT_RAM({ 0, 2 * GIB }, { HT_BASE - GIB, HT_BASE }, { TIB, TIB + GIB });
}

static void test_more_ranges(void **state)
{
	(void)state;
	/* The MSI window and video memory have RAM around them anyway; a device's memory has not.
	 */
	amd(GIB, 48);
	keep_free(0xfee00000, 0xfef00000);
	keep_free(0xa0000, 0x100000);
	keep_free(0xa0000000, 0xa1001000);
	EXPECT_RAM({ 0, 512 * MIB }, { 0xa0000000 - 128 * MIB, 0xa0000000 },
		   { 0xa1200000, 0xa1200000 + 128 * MIB }, { HT_BASE - 128 * MIB, HT_BASE },
		   { TIB, TIB + 128 * MIB });
	/* In low RAM: what it takes there is laid on top. */
	amd(GIB, 48);
	keep_free(64 * MIB, 128 * MIB);
	EXPECT_RAM({ 0, 64 * MIB }, { 128 * MIB, 512 * MIB }, { HT_BASE - 128 * MIB, HT_BASE },
		   { TIB, TIB + 448 * MIB });
	/* Near to each other, nearer than a page, and one that touches the 32-bit hole */
	amd(GIB, 48);
	keep_free(TIB + 64 * MIB, TIB + 128 * MIB);
	keep_free(TIB + 129 * MIB, TIB + 130 * MIB);
	EXPECT_RAM({ 0, 512 * MIB }, { HT_BASE - 128 * MIB, HT_BASE }, { TIB, TIB + 64 * MIB },
		   { TIB + 130 * MIB, TIB + 450 * MIB });
	amd(GIB, 48);
	keep_free(3 * GIB - 64 * MIB, 3 * GIB + 64 * MIB);
	EXPECT_RAM({ 0, 512 * MIB }, { 3 * GIB - 192 * MIB, 3 * GIB - 64 * MIB },
		   { 4 * GIB, 4 * GIB + 128 * MIB }, { HT_BASE - 128 * MIB, HT_BASE },
		   { TIB, TIB + 128 * MIB });
	/* Addresses end before what is `last`. */
	amd(GIB, 48);
	keep_free((UINT64_C(1) << 48) - 12 * GIB, UINT64_C(1) << 48)->last = true;
	keep_free(UINT64_C(1) << 46, ADDRESS_SPACE_END)->last = true;
	EXPECT_RAM({ 0, 512 * MIB }, { HT_BASE - 256 * MIB, HT_BASE }, { TIB, TIB + 256 * MIB });
	/* Behind the last range there may be nothing but high RAM that was left over. */
	ask(8 * GIB, 48);
	keep_free(GIB, GIB + 2 * MIB);
	EXPECT_RAM({ 0, GIB }, { GIB + 2 * MIB, 3 * GIB }, { 4 * GIB, 9 * GIB + 2 * MIB });
}

static void test_nodes(void **state)
{
	const unsigned nodes[] = { 0, 1, 1, 1 };
	unsigned n = 0;

	(void)state;
	amd(GIB, 48);
	req.nr_nodes = 2;
	req.node_sizes[0] = 256 * MIB;
	req.node_sizes[1] = 768 * MIB;
	req.max_memory = 2 * GIB;
	req.pmem[0] = 2 * MIB;
	req.nr_pmem = 1;
	EXPECT_RAM({ 0, 256 * MIB }, { 256 * MIB, 512 * MIB }, { HT_BASE - 256 * MIB, HT_BASE },
		   { TIB, TIB + 256 * MIB });
	for (unsigned i = 0; i < map.nr_regions; i++) {
		const struct map_region *r = &map.regions[i];

		if (r->kind == MAP_RAM)
			assert_int_equal(r->node, nodes[n++]);
		if (r->kind == MAP_HOTPLUG)
			assert_int_equal(r->at.base, TIB + GIB);
		if (r->kind == MAP_PMEM)
			assert_int_equal(r->at.base, TIB + 2 * GIB);
		if (r->kind == MAP_PCI64)
			assert_int_equal(r->at.base, TIB + 3 * GIB);
	}
}

static void test_refused(void **state)
{
	(void)state;
	amd(GIB, 39);
	refused("RAM on both sides of [0xfd00000000, 0x10000000000) (reason 1), which takes 41 "
		"address bits, but the host has 39");
	amd(GIB, 48);
	req.guest_bits = 40;
	refused("which takes 41 address bits, but the guest has 40");
	/* An IOMMU of 39 bits */
	amd(GIB, 48);
	keep_free(UINT64_C(1) << 39, ADDRESS_SPACE_END)->last = true;
	refused("(reason 1), but addresses end at 0x8000000000 (reason 2)");
	ask(GIB, 48);
	refused("and there are none");
	keep_free(0xfee00000, 0xfef00000);
	keep_free(UINT64_C(1) << 46, ADDRESS_SPACE_END)->last = true;
	refused("and there are none");
	amd(2 * GIB, 48);
	req.align = GIB;
	refused("needs 3 GiB of RAM for its 3 pieces, which are whole pages of 1 GiB, and "
		"the guest has 2 GiB");
	amd(GIB, 48);
	keep_free(0, 4096);
	refused("RAM cannot begin at address 0");
	amd(4 * GIB, 41);
	keep_free(TIB + GIB, 2 * TIB - 2 * MIB);
	refused("needs 42 address bits"); /* for the PCI window */
	amd(GIB, 48);
	req.high_memory_start = 8 * GIB;
	assert_int_equal(map_build(&map, &req, &err), -EINVAL);
}

/* --- random ranges --- */

static uint64_t seed;

/* Vigna's splitmix64 */
static uint64_t rnd(uint64_t below)
{
	uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % below;
}

static bool has_ram(struct span at)
{
	for (unsigned i = 0; i < map.nr_regions; i++)
		if (map.regions[i].kind == MAP_RAM && span_overlaps(map.regions[i].at, at))
			return true;
	return false;
}

/*
 * Whether the first whole unit beside `at` that is not forbidden, upwards or downwards, is RAM.
 * `low_end` to 4 GiB is the 32-bit hole.
 */
static bool is_next_to_ram(struct span at, bool up, uint64_t low_end)
{
	uint64_t unit = req.align, next = up ? align_up(at.end, unit) : align_down(at.base, unit);

	for (;;) {
		struct span s = { up ? next : next - unit, up ? next + unit : next };
		bool busy = span_overlaps(s, (struct span){ low_end, FOUR_GIB });

		for (unsigned i = 0; !busy && i < req.nr_forbidden; i++)
			busy = !map_in_bios_area(req.forbidden[i].at) &&
			       span_overlaps(s, req.forbidden[i].at);
		if (!busy)
			return has_ram(s);
		next = up ? next + unit : next - unit;
	}
}

static void test_random(void **state)
{
	unsigned built = 0;

	(void)state;
	seed = RANDOM_SEED;
	for (unsigned i = 0; i < RANDOM_CASES; i++) {
		unsigned n = 1 + (unsigned)rnd(8);
		uint64_t from = 0;

		ask(0, 40);
		req.align = (2 * MIB) << rnd(3);
		req.pci32_size = MIB; /* so little that low RAM ends at 3 GiB */
		req.ram_size = req.align * (1 + rnd(512));
		for (unsigned j = 0; j < n; j++) {
			uint64_t base = from + (MIB << rnd(13)) + rnd(3);

			from = base + 1 + rnd(MIB << rnd(9));
			keep_free(base, from);
			from = rnd(4) ? from : rnd(2) ? FOUR_GIB - 2 * MIB : 3 * GIB - rnd(MIB);
		}
		if (map_build(&map, &req, &err) < 0)
			continue;
		built++;
		if (map_check(&map, &err) < 0)
			fail_msg("case %u: %s", i, err.text);
		assert_int_equal(map_total(&map, MAP_RAM), req.ram_size);
		for (unsigned j = 0; j < n; j++) {
			struct span at = req.forbidden[j].at;

			if (at.base >= 3 * GIB && at.end <= FOUR_GIB)
				continue;
			if (!is_next_to_ram(at, false, 3 * GIB) ||
			    !is_next_to_ram(at, true, 3 * GIB))
				fail_msg("case %u: no RAM on both sides of %#" PRIx64 "-%#" PRIx64,
					 i, at.base, at.end);
		}
	}
	assert_in_range(built, RANDOM_CASES / 2, RANDOM_CASES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_range), cmocka_unit_test(test_more_ranges),
		cmocka_unit_test(test_nodes),	  cmocka_unit_test(test_refused),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
