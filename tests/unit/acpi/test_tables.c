/*
 * The ACPI tables (acpi/tables.h), found and read as a kernel does it: RSDP, XSDT, entries. What
 * the AML means is tests/golden/acpi.sh's to check.
 */
#include "acpi/tables.h"
#include "vmm/base/bytes.h"
#include "vmm/base/platform.h"
#include "vmm/plan/topology.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static uint8_t mem[ACPI_END - ACPI_BASE];

/* 2 GiB, the rest of 8 GiB above 4 GiB, a forbidden range between them and the hotplug space. */
static struct plan machine(unsigned cpus, unsigned nodes)
{
	static const struct map_region regions[] = {
		{ { 0, 2 * GIB }, MAP_RAM, 0 },
		{ { 3 * GIB, 0xe0000000 }, MAP_PCI32, 0 },
		{ { 0xe0000000, 0xf0000000 }, MAP_ECAM, 0 },
		{ { 0xf0000000, 0xfec00000 }, MAP_PCI32, 0 },
		{ { 0xfec00000, 0xfef00000 }, MAP_APIC, 0 },
		{ { 4 * GIB, 10 * GIB }, MAP_RAM, 1 },
		{ { 10 * GIB, 12 * GIB }, MAP_RESERVED, 0 },
		{ { 12 * GIB, 16 * GIB }, MAP_HOTPLUG, 1 },
		{ { 16 * GIB, 80 * GIB }, MAP_PCI64, 0 },
	};
	struct plan p = { .ram_size = 8 * GIB, .max_memory = 12 * GIB, .phys_bits = 40 };

	p.cpus = p.sockets = cpus;
	p.cores = p.threads = 1;
	p.nr_nodes = nodes ? nodes : 1;
	p.numa = nodes;
	p.nr_bridges = p.bridges[0].buses = 1;
	for (unsigned cpu = 0; cpu < cpus; cpu++)
		p.cpu_node[cpu] = (uint8_t)(cpu * p.nr_nodes / cpus);
	memcpy(p.map.regions, regions, sizeof(regions));
	p.map.nr_regions = ARRAY_SIZE(regions);
	return p;
}

#define TABLES_ROOM (ACPI_RSDP - ACPI_BASE)

static size_t build(const struct plan *p)
{
	size_t len;
	struct err err;

	memset(mem, 0xa5, sizeof(mem));
	assert_int_equal(acpi_build(p, ACPI_BASE, mem, TABLES_ROOM, &len, mem + TABLES_ROOM, &err),
			 0);
	return len;
}

static const uint8_t *at(uint64_t gpa)
{
	assert_true(gpa >= ACPI_BASE && gpa < ACPI_END);
	return mem + (gpa - ACPI_BASE);
}

static uint8_t sum(const uint8_t *p, size_t n)
{
	uint8_t total = 0;

	while (n--)
		total += *p++;
	return total;
}

static size_t length(const uint8_t *table)
{
	return load_le(table + 4, 4);
}

/*
 * The RSDP, by the search of ACPI 6.3 section 5.2.5.1: what has its signature on a 16-byte boundary
 * from 0xe0000 on, and whose first 20 bytes add up to zero.
 */
static const uint8_t *root(void)
{
	for (uint64_t gpa = 0xe0000; gpa < 0x100000; gpa += 16)
		if (!memcmp(at(gpa), "RSD PTR ", 8) && !sum(at(gpa), 20))
			return at(gpa);
	fail_msg("no RSDP where kernels look for it");
	return NULL;
}

/* NULL if the XSDT has no such table. */
static const uint8_t *find(const char *signature)
{
	const uint8_t *xsdt = at(load_le(root() + 24, 8));

	for (size_t i = 36; i < length(xsdt); i += 8) {
		const uint8_t *table = at(load_le(xsdt + i, 8));

		if (!memcmp(table, signature, 4))
			return table;
	}
	return NULL;
}

