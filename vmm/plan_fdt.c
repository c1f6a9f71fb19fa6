/*
 * The plan as a flattened device tree; see plan_fdt.h, and docs/plan-file.md for the format.
 *
 * A plan file is untrusted. Each value passes through one of the small readers below, which check
 * that it is there, has the right length and is within bounds; what the values mean together is
 * judged by check_plan() at the end.
 */
#include "vmm/plan_fdt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <libfdt.h>

#define COMPATIBLE "straddle,plan-1"

static const char *const kind_names[] = {
	[MAP_RAM] = "ram",     [MAP_HOTPLUG] = "hotplug", [MAP_RESERVED] = "reserved",
	[MAP_PCI32] = "pci32", [MAP_PCI64] = "pci64",	  [MAP_ECAM] = "ecam",
	[MAP_APIC] = "apic",   [MAP_ROM] = "rom",
};

static bool has_node(enum map_kind kind)
{
	return kind == MAP_RAM || kind == MAP_HOTPLUG;
}

/* --- writing; each returns 0 or libfdt's error, and does nothing after the first --- */

struct writer {
	void *fdt;
	int ret;
};

static void put_u32(struct writer *w, const char *name, uint32_t value)
{
	w->ret = w->ret ? w->ret : fdt_property_u32(w->fdt, name, value);
}

static void put_u64(struct writer *w, const char *name, uint64_t value)
{
	w->ret = w->ret ? w->ret : fdt_property_u64(w->fdt, name, value);
}

static void put_text(struct writer *w, const char *name, const char *text)
{
	w->ret = w->ret ? w->ret : fdt_property_string(w->fdt, name, text);
}

static void put_flag(struct writer *w, const char *name)
{
	w->ret = w->ret ? w->ret : fdt_property(w->fdt, name, NULL, 0);
}

static void put_reg(struct writer *w, struct span at)
{
	fdt64_t cells[2] = { cpu_to_fdt64(at.base), cpu_to_fdt64(span_size(at)) };

	w->ret = w->ret ? w->ret : fdt_property(w->fdt, "reg", cells, sizeof(cells));
}

static void put_cells(struct writer *w, unsigned address_cells, unsigned size_cells)
{
	put_u32(w, "#address-cells", address_cells);
	put_u32(w, "#size-cells", size_cells);
}

static void begin(struct writer *w, const char *name)
{
	w->ret = w->ret ? w->ret : fdt_begin_node(w->fdt, name);
}

static void begin_at(struct writer *w, const char *name, uint64_t at)
{
	char full[64];

	snprintf(full, sizeof(full), "%s@%" PRIx64, name, at);
	begin(w, full);
}

static void end(struct writer *w)
{
	w->ret = w->ret ? w->ret : fdt_end_node(w->fdt);
}

static void put_region(struct writer *w, const struct map_region *r)
{
	begin_at(w, has_node(r->kind) ? "memory" : kind_names[r->kind], r->at.base);
	if (has_node(r->kind)) {
		put_text(w, "device_type", "memory");
		put_u32(w, "numa-node-id", r->node);
	}
	put_text(w, "straddle,kind", kind_names[r->kind]);
	put_reg(w, r->at);
	end(w);
}

static void put_forbidden(struct writer *w, const struct map *m)
{
	begin(w, "reserved-memory");
	put_cells(w, 2, 2);
	put_flag(w, "ranges");
	for (unsigned i = 0; i < m->nr_forbidden; i++) {
		begin_at(w, "forbidden", m->forbidden[i].at.base);
		put_reg(w, m->forbidden[i].at);
		put_flag(w, "no-map");
		put_text(w, "straddle,why", m->forbidden[i].why);
		end(w);
	}
	end(w);
}

