/*
 * The plan: forbidden ranges of every policy, and the folds, against lists worked out by hand.
 */
#include "vmm/plan/plan.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HT_BASE	 UINT64_C(0xfd00000000)
#define STRADDLE UINT64_C(0xfcf0000000) /* 256 MiB below the hole */

static struct plan plan;
static struct err err;

static const struct host_facts intel = { .vendor = HOST_INTEL, .family = 6, .phys_bits = 39 };
static const struct host_facts milan = { .vendor = HOST_AMD, .family = 0x19, .phys_bits = 48 };

/* --- forbidden ranges --- */

/* What plan_forbidden() finds is `want`, in that order. */
static void expect_forbidden(enum iova_policy policy, const struct host_facts *host,
			     const struct span *want, unsigned n)
{
	const struct span reserve = { 3 * TIB, 4 * TIB };
	struct map_forbidden found[16];
	unsigned nr = plan_forbidden(found, ARRAY_SIZE(found), policy, host, &reserve, 1);

	assert_int_equal(nr, n + 1);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(found[i].at.base, want[i].base);
		assert_int_equal(found[i].at.end, want[i].end);
		assert_true(found[i].why[0]);
	}
	assert_int_equal(found[n].at.base, reserve.base); /* under every policy */
	assert_int_equal(found[n].at.end, reserve.end);
	assert_non_null(strstr(found[n].why, "--reserve"));
}

#define FORBIDDEN(policy, host, ...)                                      \
	do {                                                              \
		const struct span want_[] = { __VA_ARGS__ };              \
		expect_forbidden(policy, host, want_, ARRAY_SIZE(want_)); \
	} while (0)

static void test_amd_rule(void **state)
{
	const struct span ht = { HT_BASE, TIB };
	const struct span top48 = { (UINT64_C(1) << 48) - 12 * GIB, UINT64_C(1) << 48 };
	const struct span top43 = { (UINT64_C(1) << 43) - 12 * GIB, UINT64_C(1) << 43 };
	struct host_facts host = milan;

	(void)state;
	FORBIDDEN(IOVA_AUTO, &host, ht, top48);
	FORBIDDEN(IOVA_VENDOR, &host, ht, top48);
	/* The CPU's own hole does not ask for a policy. */
	FORBIDDEN(IOVA_HOST, &host, top48);
	FORBIDDEN(IOVA_OFF, &host, top48);
	/* Memory encryption takes address bits. */
	host.mem_encrypt_bits = 5;
	FORBIDDEN(IOVA_AUTO, &host, ht, top43);
	FORBIDDEN(IOVA_OFF, &host, top43);
	/* Hygon is AMD. */
	host = (struct host_facts){ .vendor = HOST_HYGON, .family = 0x18, .phys_bits = 48 };
	FORBIDDEN(IOVA_AUTO, &host, ht, top48);
	/* The CPU's own hole begins with family 17h. */
	host = (struct host_facts){ .vendor = HOST_AMD, .family = 0x17, .phys_bits = 48 };
	FORBIDDEN(IOVA_VENDOR, &host, ht, top48);
	host.family = 0x16;
	FORBIDDEN(IOVA_VENDOR, &host, ht);
	FORBIDDEN(IOVA_OFF, &host, ht); /* the CPU's, too */
	host.phys_bits = 39;
	expect_forbidden(IOVA_OFF, &host, NULL, 0);
	/* At 40 bits both holes are the same. */
	host = (struct host_facts){ .vendor = HOST_AMD, .family = 0x17, .phys_bits = 40 };
	FORBIDDEN(IOVA_VENDOR, &host, ht);
	FORBIDDEN(IOVA_OFF, &host, ht);
	/* Nobody else has either. */
	host = milan;
	host.vendor = HOST_OTHER;
	expect_forbidden(IOVA_AUTO, &host, NULL, 0);
	expect_forbidden(IOVA_VENDOR, &intel, NULL, 0);
}