/* Subtables of MADT and SRAT: the n-th one of a type, or NULL. */
static const uint8_t *find_sub(const uint8_t *table, size_t from, unsigned type, size_t n)
{
	for (size_t i = from; i < length(table); i += table[i + 1]) {
		assert_true(table[i + 1] >= 2 && table[i + 1] <= length(table) - i);
		if (table[i] == type && !n--)
			return table + i;
	}
	return NULL;
}

static void check_table(const uint8_t *table, size_t len)
{
	assert_true(length(table) >= 36);
	assert_true(length(table) <= len - (size_t)(table - mem));
	assert_int_equal((table - mem) % 16, 0);
	assert_int_equal(sum(table, length(table)), 0);
	assert_memory_equal(table + 10, "STRADLSTRADDLE", 14);
}

static void test_roots_and_checksums(void **state)
{
	static const char *const names[] = { "FACP", "APIC", "MCFG", "SRAT", "SLIT", "SSDT" };
	struct plan p = machine(4, 2);
	size_t len = build(&p);
	const uint8_t *rsdp = root(), *xsdt = at(load_le(rsdp + 24, 8));

	(void)state;
	/* It is also where the boot protocols say. */
	assert_ptr_equal(rsdp, at(ACPI_RSDP));
	assert_int_equal(rsdp[15], 2);
	assert_int_equal(load_le(rsdp + 16, 4), 0);
	assert_int_equal(load_le(rsdp + 20, 4), 36);
	assert_int_equal(sum(rsdp, 36), 0);
	assert_memory_equal(xsdt, "XSDT", 4);
	check_table(xsdt, len);
	assert_int_equal(length(xsdt), 36 + 8 * ARRAY_SIZE(names));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_non_null(find(names[i]));
		check_table(find(names[i]), len);
	}
	assert_int_equal(mem[len], 0xa5);
}

static void test_fadt(void **state)
{
	struct plan p = machine(1, 0);
	size_t len = build(&p);
	const uint8_t *fadt = find("FACP");
	const uint8_t *dsdt = at(load_le(fadt + 140, 8));

	(void)state;
	assert_int_equal(length(fadt), 276);
	assert_int_equal(fadt[8], 6);
	assert_memory_equal(dsdt, "DSDT", 4);
	check_table(dsdt, len);
	assert_true(dsdt[8] >= 2);
	assert_int_equal(load_le(fadt + 40, 4), load_le(fadt + 140, 8));
	/* hardware-reduced, reset register, no fixed buttons; no register blocks, no FACS */
	assert_int_equal(load_le(fadt + 112, 4) & (1 << 20 | 1 << 10 | 1 << 5 | 1 << 4),
			 1 << 20 | 1 << 10 | 1 << 5 | 1 << 4);
	assert_int_equal(load_le(fadt + 36, 4) | load_le(fadt + 132, 8), 0);
	for (size_t i = 46; i < 96; i++)
		assert_int_equal(fadt[i], 0);
	for (size_t i = 148; i < 244; i++)
		assert_int_equal(fadt[i], 0);
	assert_int_equal(load_le(fadt + 109, 2), 1 << 2);
	assert_int_equal(fadt[108], 0x32);
	assert_int_equal(load_le(fadt + 116, 4), 0x01000801);
	assert_int_equal(load_le(fadt + 120, 8), PORT_RESET);
	assert_int_equal(fadt[128], 6);
	assert_int_equal(load_le(fadt + 248, 8), PORT_PM);
	assert_int_equal(load_le(fadt + 260, 8), PORT_PM + 1);
	assert_memory_equal(fadt + 268, "STRADDLE", 8);
}

