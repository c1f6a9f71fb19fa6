/*
 * The slow and obvious address map; see oracle.h.
 */
#include "tests/unit/plan/oracle.h"
#include "vmm/base/platform.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NOWHERE UINT64_MAX

static const struct map_region fixed[] = {
	{ { ECAM_BASE, ECAM_END }, MAP_ECAM, 0 },
	{ { IOAPIC_BASE, 0xfef00000 }, MAP_APIC, 0 },
	{ { KVM_IDENTITY_MAP, ROM_BASE }, MAP_RESERVED, 0 },
	{ { ROM_BASE, 4 * GIB }, MAP_ROM, 0 },
};

/* --- what is free --- */

/* Between video memory and 1 MiB RAM is not told to be RAM: there, any of it may be forbidden. */
static bool in_bios_area(struct span s)
{
	return s.base >= 0xa0000 && s.end <= 0x100000;
}

static const struct map_forbidden *blocker(const struct map_request *req, struct span s)
{
	for (unsigned i = 0; i < req->nr_forbidden; i++) {
		const struct map_forbidden *f = &req->forbidden[i];

		if (!span_empty(f->at) && !span_empty(s) && span_overlaps(f->at, s) &&
		    !in_bios_area(f->at))
			return f;
	}
	return NULL;
}

/* The lowest multiple of `step` in `in` with `size` free bytes that end inside `in`; or NOWHERE. */
static uint64_t next_free(const struct map_request *req, struct span in, uint64_t step,
			  uint64_t size)
{
	uint64_t at = align_up(in.base, step);

	while (at < in.end && size <= in.end - at) {
		const struct map_forbidden *f = blocker(req, (struct span){ at, at + size });

		if (!f)
			return at;
		/* No multiple of step up to the end of that range can be free: skip them. */
		at = align_up(f->at.end, step);
	}
	return NOWHERE;
}

static uint64_t limit_of(const struct map_request *req)
{
	unsigned bits = req->guest_bits < req->host_bits ? req->guest_bits : req->host_bits;

	return UINT64_C(1) << (bits < 63 ? bits : 63);
}

/* Bytes of 32-bit windows if they begin at `from`. */
static uint64_t pci32_room(const struct map_request *req, uint64_t from)
{
	const struct span areas[] = { { from, ECAM_BASE }, { ECAM_END, IOAPIC_BASE } };
	uint64_t room = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(areas); i++)
		for (uint64_t at = align_up(areas[i].base, MIB); at < areas[i].end; at += MIB)
			if (!blocker(req, (struct span){ at, at + MIB }))
				room += MIB;
	return room;
}

/* Who says how much RAM lies low, and not how large the window must be, has chosen both. */
static uint64_t pci32_wish(const struct map_request *req)
{
	if (req->pci32_size || req->low_memory)
		return req->pci32_size;
	return 512 * MIB;
}

static uint64_t pci64_unit(const struct map_request *req)
{
	return req->largest_bar > GIB ? req->largest_bar : GIB;
}

static uint64_t pci64_wish(const struct map_request *req)
{
	uint64_t size = req->pci64_size;

	return align_up(size ? size : max_u64(64 * GIB, req->pci64_least), pci64_unit(req));
}

/* A window that nobody asked for may be as small as the BARs allow, but it is there. */
static uint64_t pci64_need(const struct map_request *req)
{
	if (req->pci64_size)
		return pci64_wish(req);
	return align_up(max_u64(GIB, req->pci64_least), pci64_unit(req));
}

/* Where RAM below 4 GiB must end and where 32-bit windows begin. False: they do not fit. */
static bool low_limits(const struct map_request *req, uint64_t *ram_end, uint64_t *pci_base)
{
	uint64_t usual = 3 * GIB;

	while (usual && pci32_room(req, usual) < pci32_wish(req))
		usual -= GIB;
	if (!usual)
		return false;
	*ram_end = req->low_memory ? req->low_memory : usual;
	*pci_base = *ram_end > usual ? *ram_end : usual;
	return *pci_base <= ECAM_BASE && pci32_room(req, *pci_base) >= pci32_wish(req);
}

static uint64_t high_start(const struct map_request *req)
{
	return req->high_memory_start > 4 * GIB ? req->high_memory_start : 4 * GIB;
}

