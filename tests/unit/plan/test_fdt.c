/*
 * Plan files: every field survives the way out and back, and every wrong value is refused.
 */
#include "vmm/plan/fdt.h"

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

#include <libfdt.h>

static struct plan plan, back;
static struct err err;
static _Alignas(8) uint8_t blob[PLAN_FDT_MAX];
static size_t blob_len;

static void same_map(const struct map *a, const struct map *b)
{
	assert_int_equal(a->nr_regions, b->nr_regions);
	for (unsigned i = 0; i < a->nr_regions; i++) {
		assert_int_equal(a->regions[i].at.base, b->regions[i].at.base);
		assert_int_equal(a->regions[i].at.end, b->regions[i].at.end);
		assert_int_equal(a->regions[i].kind, b->regions[i].kind);
		assert_int_equal(a->regions[i].node, b->regions[i].node);
	}
	assert_int_equal(a->nr_forbidden, b->nr_forbidden);
	for (unsigned i = 0; i < a->nr_forbidden; i++) {
		assert_int_equal(a->forbidden[i].at.base, b->forbidden[i].at.base);
		assert_int_equal(a->forbidden[i].at.end, b->forbidden[i].at.end);
		assert_string_equal(a->forbidden[i].why, b->forbidden[i].why);
	}
	assert_int_equal(a->bits_required, b->bits_required);
}

static void same_device(const struct plan_pci *a, const struct plan_pci *b)
{
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->index, b->index);
	assert_string_equal(a->name, b->name);
	assert_int_equal(a->bus, b->bus);
	assert_int_equal(a->slot, b->slot);
	assert_int_equal(a->function, b->function);
	assert_int_equal(a->port, b->port);
	for (unsigned i = 0; i < BARS_AND_ROM; i++) {
		const struct plan_bar *x = &a->bars[i], *y = &b->bars[i];

		assert_int_equal(x->at, y->at);
		assert_int_equal(x->shape.size, y->shape.size);
		assert_int_equal(x->shape.io, y->shape.io);
		assert_int_equal(x->shape.wide, y->shape.wide);
		assert_int_equal(x->shape.prefetch, y->shape.prefetch);
	}
}

static void same(const struct plan *a, const struct plan *b)
{
	assert_int_equal(a->ram_size, b->ram_size);
	assert_int_equal(a->max_memory, b->max_memory);
	assert_int_equal(a->page_size, b->page_size);
	assert_int_equal(a->phys_bits, b->phys_bits);
	assert_int_equal(a->iova_policy, b->iova_policy);
	assert_int_equal(a->cpus, b->cpus);
	assert_int_equal(a->sockets, b->sockets);
	assert_int_equal(a->cores, b->cores);
	assert_int_equal(a->threads, b->threads);
	assert_int_equal(a->dies, b->dies);
	assert_int_equal(a->nr_nodes, b->nr_nodes);
	for (unsigned i = 0; i < a->nr_nodes; i++) {
		assert_int_equal(a->nodes[i].size, b->nodes[i].size);
		assert_int_equal(a->nodes[i].bound, b->nodes[i].bound);
		assert_int_equal(a->nodes[i].host, b->nodes[i].host);
		for (unsigned j = 0; j < a->nr_nodes; j++)
			assert_int_equal(plan_distance(a, i, j), plan_distance(b, i, j));
	}
	assert_memory_equal(a->cpu_node, b->cpu_node, a->cpus);
	assert_int_equal(a->numa, b->numa);
	assert_int_equal(a->nr_bridges, b->nr_bridges);
	for (unsigned i = 0; i < a->nr_bridges; i++)
		assert_memory_equal(&a->bridges[i], &b->bridges[i], sizeof(a->bridges[i]));
	assert_int_equal(a->nr_ports, b->nr_ports);
	for (unsigned i = 0; i < a->nr_ports; i++)
		assert_memory_equal(&a->ports[i], &b->ports[i], sizeof(a->ports[i]));
	assert_int_equal(a->nr_pci, b->nr_pci);
	for (unsigned i = 0; i < a->nr_pci; i++)
		same_device(&a->pci[i], &b->pci[i]);
	same_map(&a->map, &b->map);
}

