/*
 * The rules that every map keeps, whoever made it: map_check() of map.h. PURE.
 */
#include "vmm/plan/map.h"

#include "vmm/base/platform.h"

#include <errno.h>
#include <inttypes.h>

/* The same in every guest. */
static const struct span ecam = { ECAM_BASE, ECAM_END };
static const struct span apic = { IOAPIC_BASE, LAPIC_BASE + MIB };
static const struct span rom = { ROM_BASE, FOUR_GIB };

static int bad_region(const struct map_region *r, const char *what, struct err *err)
{
	return err_set(err, EINVAL, "%s region [%#" PRIx64 ", %#" PRIx64 ") %s",
		       map_kind_name(r->kind), r->at.base, r->at.end, what);
}

/* Judges one region by its kind alone. Returns NULL, or what is wrong with it. */
static const char *region_fault(const struct map_region *r)
{
	static const struct span platform = { IOAPIC_BASE, FOUR_GIB };
	bool low = r->at.end <= FOUR_GIB;

	if (span_empty(r->at) || r->at.end > ADDRESS_SPACE_END)
		return "is empty or ends beyond 2^52";
	if (r->node >= NODES_MAX)
		return "belongs to a node that cannot exist";
	if (map_is_reached(r->kind) &&
	    (span_overlaps(r->at, platform) || span_overlaps(r->at, ecam)))
		return "lies on the fixed platform below 4 GiB";
	switch (r->kind) {
	case MAP_RAM:
		return (r->at.base | r->at.end) % (2 * MIB) ? "is not aligned to 2 MiB" : NULL;
	case MAP_HOTPLUG:
		return r->at.base % GIB || low ? "does not begin on a GiB above 4 GiB" : NULL;
	case MAP_PMEM:
		return r->at.base % GIB || r->at.end % (2 * MIB) || low
			       ? "is not whole pages of 2 MiB from a GiB above 4 GiB on"
			       : NULL;
	case MAP_PCI32:
		return low ? NULL : "reaches beyond 4 GiB";
	case MAP_PCI64:
		return r->at.base < FOUR_GIB ? "begins below 4 GiB" : NULL;
	case MAP_ECAM:
		return r->at.base == ecam.base && r->at.end == ecam.end ? NULL : "is out of place";
	case MAP_APIC:
		return r->at.base == apic.base && r->at.end == apic.end ? NULL : "is out of place";
	case MAP_ROM:
		return r->at.base == rom.base && r->at.end == rom.end ? NULL : "is out of place";
	case MAP_RESERVED:
		return NULL;
	}
	return "is of no known kind";
}

/*
 * No region that devices reach may touch the forbidden range `f`, but for RAM in the BIOS area,
 * where plan_dma() leaves it out. Its part between 4 GiB and the used end must be reserved regions.
 */
static int map_check_reserved(const struct map *m, const struct map_forbidden *f, struct err *err)
{
	struct span must = span_common(f->at, (struct span){ FOUR_GIB, map_used_end(m) });

	for (unsigned i = 0; i < m->nr_regions; i++) {
		const struct map_region *r = &m->regions[i];

		if (map_is_reached(r->kind) && span_overlaps(r->at, f->at) &&
		    !(r->kind == MAP_RAM && map_in_bios_area(f->at)))
			return bad_region(r, "touches a forbidden range", err);
		if (r->kind == MAP_RESERVED && r->at.base <= must.base && must.base < r->at.end)
			must.base = min_u64(r->at.end, must.end);
	}
	if (!span_empty(must))
		return err_set(err, EINVAL,
			       "forbidden range [%#" PRIx64 ", %#" PRIx64 ") is not reserved",
			       must.base, must.end);
	return 0;
}

int map_check(const struct map *m, struct err *err)
{
	unsigned fixed = 0;
	uint64_t end = 0;

	for (unsigned i = 0; i < m->nr_regions; i++) {
		const struct map_region *r = &m->regions[i];
		const char *fault = region_fault(r);

		if (fault)
			return bad_region(r, fault, err);
		if (r->at.base < end)
			return bad_region(r, "overlaps the one before it, or is out of order", err);
		end = r->at.end;
		fixed += r->kind == MAP_ECAM || r->kind == MAP_APIC || r->kind == MAP_ROM;
	}
	if (fixed != 3)
		return err_set(err, EINVAL, "the map lacks its ECAM, APIC or ROM region");
	if (m->regions[0].kind != MAP_RAM || m->regions[0].at.base != 0)
		return err_set(err, EINVAL, "the map has no RAM at address 0");
	end = 0;
	for (unsigned i = 0; i < m->nr_forbidden; i++) {
		const struct map_forbidden *f = &m->forbidden[i];
		int ret;

		if (span_empty(f->at) || f->at.base < end || f->at.end > ADDRESS_SPACE_END)
			return err_set(err, EINVAL,
				       "forbidden range [%#" PRIx64 ", %#" PRIx64
				       ") is empty, overlaps another, or is out of order",
				       f->at.base, f->at.end);
		end = f->at.end;
		ret = map_check_reserved(m, f, err);
		if (ret < 0)
			return ret;
	}
	if (m->bits_required != map_bits_for(map_used_end(m)))
		return err_set(err, EINVAL, "the map says it needs %u address bits but uses %u",
			       m->bits_required, map_bits_for(map_used_end(m)));
	return 0;
}