static uint64_t hotplug_size(const struct map_request *req)
{
	return req->max_memory ? req->max_memory - req->ram_size : 0;
}

/* --- forbidden ranges, joined where they overlap --- */

/* No x86 CPU has more than 52 address bits: what lies beyond is of no interest. */
static struct span within_52_bits(struct span s)
{
	return span_common(s, (struct span){ 0, UINT64_C(1) << 52 });
}

/* Where the range that begins at `base` ends, when everything that overlaps it is joined to it. */
static uint64_t joined_end(const struct map_request *req, uint64_t base)
{
	uint64_t end = base, before;

	do {
		before = end;
		for (unsigned i = 0; i < req->nr_forbidden; i++) {
			struct span s = within_52_bits(req->forbidden[i].at);

			if (!span_empty(s) && (s.base == base || (s.base > base && s.base < end)))
				end = max_u64(end, s.end);
		}
	} while (end != before);
	return end;
}

/* True if no range reaches across `at`, so that what begins there is not part of another. */
static bool joined_base(const struct map_request *req, uint64_t at)
{
	for (unsigned i = 0; i < req->nr_forbidden; i++)
		if (req->forbidden[i].at.base < at && req->forbidden[i].at.end > at)
			return false;
	return true;
}

/* --- the layout --- */

static void add(struct oracle *o, struct span at, enum map_kind kind, unsigned node)
{
	struct map_region *last = o->nr_regions ? &o->regions[o->nr_regions - 1] : NULL;

	/* Reserved ones stay apart, because each has its own reason. */
	if (last && last->at.end == at.base && last->kind == kind && last->node == node &&
	    kind != MAP_RESERVED)
		last->at.end = at.end;
	else if (o->nr_regions < MAP_REGIONS_MAX)
		o->regions[o->nr_regions++] = (struct map_region){ at, kind, node };
}

/* Takes free units, lowest first, until `*left` is used up or `in` is. Returns the last end. */
static uint64_t take(struct oracle *o, const struct map_request *req, struct span in, uint64_t unit,
		     uint64_t *left, enum map_kind kind, unsigned node)
{
	uint64_t end = 0;

	while (*left >= unit) {
		uint64_t at = next_free(req, in, unit, unit);

		if (at == NOWHERE)
			break;
		end = in.base = at + unit;
		add(o, (struct span){ at, end }, kind, node);
		*left -= unit;
	}
	return end;
}

static int layout_ram(struct oracle *o, const struct map_request *req, uint64_t low,
		      uint64_t *ram_end)
{
	struct span in = { 0, low };
	bool high = false;

	for (unsigned n = 0; n < (req->nr_nodes ? req->nr_nodes : 1); n++) {
		uint64_t left = req->nr_nodes ? req->node_sizes[n] : req->ram_size;

		while (left) {
			uint64_t end = take(o, req, in, req->align, &left, MAP_RAM, n);

			if (end)
				*ram_end = in.base = end;
			if (left && high)
				return -ERANGE;
			if (left) {
				in = (struct span){ high_start(req), limit_of(req) };
				high = true;
			}
		}
	}
	/* The kernel's boot data lie at the very bottom. */
	return o->nr_regions && o->regions[0].at.base == 0 ? 0 : -ERANGE;
}

static int layout_hotplug(struct oracle *o, const struct map_request *req, uint64_t ram_end,
			  uint64_t *end)
{
	struct span in = { max_u64(ram_end, high_start(req)), limit_of(req) };
	uint64_t left = hotplug_size(req), at;
	unsigned node = req->nr_nodes ? req->nr_nodes - 1 : 0;

	*end = in.base;
	if (left >= GIB)
		*end = in.base = take(o, req, in, GIB, &left, MAP_HOTPLUG, node);
	if (left >= GIB)
		return -ERANGE;
	if (!left)
		return 0;
	at = next_free(req, in, GIB, left);
	if (at == NOWHERE)
		return -ERANGE;
	*end = at + left;
	add(o, (struct span){ at, at + left }, MAP_HOTPLUG, node);
	return 0;
}