/* A GPU with a ROM, and what looks like an old NIC. */
static void add_devices(struct host_facts *host, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct host_pci *d = &host->pci[host->nr_pci++];

		d->index = i;
		snprintf(d->name, sizeof(d->name), "0000:%02x:00.0", 0x41 + i);
		d->link_speed = i % 3 ? 5 : 0;
		d->link_width = i % 3 ? 8 : 0;
		if (i % 2) {
			d->bars[1] = (struct bar_shape){ .size = 256, .io = true };
			d->bars[5] = (struct bar_shape){ .size = 4 * KIB };
		} else {
			d->bars[0] = (struct bar_shape){ 16 * GIB, .wide = true, .prefetch = true };
			d->rom_size = 64 * KIB;
		}
	}
}

static void build(const struct config *c)
{
	struct host_facts amd = { .vendor = HOST_AMD, .family = 0x19, .phys_bits = 48 };

	add_devices(&amd, c->nr_vfio);
	for (unsigned i = 0; i < c->nr_pmem; i++) {
		struct host_pci *d = &amd.pci[amd.nr_pci++];

		amd.pmem[amd.nr_pmem++] = (1 + i) * GIB;
		d->bars[0] = (struct bar_shape){ .size = 32 * KIB, .wide = true };
		d->kind = DEVICE_PMEM;
		d->index = i;
		snprintf(d->name, sizeof(d->name), "pmem%u", i);
	}
	memset(&plan, 0xa5, sizeof(plan));
	if (plan_build(&plan, c, &amd, &err))
		fail_msg("%s", err.text);
	if (plan_to_fdt(&plan, blob, sizeof(blob), &blob_len, &err))
		fail_msg("%s", err.text);
}

static void round_trip(const struct config *c)
{
	build(c);
	memset(&back, 0x5a, sizeof(back));
	if (plan_from_fdt(&back, blob, blob_len, &err))
		fail_msg("%s", err.text);
	same(&plan, &back);
}

static struct config small(void)
{
	struct config c = CONFIG_EMPTY;

	c.sockets = c.cores = c.threads = 1;
	return c;
}

/* Two nodes, both sides of the hole, hotplug space, huge pages, devices with and without a port. */
static struct config large(void)
{
	struct config c = small();

	c.memory = 1100 * GIB;
	c.max_memory = 2 * TIB;
	c.page_size = GIB;
	c.cpus = 24;
	c.sockets = 2;
	c.cores = 6;
	c.threads = 2;
	c.nr_nodes = 2;
	c.nodes[0] = (struct config_node){ .size = 600 * GIB, .has_cpus = true };
	c.nodes[1] = (struct config_node){ 500 * GIB, true, true, 7 };
	for (unsigned cpu = 0; cpu < 24; cpu++) /* node 1: 4-7,20-23 */
		c.cpu_node[cpu] = cpu / 4 % 4 == 1 ? 2 : 1;
	c.distances[0][1] = 32;
	c.distances[1][0] = 255;
	c.iova_policy = IOVA_VENDOR;
	c.phys_bits = 47;
	c.reserve[c.nr_reserve++] = (struct span){ 700 * GIB + 1, 701 * GIB + 3 };
	c.nr_vfio = 3;
	c.vfio[1].root_bus = true;
	return c;
}

static void test_round_trip(void **state)
{
	struct config c = small();

	(void)state;
	round_trip(&c);
	assert_false(back.numa);
	assert_int_equal(back.dies, 1);
	c = large();
	c.dies = 3;
	round_trip(&c);
	c = small();
	c.low_memory = 512 * MIB;
	c.high_memory_start = UINT64_C(0xfcf0000000);
	round_trip(&c);
	c.nr_pmem = PMEM_MAX;
	round_trip(&c);
	assert_int_equal(span_size(plan_pmem(&back, 7)), 8 * GIB);
	c = large();
	round_trip(&c);
	assert_true(back.numa);
	assert_int_equal(back.iova_policy, IOVA_VENDOR);
	/* A second host bridge, and ports that are functions of one slot. */
	c.vfio[2].has_node = true;
	c.vfio[2].node = 1;
	c.spare_ports = 31;
	round_trip(&c);
	assert_int_equal(back.nr_bridges, 2);
	assert_int_equal(back.ports[9].function, 1);
	assert_int_equal(plan_bridge_of(&back, back.pci[2].bus), 1);
}

