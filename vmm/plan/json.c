/*
 * The plan as JSON; see plan/json.h. Every list is one of the folds of plan.h.
 *
 * JSON's integers are jansson's signed 64-bit ones. They hold every address, because no map reaches
 * beyond 2^52. A value that could not be made for lack of memory is NULL, and so is every value
 * packed from it.
 */
#include "vmm/plan/json.h"

#include "vmm/plan/topology.h"

#include <errno.h>
#include <jansson.h>

static json_int_t num(uint64_t n)
{
	return (json_int_t)n;
}

static json_t *json_span(struct span s)
{
	return json_pack("{s:I,s:I}", "start", num(s.base), "end", num(s.end));
}

/*
 * Appends `entry` and returns the list; NULL, with both freed, if either is NULL or there is no
 * memory.
 */
static json_t *plan_json_append(json_t *list, json_t *entry)
{
	if (json_array_append_new(list, entry) == 0)
		return list;
	json_decref(list);
	return NULL;
}

static json_t *json_spans(const struct span *s, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		list = plan_json_append(list, json_span(s[i]));
	return list;
}

static json_t *json_forbidden(const struct plan *p)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < p->map.nr_forbidden; i++) {
		const struct map_forbidden *f = &p->map.forbidden[i];

		list = plan_json_append(list, json_pack("{s:I,s:I,s:s}", "start", num(f->at.base),
							"end", num(f->at.end), "why", f->why));
	}
	return list;
}

static json_t *json_regions(const struct plan *p)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < p->map.nr_regions; i++) {
		const struct map_region *r = &p->map.regions[i];
		json_t *entry = json_pack("{s:I,s:I,s:s}", "start", num(r->at.base), "end",
					  num(r->at.end), "kind", map_kind_name(r->kind));

		if ((map_is_memory(r->kind) &&
		     json_object_set_new(entry, "node", json_integer(r->node)) < 0) ||
		    (map_is_window(r->kind) && p->nr_bridges > 1 &&
		     json_object_set_new(entry, "bridge", json_integer(r->node)) < 0)) {
			json_decref(entry);
			entry = NULL;
		}
		list = plan_json_append(list, entry);
	}
	return list;
}

static json_t *json_e820(const struct plan *p)
{
	static const char *const types[] = {
		[E820_USABLE] = "usable",
		[E820_RESERVED] = "reserved",
		[E820_ACPI] = "acpi",
	};
	struct e820_entry entries[PLAN_LIST_MAX];
	size_t n = plan_e820(p, entries, PLAN_LIST_MAX);
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		list = plan_json_append(
			list, json_pack("{s:I,s:I,s:s}", "start", num(entries[i].at.base), "end",
					num(entries[i].at.end), "type", types[entries[i].type]));
	return list;
}

static json_t *json_srat(const struct plan *p)
{
	struct plan_memory entries[PLAN_LIST_MAX];
	size_t n = plan_srat(p, entries, PLAN_LIST_MAX);
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		list = plan_json_append(
			list, json_pack("{s:I,s:I,s:i,s:b}", "start", num(entries[i].at.base),
					"end", num(entries[i].at.end), "node", (int)entries[i].node,
					"hotplug", (int)entries[i].hotplug));
	return list;
}

static json_t *json_dma(const struct plan *p)
{
	struct span spans[PLAN_LIST_MAX];

	return json_spans(spans, plan_dma(p, spans, PLAN_LIST_MAX));
}

static json_t *json_windows(const struct plan *p, enum map_kind kind)
{
	struct span spans[PLAN_LIST_MAX];

	return json_spans(spans, plan_windows(p, kind, spans, PLAN_LIST_MAX));
}

/* A span, or null where there is none. */
static json_t *json_window(struct span s)
{
	return span_empty(s) ? json_null() : json_span(s);
}

static json_t *json_bridges(const struct plan *p)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < p->nr_bridges; i++) {
		const struct plan_bridge *b = &p->bridges[i];

		list = plan_json_append(list,
					json_pack("{s:i,s:i,s:i}", "node", (int)b->node, "bus",
						  (int)b->bus, "buses", (int)b->buses));
	}
	return list;
}

static json_t *json_ports(const struct plan *p)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < p->nr_ports; i++) {
		const struct plan_port *port = &p->ports[i];

		list = plan_json_append(list, json_pack("{s:i,s:i,s:i,s:o,s:o,s:o}", "slot",
							(int)port->slot, "function",
							(int)port->function, "bus", (int)port->bus,
							"io", json_window(port->io), "mem32",
							json_window(port->mem32), "prefetch",
							json_window(port->prefetch)));
	}
	return list;
}

/* null: a BAR of I/O ports that is unassigned. */
static json_t *json_place(uint64_t at)
{
	return at ? json_integer(num(at)) : json_null();
}

static json_t *json_bars(const struct plan_pci *fn)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < BARS_AND_ROM; i++) {
		const struct bar_shape *bar = &fn->bars[i].shape;
		uint64_t at = fn->bars[i].at;

		if (bar->size)
			list = plan_json_append(
				list, json_pack("{s:i,s:I,s:o,s:o,s:s,s:i,s:b}", "bar", (int)i,
						"size", num(bar->size), "start", json_place(at),
						"end", json_place(at ? at + bar->size : 0), "kind",
						i == BAR_ROM ? "rom"
						: bar->io    ? "io"
							     : "memory",
						"width", bar->wide ? 64 : 32, "prefetch",
						(int)bar->prefetch));
	}
	return list;
}