/* Each file whole, where the lowest GiB is from which on it finds room. */
static int layout_pmem(struct oracle *o, const struct map_request *req, uint64_t *end)
{
	for (unsigned i = 0; i < req->nr_pmem; i++) {
		struct span in = { *end, UINT64_C(1) << 52 };
		uint64_t at = next_free(req, in, GIB, req->pmem[i]);

		if (at == NOWHERE)
			return -ERANGE;
		*end = at + req->pmem[i];
		add(o, (struct span){ at, *end }, MAP_PMEM, i);
	}
	return 0;
}

static void layout_pci32(struct oracle *o, const struct map_request *req, uint64_t from)
{
	uint64_t left = 4 * GIB;

	take(o, req, (struct span){ from, ECAM_BASE }, MIB, &left, MAP_PCI32, 0);
	take(o, req, (struct span){ ECAM_END, IOAPIC_BASE }, MIB, &left, MAP_PCI32, 0);
}

static uint64_t top_of(const struct map_region *r, unsigned n)
{
	uint64_t top = 0;

	for (unsigned i = 0; i < n; i++)
		if (r[i].kind == MAP_RAM || r[i].kind == MAP_HOTPLUG || r[i].kind == MAP_PMEM ||
		    r[i].kind == MAP_PCI32 || r[i].kind == MAP_PCI64)
			top = max_u64(top, r[i].at.end);
	return top;
}

static unsigned bits_of(uint64_t top)
{
	unsigned bits = 0;

	while (bits < 64 && (top - 1) >> bits)
		bits++;
	return bits;
}

static bool in_fixed(uint64_t at)
{
	for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++)
		if (at >= fixed[i].at.base && at < fixed[i].at.end)
			return true;
	return false;
}

/*
 * Forbidden bytes below the top, outside the fixed regions. Nothing changes between two
 * neighbouring cut points, so one byte answers for all of them.
 */
static void layout_reserved(struct oracle *o, const struct map_request *req, uint64_t top)
{
	uint64_t cuts[2 * MAP_FORBIDDEN_MAX + 2 * ARRAY_SIZE(fixed) + 1];
	struct map_region none = { 0 }, *last = &none;
	unsigned n = 0;

	for (unsigned i = 0; i < req->nr_forbidden; i++) {
		cuts[n++] = req->forbidden[i].at.base;
		cuts[n++] = req->forbidden[i].at.end;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++) {
		cuts[n++] = fixed[i].at.base;
		cuts[n++] = fixed[i].at.end;
	}
	cuts[n++] = top;
	for (uint64_t at = 0; at < top;) {
		uint64_t next = NOWHERE;

		for (unsigned i = 0; i < n; i++)
			if (cuts[i] > at && cuts[i] < next)
				next = cuts[i];
		if (blocker(req, (struct span){ at, at + 1 }) && !in_fixed(at)) {
			if (last->at.end == at && !joined_base(req, at))
				last->at.end = next;
			else
				add(o, (struct span){ at, next }, MAP_RESERVED, 0);
			last = &o->regions[o->nr_regions - 1];
		}
		at = next;
	}
}

static void sort_and_join(struct oracle *o)
{
	unsigned n = o->nr_regions;

	for (unsigned i = 1; i < n; i++)
		for (unsigned j = i; j && o->regions[j].at.base < o->regions[j - 1].at.base; j--) {
			struct map_region swap = o->regions[j];

			o->regions[j] = o->regions[j - 1];
			o->regions[j - 1] = swap;
		}
	o->nr_regions = 0;
	for (unsigned i = 0; i < n; i++) {
		struct map_region r = o->regions[i];

		add(o, r.at, r.kind, r.node);
	}
}