static void test_host_regions(void **state)
{
	const struct span msi = { 0xfee00000, 0xfef00000 }, rmrr = { 0xa0000000, 0xa1000000 };
	const struct span odd = { 10 * GIB + 1, 10 * GIB + 2 }, ht = { HT_BASE, TIB };
	struct host_facts host = intel;

	(void)state;
	host.resv[0] = (struct host_resv){ msi, HOST_RESV_MSI, 7 };
	host.resv[1] = (struct host_resv){ { 0, 16 * MIB }, HOST_RESV_DIRECT_RELAXABLE, 7 };
	host.resv[2] = (struct host_resv){ rmrr, HOST_RESV_DIRECT, 7 };
	host.resv[3] = (struct host_resv){ odd, HOST_RESV_RESERVED, 9 };
	host.nr_resv = 4;
	FORBIDDEN(IOVA_AUTO, &host, msi, rmrr, odd);
	FORBIDDEN(IOVA_HOST, &host, msi, rmrr, odd);
	expect_forbidden(IOVA_VENDOR, &host, NULL, 0);
	expect_forbidden(IOVA_OFF, &host, NULL, 0);
	/* On AMD: the rule and the regions; or, by `host`, only what is really reserved. */
	host.vendor = HOST_AMD;
	FORBIDDEN(IOVA_AUTO, &host, ht, msi, rmrr, odd);
	host.phys_bits = 39; /* and no hole of the CPU */
	FORBIDDEN(IOVA_HOST, &host, msi, rmrr, odd);
}

/* What the IOMMU cannot map is forbidden once, and what has a better reason keeps that. */
static void test_usable(void **state)
{
	const struct span msi = { 0xfee00000, 0xfef00000 }, ht = { HT_BASE, TIB };
	const struct span reserve = { 3 * TIB, 4 * TIB };
	const struct span odd = { 20 * GIB, 21 * GIB }, beyond = { 1 * TIB, 3 * TIB };
	struct map_forbidden found[16];
	struct host_facts host = milan;
	unsigned n;

	(void)state;
	host.phys_bits = 40; /* no second hole */
	host.resv[host.nr_resv++] = (struct host_resv){ msi, HOST_RESV_MSI, 7 };
	host.resv[host.nr_resv++] = (struct host_resv){ msi, HOST_RESV_MSI, 8 };
	host.resv[host.nr_resv++] = (struct host_resv){ ht, HOST_RESV_RESERVED, 7 };
	host.usable[0] = (struct span){ 0, msi.base };
	host.usable[1] = (struct span){ msi.end, odd.base };
	host.usable[2] = (struct span){ odd.end, HT_BASE };
	host.nr_usable = 3;
	n = plan_forbidden(found, ARRAY_SIZE(found), IOVA_AUTO, &host, &reserve, 1);
	assert_int_equal(n, 7);
	assert_string_equal(found[1].why, "IOMMU group 7: msi"); /* group 8 says the same */
	assert_int_equal(found[4].at.base, odd.base);
	assert_int_equal(found[4].at.end, odd.end);
	assert_string_equal(found[4].why, "outside of what the host's IOMMU can map");
	/* Behind the hole, around what --reserve says, to the end of all addresses. */
	assert_int_equal(found[5].at.base, beyond.base);
	assert_int_equal(found[5].at.end, beyond.end);
	assert_string_equal(found[5].why, "beyond what the host's IOMMU can map");
	assert_int_equal(found[6].at.base, 4 * TIB);
	assert_int_equal(found[6].at.end, UINT64_C(1) << 52);
	/* The other policies do not ask. */
	assert_int_equal(plan_forbidden(found, 16, IOVA_VENDOR, &host, NULL, 0), 1);
	assert_int_equal(plan_forbidden(found, 16, IOVA_OFF, &host, NULL, 0), 1);
	/* A width that is a power of two is said in bits; one that covers everything not at all. */
	host.usable[2].end = UINT64_C(1) << 39;
	plan_forbidden(found, ARRAY_SIZE(found), IOVA_HOST, &host, NULL, 0);
	assert_string_equal(found[4].why, "beyond the 39 address bits of the host's IOMMU");
	host.usable[2].end = UINT64_MAX;
	assert_int_equal(plan_forbidden(found, ARRAY_SIZE(found), IOVA_HOST, &host, NULL, 0), 4);
}