/* Every table full, every reason as long as can be: PLAN_FDT_MAX holds it. */
static void test_largest(void **state)
{
	(void)state;
	memset(&plan, 0, sizeof(plan));
	for (unsigned i = 0; i < MAP_REGIONS_MAX; i++)
		plan.map.regions[i] = (struct map_region){ { UINT64_MAX - 2 * MAP_REGIONS_MAX + i,
							     UINT64_MAX - MAP_REGIONS_MAX + i },
							   MAP_HOTPLUG,
							   63 };
	for (unsigned i = 0; i < MAP_FORBIDDEN_MAX; i++) {
		plan.map.forbidden[i].at = plan.map.regions[i].at;
		memset(plan.map.forbidden[i].why, 'w', MAP_WHY_MAX - 1);
	}
	plan.map.nr_regions = MAP_REGIONS_MAX;
	plan.map.nr_forbidden = MAP_FORBIDDEN_MAX;
	plan.nr_nodes = NODES_MAX;
	plan.nr_bridges = NODES_MAX;
	plan.cpus = CPUS_MAX;
	for (unsigned i = 0; i < CPUS_MAX; i++)
		plan.cpu_node[i] = i % NODES_MAX;
	plan.nr_ports = plan.nr_pci = PCI_DEVICES_MAX;
	for (unsigned i = 0; i < PCI_DEVICES_MAX; i++) {
		plan.ports[i].io = plan.ports[i].mem32 = plan.ports[i].prefetch =
			plan.map.regions[0].at;
		memset(plan.pci[i].name, 'n', HOST_PCI_NAME - 1);
		for (unsigned b = 0; b < BARS_AND_ROM; b++)
			plan.pci[i].bars[b].shape = (struct bar_shape){ 1, true, true, true };
	}
	assert_int_equal(plan_to_fdt(&plan, blob, sizeof(blob), &blob_len, &err), 0);
	assert_true(blob_len <= sizeof(blob));
	assert_int_equal(fdt_check_full(blob, blob_len), 0);
}

/* A small buffer is an error at every length, never an overrun (the sanitizer watches). */
static void test_no_space(void **state)
{
	struct config c = small();
	size_t need;

	(void)state;
	build(&c);
	need = blob_len;
	for (size_t cap = 0; cap < need; cap += 7) {
		uint8_t *buf = malloc(cap + 1);

		assert_int_equal(plan_to_fdt(&plan, buf, cap, &blob_len, &err), -ENOSPC);
		free(buf);
	}
}

static void test_truncated(void **state)
{
	struct config c = large();

	(void)state;
	build(&c);
	for (size_t len = 0; len < blob_len; len++) {
		uint8_t *buf = malloc(len + 1); /* + 1: malloc(0) may be NULL */

		memcpy(buf, blob, len);
		assert_int_equal(plan_from_fdt(&back, buf, len, &err), -EINVAL);
		free(buf);
	}
}

/* Version 3 and its nodes without names, which libfdt itself stumbles over. */
static void test_old_version(void **state)
{
	struct config c = small();

	(void)state;
	build(&c);
	fdt_set_version(blob, 3);
	fdt_set_last_comp_version(blob, 1);
	assert_int_equal(plan_from_fdt(&back, blob, blob_len, &err), -EINVAL);
	assert_non_null(strstr(err.text, "version 3"));
}

/* --- one wrong value at a time --- */

static void refused(const char *word)
{
	err.text[0] = 0;
	assert_int_equal(plan_from_fdt(&back, blob, blob_len, &err), -EINVAL);
	if (!strstr(err.text, word))
		fail_msg("expected '%s' in: %s", word, err.text);
	assert_null(strchr(err.text, '\n'));
}

static int at(const char *path)
{
	int node = fdt_path_offset(blob, path);

	if (node < 0)
		fail_msg("no node %s", path);
	return node;
}

/* A fresh plan file with room to edit. */
static void fresh(void)
{
	struct config c = large();

	build(&c);
	assert_int_equal(fdt_open_into(blob, blob, sizeof(blob)), 0);
	blob_len = fdt_totalsize(blob);
	assert_int_equal(plan_from_fdt(&back, blob, blob_len, &err), 0);
}

#define NODE0	  "/straddle,nodes/node@0"
#define PORT1	  "/straddle,ports/port@1"
#define DEVICE0	  "/straddle,devices/device@0"
#define DEVICE1	  "/straddle,devices/device@1"
#define BAR0	  DEVICE0 "/bar@0"
#define HYPER	  "/reserved-memory/forbidden@fd00000000"
#define HOTPLUG	  "/memory@116c0000000"
#define FIRST_RAM "/memory@0"