static void put_nodes(struct writer *w, const struct plan *p)
{
	begin(w, "straddle,nodes");
	put_cells(w, 1, 0);
	for (unsigned i = 0; i < p->nr_nodes; i++) {
		begin_at(w, "node", i);
		put_u32(w, "reg", i);
		put_u64(w, "straddle,size", p->nodes[i].size);
		put_u32(w, "straddle,first-cpu", p->nodes[i].first_cpu);
		put_u32(w, "straddle,cpus", p->nodes[i].nr_cpus);
		end(w);
	}
	end(w);
}

int plan_to_fdt(const struct plan *p, void *buf, size_t cap, size_t *len, struct err *err)
{
	struct writer w = { buf, fdt_create(buf, (int)min_u64(cap, INT32_MAX)) };

	w.ret = w.ret ? w.ret : fdt_finish_reservemap(buf);
	begin(&w, "");
	put_cells(&w, 2, 2);
	put_text(&w, "compatible", COMPATIBLE);
	put_u64(&w, "straddle,ram-size", p->ram_size);
	put_u64(&w, "straddle,max-memory", p->max_memory);
	put_u64(&w, "straddle,page-size", p->page_size);
	put_u32(&w, "straddle,phys-bits", p->phys_bits);
	put_u32(&w, "straddle,phys-bits-required", p->map.bits_required);
	put_text(&w, "straddle,iova-policy", iova_policy_name(p->iova_policy));
	put_u32(&w, "straddle,cpus", p->cpus);
	put_u32(&w, "straddle,sockets", p->sockets);
	put_u32(&w, "straddle,cores", p->cores);
	put_u32(&w, "straddle,threads", p->threads);
	if (p->numa)
		put_flag(&w, "straddle,numa");
	put_nodes(&w, p);
	put_forbidden(&w, &p->map);
	for (unsigned i = 0; i < p->map.nr_regions; i++)
		put_region(&w, &p->map.regions[i]);
	end(&w);
	w.ret = w.ret ? w.ret : fdt_finish(buf);
	if (w.ret)
		return err_set(err, ENOSPC, "the plan does not fit into %zu bytes of device tree",
			       cap);
	*len = fdt_totalsize(buf);
	return 0;
}

/* --- reading; each names the node and the property that it cannot use --- */

struct reader {
	const void *fdt;
	struct err *err;
};

static int bad_value(const struct reader *r, int node, const char *name, const char *what)
{
	const char *from = fdt_get_name(r->fdt, node, NULL);
	char where[65] = "";

	/* The name is the file's: nothing in it may command the terminal that it is printed on. */
	for (size_t i = 0; from && from[i] && i < sizeof(where) - 1; i++)
		where[i] = from[i] > ' ' && from[i] <= '~' ? from[i] : '?';
	return err_set(r->err, EINVAL, "plan file: node /%s: %s %s", where, name, what);
}

static int get_u64(const struct reader *r, int node, const char *name, uint64_t *value)
{
	int len;
	const void *prop = fdt_getprop(r->fdt, node, name, &len);

	if (!prop)
		return bad_value(r, node, name, "is missing");
	if (len != 8)
		return bad_value(r, node, name, "is not two cells");
	*value = fdt64_ld(prop);
	return 0;
}

static int get_u32(const struct reader *r, int node, const char *name, uint32_t max,
		   uint32_t *value)
{
	int len;
	const void *prop = fdt_getprop(r->fdt, node, name, &len);

	if (!prop)
		return bad_value(r, node, name, "is missing");
	if (len != 4)
		return bad_value(r, node, name, "is not one cell");
	*value = fdt32_ld(prop);
	return *value <= max ? 0 : bad_value(r, node, name, "is too large");
}

/* Text goes to terminals and into JSON: it must be one string of printable ASCII. */
static int get_text(const struct reader *r, int node, const char *name, char *text, size_t cap)
{
	int len;
	const char *prop = fdt_getprop(r->fdt, node, name, &len);

	if (!prop)
		return bad_value(r, node, name, "is missing");
	if (len < 1 || (size_t)len > cap || memchr(prop, 0, (size_t)len) != prop + len - 1)
		return bad_value(r, node, name, "is not one string, or too long");
	for (int i = 0; i < len - 1; i++)
		if (prop[i] < ' ' || prop[i] > '~')
			return bad_value(r, node, name, "has characters that are not printable");
	memcpy(text, prop, (size_t)len);
	return 0;
}