/* A device or file that is not among the host's facts is refused, and the sentence counts them. */
static void test_unknown_devices(void **state)
{
	struct host_facts host = milan;
	struct config c = CONFIG_EMPTY;

	(void)state;
	c.sockets = c.cores = c.threads = 1;
	c.nr_vfio = 2;
	assert_int_equal(plan_build(&plan, &c, &host, &err), -EINVAL);
	assert_string_equal(err.text, "--vfio names 2 devices, and the number of those found is 0; "
				      "correct or leave out the others");
	c.nr_vfio = 1;
	assert_int_equal(plan_build(&plan, &c, &host, &err), -EINVAL);
	assert_string_equal(err.text, "--vfio names 1 device, and the number of those found is 0; "
				      "correct or leave out the others");
	c.nr_vfio = 0;
	c.nr_pmem = 1;
	assert_int_equal(plan_build(&plan, &c, &host, &err), -EINVAL);
	assert_string_equal(err.text, "--pmem names 1 file, and the number of known sizes is 0; "
				      "correct or leave out the others");
	c.nr_pmem = 2;
	assert_int_equal(plan_build(&plan, &c, &host, &err), -EINVAL);
	assert_string_equal(err.text, "--pmem names 2 files, and the number of known sizes is 0; "
				      "correct or leave out the others");
}

/* More ranges than a map holds are refused, by plan and by check of a plan, not dropped. */
static void test_too_many_ranges(void **state)
{
	static struct host_facts host;
	struct config c = CONFIG_EMPTY;

	(void)state;
	host = milan;
	c.sockets = c.cores = c.threads = 1;
	assert_int_equal(plan_build(&plan, &c, &host, &err), 0);
	for (unsigned i = 0; i < HOST_RESV_MAX; i++)
		host.resv[i] =
			(struct host_resv){ { 8 * GIB + 4 * i * MIB, 8 * GIB + (4 * i + 1) * MIB },
					    HOST_RESV_RESERVED,
					    1 };
	host.nr_resv = HOST_RESV_MAX;
	for (unsigned i = 0; i < HOST_USABLE_MAX; i++)
		host.usable[i] =
			(struct span){ 16 * GIB + 4 * i * MIB, 16 * GIB + (4 * i + 1) * MIB };
	host.nr_usable = HOST_USABLE_MAX;
	assert_int_equal(plan_build(&plan, &c, &host, &err), -ERANGE);
	assert_non_null(strstr(err.text, "ranges must stay free, but the map holds 256"));
	assert_int_equal(plan_check_host(&plan, &host, &err), -ERANGE);
	assert_non_null(strstr(err.text, "more than a plan can hold"));
}

/* A list that is too short is filled and no more; the count is still true. */
static void test_short_list(void **state)
{
	struct map_forbidden found[2] = { { .why = "" }, { .why = "untouched" } };

	(void)state;
	assert_int_equal(plan_forbidden(found, 1, IOVA_AUTO, &milan, NULL, 0), 2);
	assert_int_equal(found[0].at.base, HT_BASE);
	assert_string_equal(found[1].why, "untouched");
}

/* --- folds --- */

static struct config config(uint64_t memory)
{
	struct config c = CONFIG_EMPTY;

	c.memory = memory;
	c.sockets = c.cores = c.threads = 1;
	return c;
}

static void build(const struct config *c, const struct host_facts *host)
{
	if (plan_build(&plan, c, host, &err))
		fail_msg("%s", err.text);
}

static void expect_e820(const struct e820_entry *want, size_t n)
{
	struct e820_entry got[64];

	assert_int_equal(plan_e820(&plan, got, ARRAY_SIZE(got)), n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(got[i].at.base, want[i].at.base);
		assert_int_equal(got[i].at.end, want[i].at.end);
		assert_int_equal(got[i].type, want[i].type);
	}
	/* It counts on past the end of a short list, and writes no further. */
	got[1].at.base = 42;
	assert_int_equal(plan_e820(&plan, got, 1), n);
	assert_int_equal(got[1].at.base, 42);
}