int oracle_layout(struct oracle *o, const struct map_request *req)
{
	uint64_t low, pci32, ram_end = 0, hotplug_end, left = pci64_wish(req), top;
	struct span in;
	int ret;

	memset(o, 0, sizeof(*o));
	if (!low_limits(req, &low, &pci32))
		return -ERANGE;
	ret = layout_ram(o, req, low, &ram_end);
	if (!ret)
		ret = layout_hotplug(o, req, ram_end, &hotplug_end);
	if (!ret)
		ret = layout_pmem(o, req, &hotplug_end);
	if (ret)
		return ret;
	layout_pci32(o, req, pci32);
	in = (struct span){ max_u64(hotplug_end, high_start(req)), limit_of(req) };
	take(o, req, in, pci64_unit(req), &left, MAP_PCI64, 0);
	if (pci64_wish(req) - left < pci64_need(req))
		return -ERANGE;
	top = top_of(o->regions, o->nr_regions);
	if (top > limit_of(req))
		return -ERANGE;
	o->bits_required = bits_of(top);
	for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++)
		add(o, fixed[i].at, fixed[i].kind, 0);
	layout_reserved(o, req, top);
	sort_and_join(o);
	return 0;
}

/* --- the rules, one by one --- */

static bool has_node(enum map_kind kind)
{
	return kind == MAP_RAM || kind == MAP_HOTPLUG;
}

static bool is_used(enum map_kind kind)
{
	return has_node(kind) || kind == MAP_PMEM || kind == MAP_PCI32 || kind == MAP_PCI64;
}

/* The end of the highest region of a kind; 0 if there is none. */
static uint64_t end_of(const struct map *m, enum map_kind kind)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < m->nr_regions; i++)
		if (m->regions[i].kind == kind)
			end = max_u64(end, m->regions[i].at.end);
	return end;
}

static uint64_t sum_of(const struct map *m, enum map_kind kind)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < m->nr_regions; i++)
		if (m->regions[i].kind == kind)
			sum += span_size(m->regions[i].at);
	return sum;
}

static const char *broken_order(const struct map *m, const struct map_request *req)
{
	for (unsigned i = 0; i < m->nr_regions; i++) {
		const struct map_region *r = &m->regions[i];

		if (span_empty(r->at))
			return "no region is empty";
		if (i && r[-1].at.end > r->at.base)
			return "regions are sorted and disjoint";
		if (i && r[-1].at.end == r->at.base && r[-1].kind == r->kind &&
		    r->kind != MAP_RESERVED && r->kind != MAP_PMEM &&
		    (!has_node(r->kind) || r[-1].node == r->node))
			return "adjacent regions of one kind and node are one region";
		if (is_used(r->kind) && blocker(req, r->at))
			return "nothing that is used touches a forbidden range";
	}
	for (unsigned f = 0; f < ARRAY_SIZE(fixed); f++) {
		bool found = false;

		for (unsigned i = 0; i < m->nr_regions; i++)
			found |= m->regions[i].kind == fixed[f].kind &&
				 m->regions[i].at.base <= fixed[f].at.base &&
				 m->regions[i].at.end >= fixed[f].at.end;
		if (!found)
			return "ECAM, APICs, KVM's pages and ROM are where the platform has them";
	}
	return NULL;
}

static const char *broken_nodes(const struct map *m, const struct map_request *req)
{
	unsigned nr = req->nr_nodes ? req->nr_nodes : 1, last = 0;
	uint64_t sums[NODES_MAX] = { 0 };

	for (unsigned i = 0; i < m->nr_regions; i++) {
		const struct map_region *r = &m->regions[i];

		if (has_node(r->kind) && r->node >= nr)
			return "nodes exist";
		if (r->kind == MAP_HOTPLUG && r->node != nr - 1)
			return "hotplug space belongs to the last node";
		if (r->kind != MAP_RAM)
			continue;
		if (r->node < last)
			return "nodes lie in address order";
		last = r->node;
		sums[last] += span_size(r->at);
	}
	for (unsigned i = 0; i < req->nr_nodes; i++)
		if (sums[i] != req->node_sizes[i])
			return "every node has its size";
	return NULL;
}

/* True if RAM leaves no free unit of `in` unused. */
static bool filled(const struct map *m, const struct map_request *req, struct span in)
{
	uint64_t at = in.base;

	for (unsigned i = 0; i < m->nr_regions; i++) {
		const struct map_region *r = &m->regions[i];
		struct span gap = { at, min_u64(r->at.base, in.end) };

		if (r->kind != MAP_RAM || r->at.end <= in.base)
			continue;
		if (r->at.base >= in.end)
			break;
		if (gap.end > gap.base && next_free(req, gap, req->align, req->align) != NOWHERE)
			return false;
		at = r->at.end;
	}
	return at >= in.end ||
	       next_free(req, (struct span){ at, in.end }, req->align, req->align) == NOWHERE;
}