static int get_reg(const struct reader *r, int node, struct span *at)
{
	int len;
	const fdt64_t *prop = fdt_getprop(r->fdt, node, "reg", &len);
	uint64_t size;

	if (!prop)
		return bad_value(r, node, "reg", "is missing");
	if (len != 16)
		return bad_value(r, node, "reg", "is not an address and a size of two cells each");
	at->base = fdt64_ld(&prop[0]);
	size = fdt64_ld(&prop[1]);
	if (size > UINT64_MAX - at->base)
		return bad_value(r, node, "reg", "wraps around");
	at->end = at->base + size;
	return 0;
}

static int get_region(const struct reader *r, int node, struct map *m)
{
	struct map_region *region = &m->regions[m->nr_regions];
	char kind[16];
	int ret;

	if (m->nr_regions == MAP_REGIONS_MAX)
		return bad_value(r, node, "straddle,kind", "is one region too many");
	ret = get_text(r, node, "straddle,kind", kind, sizeof(kind));
	if (!ret)
		ret = get_reg(r, node, &region->at);
	if (ret)
		return ret;
	for (unsigned i = 0; i < ARRAY_SIZE(kind_names); i++) {
		if (strcmp(kind, kind_names[i]))
			continue;
		region->kind = (enum map_kind)i;
		m->nr_regions++;
		if (!has_node(region->kind))
			return 0;
		return get_u32(r, node, "numa-node-id", MAP_NODES_MAX - 1, &region->node);
	}
	return bad_value(r, node, "straddle,kind", "is unknown");
}

static int get_forbidden(const struct reader *r, int parent, struct map *m)
{
	int node;

	fdt_for_each_subnode(node, r->fdt, parent)
	{
		struct map_forbidden *f = &m->forbidden[m->nr_forbidden];
		int ret;

		if (m->nr_forbidden == MAP_FORBIDDEN_MAX)
			return bad_value(r, node, "reg", "is one forbidden range too many");
		ret = get_reg(r, node, &f->at);
		if (!ret)
			ret = get_text(r, node, "straddle,why", f->why, sizeof(f->why));
		if (ret)
			return ret;
		m->nr_forbidden++;
	}
	return 0;
}

static int get_nodes(const struct reader *r, int parent, struct plan *p)
{
	int node;

	fdt_for_each_subnode(node, r->fdt, parent)
	{
		struct plan_node *n = &p->nodes[p->nr_nodes];
		uint32_t id;
		int ret;

		if (p->nr_nodes == MAP_NODES_MAX)
			return bad_value(r, node, "reg", "is one node too many");
		ret = get_u32(r, node, "reg", MAP_NODES_MAX - 1, &id);
		if (!ret && id != p->nr_nodes)
			ret = bad_value(r, node, "reg", "is out of order");
		if (!ret)
			ret = get_u64(r, node, "straddle,size", &n->size);
		if (!ret)
			ret = get_u32(r, node, "straddle,first-cpu", PLAN_CPUS_MAX, &n->first_cpu);
		if (!ret)
			ret = get_u32(r, node, "straddle,cpus", PLAN_CPUS_MAX, &n->nr_cpus);
		if (ret)
			return ret;
		p->nr_nodes++;
	}
	return 0;
}

static int get_policy(const struct reader *r, struct plan *p)
{
	char name[16];
	int ret = get_text(r, 0, "straddle,iova-policy", name, sizeof(name));

	if (ret)
		return ret;
	for (int i = IOVA_AUTO; i <= IOVA_OFF; i++) {
		p->iova_policy = (enum iova_policy)i;
		if (!strcmp(name, iova_policy_name(p->iova_policy)))
			return 0;
	}
	return bad_value(r, 0, "straddle,iova-policy", "is unknown");
}