static void expect_spans(const struct span *got, size_t nr, const struct span *want, size_t n)
{
	assert_int_equal(nr, n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(got[i].base, want[i].base);
		assert_int_equal(got[i].end, want[i].end);
	}
}

#define E820(...)                                                  \
	do {                                                       \
		const struct e820_entry want_[] = { __VA_ARGS__ }; \
		expect_e820(want_, ARRAY_SIZE(want_));             \
	} while (0)

/* `fold` is a call with `got` and its size; the rest are the spans expected. */
#define SPANS(fold, ...)                                           \
	do {                                                       \
		const struct span want_[] = { __VA_ARGS__ };       \
		struct span got[64];                               \
		expect_spans(got, fold, want_, ARRAY_SIZE(want_)); \
	} while (0)

/* What lies below 1 MiB and in the 32-bit hole is the same in every machine. */
#define E820_LOW                                                                  \
	{ { 0, 0x9fc00 }, E820_USABLE }, { { 0x9fc00, 0xc0000 }, E820_RESERVED }, \
	{                                                                         \
		{ 0xc0000, 0x100000 }, E820_ACPI                                  \
	}
#define E820_HOLE                                              \
	{ { 0xe0000000, 0xf0000000 }, E820_RESERVED },         \
		{ { 0xfec00000, 0xfef00000 }, E820_RESERVED }, \
	{                                                      \
		{ 0xfeffc000, 4 * GIB }, E820_RESERVED         \
	}

/*
 * --layout hole: the map of an AMD host on every host, unless the policy leaves AMD's rule out, and
 * what no address follows is no hole.
 */
static void test_layout_hole(void **state)
{
	const struct span resv = { 32 * GIB, 33 * GIB };
	struct config c = config(GIB);
	struct host_facts host = intel;

	(void)state;
	c.layout = LAYOUT_HOLE;
	host.phys_bits = 46;
	build(&c, &host);
	assert_int_equal(plan.map.nr_forbidden, 1);
	E820(E820_LOW, { { MIB, 512 * MIB }, E820_USABLE }, E820_HOLE,
	     { { STRADDLE, HT_BASE }, E820_USABLE }, { { HT_BASE, TIB }, E820_RESERVED },
	     { { TIB, TIB + 256 * MIB }, E820_USABLE });
	SPANS(plan_windows(&plan, MAP_PCI64, got, 64), { TIB + GIB, TIB + 65 * GIB });
	build(&c, &milan);
	SPANS(plan_ram(&plan, got, 64), { 0, 512 * MIB }, { STRADDLE, HT_BASE },
	      { TIB, TIB + 256 * MIB });
	/* The ranges of devices, too; and only these where the policy says so. */
	host.resv[0] = (struct host_resv){ resv, HOST_RESV_DIRECT, 7 };
	host.nr_resv = 1;
	build(&c, &host);
	SPANS(plan_ram(&plan, got, 64), { 0, 512 * MIB }, { resv.base - 128 * MIB, resv.base },
	      { resv.end, resv.end + 128 * MIB }, { HT_BASE - 128 * MIB, HT_BASE },
	      { TIB, TIB + 128 * MIB });
	c.iova_policy = IOVA_HOST;
	build(&c, &host);
	SPANS(plan_ram(&plan, got, 64), { 0, 512 * MIB }, { resv.base - 256 * MIB, resv.base },
	      { resv.end, resv.end + 256 * MIB });
	c.iova_policy = IOVA_OFF;
	assert_int_equal(plan_build(&plan, &c, &host, &err), -ERANGE);
	assert_int_equal(plan_build(&plan, &c, &milan, &err), -ERANGE); /* its top has one side */
	assert_non_null(strstr(err.text, "and there are none: use --iova-policy vendor or no "
					 "--layout hole"));
	/* A small host */
	c.iova_policy = IOVA_AUTO;
	assert_int_equal(plan_build(&plan, &c, &intel, &err), -ERANGE);
	assert_non_null(strstr(err.text, "takes 41 address bits, but the host has 39: use no "
					 "--layout hole"));
	host.usable[0] = (struct span){ 0, UINT64_C(1) << 39 };
	host.nr_usable = 1;
	assert_int_equal(plan_build(&plan, &c, &host, &err), -ERANGE);
	assert_non_null(strstr(err.text, "but addresses end at 0x8000000000 (beyond the 39 "
					 "address bits of the host's IOMMU)"));
}