static void test_missing_and_misshapen(void **state)
{
	static const struct {
		const char *path, *name;
	} all[] = {
		{ "/", "compatible" },
		{ "/", "straddle,ram-size" },
		{ "/", "straddle,max-memory" },
		{ "/", "straddle,page-size" },
		{ "/", "straddle,phys-bits" },
		{ "/", "straddle,phys-bits-required" },
		{ "/", "straddle,iova-policy" },
		{ "/", "straddle,cpus" },
		{ "/", "straddle,sockets" },
		{ "/", "straddle,cores" },
		{ "/", "straddle,threads" },
		{ NODE0, "reg" },
		{ NODE0, "straddle,size" },
		{ NODE0, "straddle,distances" },
		{ HYPER, "reg" },
		{ HYPER, "straddle,why" },
		{ FIRST_RAM, "reg" },
		{ FIRST_RAM, "straddle,kind" },
		{ FIRST_RAM, "numa-node-id" },
		{ PORT1, "reg" },
		{ PORT1, "straddle,slot" },
		{ PORT1, "straddle,bus" },
		{ DEVICE1, "reg" },
		{ DEVICE1, "straddle,kind" },
		{ DEVICE1, "straddle,index" },
		{ DEVICE1, "straddle,name" },
		{ DEVICE1, "straddle,bus" },
		{ DEVICE1, "straddle,slot" },
		{ BAR0, "reg" },
		{ BAR0, "straddle,at" },
		{ BAR0, "straddle,size" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
		fresh();
		assert_int_equal(fdt_delprop(blob, at(all[i].path), all[i].name), 0);
		refused(all[i].name);
		fresh();
		assert_int_equal(fdt_setprop(blob, at(all[i].path), all[i].name, "\1\2\3\4\5\6", 6),
				 0);
		refused(all[i].name);
		fresh();
		assert_int_equal(fdt_setprop(blob, at(all[i].path), all[i].name, NULL, 0), 0);
		refused(all[i].name);
	}
}

static void set64(const char *path, const char *name, uint64_t value)
{
	fresh();
	assert_int_equal(fdt_setprop_u64(blob, at(path), name, value), 0);
}

static void set32(const char *path, const char *name, uint32_t value)
{
	fresh();
	assert_int_equal(fdt_setprop_u32(blob, at(path), name, value), 0);
}

static void set_cells(const char *path, const char *name, unsigned n, ...)
{
	fdt32_t cells[8];
	va_list values;

	fresh();
	va_start(values, n);
	for (unsigned i = 0; i < n; i++)
		cells[i] = cpu_to_fdt32(va_arg(values, uint32_t));
	va_end(values);
	assert_int_equal(fdt_setprop(blob, at(path), name, cells, (int)(n * sizeof(cells[0]))), 0);
}

static void set_text(const char *path, const char *name, const char *value)
{
	fresh();
	assert_int_equal(fdt_setprop_string(blob, at(path), name, value), 0);
}

static void set_reg(const char *path, uint64_t base, uint64_t size)
{
	fdt64_t cells[2] = { cpu_to_fdt64(base), cpu_to_fdt64(size) };

	fresh();
	assert_int_equal(fdt_setprop(blob, at(path), "reg", cells, sizeof(cells)), 0);
}

static void test_wrong_values(void **state)
{
	(void)state;
	set64("/", "straddle,ram-size", 1099 * GIB);
	refused("add up");
	set64("/", "straddle,max-memory", 3 * TIB);
	refused("hotplug");
	set64("/", "straddle,max-memory", GIB);
	refused("hotplug");
	set64("/", "straddle,page-size", 8192);
	refused("8192");
	set32("/", "straddle,phys-bits", 41);
	refused("41");
	set32("/", "straddle,phys-bits", 53);
	refused("53");
	set32("/", "straddle,phys-bits-required", 41);
	refused("41");
	set_text("/", "straddle,iova-policy", "none");
	refused("iova-policy");
	set_text("/", "compatible", "straddle,plan-1");
	refused("straddle,plan-3");
	set32("/", "straddle,cpus", 0);
	refused("CPU");
	set32("/", "straddle,cpus", CPUS_MAX + 1);
	refused("straddle,cpus");
	set32("/", "straddle,threads", 3);
	refused("threads");
	set32("/", "straddle,dies", 5); /* of 6 cores */
	refused("dies");
	set32("/", "straddle,dies", CPUS_MAX + 1);
	refused("dies");
	set32("/", "straddle,threads", 0x80000000);
	refused("threads");
	set32(NODE0, "reg", 1);
	refused("order");
	set64(NODE0, "straddle,size", 601 * GIB);
	refused("node 0");
	fresh();
	assert_int_equal(fdt_delprop(blob, at(NODE0), "straddle,cpus"), 0);
	refused("straddle,cpus is missing");
	set_cells(NODE0, "straddle,cpus", 3, 0, 16, 17);
	refused("pairs");
	set_cells(NODE0, "straddle,cpus", 0);
	refused("CPU 0 belongs to no NUMA node");
	set_cells(NODE0, "straddle,cpus", 2, 0, 25);
	refused("not there");
	set_cells(NODE0, "straddle,cpus", 2, 25, 0);
	refused("not there");
	set_cells(NODE0, "straddle,cpus", 2, 24, 0xffffffff);
	refused("not there");
	set_cells(NODE0, "straddle,cpus", 2, 0, 5); /* CPU 4 is node 1's */
	refused("there twice");
	set_cells(NODE0, "straddle,cpus", 4, 0, 4, 3, 1);
	refused("there twice");
	set_cells(NODE0, "straddle,cpus", 4, 0, 4, 8, 11);
	refused("CPU 19 belongs to no NUMA node");
	set_cells("/straddle,nodes/node@1", "straddle,host-node", 1, CONFIG_HOST_NODES);
	refused("straddle,host-node is too large");
	set_cells(NODE0, "straddle,distances", 3, 10, 20, 20);
	refused("a cell for each node");
	set_cells(NODE0, "straddle,distances", 2, 10, 9);
	refused("below 10");
	set_cells(NODE0, "straddle,distances", 2, 10, 256);
	refused("above 255");
	set_cells(NODE0, "straddle,distances", 2, 10, 10);
	refused("0 and 1 are 10 apart");
	set_text(HYPER, "straddle,why", "\033[2J");
	refused("printable");
	set_text(FIRST_RAM, "straddle,kind", "rum");
	refused("unknown");
	set32(FIRST_RAM, "numa-node-id", 2);
	refused("node 2");
	set32(FIRST_RAM, "numa-node-id", NODES_MAX);
	refused("numa-node-id");
	set32(HOTPLUG, "numa-node-id", 0);
	refused("node 0");
}

static void test_wrong_devices(void **state)
{
	(void)state;
	set32(PORT1, "reg", 0);
	refused("order");
	set32(PORT1, "straddle,slot", 1);
	refused("slot 1");
	set32(PORT1, "straddle,slot", 32);
	refused("straddle,slot");
	set32(PORT1, "straddle,bus", 1);
	refused("root port 1");
	set64(PORT1, "straddle,prefetch", 0);
	refused("straddle,prefetch");
	set32(DEVICE1, "reg", 2);
	refused("order");
	set32(DEVICE1, "straddle,port", 0);
	refused("where nothing leads to");
	set32(PORT1, "straddle,function", 8);
	refused("straddle,function");
	set32(PORT1, "straddle,function", 1);
	refused("no function 0");
	set32(DEVICE1, "straddle,function", 8);
	refused("straddle,function");
	set32(PORT1, "straddle,link-speed", 7);
	refused("straddle,link-speed");
	set32(PORT1, "straddle,link-width", 33);
	refused("straddle,link-width");
	set32(DEVICE1, "straddle,port", PCI_DEVICES_MAX);
	refused("straddle,port");
	set32(DEVICE1, "straddle,slot", 1);
	refused("slot 1");
	set_text(DEVICE1, "straddle,kind", "floppy");
	refused("straddle,kind");
	set32(DEVICE1, "straddle,index", PCI_DEVICES_MAX);
	refused("straddle,index");
	set_text(DEVICE1, "straddle,name", "0000:41:00.0");
	refused("twice");
	set_text(DEVICE1, "straddle,name", "");
	refused("no name");
	set_text(DEVICE1, "straddle,name", "\033[2J");
	refused("printable");
	set32(BAR0, "reg", BARS_AND_ROM);
	refused("reg");
	set32(BAR0, "reg", BAR_ROM);
	refused("there twice");
	set32(BAR0, "reg", 5);
	refused("upper half");
	set64(BAR0, "straddle,size", 0);
	refused("zero");
	set64(BAR0, "straddle,size", 3);
	refused("power of two");
	set64(BAR0, "straddle,at", GIB);
	refused("not aligned");
	set64(BAR0, "straddle,at", 16 * TIB);
	refused("outside of the window");
	fresh();
	/* Ports may have nothing behind them. */
	assert_int_equal(fdt_del_node(blob, at("/straddle,devices")), 0);
	assert_int_equal(plan_from_fdt(&back, blob, blob_len, &err), 0);
	fresh();
	assert_int_equal(fdt_del_node(blob, at("/straddle,ports")), 0);
	refused("where nothing leads to");
}

static void test_wrong_addresses(void **state)
{
	(void)state;
	set_reg(FIRST_RAM, 0, 0);
	refused("empty");
	set_reg(FIRST_RAM, 0, 5 * GIB);
	refused("ram");
	set_reg(FIRST_RAM, 2 * MIB, 3 * GIB - 2 * MIB);
	refused("address 0");
	set_reg(FIRST_RAM, 0, UINT64_MAX);
	refused("2^52");
	set_reg(FIRST_RAM, 1, UINT64_MAX);
	refused("wraps");
	set_reg(FIRST_RAM, 0, 3 * GIB - 2 * MIB); /* not made of the plan's pages */
	refused("");
	set_reg(HYPER, 0xfc00000000, 16 * GIB); /* over RAM */
	refused("forbidden");
	fresh();
	assert_int_equal(fdt_del_node(blob, at("/reserved@fd00000000")), 0);
	refused("reserved");
	fresh();
	assert_int_equal(fdt_del_node(blob, at("/apic@fec00000")), 0);
	refused("APIC");
	fresh();
	assert_int_equal(fdt_del_node(blob, at("/straddle,nodes")), 0);
	refused("NUMA");
	fresh();
	assert_true(fdt_add_subnode(blob, 0, "\033chosen") >= 0);
	refused("?chosen");
}

/* Too many of anything. */
static void test_too_many(void **state)
{
	static const struct {
		const char *parent;
		unsigned n;
	} tables[] = {
		{ "/", MAP_REGIONS_MAX + 1 },
		{ "/reserved-memory", MAP_FORBIDDEN_MAX + 1 },
		{ "/straddle,nodes", NODES_MAX + 1 },
		{ "/straddle,ports", PCI_DEVICES_MAX + 1 },
		{ "/straddle,bridges", NODES_MAX + 1 },
		{ "/straddle,devices", PCI_DEVICES_MAX + 1 },
	};

	(void)state;
	for (unsigned t = 0; t < ARRAY_SIZE(tables); t++) {
		struct map_region r = { { 200 * TIB, 200 * TIB + 2 * MIB }, MAP_RESERVED, 0 };
		struct config c = large();

		build(&c);
		plan.map.nr_regions = plan.map.nr_forbidden = plan.nr_nodes = 0;
		plan.nr_ports = 0;
		plan.nr_bridges = 2;			      /* so that there is a list of them */
		memset(&plan.pci[1], 0, sizeof(plan.pci[1])); /* an empty list has no node */
		plan.nr_pci = t < 3 ? 0 : 1;
		plan_to_fdt(&plan, blob, sizeof(blob), &blob_len, &err);
		assert_int_equal(fdt_open_into(blob, blob, sizeof(blob)), 0);
		for (unsigned i = tables[t].n; i--;) {
			char name[32];
			fdt64_t cells[2] = { cpu_to_fdt64(r.at.base + i * MIB), cpu_to_fdt64(MIB) };
			int node;

			snprintf(name, sizeof(name), "x@%x", i);
			node = fdt_add_subnode(blob, at(tables[t].parent), name);
			assert_true(node >= 0);
			fdt_setprop(blob, node, "reg", cells, sizeof(cells));
			fdt_setprop_string(blob, node, "straddle,kind", "reserved");
			fdt_setprop_string(blob, node, "straddle,why", "many");
			if (t < 2)
				continue;
			fdt_setprop_u32(blob, node, "reg", i);
			fdt_setprop_u64(blob, node, "straddle,size", 0);
			fdt_setprop_empty(blob, node, "straddle,cpus");
			fdt_setprop_u32(blob, node, "straddle,slot", 0);
			fdt_setprop_u32(blob, node, "straddle,bus", 0);
			fdt_setprop_u32(blob, node, "straddle,buses", 1);
			fdt_setprop_u32(blob, node, "numa-node-id", 0);
			fdt_setprop_string(blob, node, "straddle,kind", "disk");
			fdt_setprop_u32(blob, node, "straddle,index", i);
			fdt_setprop_string(blob, node, "straddle,name", "many");
		}
		fdt_pack(blob);
		blob_len = fdt_totalsize(blob);
		refused("too many");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_largest),
		cmocka_unit_test(test_no_space),     cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_old_version),  cmocka_unit_test(test_missing_and_misshapen),
		cmocka_unit_test(test_wrong_values), cmocka_unit_test(test_wrong_addresses),
		cmocka_unit_test(test_too_many),     cmocka_unit_test(test_wrong_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