static int get_root(const struct reader *r, struct plan *p)
{
	const struct {
		const char *name;
		uint64_t *value;
	} wide[] = {
		{ "straddle,ram-size", &p->ram_size },
		{ "straddle,max-memory", &p->max_memory },
		{ "straddle,page-size", &p->page_size },
	};
	const struct {
		const char *name;
		unsigned max, *value;
	} narrow[] = {
		{ "straddle,phys-bits", 64, &p->phys_bits },
		{ "straddle,phys-bits-required", 64, &p->map.bits_required },
		{ "straddle,cpus", PLAN_CPUS_MAX, &p->cpus },
		{ "straddle,sockets", PLAN_CPUS_MAX, &p->sockets },
		{ "straddle,cores", PLAN_CPUS_MAX, &p->cores },
		{ "straddle,threads", PLAN_CPUS_MAX, &p->threads },
	};
	int ret = 0;

	if (fdt_node_check_compatible(r->fdt, 0, COMPATIBLE))
		return err_set(r->err, EINVAL,
			       "the plan file is not compatible with " COMPATIBLE
			       ": make one with straddle plan --dtb");
	for (unsigned i = 0; i < ARRAY_SIZE(wide) && !ret; i++)
		ret = get_u64(r, 0, wide[i].name, wide[i].value);
	for (unsigned i = 0; i < ARRAY_SIZE(narrow) && !ret; i++)
		ret = get_u32(r, 0, narrow[i].name, narrow[i].max, narrow[i].value);
	p->numa = fdt_getprop(r->fdt, 0, "straddle,numa", NULL);
	return ret ? ret : get_policy(r, p);
}

static int get_children(const struct reader *r, struct plan *p)
{
	int node, ret;

	fdt_for_each_subnode(node, r->fdt, 0)
	{
		const char *name = fdt_get_name(r->fdt, node, NULL);

		if (!strcmp(name, "straddle,nodes"))
			ret = get_nodes(r, node, p);
		else if (!strcmp(name, "reserved-memory"))
			ret = get_forbidden(r, node, &p->map);
		else
			ret = get_region(r, node, &p->map);
		if (ret)
			return ret;
	}
	return 0;
}

/* --- what the values mean together --- */

/* RAM regions carry the nodes' sizes, hotplug space is the last one's, CPUs are dealt out whole. */
static int check_nodes(const struct plan *p, struct err *err)
{
	uint64_t sizes[MAP_NODES_MAX] = { 0 }, sum = 0;
	unsigned cpus = 0;

	if (!p->nr_nodes)
		return err_set(err, EINVAL, "plan file: there is no NUMA node");
	for (unsigned i = 0; i < p->map.nr_regions; i++) {
		const struct map_region *r = &p->map.regions[i];

		if (has_node(r->kind) && (r->node >= p->nr_nodes ||
					  (r->kind == MAP_HOTPLUG && r->node != p->nr_nodes - 1)))
			return err_set(err, EINVAL,
				       "plan file: memory at %#" PRIx64
				       " cannot belong to NUMA node %u of %u",
				       r->at.base, r->node, p->nr_nodes);
		if (r->kind == MAP_RAM)
			sizes[r->node] += span_size(r->at);
	}
	for (unsigned i = 0; i < p->nr_nodes; i++) {
		const struct plan_node *n = &p->nodes[i];

		if (n->size != sizes[i])
			return err_set(err, EINVAL,
				       "plan file: NUMA node %u should have %" PRIu64
				       " bytes of RAM but its regions have %" PRIu64,
				       i, n->size, sizes[i]);
		if (n->first_cpu != cpus || n->nr_cpus > p->cpus - cpus)
			return err_set(err, EINVAL,
				       "plan file: NUMA node %u has %u CPUs from CPU %u: nodes "
				       "take the %u CPUs in order, without gap or overlap",
				       i, n->nr_cpus, n->first_cpu, p->cpus);
		cpus += n->nr_cpus;
		sum += sizes[i];
	}
	if (cpus != p->cpus)
		return err_set(err, EINVAL, "plan file: CPU %u belongs to no NUMA node", cpus);
	if (sum != p->ram_size)
		return err_set(err, EINVAL,
			       "plan file: RAM regions add up to %" PRIu64 " bytes instead of "
			       "%" PRIu64,
			       sum, p->ram_size);
	return 0;
}