static const char *broken_ram(const struct map *m, const struct map_request *req)
{
	uint64_t low, pci32, low_end = 0, end = end_of(m, MAP_RAM);

	if (sum_of(m, MAP_RAM) != req->ram_size)
		return "RAM adds up to what was asked for";
	if (!low_limits(req, &low, &pci32))
		return "a map that has no room for 32-bit windows is refused";
	for (unsigned i = 0; i < m->nr_regions; i++) {
		const struct map_region *r = &m->regions[i];

		if (r->kind != MAP_RAM)
			continue;
		if ((r->at.base | r->at.end) & (req->align - 1))
			return "RAM is aligned";
		if (r->at.end > low && r->at.base < high_start(req))
			return "RAM lies below the low limit or above the high start";
		if (r->at.end <= low)
			low_end = r->at.end;
	}
	if (!blocker(req, (struct span){ 0, req->align }) && m->regions[0].at.base)
		return "RAM begins at zero";
	if (!filled(m, req, (struct span){ 0, end > low ? low : end }))
		return "low RAM fills the lowest usable addresses first";
	if (end <= low)
		return NULL;
	if (!filled(m, req, (struct span){ high_start(req), end }))
		return "high RAM fills the lowest usable addresses first";
	if (!req->low_memory && !blocker(req, (struct span){ 0, low }) && low_end % GIB)
		return "low RAM ends on a GiB boundary when there is high RAM";
	return NULL;
}

static const char *broken_hotplug(const struct map *m, const struct map_request *req)
{
	uint64_t end = end_of(m, MAP_HOTPLUG);

	if (sum_of(m, MAP_HOTPLUG) != hotplug_size(req))
		return "hotplug space adds up to maximum less present memory";
	for (unsigned i = 0; i < m->nr_regions; i++) {
		const struct map_region *r = &m->regions[i];

		if (r->kind != MAP_HOTPLUG)
			continue;
		if (r->at.base < max_u64(high_start(req), end_of(m, MAP_RAM)))
			return "hotplug space lies above RAM, in its high part";
		if (r->at.base % GIB)
			return "hotplug space begins on a GiB boundary";
		if (r->at.end % GIB && r->at.end != end)
			return "only the last piece of hotplug space has a broken GiB";
	}
	return NULL;
}

static const char *broken_pmem(const struct map *m, const struct map_request *req)
{
	unsigned n = 0;

	for (unsigned i = 0; i < m->nr_regions; i++) {
		const struct map_region *r = &m->regions[i];

		if (r->kind != MAP_PMEM)
			continue;
		if (r->node != n || n >= req->nr_pmem || span_size(r->at) != req->pmem[n])
			return "each file is one region of its size, in the order given";
		if (r->at.base % GIB)
			return "files begin on a GiB boundary";
		if (r->at.base <
		    max_u64(high_start(req), max_u64(end_of(m, MAP_RAM), end_of(m, MAP_HOTPLUG))))
			return "files lie above RAM and hotplug space";
		n++;
	}
	return n == req->nr_pmem ? NULL : "every file is there";
}

static const char *broken_pci(const struct map *m, const struct map_request *req)
{
	uint64_t unit = pci64_unit(req);

	if (sum_of(m, MAP_PCI32) < pci32_wish(req))
		return "32-bit windows are as large as asked for";
	if (sum_of(m, MAP_PCI64) < pci64_need(req) || sum_of(m, MAP_PCI64) > pci64_wish(req))
		return "64-bit windows are as large as asked for, or as BARs need";
	if (sum_of(m, MAP_PCI64) < pci64_wish(req) &&
	    next_free(req, (struct span){ end_of(m, MAP_PCI64), limit_of(req) }, unit, unit) !=
		    NOWHERE)
		return "64-bit windows are as large as they can be, up to the default";
	for (unsigned i = 0; i < m->nr_regions; i++) {
		const struct map_region *r = &m->regions[i];

		if (r->kind == MAP_PCI32 &&
		    (r->at.end > IOAPIC_BASE || r->at.base % MIB || r->at.end % MIB))
			return "32-bit windows are whole MiB below the APICs";
		if (r->kind != MAP_PCI64)
			continue;
		if (r->at.base % unit || r->at.end % unit)
			return "64-bit windows are aligned for the largest BAR";
		if (r->at.base < max_u64(max_u64(high_start(req), end_of(m, MAP_PMEM)),
					 max_u64(end_of(m, MAP_RAM), end_of(m, MAP_HOTPLUG))))
			return "64-bit windows lie above RAM, hotplug space and files";
	}
	if (m->bits_required != bits_of(top_of(m->regions, m->nr_regions)))
		return "bits_required is what the highest used address needs";
	if (m->bits_required > min_u64(req->guest_bits, req->host_bits))
		return "the map fits the address bits";
	return NULL;
}

