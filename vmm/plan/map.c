#include "vmm/plan/map.h"

#include "vmm/base/platform.h"
#include "vmm/plan/layout.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The upper part of the 32-bit hole is the same in every guest. */
static const struct span ecam = { ECAM_BASE, ECAM_END };
static const struct span apic = { IOAPIC_BASE, LAPIC_BASE + MIB };
static const struct span kvm_own = { KVM_IDENTITY_MAP, KVM_TSS + 3 * 4096 };
static const struct span rom = { ROM_BASE, FOUR_GIB };

#define LOW_LIMIT_DEFAULT (3 * GIB)
#define PCI32_DEFAULT	  (512 * MIB)

const char *map_kind_name(enum map_kind kind)
{
	static const char *const names[] = {
		[MAP_RAM] = "ram",     [MAP_HOTPLUG] = "hotplug", [MAP_RESERVED] = "reserved",
		[MAP_PCI32] = "pci32", [MAP_PCI64] = "pci64",	  [MAP_ECAM] = "ecam",
		[MAP_APIC] = "apic",   [MAP_ROM] = "rom",	  [MAP_PMEM] = "pmem",
	};

	return names[kind];
}

const char *map_region_why(const struct map *m, const struct map_region *region)
{
	switch (region->kind) {
	case MAP_RAM:
		return region->at.base < FOUR_GIB ? "RAM below 4 GiB" : "RAM above 4 GiB";
	case MAP_HOTPLUG:
		return "room for memory added later";
	case MAP_PMEM:
		return "a file of the host";
	case MAP_PCI32:
		return "32-bit PCI BARs";
	case MAP_PCI64:
		return "64-bit PCI BARs";
	case MAP_ECAM:
		return "PCI configuration space";
	case MAP_APIC:
		return "I/O APIC, local APIC, MSI";
	case MAP_ROM:
		return "kept for firmware";
	case MAP_RESERVED:
		break;
	}
	for (unsigned i = 0; i < m->nr_forbidden; i++)
		if (span_overlaps(m->forbidden[i].at, region->at))
			return m->forbidden[i].why;
	return "KVM's own pages";
}

uint64_t map_total(const struct map *m, enum map_kind kind)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < m->nr_regions; i++)
		if (m->regions[i].kind == kind)
			total += span_size(m->regions[i].at);
	return total;
}

bool map_is_memory(enum map_kind kind)
{
	return kind == MAP_RAM || kind == MAP_HOTPLUG;
}

bool map_is_window(enum map_kind kind)
{
	return kind == MAP_PCI32 || kind == MAP_PCI64;
}

bool map_is_reached(enum map_kind kind)
{
	return map_is_memory(kind) || map_is_window(kind) || kind == MAP_PMEM;
}

unsigned map_bits_for(uint64_t end)
{
	unsigned bits = 0;

	while (bits < 64 && (end - 1) >> bits)
		bits++;
	return bits;
}

bool map_in_bios_area(struct span at)
{
	return at.base >= BIOS_AREA_BASE && at.end <= BIOS_AREA_END;
}

uint64_t map_used_end(const struct map *m)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < m->nr_regions; i++)
		if (map_is_reached(m->regions[i].kind))
			end = max_u64(end, m->regions[i].at.end);
	return end;
}

/* --- forbidden ranges: sorted and disjoint --- */

/* Appends a reason; one that does not fit is left out as a whole. */
static void join_why(char *why, const char *more)
{
	static const char others[] = "; ...";
	size_t len = strlen(why), n = strlen(more);

	if (strstr(why, more) || strstr(why, others))
		return;
	if (len + strlen("; ") + n + sizeof(others) <= MAP_WHY_MAX) {
		strcpy(why + len, "; ");
		strcpy(why + len + 2, more);
	} else if (len + sizeof(others) <= MAP_WHY_MAX) {
		memcpy(why + len, others, sizeof(others));
	}
}