static void test_madt(void **state)
{
	struct plan p = machine(300, 0);
	const uint8_t *madt, *sub;

	(void)state;
	build(&p);
	madt = find("APIC");
	assert_int_equal(load_le(madt + 36, 4), LAPIC_BASE);
	assert_int_equal(load_le(madt + 40, 4), 0);
	for (unsigned cpu = 0; cpu < 255; cpu++) {
		sub = find_sub(madt, 44, 0, cpu);
		assert_int_equal(sub[2], cpu);
		assert_int_equal(sub[3], cpu);
		assert_int_equal(load_le(sub + 4, 4), 1);
	}
	assert_null(find_sub(madt, 44, 0, 255));
	for (unsigned cpu = 255; cpu < 300; cpu++) {
		sub = find_sub(madt, 44, 9, cpu - 255);
		assert_int_equal(load_le(sub + 4, 4), cpu);
		assert_int_equal(load_le(sub + 8, 4), 1);
		assert_int_equal(load_le(sub + 12, 4), cpu);
	}
	assert_null(find_sub(madt, 44, 9, 45));
	sub = find_sub(madt, 44, 1, 0);
	assert_int_equal(load_le(sub + 2, 2), 0);
	assert_int_equal(load_le(sub + 4, 4), IOAPIC_BASE);
	assert_int_equal(load_le(sub + 8, 4), 0);
	assert_null(find_sub(madt, 44, 2, 0));
	assert_non_null(find_sub(madt, 44, 4, 0));
	assert_non_null(find_sub(madt, 44, 10, 0));

	p = machine(255, 0);
	build(&p);
	assert_null(find_sub(find("APIC"), 44, 9, 0));
	assert_null(find_sub(find("APIC"), 44, 10, 0));
}

/* The id of a structure is the APIC id, its UID the CPU number. */
static void test_madt_packed_ids(void **state)
{
	struct plan p = machine(384, 0);
	unsigned narrow = 0, wide = 0;

	(void)state;
	p.sockets = 128;
	p.cores = 3;
	build(&p);
	for (unsigned cpu = 0; cpu < p.cpus; cpu++) {
		uint32_t id = topology_apic_id(&p, cpu);
		const uint8_t *sub =
			find_sub(find("APIC"), 44, id < 255 ? 0 : 9, id < 255 ? narrow++ : wide++);

		assert_int_equal(id < 255 ? sub[3] : load_le(sub + 4, 4), id);
		assert_int_equal(id < 255 ? sub[2] : load_le(sub + 12, 4), cpu);
	}
}

/* The most CPUs, with ids that are far apart, and two nodes: MADT and SRAT list the same. */
static void test_most_cpus(void **state)
{
	struct plan p = machine(CPUS_MAX, 2);
	unsigned narrow = 0;

	(void)state;
	p.sockets = 2;
	p.dies = 2;
	p.cores = CPUS_MAX / 2;
	build(&p);
	for (unsigned cpu = 0; cpu < p.cpus; cpu++)
		narrow += topology_apic_id(&p, cpu) < 255;
	for (unsigned cpu = 0; cpu < p.cpus; cpu++) {
		uint32_t id = topology_apic_id(&p, cpu);
		const uint8_t *madt =
			find_sub(find("APIC"), 44, id < 255 ? 0 : 9, id < 255 ? cpu : cpu - narrow);
		const uint8_t *srat =
			find_sub(find("SRAT"), 48, id < 255 ? 0 : 2, id < 255 ? cpu : cpu - narrow);

		assert_int_equal(id < 255 ? madt[3] : load_le(madt + 4, 4), id);
		assert_int_equal(id < 255 ? srat[3] : load_le(srat + 8, 4), id);
		assert_int_equal(id < 255 ? srat[2] : load_le(srat + 4, 4), cpu * 2 / CPUS_MAX);
	}
	assert_null(find_sub(find("APIC"), 44, 9, p.cpus - narrow));
}

static void test_mcfg(void **state)
{
	struct plan p = machine(1, 0);
	const uint8_t *mcfg;

	(void)state;
	build(&p);
	mcfg = find("MCFG");
	assert_int_equal(length(mcfg), 60);
	assert_int_equal(load_le(mcfg + 44, 8), 0xe0000000);
	assert_int_equal(load_le(mcfg + 52, 4), 0); /* segment 0, bus 0 only */
	p.nr_ports = 3;
	p.bridges[0].buses = 4;
	build(&p);
	assert_int_equal(load_le(find("MCFG") + 52, 4), 3 << 24); /* and one behind each port */
}