static const char *broken_forbidden(const struct map *m, const struct map_request *req)
{
	for (unsigned i = 0; i < m->nr_forbidden; i++) {
		struct span at = m->forbidden[i].at;

		if (i && m->forbidden[i - 1].at.end > at.base)
			return "forbidden ranges are sorted and disjoint";
		if (span_empty(at) || !joined_base(req, at.base) ||
		    joined_end(req, at.base) != at.end)
			return "a forbidden range is the union of overlapping inputs";
		if (!memchr(m->forbidden[i].why, 0, MAP_WHY_MAX) || !m->forbidden[i].why[0])
			return "a forbidden range has a reason";
	}
	for (unsigned i = 0; i < req->nr_forbidden; i++) {
		struct span in = within_52_bits(req->forbidden[i].at);
		bool found = span_empty(in);

		for (unsigned j = 0; j < m->nr_forbidden; j++)
			found |= in.base >= m->forbidden[j].at.base &&
				 in.end <= m->forbidden[j].at.end;
		if (!found)
			return "no forbidden range is lost";
	}
	return NULL;
}

const char *oracle_broken_rule(const struct map *m, const struct map_request *req)
{
	const char *(*const rules[])(const struct map *, const struct map_request *) = {
		broken_order, broken_nodes, broken_ram,	     broken_hotplug,
		broken_pmem,  broken_pci,   broken_forbidden
	};
	const char *broken = NULL;

	for (unsigned i = 0; i < ARRAY_SIZE(rules) && !broken; i++)
		broken = rules[i](m, req);
	return broken;
}

/* --- the comparison --- */

static bool same(const struct map_region *a, const struct map_region *b)
{
	return a->at.base == b->at.base && a->at.end == b->at.end && a->kind == b->kind &&
	       (!has_node(a->kind) || a->node == b->node);
}

bool oracle_agrees(const struct map_request *req, char *why, size_t cap)
{
	static struct oracle o;
	static struct map m;
	struct err err = { "" };
	int want = oracle_layout(&o, req), got = map_build(&m, req, &err);
	const char *broken;

	if (got != want) {
		snprintf(why, cap, "verdict: expected %d, got %d (%s)", want, got, err.text);
		return false;
	}
	if (got) {
		snprintf(why, cap, "refused without a sentence");
		return err.text[0] != 0;
	}
	for (unsigned i = 0; i < max_u64(o.nr_regions, m.nr_regions); i++) {
		const struct map_region *a = &o.regions[i], *b = &m.regions[i];

		if (i < o.nr_regions && i < m.nr_regions && same(a, b))
			continue;
		snprintf(why, cap,
			 "region %u of %u, %u: expected %s %#" PRIx64 "-%#" PRIx64
			 " node %u, got %s %#" PRIx64 "-%#" PRIx64 " node %u",
			 i, o.nr_regions, m.nr_regions, map_kind_name(a->kind), a->at.base,
			 a->at.end, a->node, map_kind_name(b->kind), b->at.base, b->at.end,
			 b->node);
		return false;
	}
	if (o.bits_required != m.bits_required) {
		snprintf(why, cap, "bits: expected %u, got %u", o.bits_required, m.bits_required);
		return false;
	}
	broken = oracle_broken_rule(&m, req);
	if (broken || map_check(&m, &err)) {
		snprintf(why, cap, "rule: %s", broken ? broken : err.text);
		return false;
	}
	return true;
}