static void forbid(struct map *m, struct map_forbidden f)
{
	unsigned i = 0, after;

	f.at = span_common(f.at, (struct span){ 0, ADDRESS_SPACE_END });
	f.last = false; /* only requests say so */
	if (span_empty(f.at))
		return;
	while (i < m->nr_forbidden && m->forbidden[i].at.end <= f.at.base)
		i++;
	for (after = i; after < m->nr_forbidden && m->forbidden[after].at.base < f.at.end;
	     after++) {
		struct map_forbidden *old = &m->forbidden[after];

		f.at.base = min_u64(f.at.base, old->at.base);
		f.at.end = max_u64(f.at.end, old->at.end);
		join_why(old->why, f.why);
		memcpy(f.why, old->why, sizeof(f.why));
	}
	memmove(&m->forbidden[i + 1], &m->forbidden[after], (m->nr_forbidden - after) * sizeof(f));
	m->nr_forbidden = m->nr_forbidden - (after - i) + 1;
	m->forbidden[i] = f;
}

/*
 * Finds the lowest piece of `in` that no forbidden range touches. Forbidden ranges in the BIOS area
 * do not count, because RAM may lie over them and nothing else lies so low. The piece begins on a
 * multiple of `unit`, has at least `least` bytes, and has whole units unless only a part of one is
 * left. Empty if there is none.
 *
 *	in:         |--------------------------------------|
 *	forbidden:      |####|                  |###|
 *	units:      :     :     :     :     :     :     :
 *	answer:                 |-----------|
 */
static struct span next_free(const struct map *m, struct span in, uint64_t unit, uint64_t least)
{
	uint64_t from = in.base;

	for (unsigned i = 0; i <= m->nr_forbidden && from < in.end; i++) {
		bool last = i == m->nr_forbidden;
		struct span busy = last ? (struct span){ in.end, in.end } : m->forbidden[i].at;
		uint64_t base = align_up(from, unit), to = min_u64(in.end, busy.base);

		if (!last && map_in_bios_area(busy))
			continue;
		if (base < to && to - base >= least)
			return (struct span){ base, max_u64(align_down(to, unit), base + least) };
		from = max_u64(from, busy.end);
	}
	return (struct span){ 0, 0 };
}

/* --- regions: sorted, adjacent ones of a kind (and node) joined --- */

/*
 * The table cannot overflow. RAM, hotplug space and 64-bit window follow one another and the 32-bit
 * window is elsewhere, so that a forbidden range splits one region in two at most, and no file; or
 * it has two pieces of RAM of its own (layout.h). Without any forbidden range, there is RAM of each
 * node, twice for the node that ends low RAM, hotplug space, files, the 64-bit window, two of 32
 * bits and four fixed regions. Each forbidden range is one reserved region, and one more for each
 * fixed region inside of it.
 */
static_assert(MAP_REGIONS_MAX >=
		      3 * MAP_FORBIDDEN_MAX + NODES_MAX + PMEM_MAX + 1 + 1 + 1 + 2 + 4 + 4,
	      "MAP_REGIONS_MAX");

static void map_add_region(struct map *m, struct span at, enum map_kind kind, unsigned node)
{
	struct map_region *r = m->regions;
	unsigned i = 0;

	while (i < m->nr_regions && r[i].at.base < at.base)
		i++;
	if (i && r[i - 1].at.end == at.base && r[i - 1].kind == kind && r[i - 1].node == node &&
	    kind != MAP_RESERVED) {
		r[i - 1].at.end = at.end;
		return;
	}
	memmove(&r[i + 1], &r[i], (m->nr_regions - i) * sizeof(*r));
	r[i] = (struct map_region){ at, kind, node };
	m->nr_regions++;
}

/*
 * Lays `want` bytes of one kind into the free pieces from *from up to `end`, lowest first, in whole
 * units (the last piece may be a part of one). Returns how many bytes did not fit; *from becomes
 * the end of what was laid.
 */
static uint64_t lay(struct map *m, enum map_kind kind, unsigned node, uint64_t *from, uint64_t end,
		    uint64_t unit, uint64_t want)
{
	while (want && *from < end) {
		struct span in = { *from, end };
		struct span free = next_free(m, in, unit, min_u64(want, unit));

		if (span_empty(free))
			break;
		free.end = free.base + min_u64(want, span_size(free));
		map_add_region(m, free, kind, node);
		want -= span_size(free);
		*from = free.end;
	}
	return want;
}

/* Adds a reserved region for each part of a forbidden range that lies below the highest used
 * address and in no fixed region. */