static void test_small_intel(void **state)
{
	struct config c = config(256 * MIB);

	(void)state;
	build(&c, &intel);
	E820(E820_LOW, { { MIB, 256 * MIB }, E820_USABLE }, E820_HOLE);
	SPANS(plan_dma(&plan, got, 64), { 0, 256 * MIB });
	SPANS(plan_windows(&plan, MAP_PCI32, got, 64), { 3 * GIB, 0xe0000000 },
	      { 0xf0000000, 0xfec00000 });
	SPANS(plan_windows(&plan, MAP_PCI64, got, 64), { 4 * GIB, 68 * GIB });
	/* Not the APICs (plan.h). */
	SPANS(plan_reserved(&plan, got, 64), { 0xe0000000, 0xf0000000 }, { 0xfeffc000, 4 * GIB });
	assert_int_equal(plan_ecam(&plan).base, 0xe0000000);
	assert_int_equal(plan_ecam(&plan).end, 0xf0000000);
	assert_int_equal(plan_cmos(&plan).above_16m_64k, 240 * 16);
	assert_int_equal(plan_cmos(&plan).above_4g_64k, 0);
	assert_int_equal(plan.phys_bits, 39);
	assert_int_equal(plan.nr_nodes, 1);
	assert_false(plan.numa);
	assert_int_equal(plan.max_memory, 256 * MIB);
}

static void test_large_amd(void **state)
{
	struct config c = config(1100 * GIB);
	struct plan_memory srat[8];

	(void)state;
	c.max_memory = 1200 * GIB;
	c.cpus = c.cores = 8;
	c.nr_nodes = 2;
	c.nodes[0].size = 600 * GIB;
	c.nodes[1].size = 500 * GIB;
	build(&c, &milan);
	E820(E820_LOW, { { MIB, 3 * GIB }, E820_USABLE }, E820_HOLE,
	     { { 4 * GIB, 1012 * GIB }, E820_USABLE }, { { HT_BASE, TIB }, E820_RESERVED },
	     { { TIB, 1113 * GIB }, E820_USABLE });
	/* Joined across the border of the nodes, for devices reach both alike. */
	SPANS(plan_dma(&plan, got, 64), { 0, 3 * GIB }, { 4 * GIB, 1012 * GIB },
	      { TIB, 1113 * GIB });
	SPANS(plan_windows(&plan, MAP_PCI64, got, 64), { 1213 * GIB, 1277 * GIB });
	SPANS(plan_reserved(&plan, got, 64), { 0xe0000000, 0xf0000000 }, { 0xfeffc000, 4 * GIB },
	      { HT_BASE, TIB });

	const struct plan_memory want[] = {
		{ { 0, 3 * GIB }, 0, false },
		{ { 4 * GIB, 601 * GIB }, 0, false },
		{ { 601 * GIB, 1012 * GIB }, 1, false },
		{ { TIB, 1113 * GIB }, 1, false },
		{ { 1113 * GIB, 1213 * GIB }, 1, true },
	};

	assert_int_equal(plan_srat(&plan, srat, ARRAY_SIZE(srat)), ARRAY_SIZE(want));
	for (unsigned i = 0; i < ARRAY_SIZE(want); i++) {
		assert_int_equal(srat[i].at.base, want[i].at.base);
		assert_int_equal(srat[i].at.end, want[i].at.end);
		assert_int_equal(srat[i].node, want[i].node);
		assert_int_equal(srat[i].hotplug, want[i].hotplug);
	}
	assert_int_equal(plan_cmos(&plan).above_16m_64k, (3 * GIB - 16 * MIB) >> 16);
	assert_int_equal(plan_cmos(&plan).above_4g_64k, 0xfc0000);
	assert_int_equal(plan.map.bits_required, 41);
	assert_true(plan.numa);
	assert_int_equal(plan_cpu_node(&plan, 3), 0);
	assert_int_equal(plan_cpu_node(&plan, 4), 1);
}

