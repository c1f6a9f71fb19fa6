/*
 * The plan as a flattened device tree; see plan/fdt.h, and docs/plan-file.md for the format.
 *
 * A plan file is untrusted. Each value passes through one of the small readers below, which check
 * that it is there, has the right length and is within bounds; what the values mean together is
 * judged by plan_check() at the end.
 */
#include "vmm/plan/fdt.h"

#include "vmm/plan/pci_rules.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <libfdt.h>

#define COMPATIBLE "straddle,plan-3"

static const char *const kind_names[] = {
	[MAP_RAM] = "ram",     [MAP_HOTPLUG] = "hotplug", [MAP_RESERVED] = "reserved",
	[MAP_PCI32] = "pci32", [MAP_PCI64] = "pci64",	  [MAP_ECAM] = "ecam",
	[MAP_APIC] = "apic",   [MAP_ROM] = "rom",	  [MAP_PMEM] = "pmem",
};

static const char *const window_names[PCI_SPACES] = {
	[PCI_SPACE_IO] = "straddle,io",
	[PCI_SPACE_MEM32] = "straddle,mem32",
	[PCI_SPACE_MEM64] = "straddle,prefetch",
};

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

static void put_span(struct writer *w, const char *name, struct span at)
{
	fdt64_t cells[2] = { cpu_to_fdt64(at.base), cpu_to_fdt64(span_size(at)) };

	w->ret = w->ret ? w->ret : fdt_property(w->fdt, name, cells, sizeof(cells));
}

static void put_reg(struct writer *w, struct span at)
{
	put_span(w, "reg", at);
}

static void put_cells(struct writer *w, unsigned address_cells, unsigned size_cells)
{
	put_u32(w, "#address-cells", address_cells);
	put_u32(w, "#size-cells", size_cells);
}

static void plan_fdt_begin(struct writer *w, const char *name)
{
	w->ret = w->ret ? w->ret : fdt_begin_node(w->fdt, name);
}

static void begin_at(struct writer *w, const char *name, uint64_t at)
{
	char full[64];

	snprintf(full, sizeof(full), "%s@%" PRIx64, name, at);
	plan_fdt_begin(w, full);
}

static void plan_fdt_end(struct writer *w)
{
	w->ret = w->ret ? w->ret : fdt_end_node(w->fdt);
}

static void put_region(struct writer *w, const struct map_region *r)
{
	begin_at(w, map_is_memory(r->kind) ? "memory" : kind_names[r->kind], r->at.base);
	if (map_is_memory(r->kind)) {
		put_text(w, "device_type", "memory");
		put_u32(w, "numa-node-id", r->node);
	}
	if (r->kind == MAP_PMEM)
		put_u32(w, "straddle,file", r->node);
	if (map_is_window(r->kind) && r->node)
		put_u32(w, "straddle,bridge", r->node);
	put_text(w, "straddle,kind", kind_names[r->kind]);
	put_reg(w, r->at);
	plan_fdt_end(w);
}

static void put_forbidden(struct writer *w, const struct map *m)
{
	plan_fdt_begin(w, "reserved-memory");
	put_cells(w, 2, 2);
	put_flag(w, "ranges");
	for (unsigned i = 0; i < m->nr_forbidden; i++) {
		begin_at(w, "forbidden", m->forbidden[i].at.base);
		put_reg(w, m->forbidden[i].at);
		put_flag(w, "no-map");
		put_text(w, "straddle,why", m->forbidden[i].why);
		plan_fdt_end(w);
	}
	plan_fdt_end(w);
}

/* Runs of CPUs, each by its first one and how many; none: an empty property. */
static void put_node_cpus(struct writer *w, const struct plan *p, unsigned node)
{
	fdt32_t cells[CPUS_MAX]; /* two for a run, and another node's CPU is behind each */
	unsigned first, end = 0;
	int n = 0;

	while (plan_node_cpus(p, node, end, &first, &end)) {
		cells[n++] = cpu_to_fdt32(first);
		cells[n++] = cpu_to_fdt32(end - first);
	}
	w->ret = w->ret ? w->ret
			: fdt_property(w->fdt, "straddle,cpus", cells, n * (int)sizeof(cells[0]));
}

static void put_distances(struct writer *w, const struct plan *p, unsigned node)
{
	fdt32_t cells[NODES_MAX];

	for (unsigned i = 0; i < p->nr_nodes; i++)
		cells[i] = cpu_to_fdt32(plan_distance(p, node, i));
	w->ret = w->ret ? w->ret
			: fdt_property(w->fdt, "straddle,distances", cells,
				       (int)(p->nr_nodes * sizeof(cells[0])));
}

