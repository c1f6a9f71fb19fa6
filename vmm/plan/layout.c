#include "vmm/plan/layout.h"

#include "vmm/base/quote.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/*
 * What RAM steps over, in whole units, sorted and not touching one another: forbidden ranges, and
 * the 32-bit hole, which has RAM on both sides anyway.
 */
struct gap {
	struct span at;
	bool has_sides; /* RAM shall lie on both of its sides */
};

struct gaps {
	struct gap list[MAP_FORBIDDEN_MAX + 1];
	unsigned n;
	uint64_t unit;
};

static void add_gap(struct gaps *g, struct span at, bool has_sides)
{
	struct gap new = { { align_down(at.base, g->unit), align_up(at.end, g->unit) }, has_sides };
	unsigned i = 0, after;

	while (i < g->n && g->list[i].at.end < new.at.base)
		i++;
	for (after = i; after < g->n && g->list[after].at.base <= new.at.end; after++) {
		new.at.base = min_u64(new.at.base, g->list[after].at.base);
		new.at.end = max_u64(new.at.end, g->list[after].at.end);
		new.has_sides |= g->list[after].has_sides;
	}
	memmove(&g->list[i + 1], &g->list[after], (g->n - after) * sizeof(new));
	g->n = g->n - (after - i) + 1;
	g->list[i] = new;
}

/* Whether the range shall have RAM on both sides. */
static bool counts(const struct map_forbidden *f, struct span pci_hole)
{
	return !f->last && !span_empty(f->at) && f->at.base < ADDRESS_SPACE_END &&
	       !map_in_bios_area(f->at) && (f->at.base < pci_hole.base || f->at.end > pci_hole.end);
}

/* Where usable addresses end; *why becomes the forbidden range that is the reason, if one is. */
static uint64_t end_of_addresses(const struct map_request *req, const struct map_forbidden **why)
{
	unsigned bits = req->guest_bits < req->host_bits ? req->guest_bits : req->host_bits;
	uint64_t end = bits < ADDRESS_BITS_MAX ? UINT64_C(1) << bits : ADDRESS_SPACE_END;

	*why = NULL;
	for (unsigned i = 0; i < req->nr_forbidden; i++) {
		const struct map_forbidden *f = &req->forbidden[i];

		if (f->last && f->at.base < end && !span_empty(f->at)) {
			end = f->at.base;
			*why = f;
		}
	}
	return align_down(end, req->align);
}

/* --- refusals --- */

/* Says which of the ranges in a gap cannot have RAM above it, and why. */
static int no_side(const struct map_request *req, const struct gap *gap, struct span pci_hole,
		   uint64_t end, const struct map_forbidden *why, struct err *err)
{
	const struct map_forbidden *f = req->forbidden;
	bool host = req->host_bits <= req->guest_bits;

	while (!counts(f, pci_hole) || !span_overlaps(f->at, gap->at))
		f++;
	if (why)
		return err_set(err, ERANGE,
			       "--layout hole puts RAM on both sides of [%#" PRIx64 ", %#" PRIx64
			       ") (%s), but addresses end at %#" PRIx64 " (%s)",
			       f->at.base, f->at.end, f->why, end, why->why);
	return err_set(err, ERANGE,
		       "--layout hole puts RAM on both sides of [%#" PRIx64 ", %#" PRIx64
		       ") (%s), which takes %u address bits, but %s has %u",
		       f->at.base, f->at.end, f->why, map_bits_for(gap->at.end + req->align),
		       host ? "the host" : "the guest", host ? req->host_bits : req->guest_bits);
}

static int check_gaps(const struct map_request *req, const struct gaps *g, struct span pci_hole,
		      unsigned *sides, struct err *err)
{
	const struct map_forbidden *why;
	uint64_t end = end_of_addresses(req, &why);

	*sides = 0;
	for (unsigned i = 0; i < g->n; i++) {
		const struct gap *gap = &g->list[i];

		if (!gap->has_sides)
			continue;
		if (gap->at.end + req->align > end)
			return no_side(req, gap, pci_hole, end, why, err);
		*sides += 2;
	}
	if (!*sides)
		return err_set(
			err, ERANGE,
			"--layout hole puts RAM on both sides of all addresses that must stay "
			"free, and there are none");
	if (req->ram_size / req->align <= *sides)
		return err_set(err, ERANGE,
			       "--layout hole needs %s of RAM for its %u pieces, which are whole "
			       "pages of %s, and the guest has %s",
			       QUOTED_SIZE((*sides + 1) * req->align), *sides + 1,
			       QUOTED_SIZE(req->align), QUOTED_SIZE(req->ram_size));
	return 0;
}

/* --- the places --- */

static void layout_add(struct layout *l, struct span at)
{
	struct span *last = l->n ? &l->at[l->n - 1] : NULL;

	if (last && at.base <= last->end)
		last->end = max_u64(last->end, at.end);
	else
		l->at[l->n++] = at;
}

int layout_both_sides(const struct map_request *req, uint64_t low_end, struct layout *layout,
		      struct err *err)
{
	const struct span pci_hole = { low_end, FOUR_GIB };
	uint64_t unit = req->align, low, piece, before = 0;
	struct gaps g = { .n = 0, .unit = unit };
	unsigned sides;
	int ret;

	for (unsigned i = 0; i < req->nr_forbidden; i++) {
		const struct map_forbidden *f = &req->forbidden[i];

		if (counts(f, pci_hole))
			add_gap(&g, span_common(f->at, (struct span){ 0, ADDRESS_SPACE_END }),
				true);
	}
	add_gap(&g, pci_hole, false);
	ret = check_gaps(req, &g, pci_hole, &sides, err);
	if (ret < 0)
		return ret;

	low = req->low_memory ? low_end : min_u64(req->ram_size / 2, low_end);
	low = max_u64(unit, min_u64(align_down(low, unit), req->ram_size - sides * unit));
	piece = align_down((req->ram_size - low) / sides, unit);
	layout->n = 0;
	layout_add(layout, (struct span){ 0, low });
	for (unsigned i = 0; i < g.n; i++) {
		struct span at = g.list[i].at;
		uint64_t next = i + 1 < g.n ? g.list[i + 1].at.base : ADDRESS_SPACE_END;

		if (g.list[i].has_sides) {
			uint64_t from = at.base - min_u64(piece, at.base - before);

			layout_add(layout, (struct span){ from, at.base });
			layout_add(layout, (struct span){ at.end, min_u64(at.end + piece, next) });
		}
		before = at.end;
	}
	/* Where two ranges are near each other, their pieces are less than all of RAM. */
	layout_add(layout, (struct span){ max_u64(layout->at[layout->n - 1].end, FOUR_GIB),
					  ADDRESS_SPACE_END });
	return 0;
}