static void test_no_numa_tables_for_one_node(void **state)
{
	struct plan p = machine(2, 0);

	(void)state;
	build(&p);
	assert_null(find("SRAT"));
	assert_null(find("SLIT"));
}

static void test_srat_and_slit(void **state)
{
	static const struct {
		struct span at;
		unsigned node, flags;
	} want[] = { { { 0, 2 * GIB }, 0, 1 },
		     { { 4 * GIB, 10 * GIB }, 1, 1 },
		     { { 12 * GIB, 16 * GIB }, 1, 3 } };
	struct plan p = machine(300, 2);
	const uint8_t *srat, *slit, *sub;

	(void)state;
	build(&p);
	srat = find("SRAT");
	assert_int_equal(load_le(srat + 36, 4), 1);
	for (unsigned cpu = 0; cpu < 300; cpu++) {
		sub = find_sub(srat, 48, cpu < 255 ? 0 : 2, cpu < 255 ? cpu : cpu - 255);
		assert_int_equal(cpu < 255 ? sub[2] : load_le(sub + 4, 4), cpu / 150);
		assert_int_equal(cpu < 255 ? sub[3] : load_le(sub + 8, 4), cpu);
		assert_int_equal(load_le(sub + (cpu < 255 ? 4 : 12), 4), 1);
	}
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		sub = find_sub(srat, 48, 1, i);
		assert_int_equal(load_le(sub + 2, 4), want[i].node);
		assert_int_equal(load_le(sub + 8, 8), want[i].at.base);
		assert_int_equal(load_le(sub + 16, 8), span_size(want[i].at));
		assert_int_equal(load_le(sub + 28, 4), want[i].flags);
	}
	assert_null(find_sub(srat, 48, 1, ARRAY_SIZE(want)));
	slit = find("SLIT");
	assert_int_equal(length(slit), 36 + 8 + 4);
	assert_int_equal(load_le(slit + 36, 8), 2);
	assert_memory_equal(slit + 44, "\x0a\x14\x14\x0a", 4);
}

/* Node 1 is memory alone, and the way back from it is longer. */
static void test_slit_of_distances(void **state)
{
	struct plan p = machine(4, 2);
	const uint8_t *srat, *slit;

	(void)state;
	memset(p.cpu_node, 0, 4);
	p.distances[0][1] = 12;
	p.distances[1][0] = 255;
	build(&p);
	srat = find("SRAT");
	for (unsigned cpu = 0; cpu < 4; cpu++)
		assert_int_equal(find_sub(srat, 48, 0, cpu)[2], 0);
	assert_int_equal(load_le(find_sub(srat, 48, 1, 1) + 2, 4), 1);
	slit = find("SLIT");
	assert_memory_equal(slit + 44, "\x0a\x0c\xff\x0a", 4);
}

/* True if the SSDT has a memory descriptor of this range and these general flags. */
static bool ssdt_has(struct span s, uint8_t flags)
{
	const uint8_t *ssdt = find("SSDT");
	unsigned width = s.end <= 4 * GIB ? 4 : 8;
	size_t size = 6 + 5 * width;

	for (size_t i = 36; i + size <= length(ssdt); i++)
		if (ssdt[i] == (width == 4 ? 0x87 : 0x8a) && ssdt[i + 4] == flags &&
		    load_le(ssdt + i + 1, 2) == size - 3 &&
		    load_le(ssdt + i + 6 + width, width) == s.base &&
		    load_le(ssdt + i + 6 + 2 * width, width) == s.end - 1 &&
		    load_le(ssdt + i + 6 + 4 * width, width) == span_size(s))
			return true;
	return false;
}