/* Files lie above RAM, each where nothing else is said to be, and are neither RAM nor a window. */
static void test_pmem(void **state)
{
	struct config c = config(1100 * GIB);
	struct host_facts host = milan;
	const struct span first = { 1113 * GIB, 1115 * GIB }, second = { 1115 * GIB, 1116 * GIB };

	(void)state;
	c.nr_pmem = host.nr_pmem = 2;
	host.pmem[0] = 2 * GIB;
	host.pmem[1] = 512 * MIB;
	for (unsigned i = 0; i < 2; i++) {
		host.pci[i].bars[0] = (struct bar_shape){ .size = 32 * KIB, .wide = true };
		host.pci[i].kind = DEVICE_PMEM;
		host.pci[i].index = i;
		snprintf(host.pci[i].name, sizeof(host.pci[i].name), "pmem%u", i);
	}
	host.nr_pci = 2;
	build(&c, &host);
	assert_int_equal(plan_pmem(&plan, 0).base, first.base);
	assert_int_equal(plan_pmem(&plan, 0).end, first.end);
	assert_int_equal(plan_pmem(&plan, 1).base, second.base);
	assert_int_equal(span_size(plan_pmem(&plan, 1)), 512 * MIB);
	assert_true(span_empty(plan_pmem(&plan, 2)));
	E820(E820_LOW, { { MIB, 3 * GIB }, E820_USABLE }, E820_HOLE,
	     { { 4 * GIB, 1012 * GIB }, E820_USABLE }, { { HT_BASE, TIB }, E820_RESERVED },
	     { { TIB, 1113 * GIB }, E820_USABLE });
	SPANS(plan_dma(&plan, got, 64), { 0, 3 * GIB }, { 4 * GIB, 1012 * GIB },
	      { TIB, 1113 * GIB });
	SPANS(plan_windows(&plan, MAP_PCI64, got, 64), { 1116 * GIB, 1180 * GIB });
	assert_int_equal(plan_check(&plan, &err), 0);
	assert_int_equal(plan_check_host(&plan, &host, &err), 0);
	/* A file that has grown since, and one that is another's. */
	host.pmem[1] += 2 * MIB;
	assert_int_equal(plan_check_host(&plan, &host, &err), -EINVAL);
	assert_non_null(strstr(err.text, "pmem1 has 536870912 bytes in the plan"));
	for (unsigned i = 0; i < plan.map.nr_regions; i++)
		if (plan.map.regions[i].kind == MAP_PMEM)
			plan.map.regions[i].node = 1;
	assert_int_equal(plan_check(&plan, &err), -EINVAL);
	assert_non_null(strstr(err.text, "twice"));
}

/* The registers end at 1 TiB: more is said as the most that they can hold. */
static void test_cmos_saturates(void **state)
{
	struct config c = config(2 * TIB);

	(void)state;
	build(&c, &(struct host_facts){ .vendor = HOST_INTEL, .family = 6, .phys_bits = 46 });
	assert_int_equal(plan_cmos(&plan).above_4g_64k, 0xffffff);
}

static void test_straddling(void **state)
{
	struct config c = config(GIB);

	(void)state;
	c.low_memory = 512 * MIB;
	c.high_memory_start = STRADDLE;
	build(&c, &milan);
	E820(E820_LOW, { { MIB, 512 * MIB }, E820_USABLE }, E820_HOLE,
	     { { STRADDLE, HT_BASE }, E820_USABLE }, { { HT_BASE, TIB }, E820_RESERVED },
	     { { TIB, TIB + 256 * MIB }, E820_USABLE });
	SPANS(plan_dma(&plan, got, 64), { 0, 512 * MIB }, { STRADDLE, HT_BASE },
	      { TIB, TIB + 256 * MIB });
	assert_int_equal(plan_cmos(&plan).above_16m_64k, 7936);
	assert_int_equal(plan_cmos(&plan).above_4g_64k, 0); /* nothing at 4 GiB itself */
}

static const char *cpus_of(unsigned node)
{
	static char text[PLAN_CPU_LIST_MAX];

	plan_cpu_list(&plan, node, text, sizeof(text));
	return text;
}