/* RAM comes in whole backing pages: mmap of huge pages needs it. */
static int check_pages(const struct plan *p, struct err *err)
{
	if (p->page_size != 4 * KIB && p->page_size != 2 * MIB && p->page_size != GIB)
		return err_set(err, EINVAL, "plan file: there are no pages of %" PRIu64 " bytes",
			       p->page_size);
	for (unsigned i = 0; i < p->map.nr_regions; i++) {
		const struct map_region *r = &p->map.regions[i];

		if (r->kind == MAP_RAM && (r->at.base | r->at.end) % p->page_size)
			return err_set(err, EINVAL,
				       "plan file: RAM at %#" PRIx64
				       " is not made of pages of %" PRIu64 " bytes",
				       r->at.base, p->page_size);
	}
	return 0;
}

static int check_plan(const struct plan *p, struct err *err)
{
	uint64_t hotplug = map_total(&p->map, MAP_HOTPLUG);
	int ret = map_check(&p->map, err);

	if (ret)
		return err_prefix(err, ret, "plan file: ");
	ret = check_nodes(p, err);
	if (!ret)
		ret = check_pages(p, err);
	if (ret)
		return ret;
	if (p->max_memory < p->ram_size || hotplug != p->max_memory - p->ram_size)
		return err_set(err, EINVAL,
			       "plan file: %" PRIu64 " bytes of RAM and %" PRIu64
			       " of hotplug space are not %" PRIu64,
			       p->ram_size, hotplug, p->max_memory);
	if (p->phys_bits < p->map.bits_required || p->phys_bits > 52)
		return err_set(
			err, EINVAL,
			"plan file: %u address bits, but the map needs %u and 52 is the most",
			p->phys_bits, p->map.bits_required);
	if (!p->cpus || (uint64_t)p->sockets * p->cores * p->threads != p->cpus)
		return err_set(err, EINVAL,
			       "plan file: %u CPUs are not %u sockets x %u cores x %u threads",
			       p->cpus, p->sockets, p->cores, p->threads);
	return 0;
}

/*
 * Whether libfdt may walk the blob at all. Its fdt_check_full() does not survive the nodes without
 * names that device trees had before version 16, so the version is looked at first.
 */
static int check_blob(const void *fdt, size_t len, struct err *err)
{
	int ret;

	if (len < sizeof(struct fdt_header) || fdt_magic(fdt) != FDT_MAGIC)
		return err_set(err, EINVAL,
			       "the plan file is not a device tree: make one with straddle plan "
			       "--dtb");
	if (fdt_version(fdt) < 17)
		return err_set(err, EINVAL,
			       "the plan file is a device tree of version %u, not 17: convert it "
			       "with dtc",
			       fdt_version(fdt));
	ret = fdt_check_full(fdt, len);
	if (ret)
		return err_set(err, EINVAL, "the plan file is not a sound device tree: %s",
			       fdt_strerror(ret));
	return 0;
}

int plan_from_fdt(struct plan *p, const void *fdt, size_t len, struct err *err)
{
	struct reader r = { fdt, err };
	int ret;

	memset(p, 0, sizeof(*p));
	ret = check_blob(fdt, len, err);
	if (!ret)
		ret = get_root(&r, p);
	if (!ret)
		ret = get_children(&r, p);
	return ret ? ret : check_plan(p, err);
}