/* The length of the bus number descriptor (ACPI 6.3 section 6.4.3.5.3): its tag, size and type. */
static const uint8_t *buses(void)
{
	const uint8_t *ssdt = find("SSDT");

	for (size_t i = 36; i + 16 <= length(ssdt); i++)
		if (!memcmp(ssdt + i, "\x88\x0d\x00\x02", 4))
			return ssdt + i + 14;
	fail();
	return NULL;
}

static void test_ssdt(void **state)
{
	struct plan p = machine(1, 0);

	(void)state;
	build(&p);
	assert_true(ssdt_has((struct span){ 3 * GIB, 0xe0000000 }, 0x0c));
	assert_true(ssdt_has((struct span){ 0xf0000000, 0xfec00000 }, 0x0c));
	assert_true(ssdt_has((struct span){ 16 * GIB, 80 * GIB }, 0x0c));
	assert_true(ssdt_has((struct span){ 0xe0000000, 0xf0000000 }, 0x0d));
	assert_true(ssdt_has((struct span){ 10 * GIB, 12 * GIB }, 0x0d));
	assert_false(ssdt_has((struct span){ 12 * GIB, 16 * GIB }, 0x0c));
	/* The bridge's buses come first in its template: bus 0, or one more for each port. */
	assert_int_equal(load_le(buses(), 2), 1);
	p.nr_ports = 31;
	p.bridges[0].buses = 32;
	build(&p);
	assert_int_equal(load_le(buses(), 2), 32);
}

/* Another host bridge: its windows are its own, and MCFG has its buses. */
static void test_second_bridge(void **state)
{
	struct plan p = machine(2, 2);
	const uint8_t *ssdt;
	bool found = false;

	(void)state;
	p.nr_ports = 3;
	p.nr_bridges = 2;
	p.bridges[0].buses = 2;
	p.bridges[1] = (struct plan_bridge){ .node = 1, .bus = 2, .buses = 3 };
	p.map.regions[3].node = 1;
	build(&p);
	assert_true(ssdt_has((struct span){ 0xf0000000, 0xfec00000 }, 0x0c));
	assert_int_equal(load_le(buses(), 2), 2);
	assert_int_equal(load_le(find("MCFG") + 52, 4), 4 << 24);
	ssdt = find("SSDT");
	for (size_t i = 36; i + 8 <= length(ssdt); i++)
		found |= !memcmp(ssdt + i, "_SB_PC01", 8);
	assert_true(found);
}

/* The most CPUs on the most nodes fit between ACPI_BASE and the RSDP. */
static void test_largest(void **state)
{
	struct plan p = machine(CPUS_MAX, NODES_MAX);

	(void)state;
	build(&p);
	assert_int_equal(load_le(find("SLIT") + 36, 8), NODES_MAX);
}

/* Every smaller buffer is refused, left alone beyond its end, and told the size it should have. */
static void test_no_room(void **state)
{
	struct plan p = machine(4, 2);
	uint8_t rsdp[ACPI_RSDP_SIZE];
	size_t need = build(&p), len;

	(void)state;
	for (size_t cap = 0; cap < need; cap += cap < 64 || cap + 64 > need ? 1 : 37) {
		uint8_t *small = malloc(cap ? cap : 1);
		struct err err = { "" };

		assert_int_equal(acpi_build(&p, ACPI_BASE, small, cap, &len, rsdp, &err), -ENOSPC);
		assert_int_equal(len, need);
		assert_non_null(strstr(err.text, "4 CPUs"));
		free(small);
	}
	assert_int_equal(acpi_build(&p, ACPI_BASE, mem, need, &len, rsdp, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roots_and_checksums),
		cmocka_unit_test(test_fadt),
		cmocka_unit_test(test_madt),
		cmocka_unit_test(test_madt_packed_ids),
		cmocka_unit_test(test_most_cpus),
		cmocka_unit_test(test_mcfg),
		cmocka_unit_test(test_no_numa_tables_for_one_node),
		cmocka_unit_test(test_slit_of_distances),
		cmocka_unit_test(test_srat_and_slit),
		cmocka_unit_test(test_ssdt),
		cmocka_unit_test(test_second_bridge),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
