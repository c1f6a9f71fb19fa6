#include "vmm/plan/pci_layout.h"

#include "vmm/base/quote.h"
#include "vmm/plan/pci_rules.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- slots --- */

static int add_bars(struct plan_pci *fn, const struct pci_layout_device *d, struct err *err)
{
	struct bar_shape bars[BARS_AND_ROM] = { { 0 } };

	memcpy(bars, d->host->bars, sizeof(d->host->bars));
	if (d->rom && d->host->rom_size)
		bars[BAR_ROM].size = bar_rom_size(d->host->rom_size);
	for (unsigned i = 0; i < BARS_AND_ROM; i++) {
		const char *fault = bars[i].size ? bar_fault(bars, i) : NULL;

		if (fault)
			return err_set(err, EINVAL, "%s: %s has %#" PRIx64 " bytes, which %s",
				       fn->name, plan_pci_bar_name(i), bars[i].size, fault);
		if (bars[i].size)
			fn->bars[i].shape = bars[i];
	}
	return 0;
}

/* Gives each device, in order, its slot, and its root port and bus if it is to have one. */
static int add_devices(struct plan *p, const struct pci_layout_device *devices, unsigned n,
		       struct err *err)
{
	p->nr_ports = p->nr_pci = 0;
	if (n > PCI_DEVICES_MAX)
		return err_set(err, ERANGE,
			       "%u devices are to be passed through, but bus 0 has slots for %u", n,
			       PCI_DEVICES_MAX);
	for (unsigned i = 0; i < n; i++) {
		struct plan_pci *fn = &p->pci[p->nr_pci++];
		int ret;

		*fn = (struct plan_pci){ .slot = i + 1, .port = PLAN_NO_PORT };
		fn->kind = devices[i].host->kind;
		fn->index = devices[i].host->index;
		memcpy(fn->name, devices[i].host->name, sizeof(fn->name));
		if (!devices[i].root_bus) {
			struct plan_port *port = &p->ports[p->nr_ports];

			*port = (struct plan_port){ .slot = fn->slot, .bus = p->nr_ports + 1 };
			fn->port = p->nr_ports++;
			fn->bus = port->bus;
			fn->slot = 0;
		}
		ret = add_bars(fn, &devices[i], err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* --- blocks: BARs that are placed as one --- */

/* BARs that stay together: all of one kind behind a port, or a single one on bus 0. */
struct block {
	struct plan_pci *fn;
	struct span *window;	     /* the port's; NULL on bus 0 */
	unsigned bars[BARS_AND_ROM]; /* largest first */
	unsigned nr;
	uint64_t size, largest, unit;
};

#define BLOCKS_MAX (PCI_DEVICES_MAX * BARS_AND_ROM)

static uint64_t room_at(const struct block *b, unsigned i)
{
	return plan_pci_room(&b->fn->bars[b->bars[i]].shape);
}

static void block_add(struct block *b, unsigned bar)
{
	uint64_t room = plan_pci_room(&b->fn->bars[bar].shape);
	unsigned i = b->nr++;

	for (; i && room_at(b, i - 1) < room; i--)
		b->bars[i] = b->bars[i - 1];
	b->bars[i] = bar;
	b->size += room;
	b->largest = max_u64(b->largest, room);
}

static uint64_t alignment(const struct block *b)
{
	return max_u64(b->largest, b->unit);
}

/*
 * Lists the blocks of one kind: those of larger alignment first, because they are harder to place;
 * equal ones in the order of the devices.
 */
static unsigned find_blocks(struct plan *p, enum pci_space kind, struct block *out)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->nr_pci; i++) {
		struct plan_pci *fn = &p->pci[i];
		unsigned first = n;

		for (unsigned bar = 0; bar < BARS_AND_ROM; bar++) {
			const struct bar_shape *shape = &fn->bars[bar].shape;

			if (!shape->size || plan_pci_space(fn, shape) != kind)
				continue;
			if (fn->port == PLAN_NO_PORT)
				out[n++] = (struct block){ .fn = fn, .unit = plan_pci_room(shape) };
			else if (n == first)
				out[n++] = (struct block){
					.fn = fn,
					.window = plan_pci_window(&p->ports[fn->port], kind),
					.unit = plan_pci_unit(kind),
				};
			block_add(&out[n - 1], bar);
		}
	}
	for (unsigned i = 1; i < n; i++) {
		struct block b = out[i];
		unsigned j = i;

		for (; j && alignment(&out[j - 1]) < alignment(&b); j--)
			out[j] = out[j - 1];
		out[j] = b;
	}
	return n;
}

/* --- placing --- */

struct space {
	struct span free[PLAN_LIST_MAX + 2 * BLOCKS_MAX]; /* sorted */
	unsigned n;
};

/*
 * The lowest place of a block in a free span, without gaps inside. BARs are powers of two, so in
 * falling order each is aligned when the first one is, and in rising order when the last one is:
 *
 *	falling:      :[======big======][mid][s]
 *	rising:	 [s][mid][======big======]:
 *
 * The one that ends lower is taken. Of two neighbours with a big and small BARs, the first comes
 * out falling and the second rising, and the small ones share the slack between the big ones.
 */
static struct span block_fit(const struct block *b, struct span in, bool *rising)
{
	uint64_t base = align_up(in.base, b->unit);
	uint64_t small = b->size - b->largest;
	uint64_t fall = align_up(base, b->largest);
	uint64_t rise = align_up(base + small, b->largest) - small;
	struct span at;