static void map_add_reserved(struct map *m)
{
	uint64_t end = map_used_end(m);

	for (unsigned i = 0; i < m->nr_forbidden; i++) {
		uint64_t from = m->forbidden[i].at.base;
		uint64_t to = min_u64(m->forbidden[i].at.end, end);

		while (from < to) {
			struct span piece = { from, to };

			for (unsigned j = 0; j < m->nr_regions; j++) {
				struct span taken = m->regions[j].at;

				if (taken.end <= piece.base || taken.base >= piece.end)
					continue;
				if (taken.base <= piece.base)
					piece.base = min_u64(taken.end, piece.end);
				else
					piece.end = taken.base;
			}
			if (!span_empty(piece))
				map_add_region(m, piece, MAP_RESERVED, 0);
			from = piece.end;
		}
	}
}

/*
 * Splits the window around `at`:
 *
 *	before:	|--------------- host bridge 0 ---------------|
 *	after:	|-- bridge 0 --|-- `bridge` --|-- bridge 0 ---|
 */
int map_give_window(struct map *m, struct span at, unsigned bridge, struct err *err)
{
	for (unsigned i = 0; i < m->nr_regions; i++) {
		const struct map_region old = m->regions[i];

		if (!map_is_window(old.kind) || old.node ||
		    !span_holds(old.at, at.base, span_size(at)))
			continue;
		if (m->nr_regions + 2 > MAP_REGIONS_MAX)
			break;
		memmove(&m->regions[i], &m->regions[i + 1],
			(--m->nr_regions - i) * sizeof(m->regions[0]));
		if (old.at.base < at.base)
			map_add_region(m, (struct span){ old.at.base, at.base }, old.kind, 0);
		map_add_region(m, at, old.kind, bridge);
		if (at.end < old.at.end)
			map_add_region(m, (struct span){ at.end, old.at.end }, old.kind, 0);
		return 0;
	}
	return err_set(err, ENOSPC,
		       "the PCI windows are in too many pieces: use fewer nodes for devices, or "
		       "fewer reserved ranges");
}

/* --- the 32-bit hole --- */

static uint64_t pci32_room(const struct map *m, uint64_t from)
{
	const struct span windows[] = { { from, ecam.base }, { ecam.end, apic.base } };
	uint64_t room = 0;

	for (size_t i = 0; i < ARRAY_SIZE(windows); i++) {
		struct span left = windows[i], free;

		while (!span_empty(free = next_free(m, left, MAP_PCI32_UNIT, MAP_PCI32_UNIT))) {
			room += span_size(free);
			left.base = free.end;
		}
	}
	return room;
}

/*
 * Chooses where low RAM ends and where the 32-bit window begins.
 *
 *	0            low end       window            ECAM             APIC      4 GiB
 *	|---- RAM ----|             |--- PCI32 -------|####|-- PCI32 --|#########|
 *
 * Both are the same GiB boundary, at 3 GiB or as far below as the window needs, unless --low-memory
 * moves the end of RAM: a lower end leaves the window where it is, a higher one moves it.
 */
static int split_low(const struct map *m, const struct map_request *req, uint64_t *low_end,
		     uint64_t *window, struct err *err)
{
	uint64_t want = req->pci32_size;
	uint64_t limit = LOW_LIMIT_DEFAULT;

	if (!want && !req->low_memory)
		want = PCI32_DEFAULT;
	while (limit > GIB && pci32_room(m, limit) < want)
		limit -= GIB;
	*low_end = req->low_memory ? req->low_memory : limit;
	*window = max_u64(*low_end, limit);
	if (pci32_room(m, *window) >= want)
		return 0;
	return err_set(err, ERANGE,
		       "the 32-bit PCI window cannot have %" PRIu64 " MiB: only %" PRIu64
		       " MiB are free between RAM and 4 GiB",
		       want / MIB, pci32_room(m, *window) / MIB);
}

/* --- refusals --- */

/* Where usable addresses end because all that follow are forbidden: that range, or NULL. */
static const struct map_forbidden *forbidden_rest(const struct map *m)
{
	const struct map_forbidden *rest = NULL;
	uint64_t base = ADDRESS_SPACE_END;

	for (unsigned i = m->nr_forbidden; i-- > 0 && m->forbidden[i].at.end == base;) {
		rest = &m->forbidden[i];
		base = rest->at.base;
	}
	return rest;
}

static uint64_t in_mib(uint64_t bytes)
{
	return align_up(bytes, MIB) / MIB;
}