static void test_cpu_nodes(void **state)
{
	struct config c = config(3 * GIB);

	(void)state;
	c.cpus = c.cores = 8;
	c.nr_nodes = 3;
	for (unsigned i = 0; i < 3; i++)
		c.nodes[i].size = GIB;
	build(&c, &intel);
	/* dealt out evenly, every CPU to one node */
	assert_string_equal(cpus_of(0), "0-2");
	assert_string_equal(cpus_of(1), "3-5");
	assert_string_equal(cpus_of(2), "6-7");
	/* by whole cores, as evenly as they are */
	c.cores = 4;
	c.threads = 2;
	build(&c, &intel);
	assert_string_equal(cpus_of(0), "0-3");
	assert_string_equal(cpus_of(1), "4-5");
	assert_string_equal(cpus_of(2), "6-7");
	/* as they are named, and the last one is memory alone */
	c.nodes[0].has_cpus = c.nodes[1].has_cpus = true;
	memset(c.cpu_node, 2, 6);
	memset(c.cpu_node + 6, 1, 2);
	c.cpu_node[1] = 1;
	build(&c, &intel);
	assert_int_equal(plan_cpu_node(&plan, 5), 1);
	assert_int_equal(plan_cpu_node(&plan, 6), 0);
	assert_string_equal(cpus_of(0), "1,6-7");
	assert_string_equal(cpus_of(1), "0,2-5");
	assert_string_equal(cpus_of(2), "");
}

static void test_longest_cpu_list(void **state)
{
	static struct plan p;
	char text[PLAN_CPU_LIST_MAX];

	(void)state;
	p.cpus = CPUS_MAX;
	for (unsigned cpu = 0; cpu < CPUS_MAX; cpu++)
		p.cpu_node[cpu] = cpu % 2;
	plan_cpu_list(&p, 1, text, sizeof(text));
	assert_string_equal(text + strlen(text) - 10, ",4093,4095");
}

/* On both sides of the hole, and not the RAM of the node that may be anywhere. */
static void test_bound_ram(void **state)
{
	static const struct plan_bound want[] = { { { 601 * GIB, 1012 * GIB }, 5 },
						  { { TIB, 1113 * GIB }, 5 } };
	struct config c = config(1100 * GIB);
	struct plan_bound bound[8];

	(void)state;
	c.nr_nodes = 2;
	c.nodes[0].size = 600 * GIB;
	c.nodes[1] = (struct config_node){ .size = 500 * GIB, .bound = true, .host = 5 };
	build(&c, &milan);
	assert_int_equal(plan_bound_ram(&plan, bound, ARRAY_SIZE(bound)), 2);
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		assert_int_equal(bound[i].at.base, want[i].at.base);
		assert_int_equal(bound[i].at.end, want[i].at.end);
		assert_int_equal(bound[i].host, want[i].host);
	}
	assert_int_equal(plan_bound_ram(&plan, bound, 1), 2);
}

/* One way is enough, unless the ways differ. */
static void test_distances(void **state)
{
	struct config c = config(3 * GIB);

	(void)state;
	c.nr_nodes = 3;
	for (unsigned i = 0; i < 3; i++)
		c.nodes[i].size = GIB;
	c.distances[2][0] = 31;
	c.distances[1][2] = 40;
	c.distances[2][1] = 50;
	build(&c, &intel);
	assert_int_equal(plan_distance(&plan, 0, 0), 10);
	assert_int_equal(plan_distance(&plan, 0, 1), 20);
	assert_int_equal(plan_distance(&plan, 1, 0), 20);
	assert_int_equal(plan_distance(&plan, 0, 2), 31);
	assert_int_equal(plan_distance(&plan, 2, 0), 31);
	assert_int_equal(plan_distance(&plan, 1, 2), 40);
	assert_int_equal(plan_distance(&plan, 2, 1), 50);
}

/* --- limits --- */