	*rising = rise < fall;
	at.base = align_down(*rising ? rise : fall, b->unit);
	at.end = align_up((*rising ? rise : fall) + b->size, b->unit);
	return at;
}

static void block_settle(struct block *b, struct span at, bool rising)
{
	uint64_t small = b->size - b->largest;
	uint64_t next = rising ? align_up(at.base + small, b->largest) - small
			       : align_up(at.base, b->largest);

	for (unsigned i = 0; i < b->nr; i++) {
		unsigned k = rising ? b->nr - 1 - i : i;

		b->fn->bars[b->bars[k]].at = next;
		next += room_at(b, k);
	}
	if (b->window)
		*b->window = at;
}

/* Removes `at` from the i-th free span, in which it lies. */
static void space_remove(struct space *s, unsigned i, struct span at)
{
	struct span before = { s->free[i].base, at.base }, after = { at.end, s->free[i].end };
	struct span left[2];
	unsigned n = 0;

	if (!span_empty(before))
		left[n++] = before;
	if (!span_empty(after))
		left[n++] = after;
	memmove(&s->free[i + n], &s->free[i + 1], (s->n - i - 1) * sizeof(s->free[0]));
	memcpy(&s->free[i], left, n * sizeof(left[0]));
	s->n = s->n + n - 1;
}

/* Places the block in the first free span that has room. False: none has. */
static bool place(struct space *s, struct block *b)
{
	for (unsigned i = 0; i < s->n; i++) {
		bool rising;
		struct span at = block_fit(b, s->free[i], &rising);

		if (at.end > s->free[i].end)
			continue;
		block_settle(b, at, rising);
		space_remove(s, i, at);
		return true;
	}
	return false;
}

static uint64_t spans_size(const struct span *spans, size_t n)
{
	uint64_t size = 0;

	for (size_t i = 0; i < n; i++)
		size += span_size(spans[i]);
	return size;
}

static void leave_free(struct space *s, struct span busy)
{
	for (unsigned i = 0; i < s->n; i++) {
		struct span common = span_common(s->free[i], busy);

		if (!span_empty(common)) {
			space_remove(s, i, common);
			return;
		}
	}
}

/* --- refusals --- */

static int no_place(const struct block *b, enum pci_space kind, uint64_t room, struct err *err)
{
	const struct plan_bar *bar = &b->fn->bars[b->bars[0]];
	char with[96] = "";

	if (b->nr > 1)
		snprintf(with, sizeof(with), " (%s with what else lies behind its port)",
			 QUOTED_SIZE(b->size));
	return err_set(err, ERANGE,
		       "%s: no aligned place for %s, %s%s, in the %s %s 4 GiB that all devices "
		       "share",
		       b->fn->name, plan_pci_bar_name(b->bars[0]), QUOTED_SIZE(bar->shape.size),
		       with, QUOTED_SIZE(room), kind == PCI_SPACE_MEM32 ? "below" : "above");
}

/* --- from devices to a map that holds them --- */

static int place_all(struct plan *p, enum pci_space kind, struct err *err)
{
	struct block blocks[BLOCKS_MAX];
	unsigned n = find_blocks(p, kind, blocks);
	struct space s;
	uint64_t room;

	s.n = (unsigned)plan_pci_spans(p, kind, s.free, PLAN_LIST_MAX);
	room = spans_size(s.free, s.n);
	for (unsigned i = 0; i < n; i++)
		if (!place(&s, &blocks[i]))
			return no_place(&blocks[i], kind, room, err);
	return 0;
}

/*
 * I/O ports are few, and PCI Express devices work without them (Base Specification 5.0, section
 * 1.3.2.2), so an I/O BAR that has no place stays unassigned, at 0, as firmware and Linux leave it.
 * No port's window holds address 0, so it is decoded nowhere.
 */
static void place_ports(struct plan *p, struct span busy)
{
	struct block blocks[BLOCKS_MAX];
	unsigned n = find_blocks(p, PCI_SPACE_IO, blocks);
	struct space s;

	s.n = (unsigned)plan_pci_spans(p, PCI_SPACE_IO, s.free, PLAN_LIST_MAX);
	leave_free(&s, busy);
	for (unsigned i = 0; i < n; i++)
		place(&s, &blocks[i]);
}

/* Asks for windows of the sum of all BARs, without what alignment may cost. */
static void ask_for_windows(struct plan *p, struct map_request *req)
{
	struct block blocks[BLOCKS_MAX];
	unsigned n = find_blocks(p, PCI_SPACE_MEM64, blocks);

	for (unsigned i = 0; i < n; i++) {
		req->pci64_least += blocks[i].size;
		req->largest_bar = max_u64(req->largest_bar, blocks[i].largest);
	}
	/* map_build's default is more than enough for small devices. */
	if (req->pci64_size || req->pci64_least > MAP_PCI64_DEFAULT)
		req->pci64_size = max_u64(req->pci64_size, req->pci64_least);
}

/*
 * Windows grow by one BAR a round, and after this many rounds by twice, four times and so on as
 * much, so that the search ends.
 */
#define SLOW_ROUNDS 64

static uint64_t next_step(const struct map_request *req, unsigned round)
{
	unsigned doublings = round < SLOW_ROUNDS ? 0 : round - SLOW_ROUNDS;

	return min_u64(max_u64(GIB, req->largest_bar) << min_u64(doublings, 10), 1024 * TIB);
}

/*
 * The windows need at least the sum of all BARs, and more where alignment or forbidden ranges cost
 * room. So the layout is tried with the least windows first, and again with larger ones for as long
 * as some block has no place.
 */
int pci_layout_build(struct plan *p, struct map_request *req,
		     const struct pci_layout_device *devices, unsigned n, struct span busy_ports,
		     struct err *err)
{
	struct err no_place32 = { "" };
	int ret = add_devices(p, devices, n, err);

	if (ret < 0)
		return ret;
	place_ports(p, busy_ports);
	ask_for_windows(p, req);
	for (unsigned round = 0;; round++) {
		ret = map_build(&p->map, req, err);
		if (ret < 0 && no_place32.text[0])
			return err_set(err, ERANGE, "%s", no_place32.text);
		if (ret < 0)
			return ret;
		if (place_all(p, PCI_SPACE_MEM32, &no_place32) < 0) {
			req->pci32_size = map_total(&p->map, MAP_PCI32) + MAP_PCI32_UNIT;
			continue;
		}
		no_place32.text[0] = '\0';
		if (place_all(p, PCI_SPACE_MEM64, err) == 0)
			return 0;
		req->pci64_size = min_u64(map_total(&p->map, MAP_PCI64) + next_step(req, round),
					  ADDRESS_SPACE_END);
	}
}