static int no_room(const struct map *m, enum map_kind kind, uint64_t missing, struct err *err)
{
	const struct map_forbidden *rest = forbidden_rest(m);
	const char *what = kind == MAP_RAM	 ? "RAM"
			   : kind == MAP_HOTPLUG ? "hotplug space"
			   : kind == MAP_PMEM	 ? "--pmem, in one piece"
						 : "64-bit PCI window";

	if (!rest)
		return err_set(err, ERANGE,
			       "no room for the last %" PRIu64
			       " MiB of %s: addresses end at 2^52, and %u ranges below must stay "
			       "free",
			       in_mib(missing), what, m->nr_forbidden);
	return err_set(err, ERANGE,
		       "no room for the last %" PRIu64 " MiB of %s: addresses end at %#" PRIx64
		       ", for all that follow must stay free (%s)",
		       in_mib(missing), what, rest->at.base, rest->why);
}

static int first_mib_forbidden(const struct map *m, const struct map_request *req, struct err *err)
{
	const struct map_forbidden *f = m->forbidden;

	while (map_in_bios_area(f->at))
		f++;
	return err_set(err, ERANGE,
		       "RAM cannot begin at address 0, where every guest starts: [%#" PRIx64
		       ", %#" PRIx64 ") must stay free (%s) and RAM comes in pieces of %" PRIu64
		       " MiB",
		       f->at.base, f->at.end, f->why, req->align / MIB);
}

static int too_few_bits(const struct map *m, const struct map_request *req, struct err *err)
{
	bool host = req->host_bits <= req->guest_bits;

	return err_set(err, ERANGE,
		       "the memory map needs %u address bits (it ends at %#" PRIx64
		       "), but %s has %u",
		       m->bits_required, map_used_end(m), host ? "the host" : "the guest",
		       host ? req->host_bits : req->guest_bits);
}

static int check_request(const struct map_request *req, struct err *err)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < req->nr_nodes && i < NODES_MAX; i++)
		sum += req->node_sizes[i];
	if (!is_power_of_two(req->align) || req->align < 2 * MIB || !req->ram_size ||
	    req->ram_size % req->align || req->max_memory % req->align ||
	    req->low_memory % req->align || req->low_memory > ecam.base ||
	    req->high_memory_start % req->align ||
	    (req->high_memory_start && (req->high_memory_start < FOUR_GIB || req->both_sides)) ||
	    (req->max_memory && req->max_memory < req->ram_size) ||
	    req->ram_size > ADDRESS_SPACE_END || req->max_memory > ADDRESS_SPACE_END ||
	    req->pci32_size > FOUR_GIB || req->pci64_size > ADDRESS_SPACE_END ||
	    req->pci64_least > ADDRESS_SPACE_END || req->largest_bar > ADDRESS_SPACE_END ||
	    (req->largest_bar && !is_power_of_two(req->largest_bar)) || req->nr_nodes > NODES_MAX ||
	    (req->nr_nodes && sum != req->ram_size) || req->nr_forbidden > MAP_FORBIDDEN_MAX ||
	    req->nr_pmem > PMEM_MAX)
		return err_set(err, EINVAL, "memory map request breaks the rules of map.h");
	return 0;
}

/* The places of RAM, in their order; the last one ends where addresses end. */
static int map_places(const struct map_request *req, uint64_t low_end, struct layout *places,
		      struct err *err)
{
	if (req->both_sides)
		return layout_both_sides(req, low_end, places, err);
	places->at[0] = (struct span){ 0, low_end };
	places->at[1] =
		(struct span){ max_u64(FOUR_GIB, req->high_memory_start), ADDRESS_SPACE_END };
	places->n = 2;
	return 0;
}

/* Lays the nodes one after the other. Takes what they fill from the places. */
static int map_lay_ram(struct map *m, const struct map_request *req, struct layout *places,
		       struct err *err)
{
	unsigned nr_nodes = req->nr_nodes ? req->nr_nodes : 1;

	for (unsigned node = 0; node < nr_nodes; node++) {
		uint64_t left = req->nr_nodes ? req->node_sizes[node] : req->ram_size;

		for (unsigned i = 0; i < places->n; i++)
			left = lay(m, MAP_RAM, node, &places->at[i].base, places->at[i].end,
				   req->align, left);
		if (left)
			return no_room(m, MAP_RAM, left, err);
	}
	return m->regions[0].at.base ? first_mib_forbidden(m, req, err) : 0;
}