static void put_nodes(struct writer *w, const struct plan *p)
{
	plan_fdt_begin(w, "straddle,nodes");
	put_cells(w, 1, 0);
	for (unsigned i = 0; i < p->nr_nodes; i++) {
		begin_at(w, "node", i);
		put_u32(w, "reg", i);
		put_u64(w, "straddle,size", p->nodes[i].size);
		put_node_cpus(w, p, i);
		put_distances(w, p, i);
		if (p->nodes[i].bound)
			put_u32(w, "straddle,host-node", p->nodes[i].host);
		plan_fdt_end(w);
	}
	plan_fdt_end(w);
}

/* A plan with bus 0 alone has no list of host bridges. */
static void put_bridges(struct writer *w, const struct plan *p)
{
	plan_fdt_begin(w, "straddle,bridges");
	put_cells(w, 1, 0);
	for (unsigned i = 0; i < p->nr_bridges; i++) {
		begin_at(w, "bridge", i);
		put_u32(w, "reg", i);
		put_u32(w, "numa-node-id", p->bridges[i].node);
		put_u32(w, "straddle,bus", p->bridges[i].bus);
		put_u32(w, "straddle,buses", p->bridges[i].buses);
		plan_fdt_end(w);
	}
	plan_fdt_end(w);
}

static void plan_fdt_put_port(struct writer *w, const struct plan *p, unsigned i)
{
	struct plan_port port = p->ports[i];

	begin_at(w, "port", i);
	put_u32(w, "reg", i);
	put_u32(w, "straddle,slot", port.slot);
	if (port.function)
		put_u32(w, "straddle,function", port.function);
	put_u32(w, "straddle,bus", port.bus);
	if (port.link_speed) {
		put_u32(w, "straddle,link-speed", port.link_speed);
		put_u32(w, "straddle,link-width", port.link_width);
	}
	for (unsigned kind = 0; kind < PCI_SPACES; kind++) {
		struct span at = *plan_pci_window(&port, (enum pci_space)kind);

		if (!span_empty(at))
			put_span(w, window_names[kind], at);
	}
	plan_fdt_end(w);
}

static void put_bar(struct writer *w, unsigned i, const struct plan_bar *bar)
{
	begin_at(w, "bar", i);
	put_u32(w, "reg", i);
	put_u64(w, "straddle,at", bar->at);
	put_u64(w, "straddle,size", bar->shape.size);
	if (bar->shape.io)
		put_flag(w, "straddle,io");
	if (bar->shape.wide)
		put_flag(w, "straddle,wide");
	if (bar->shape.prefetch)
		put_flag(w, "straddle,prefetch");
	plan_fdt_end(w);
}

static void put_device(struct writer *w, const struct plan *p, unsigned i)
{
	const struct plan_pci *fn = &p->pci[i];

	begin_at(w, "device", i);
	put_u32(w, "reg", i);
	put_cells(w, 1, 0);
	put_text(w, "straddle,kind", device_kind_name(fn->kind));
	put_u32(w, "straddle,index", fn->index);
	put_text(w, "straddle,name", fn->name);
	put_u32(w, "straddle,bus", fn->bus);
	put_u32(w, "straddle,slot", fn->slot);
	if (fn->function)
		put_u32(w, "straddle,function", fn->function);
	if (fn->port != PLAN_NO_PORT)
		put_u32(w, "straddle,port", fn->port);
	for (unsigned b = 0; b < BARS_AND_ROM; b++)
		if (fn->bars[b].shape.size)
			put_bar(w, b, &fn->bars[b]);
	plan_fdt_end(w);
}

static void put_pci(struct writer *w, const struct plan *p)
{
	plan_fdt_begin(w, "straddle,ports");
	put_cells(w, 1, 0);
	for (unsigned i = 0; i < p->nr_ports; i++)
		plan_fdt_put_port(w, p, i);
	plan_fdt_end(w);
	plan_fdt_begin(w, "straddle,devices");
	put_cells(w, 1, 0);
	for (unsigned i = 0; i < p->nr_pci; i++)
		put_device(w, p, i);
	plan_fdt_end(w);
}