static void test_bits(void **state)
{
	struct host_facts host = milan;
	struct config c = config(GIB);

	(void)state;
	/* What KVM can map may be less than what the CPU has. */
	host.phys_bits = 52;
	host.guest_phys_bits = 48;
	build(&c, &host);
	assert_int_equal(plan.phys_bits, 48);
	c.phys_bits = 40;
	build(&c, &host);
	assert_int_equal(plan.phys_bits, 40);
	c.memory = TIB;
	assert_int_equal(plan_build(&plan, &c, &host, &err), -ERANGE);
	assert_non_null(strstr(err.text, "--phys-bits 41"));
	c.cores = 3;
	assert_int_equal(plan_build(&plan, &c, &host, &err), -EINVAL);
}

static void test_check_host(void **state)
{
	struct host_facts narrow = milan, other = milan;
	struct config c = config(1100 * GIB);

	(void)state;
	build(&c, &milan);
	assert_int_equal(plan_check_host(&plan, &milan, &err), 0);
	narrow.phys_bits = 40;
	assert_int_equal(plan_check_host(&plan, &narrow, &err), -ERANGE);
	assert_non_null(strstr(err.text, "41"));
	other.resv[other.nr_resv++] =
		(struct host_resv){ { 20 * GIB, 21 * GIB }, HOST_RESV_RESERVED, 3 };
	assert_int_equal(plan_check_host(&plan, &other, &err), -ERANGE);
	assert_non_null(strstr(err.text, "group 3"));
	/* A plan made for an Intel host covers the hole of an AMD one. */
	build(&c, &(struct host_facts){ .vendor = HOST_INTEL, .family = 6, .phys_bits = 46 });
	assert_int_equal(plan_check_host(&plan, &milan, &err), -ERANGE);
	assert_non_null(strstr(err.text, "HyperTransport"));
}

/* Devices are not given what must stay free of the BIOS area; RAM lies there all the same. */
static void test_bios_area(void **state)
{
	struct config c = CONFIG_EMPTY;

	(void)state;
	c.sockets = c.cores = c.threads = 1;
	c.reserve[0] = (struct span){ 0xe8000, 0xe8801 };
	c.reserve[1] = (struct span){ 0xa0000, 0xc0000 };
	c.nr_reserve = 2;
	assert_int_equal(plan_build(&plan, &c, &intel, &err), 0);
	SPANS(plan_ram(&plan, got, 64), { 0, GIB });
	SPANS(plan_dma(&plan, got, 64), { 0, 0xa0000 }, { 0xc0000, 0xe8000 }, { 0xe9000, GIB });
	assert_int_equal(plan_check(&plan, &err), 0);
	assert_int_equal(plan_check_host(&plan, &intel, &err), 0);

	/* A host that reserves more of it than the plan knows is refused, and less is not. */
	struct host_facts host = intel;

	host.resv[host.nr_resv++] = (struct host_resv){ { 0xb0000, 0xb8000 }, HOST_RESV_DIRECT, 7 };
	assert_int_equal(plan_check_host(&plan, &host, &err), 0);
	host.resv[host.nr_resv++] = (struct host_resv){ { 0xb8000, 0xd0000 }, HOST_RESV_DIRECT, 7 };
	assert_int_equal(plan_check_host(&plan, &host, &err), -ERANGE);
	assert_non_null(strstr(err.text, "[0xb8000, 0xd0000) must stay free"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_amd_rule),
		cmocka_unit_test(test_bios_area),
		cmocka_unit_test(test_host_regions),
		cmocka_unit_test(test_short_list),
		cmocka_unit_test(test_layout_hole),
		cmocka_unit_test(test_small_intel),
		cmocka_unit_test(test_large_amd),
		cmocka_unit_test(test_cmos_saturates),
		cmocka_unit_test(test_straddling),
		cmocka_unit_test(test_cpu_nodes),
		cmocka_unit_test(test_longest_cpu_list),
		cmocka_unit_test(test_distances),
		cmocka_unit_test(test_bound_ram),
		cmocka_unit_test(test_usable),
		cmocka_unit_test(test_unknown_devices),
		cmocka_unit_test(test_too_many_ranges),
		cmocka_unit_test(test_bits),
		cmocka_unit_test(test_check_host),
		cmocka_unit_test(test_pmem),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