/*
 * Lays each file in one piece, because its device has one address, and on a GiB, so that nested
 * page tables can use pages as large as the host has. Returns the bytes of the first file that has
 * no room, or 0.
 */
static uint64_t lay_pmem(struct map *m, const struct map_request *req, uint64_t *from)
{
	for (unsigned i = 0; i < req->nr_pmem; i++) {
		const struct span in = { *from, ADDRESS_SPACE_END };
		struct span free = next_free(m, in, GIB, req->pmem[i]);

		if (span_empty(free))
			return req->pmem[i];
		*from = free.base + req->pmem[i];
		map_add_region(m, (struct span){ free.base, *from }, MAP_PMEM, i);
	}
	return 0;
}

/*
 * A window of a size that the user gave is laid whole, even beyond the address bits, which
 * map_build() counts afterwards. The default window is as large as the address bits allow, but has
 * at least the bytes that BARs need.
 *
 *	asked for:	|---------- pci64_size ----------|
 *	default:	|-- pci64_least --| . . . |<- address bits, or else 64 GiB
 *
 * Returns the bytes that have no room, or 0.
 */
static uint64_t lay_pci64(struct map *m, const struct map_request *req, uint64_t *from)
{
	unsigned bits = req->guest_bits < req->host_bits ? req->guest_bits : req->host_bits;
	uint64_t limit = bits < ADDRESS_BITS_MAX ? UINT64_C(1) << bits : ADDRESS_SPACE_END;
	uint64_t unit = max_u64(GIB, req->largest_bar);
	uint64_t most = align_up(req->pci64_size ? req->pci64_size : MAP_PCI64_DEFAULT, unit);
	uint64_t least = req->pci64_size ? most : align_up(max_u64(req->pci64_least, GIB), unit);
	uint64_t laid;

	most = max_u64(most, least);
	laid = most - lay(m, MAP_PCI64, 0, from, limit, unit, most);
	return lay(m, MAP_PCI64, 0, from, ADDRESS_SPACE_END, unit, least - min_u64(least, laid));
}

int map_build(struct map *m, const struct map_request *req, struct err *err)
{
	uint64_t hotplug = req->max_memory ? req->max_memory - req->ram_size : 0;
	unsigned last_node = req->nr_nodes ? req->nr_nodes - 1 : 0;
	uint64_t low_end, window, left, high;
	struct layout places;
	int ret;

	m->nr_regions = m->nr_forbidden = m->bits_required = 0; /* the tables stay uncleared */
	ret = check_request(req, err);
	if (ret < 0)
		return ret;
	for (unsigned i = 0; i < req->nr_forbidden; i++)
		forbid(m, req->forbidden[i]);
	ret = split_low(m, req, &low_end, &window, err);
	if (ret < 0)
		return ret;
	ret = map_places(req, low_end, &places, err);
	if (ret < 0)
		return ret;
	ret = map_lay_ram(m, req, &places, err);
	if (ret < 0)
		return ret;
	high = places.at[places.n - 1].base;
	left = lay(m, MAP_HOTPLUG, last_node, &high, ADDRESS_SPACE_END, GIB, hotplug);
	if (left)
		return no_room(m, MAP_HOTPLUG, left, err);
	left = lay_pmem(m, req, &high);
	if (left)
		return no_room(m, MAP_PMEM, left, err);
	left = lay_pci64(m, req, &high);
	if (left)
		return no_room(m, MAP_PCI64, left, err);

	lay(m, MAP_PCI32, 0, &window, ecam.base, MAP_PCI32_UNIT, FOUR_GIB);
	window = ecam.end;
	lay(m, MAP_PCI32, 0, &window, apic.base, MAP_PCI32_UNIT, FOUR_GIB);
	map_add_region(m, ecam, MAP_ECAM, 0);
	map_add_region(m, apic, MAP_APIC, 0);
	map_add_region(m, kvm_own, MAP_RESERVED, 0);
	map_add_region(m, rom, MAP_ROM, 0);
	map_add_reserved(m);

	m->bits_required = map_bits_for(map_used_end(m));
	if (m->bits_required > req->guest_bits || m->bits_required > req->host_bits)
		return too_few_bits(m, req, err);
	return 0;
}