int plan_to_fdt(const struct plan *p, void *buf, size_t cap, size_t *len, struct err *err)
{
	struct writer w = { buf, fdt_create(buf, (int)min_u64(cap, INT32_MAX)) };

	w.ret = w.ret ? w.ret : fdt_finish_reservemap(buf);
	plan_fdt_begin(&w, "");
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
	if (p->dies > 1)
		put_u32(&w, "straddle,dies", p->dies);
	if (p->numa)
		put_flag(&w, "straddle,numa");
	put_nodes(&w, p);
	if (p->nr_bridges > 1)
		put_bridges(&w, p);
	if (p->nr_pci || p->nr_ports)
		put_pci(&w, p);
	put_forbidden(&w, &p->map);
	for (unsigned i = 0; i < p->map.nr_regions; i++)
		put_region(&w, &p->map.regions[i]);
	plan_fdt_end(&w);
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

	/*
	 * The node's name comes from the file, so control characters in it could change the
	 * terminal.
	 */
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

/* The same of a property that may be left out. */
static int get_u32_or_0(const struct reader *r, int node, const char *name, uint32_t max,
			uint32_t *value)
{
	*value = 0;
	return fdt_getprop(r->fdt, node, name, NULL) ? get_u32(r, node, name, max, value) : 0;
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

static int get_span(const struct reader *r, int node, const char *name, struct span *at)
{
	int len;
	const fdt64_t *prop = fdt_getprop(r->fdt, node, name, &len);
	uint64_t size;

	if (!prop)
		return bad_value(r, node, name, "is missing");
	if (len != 16)
		return bad_value(r, node, name, "is not an address and a size of two cells each");
	at->base = fdt64_ld(&prop[0]);
	size = fdt64_ld(&prop[1]);
	if (size > UINT64_MAX - at->base)
		return bad_value(r, node, name, "wraps around");
	at->end = at->base + size;
	return 0;
}

static int get_reg(const struct reader *r, int node, struct span *at)
{
	return get_span(r, node, "reg", at);
}

static bool plan_fdt_has(const struct reader *r, int node, const char *name)
{
	return fdt_getprop(r->fdt, node, name, NULL);
}

/* The property "reg" of the n-th node of a list must be n. */
static int get_index(const struct reader *r, int node, unsigned n, unsigned max)
{
	uint32_t id;
	int ret;

	if (n == max)
		return bad_value(r, node, "reg", "is one node too many");
	ret = get_u32(r, node, "reg", max - 1, &id);
	return !ret && id != n ? bad_value(r, node, "reg", "is out of order") : ret;
}

static int get_region(const struct reader *r, int node, struct map *m)
{
	struct map_region *region = &m->regions[m->nr_regions];
	char kind[16];
	int ret;

	if (m->nr_regions == MAP_REGIONS_MAX)
		return bad_value(r, node, "straddle,kind", "is one region too many");
	ret = get_text(r, node, "straddle,kind", kind, sizeof(kind));
	if (ret)
		return ret;
	ret = get_reg(r, node, &region->at);
	if (ret)
		return ret;
	for (unsigned i = 0; i < ARRAY_SIZE(kind_names); i++) {
		if (strcmp(kind, kind_names[i]))
			continue;
		region->kind = (enum map_kind)i;
		m->nr_regions++;
		if (region->kind == MAP_PMEM)
			return get_u32(r, node, "straddle,file", PMEM_MAX - 1, &region->node);
		if (map_is_window(region->kind))
			return get_u32_or_0(r, node, "straddle,bridge", NODES_MAX - 1,
					    &region->node);
		if (!map_is_memory(region->kind))
			return 0;
		return get_u32(r, node, "numa-node-id", NODES_MAX - 1, &region->node);
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
		if (ret)
			return ret;
		ret = get_text(r, node, "straddle,why", f->why, sizeof(f->why));
		if (ret)
			return ret;
		m->nr_forbidden++;
	}
	return 0;
}

/* The root, which says how many CPUs there are, has been read. */
static int get_node_cpus(const struct reader *r, int node, struct plan *p)
{
	static const char name[] = "straddle,cpus";
	int len;
	const fdt32_t *cells = fdt_getprop(r->fdt, node, name, &len);

	if (!cells)
		return bad_value(r, node, name, "is missing");
	if (len % 8)
		return bad_value(r, node, name, "is not pairs of two cells");
	for (int i = 0; i < len / 4; i += 2) {
		uint32_t first = fdt32_ld(&cells[i]), n = fdt32_ld(&cells[i + 1]);

		if (first > p->cpus || n > p->cpus - first)
			return bad_value(r, node, name, "has a CPU that is not there");
		for (uint32_t cpu = first; cpu < first + n; cpu++) {
			if (p->cpu_node[cpu] != PLAN_NO_NODE)
				return bad_value(r, node, name, "has a CPU that is there twice");
			p->cpu_node[cpu] = (uint8_t)p->nr_nodes;
		}
	}
	return 0;
}

static int get_distances(const struct reader *r, int node, int nr_nodes, struct plan *p)
{
	static const char name[] = "straddle,distances";
	int len;
	const fdt32_t *cells = fdt_getprop(r->fdt, node, name, &len);

	if (!cells)
		return bad_value(r, node, name, "is missing");
	if (len != 4 * nr_nodes)
		return bad_value(r, node, name, "is not a cell for each node");
	for (int i = 0; i < nr_nodes; i++) {
		uint32_t distance = fdt32_ld(&cells[i]);

		if (distance < 10 || distance > 255)
			return bad_value(r, node, name, "has one below 10 or above 255");
		p->distances[p->nr_nodes][i] = (uint8_t)distance;
	}
	return 0;
}

static int get_nodes(const struct reader *r, int parent, struct plan *p)
{
	int node, nr_nodes = 0;

	memset(p->cpu_node, PLAN_NO_NODE, sizeof(p->cpu_node));
	fdt_for_each_subnode(node, r->fdt, parent)
	{
		nr_nodes++;
	}
	if (nr_nodes > NODES_MAX)
		return bad_value(r, parent, "reg", "is one node too many");
	fdt_for_each_subnode(node, r->fdt, parent)
	{
		struct plan_node *n = &p->nodes[p->nr_nodes];
		int ret = get_index(r, node, p->nr_nodes, NODES_MAX);

		if (ret)
			return ret;
		ret = get_u64(r, node, "straddle,size", &n->size);
		if (ret)
			return ret;
		ret = get_node_cpus(r, node, p);
		if (ret)
			return ret;
		ret = get_distances(r, node, nr_nodes, p);
		if (ret)
			return ret;
		n->bound = plan_fdt_has(r, node, "straddle,host-node");
		if (n->bound)
			ret = get_u32(r, node, "straddle,host-node", CONFIG_HOST_NODES - 1,
				      &n->host);
		if (ret)
			return ret;
		p->nr_nodes++;
	}
	return 0;
}

static int get_bridges(const struct reader *r, int parent, struct plan *p)
{
	int node;

	fdt_for_each_subnode(node, r->fdt, parent)
	{
		struct plan_bridge *b = &p->bridges[p->nr_bridges];
		int ret = get_index(r, node, p->nr_bridges, NODES_MAX);

		if (ret)
			return ret;
		ret = get_u32(r, node, "numa-node-id", NODES_MAX - 1, &b->node);
		if (ret)
			return ret;
		ret = get_u32(r, node, "straddle,bus", 255, &b->bus);
		if (ret)
			return ret;
		ret = get_u32(r, node, "straddle,buses", 256, &b->buses);
		if (ret)
			return ret;
		p->nr_bridges++;
	}
	return 0;
}

static int get_ports(const struct reader *r, int parent, struct plan *p)
{
	int node;

	fdt_for_each_subnode(node, r->fdt, parent)
	{
		struct plan_port *port = &p->ports[p->nr_ports];
		int ret = get_index(r, node, p->nr_ports, PCI_DEVICES_MAX);

		if (ret)
			return ret;
		ret = get_u32(r, node, "straddle,slot", 31, &port->slot);
		if (ret)
			return ret;
		ret = get_u32_or_0(r, node, "straddle,function", 7, &port->function);
		if (ret)
			return ret;
		ret = get_u32(r, node, "straddle,bus", 255, &port->bus);
		if (ret)
			return ret;
		ret = get_u32_or_0(r, node, "straddle,link-speed", 6, &port->link_speed);
		if (ret)
			return ret;
		ret = get_u32_or_0(r, node, "straddle,link-width", 32, &port->link_width);
		if (ret)
			return ret;
		for (unsigned kind = 0; kind < PCI_SPACES; kind++) {
			if (!plan_fdt_has(r, node, window_names[kind]))
				continue;
			ret = get_span(r, node, window_names[kind],
				       plan_pci_window(port, (enum pci_space)kind));
			if (ret)
				return ret;
		}
		p->nr_ports++;
	}
	return 0;
}

static int get_bars(const struct reader *r, int parent, struct plan_pci *fn)
{
	int node;

	fdt_for_each_subnode(node, r->fdt, parent)
	{
		struct plan_bar *bar;
		uint32_t i;
		int ret = get_u32(r, node, "reg", BARS_AND_ROM - 1, &i);

		if (ret)
			return ret;
		bar = &fn->bars[i];
		if (bar->shape.size)
			return bad_value(r, node, "reg", "is there twice");
		ret = get_u64(r, node, "straddle,at", &bar->at);
		if (ret)
			return ret;
		ret = get_u64(r, node, "straddle,size", &bar->shape.size);
		if (ret)
			return ret;
		if (!bar->shape.size)
			return bad_value(r, node, "straddle,size", "is zero");
		bar->shape.io = plan_fdt_has(r, node, "straddle,io");
		bar->shape.wide = plan_fdt_has(r, node, "straddle,wide");
		bar->shape.prefetch = plan_fdt_has(r, node, "straddle,prefetch");
	}
	return 0;
}

static int get_kind(const struct reader *r, int node, struct plan_pci *fn)
{
	char name[16];
	int ret = get_text(r, node, "straddle,kind", name, sizeof(name));

	if (ret)
		return ret;
	if (!device_kind_find(name, &fn->kind))
		return bad_value(r, node, "straddle,kind", "is unknown");
	return get_u32(r, node, "straddle,index", PCI_DEVICES_MAX - 1, &fn->index);
}

static int get_devices(const struct reader *r, int parent, struct plan *p)
{
	int node;

	fdt_for_each_subnode(node, r->fdt, parent)
	{
		struct plan_pci *fn = &p->pci[p->nr_pci];
		int ret = get_index(r, node, p->nr_pci, PCI_DEVICES_MAX);

		if (ret)
			return ret;
		ret = get_kind(r, node, fn);
		if (ret)
			return ret;
		ret = get_text(r, node, "straddle,name", fn->name, sizeof(fn->name));
		if (ret)
			return ret;
		ret = get_u32(r, node, "straddle,bus", 255, &fn->bus);
		if (ret)
			return ret;
		ret = get_u32(r, node, "straddle,slot", 31, &fn->slot);
		if (ret)
			return ret;
		ret = get_u32_or_0(r, node, "straddle,function", 7, &fn->function);
		if (ret)
			return ret;
		fn->port = PLAN_NO_PORT;
		if (plan_fdt_has(r, node, "straddle,port")) {
			ret = get_u32(r, node, "straddle,port", PCI_DEVICES_MAX - 1, &fn->port);
			if (ret)
				return ret;
		}
		ret = get_bars(r, node, fn);
		if (ret)
			return ret;
		p->nr_pci++;
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
		{ "straddle,cpus", CPUS_MAX, &p->cpus },
		{ "straddle,sockets", CPUS_MAX, &p->sockets },
		{ "straddle,cores", CPUS_MAX, &p->cores },
		{ "straddle,threads", CPUS_MAX, &p->threads },
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
	p->dies = 1;
	if (!ret && plan_fdt_has(r, 0, "straddle,dies"))
		ret = get_u32(r, 0, "straddle,dies", CPUS_MAX, &p->dies);
	p->numa = plan_fdt_has(r, 0, "straddle,numa");
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
		else if (!strcmp(name, "straddle,bridges"))
			ret = get_bridges(r, node, p);
		else if (!strcmp(name, "straddle,ports"))
			ret = get_ports(r, node, p);
		else if (!strcmp(name, "straddle,devices"))
			ret = get_devices(r, node, p);
		else if (!strcmp(name, "reserved-memory"))
			ret = get_forbidden(r, node, &p->map);
		else
			ret = get_region(r, node, &p->map);
		if (ret)
			return ret;
	}
	return 0;
}

/*
 * Whether libfdt may walk the blob at all. Its fdt_check_full() does not survive the nodes without
 * names that device trees had before version 16, so the version is checked first.
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
	if (ret)
		return ret;
	ret = get_root(&r, p);
	if (ret)
		return ret;
	ret = get_children(&r, p);
	if (ret)
		return ret;
	if (!p->nr_bridges) {
		p->bridges[0].buses = p->nr_ports + 1;
		p->nr_bridges = 1;
	}
	ret = plan_check(p, err);
	return ret ? err_prefix(err, ret, "plan file: ") : 0;
}