static json_t *json_devices(const struct plan *p)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < p->nr_pci; i++) {
		const struct plan_pci *fn = &p->pci[i];
		json_t *port = fn->port == PLAN_NO_PORT ? json_null() : json_integer(fn->port);

		list = plan_json_append(
			list,
			json_pack("{s:s,s:s,s:i,s:i,s:i,s:o,s:i,s:i,s:o}", "name", fn->name, "type",
				  device_kind_name(fn->kind), "bus", (int)fn->bus, "slot",
				  (int)fn->slot, "function", (int)fn->function, "port", port,
				  "node", (int)p->bridges[plan_bridge_of(p, fn->bus)].node, "gsi",
				  (int)plan_pci_gsi(p, fn, 0), "bars", json_bars(fn)));
	}
	return list;
}

/* "bridges" is left out if there is one; "ports" and "devices" are if the plan has none. */
static json_t *json_pci(const struct plan *p)
{
	json_t *pci = json_pack("{s:o,s:o,s:o}", "ecam", json_span(plan_ecam(p)), "mmio32",
				json_windows(p, MAP_PCI32), "mmio64", json_windows(p, MAP_PCI64));

	if (p->nr_bridges > 1 && json_object_set_new(pci, "bridges", json_bridges(p)) < 0) {
		json_decref(pci);
		return NULL;
	}
	if ((p->nr_pci || p->nr_ports) &&
	    (json_object_set_new(pci, "ports", json_ports(p)) < 0 ||
	     json_object_set_new(pci, "devices", json_devices(p)) < 0)) {
		json_decref(pci);
		return NULL;
	}
	return pci;
}

/* Lists the APIC ids of the CPUs, in the order of their numbers. */
static json_t *json_cpus(const struct plan *p)
{
	json_t *ids = json_array();

	for (unsigned i = 0; i < p->cpus; i++)
		ids = plan_json_append(ids, json_integer(num(topology_apic_id(p, i))));
	return json_pack("{s:i,s:i,s:i,s:i,s:i,s:o}", "count", (int)p->cpus, "sockets",
			 (int)p->sockets, "dies", (int)topology_socket(p).dies, "cores",
			 (int)p->cores, "threads", (int)p->threads, "apic_ids", ids);
}

static json_t *json_distances(const struct plan *p, unsigned from)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < p->nr_nodes; i++)
		list = plan_json_append(list, json_integer(plan_distance(p, from, i)));
	return list;
}

/* "cpu_list" is as the kernel writes lists: "0-3,64-67", or "" for memory alone. */
static json_t *json_nodes(const struct plan *p)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < p->nr_nodes; i++) {
		json_t *host = p->nodes[i].bound ? json_integer(p->nodes[i].host) : json_null();
		char cpus[PLAN_CPU_LIST_MAX];
		int n = 0;

		for (unsigned cpu = 0; cpu < p->cpus; cpu++)
			n += plan_cpu_node(p, cpu) == i;
		plan_cpu_list(p, i, cpus, sizeof(cpus));
		list = plan_json_append(list, json_pack("{s:I,s:i,s:s,s:o,s:o}", "size",
							num(p->nodes[i].size), "cpus", n,
							"cpu_list", cpus, "distances",
							json_distances(p, i), "host_node", host));
	}
	return list;
}

static json_t *json_boot(const struct plan_boot *boot)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < boot->nr_places; i++) {
		const struct plan_boot_place *place = &boot->places[i];

		list = plan_json_append(list,
					json_pack("{s:I,s:I,s:s}", "start", num(place->at.base),
						  "end", num(place->at.end), "what", place->what));
	}
	return json_pack("{s:s,s:I,s:o}", "protocol", boot->protocol, "entry", num(boot->entry),
			 "places", list);
}

int plan_json(const struct plan *p, const struct plan_boot *boot, char **out, struct err *err)
{
	struct plan_cmos cmos = plan_cmos(p);
	/* "o" takes over the reference even if packing fails; a NULL makes the whole NULL. */
	json_t *json = json_pack(
		"{s:I,s:I,s:I,s:o,s:o,s:i,s:i,s:s,s:o,s:o,s:o,s:o,s:o,s:{s:I,s:I},s:o}", "ram_size",
		num(p->ram_size), "max_memory", num(p->max_memory), "page_size", num(p->page_size),
		"cpus", json_cpus(p), "nodes", json_nodes(p), "phys_bits", (int)p->phys_bits,
		"phys_bits_required", (int)p->map.bits_required, "iova_policy",
		iova_policy_name(p->iova_policy), "forbidden", json_forbidden(p), "regions",
		json_regions(p), "e820", json_e820(p), "srat", json_srat(p), "dma", json_dma(p),
		"cmos", "above_16m_64k", num(cmos.above_16m_64k), "above_4g_64k",
		num(cmos.above_4g_64k), "pci", json_pci(p));

	if (json && boot && json_object_set_new(json, "boot", json_boot(boot)) < 0) {
		json_decref(json);
		json = NULL;
	}
	*out = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
	json_decref(json);
	if (!*out)
		return err_set(err, ENOMEM, "out of memory for the plan as JSON");
	return 0;
}
