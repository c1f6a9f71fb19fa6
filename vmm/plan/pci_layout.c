#include "vmm/plan/pci_layout.h"

#include "vmm/base/quote.h"
#include "vmm/plan/pci_rules.h"

#include <assert.h>
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

/* --- cards: functions that share a slot --- */

/* Whether both are functions of one device of the host: all of the address but the function. */
static bool same_slot(const struct host_pci *a, const struct host_pci *b)
{
	const char *dot = strrchr(a->name, '.');

	return a->kind == DEVICE_PASSED_THROUGH && b->kind == DEVICE_PASSED_THROUGH && dot &&
	       !a->is_virtual && !b->is_virtual &&
	       !strncmp(a->name, b->name, (size_t)(dot + 1 - a->name));
}

/*
 * The first device of the same card as device i, which is i itself if no earlier one is of its
 * card. Virtual functions are cards of their own, because each comes and goes alone.
 */
static unsigned card_of(const struct pci_layout_device *devices, unsigned i)
{
	for (unsigned j = 0; j < i; j++)
		if (devices[j].root_bus == devices[i].root_bus &&
		    devices[j].node == devices[i].node &&
		    same_slot(devices[j].host, devices[i].host))
			return j;
	return i;
}

/*
 * The number of a function in its slot: the host's, as drivers of cards with several functions
 * expect. If the card's function 0 is not passed through, the lowest of the others takes its place,
 * because a slot without function 0 looks empty.
 */
static unsigned function_of(const struct pci_layout_device *devices, unsigned n, unsigned i)
{
	unsigned first = card_of(devices, i), lowest = i;

	if (devices[i].host->kind != DEVICE_PASSED_THROUGH || devices[i].host->is_virtual)
		return 0;
	for (unsigned j = first; j < n; j++)
		if (card_of(devices, j) == first &&
		    strcmp(devices[j].host->name, devices[lowest].host->name) < 0)
			lowest = j;
	return i == lowest ? 0 : (unsigned)(strrchr(devices[i].host->name, '.')[1] - '0');
}

/* --- slots of a root bus --- */

/* What is dealt out: a slot each, or one slot for eight that may share one. */
struct slots {
	unsigned next; /* the first free slot */
	struct shared {
		bool shares; /* these share slots */
		unsigned slot, used;
	} of[2]; /* root ports, and devices of straddle's own */
};

enum { SLOT_PORT, SLOT_OWN, SLOT_ALONE };

static unsigned slot_kind(const struct pci_layout_device *d)
{
	return !d->root_bus				? SLOT_PORT
	       : d->host->kind != DEVICE_PASSED_THROUGH ? SLOT_OWN
							: SLOT_ALONE;
}

/*
 * As long as there are slots, everything has one of its own, so that a small guest's devices keep
 * their names. Else root ports share slots, eight to one, and if that does not suffice, so do
 * emulated devices. Passed-through devices on the root bus do not, because one that is given back
 * to the host may be the function 0 of others.
 */
static int slots_begin(struct slots *s, const struct pci_layout_device *devices, unsigned n,
		       unsigned node, unsigned spare, struct err *err)
{
	unsigned counts[3] = { spare, 0, 0 }, most = PCI_SLOTS_MAX - 1, need;

	for (unsigned i = 0; i < n; i++)
		if (devices[i].node == node && card_of(devices, i) == i)
			counts[slot_kind(&devices[i])]++;
	*s = (struct slots){ .next = 1 };
	need = counts[SLOT_PORT] + counts[SLOT_OWN] + counts[SLOT_ALONE];
	for (unsigned kind = SLOT_PORT; kind <= SLOT_OWN && need > most; kind++) {
		s->of[kind].shares = true;
		need -= counts[kind];
		need += (counts[kind] + PCI_FUNCTIONS_MAX - 1) / PCI_FUNCTIONS_MAX;
	}
	if (need <= most)
		return 0;
	return err_set(err, ERANGE,
		       "%u devices with port=off are on one bus, which has slots for %u beside "
		       "others: leave port=off out",
		       counts[SLOT_ALONE], most - (need - counts[SLOT_ALONE]));
}

static void slots_take(struct slots *s, unsigned kind, unsigned *slot, unsigned *function)
{
	struct shared *shared = kind == SLOT_ALONE ? NULL : &s->of[kind];

	*function = 0;
	if (!shared || !shared->shares) {
		*slot = s->next++;
		return;
	}
	if (shared->used % PCI_FUNCTIONS_MAX == 0)
		shared->slot = s->next++;
	*slot = shared->slot;
	*function = shared->used++ % PCI_FUNCTIONS_MAX;
}

static unsigned add_port(struct plan *p, struct plan_bridge *bridge, struct slots *s)
{
	struct plan_port *port = &p->ports[p->nr_ports];

	*port = (struct plan_port){ .bus = bridge->bus + bridge->buses++ };
	slots_take(s, SLOT_PORT, &port->slot, &port->function);
	return p->nr_ports++;
}

/* Gives a device its slot, and its root port and bus if it is to have one. */
static int pci_layout_add_device(struct plan *p, struct plan_bridge *bridge, struct slots *s,
				 const struct pci_layout_device *devices, unsigned n, unsigned i,
				 struct err *err)
{
	const struct pci_layout_device *d = &devices[i];
	struct plan_pci *fn = &p->pci[i];
	unsigned card = card_of(devices, i);

	*fn = (struct plan_pci){ .port = PLAN_NO_PORT, .bus = bridge->bus };
	fn->kind = d->host->kind;
	fn->index = d->host->index;
	memcpy(fn->name, d->host->name, sizeof(fn->name));
	if (card != i) {
		fn->port = p->pci[card].port;
		fn->bus = p->pci[card].bus;
		fn->slot = p->pci[card].slot;
	} else if (d->root_bus) {
		slots_take(s, slot_kind(d), &fn->slot, &fn->function);
	} else {
		fn->port = add_port(p, bridge, s);
		p->ports[fn->port].link_speed = d->host->link_speed;
		p->ports[fn->port].link_width = d->host->link_width;
		fn->bus = p->ports[fn->port].bus;
	}
	if (slot_kind(d) != SLOT_OWN)
		fn->function = function_of(devices, n, i);
	return add_bars(fn, d, err);
}

/* Adds the host bridge of a node and what is behind it, if there is something. */
static int add_bridge(struct plan *p, const struct pci_layout_device *devices, unsigned n,
		      unsigned node, unsigned spare, struct err *err)
{
	struct plan_bridge *bridge = &p->bridges[p->nr_bridges];
	struct slots s;
	bool any = node == 0;
	int ret = slots_begin(&s, devices, n, node, spare, err);

	for (unsigned i = 0; i < n; i++)
		any |= devices[i].node == node;
	if (ret < 0 || !any)
		return ret;
	*bridge = (struct plan_bridge){ .node = node, .bus = plan_buses(p), .buses = 1 };
	p->nr_bridges++;
	for (unsigned i = 0; ret == 0 && i < n; i++)
		if (devices[i].node == node)
			ret = pci_layout_add_device(p, bridge, &s, devices, n, i, err);
	while (ret == 0 && spare--)
		add_port(p, bridge, &s);
	return ret;
}

static int add_devices(struct plan *p, const struct pci_layout_device *devices, unsigned n,
		       unsigned spare, struct err *err)
{
	int ret = 0;

	p->nr_ports = p->nr_pci = p->nr_bridges = 0;
	if (n > PCI_DEVICES_MAX || spare > PCI_DEVICES_MAX - n)
		return err_set(err, ERANGE,
			       "%u devices and %u spare ports are too many: a guest can have %u", n,
			       spare, PCI_DEVICES_MAX);
	p->nr_pci = n;
	for (unsigned node = 0; ret == 0 && node < NODES_MAX; node++)
		ret = add_bridge(p, devices, n, node, node ? 0 : spare, err);
	return ret;
}

/* --- blocks: BARs that are placed as one --- */

/* BARs that stay together: all of one kind behind a port, or a single one on a root bus. */
struct block {
	struct plan_pci *devices; /* the plan's */
	struct span *window;	  /* the port's; NULL on a root bus */
	unsigned port;
	struct block_bar {
		uint8_t device, bar;
	} bars[PCI_FUNCTIONS_MAX * BARS_AND_ROM]; /* largest first */
	unsigned nr;
	uint64_t size, largest, unit;
};

#define BLOCKS_MAX (PCI_DEVICES_MAX * BARS_AND_ROM)

static_assert(PCI_DEVICES_MAX <= UINT8_MAX, "struct block_bar numbers devices in a byte");

static struct plan_bar *bar_at(const struct block *b, unsigned i)
{
	return &b->devices[b->bars[i].device].bars[b->bars[i].bar];
}

static uint64_t room_at(const struct block *b, unsigned i)
{
	return plan_pci_room(&bar_at(b, i)->shape);
}

static void block_add(struct block *b, unsigned device, unsigned bar)
{
	uint64_t room = plan_pci_room(&b->devices[device].bars[bar].shape);
	unsigned i = b->nr++;

	for (; i && room_at(b, i - 1) < room; i--)
		b->bars[i] = b->bars[i - 1];
	b->bars[i] = (struct block_bar){ (uint8_t)device, (uint8_t)bar };
	b->size += room;
	b->largest = max_u64(b->largest, room);
}

static uint64_t alignment(const struct block *b)
{
	return max_u64(b->largest, b->unit);
}

/* The block to which a BAR belongs, made if it is not among the first `n` of `out`. */
static struct block *block_of(struct plan *p, const struct plan_pci *fn, enum pci_space kind,
			      const struct bar_shape *shape, struct block *out, unsigned *n)
{
	for (unsigned i = 0; fn->port != PLAN_NO_PORT && i < *n; i++)
		if (out[i].port == fn->port)
			return &out[i];
	out[*n] = (struct block){ .devices = p->pci, .port = fn->port };
	if (fn->port == PLAN_NO_PORT) {
		out[*n].unit = plan_pci_room(shape);
	} else {
		out[*n].window = plan_pci_window(&p->ports[fn->port], kind);
		out[*n].unit = plan_pci_unit(kind);
	}
	return &out[(*n)++];
}

/*
 * Lists the blocks of one kind behind a host bridge: those of larger alignment first, because they
 * are harder to place; equal ones in the order of the devices.
 */
static unsigned find_blocks(struct plan *p, unsigned bridge, enum pci_space kind, struct block *out)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->nr_pci; i++) {
		struct plan_pci *fn = &p->pci[i];

		if (plan_bridge_of(p, fn->bus) != bridge)
			continue;
		for (unsigned bar = 0; bar < BARS_AND_ROM; bar++) {
			const struct bar_shape *shape = &fn->bars[bar].shape;

			if (shape->size && plan_pci_space(fn, shape) == kind)
				block_add(block_of(p, fn, kind, shape, out, &n), i, bar);
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

		bar_at(b, k)->at = next;
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
	const struct plan_bar *bar = bar_at(b, 0);
	char with[96] = "";

	if (b->nr > 1)
		snprintf(with, sizeof(with), " (%s with what else lies behind its port)",
			 QUOTED_SIZE(b->size));
	return err_set(err, ERANGE,
		       "%s: no aligned place for %s, %s%s, in the %s %s 4 GiB that all devices "
		       "share",
		       b->devices[b->bars[0].device].name, plan_pci_bar_name(b->bars[0].bar),
		       QUOTED_SIZE(bar->shape.size), with, QUOTED_SIZE(room),
		       kind == PCI_SPACE_MEM32 ? "below" : "above");
}

/* --- the parts of host bridges --- */

/* The windows of host bridges other than 0. */
struct parts {
	struct part {
		struct span at;
		unsigned bridge;
	} list[2 * PCI_DEVICES_MAX];
	unsigned n;
};

static struct span block_span(const struct block *b)
{
	struct span at = { UINT64_MAX, 0 };

	if (b->window)
		return *b->window;
	for (unsigned i = 0; i < b->nr; i++) {
		at.base = min_u64(at.base, bar_at(b, i)->at);
		at.end = max_u64(at.end, bar_at(b, i)->at + room_at(b, i));
	}
	return at;
}

/*
 * Takes from `free` what becomes the host bridge's part: of each free span the hull of the blocks
 * in it, in whole units, so that a guest has some room to move a BAR. Bridge 0 has the rest, too,
 * in the end.
 */
static int take_part(struct space *free, const struct block *blocks, unsigned n, unsigned bridge,
		     uint64_t unit, struct parts *parts, struct err *err)
{
	const struct space gaps = *free;

	for (unsigned i = 0; i < gaps.n; i++) {
		struct span gap = gaps.free[i], hull = { UINT64_MAX, 0 };

		for (unsigned j = 0; j < n; j++) {
			struct span at = block_span(&blocks[j]);

			if (!span_holds(gap, at.base, span_size(at)))
				continue;
			hull.base = min_u64(hull.base, at.base);
			hull.end = max_u64(hull.end, at.end);
		}
		if (span_empty(hull))
			continue;
		hull = span_common(gap, (struct span){ align_down(hull.base, unit),
						       align_up(hull.end, unit) });
		leave_free(free, hull);
		if (!bridge)
			continue;
		if (parts->n == ARRAY_SIZE(parts->list))
			return err_set(err, E2BIG,
				       "the PCI windows of NUMA nodes are in too many pieces: use "
				       "node= for fewer devices");
		parts->list[parts->n++] = (struct part){ hull, bridge };
	}
	return 0;
}

static int give_parts(struct plan *p, const struct parts *parts, struct err *err)
{
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < parts->n; i++)
		ret = map_give_window(&p->map, parts->list[i].at, parts->list[i].bridge, err);
	return ret < 0 ? -ERANGE : 0;
}

/* --- from devices to a map that holds them --- */

#define PART_UNIT32 (16 * MIB)
#define PART_UNIT64 GIB

/* Of the parts of host bridges only those of this kind are made anew. */
static int place_all(struct plan *p, enum pci_space kind, struct parts *parts, struct err *err)
{
	struct block blocks[BLOCKS_MAX];
	struct space s, free;
	uint64_t room;
	int ret = 0;

	free.n = (unsigned)plan_windows(p, kind == PCI_SPACE_MEM32 ? MAP_PCI32 : MAP_PCI64,
					free.free, PLAN_LIST_MAX);
	room = spans_size(free.free, free.n);
	parts->n = 0;
	for (unsigned bridge = 0; ret == 0 && bridge < p->nr_bridges; bridge++) {
		unsigned n = find_blocks(p, bridge, kind, blocks);

		s = free;
		for (unsigned i = 0; i < n; i++)
			if (!place(&s, &blocks[i]))
				return no_place(&blocks[i], kind, room, err);
		if (p->nr_bridges > 1)
			ret = take_part(&free, blocks, n, bridge,
					kind == PCI_SPACE_MEM32 ? PART_UNIT32 : PART_UNIT64, parts,
					err);
	}
	return ret;
}

/*
 * I/O ports are few, and PCI Express devices work without them (Base Specification 5.0, section
 * 1.3.2.2), so an I/O BAR that has no place stays unassigned, at 0, as firmware and Linux leave it.
 * No port's window holds address 0, so it is decoded nowhere. Other host bridges than 0 have no I/O
 * ports at all.
 */
static void place_ports(struct plan *p, struct span busy)
{
	struct block blocks[BLOCKS_MAX];
	unsigned n = find_blocks(p, 0, PCI_SPACE_IO, blocks);
	struct space s;

	s.n = (unsigned)plan_pci_spans(p, 0, PCI_SPACE_IO, s.free, PLAN_LIST_MAX);
	leave_free(&s, busy);
	for (unsigned i = 0; i < n; i++)
		place(&s, &blocks[i]);
}

/* Asks for windows of the sum of all BARs, without what alignment may cost. */
static void ask_for_windows(struct plan *p, struct map_request *req)
{
	struct block blocks[BLOCKS_MAX];

	for (unsigned bridge = 0; bridge < p->nr_bridges; bridge++) {
		unsigned n = find_blocks(p, bridge, PCI_SPACE_MEM64, blocks);

		for (unsigned i = 0; i < n; i++) {
			req->pci64_least += blocks[i].size;
			req->largest_bar = max_u64(req->largest_bar, blocks[i].largest);
		}
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
		     const struct pci_layout_device *devices, unsigned n, unsigned spare,
		     struct span busy_ports, struct err *err)
{
	struct err no_place32 = { "" };
	struct parts parts32, parts64;
	int ret = add_devices(p, devices, n, spare, err);

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
		ret = place_all(p, PCI_SPACE_MEM32, &parts32, &no_place32);
		if (ret == -E2BIG)
			return err_set(err, ERANGE, "%s", no_place32.text);
		if (ret < 0) {
			req->pci32_size = map_total(&p->map, MAP_PCI32) + MAP_PCI32_UNIT;
			continue;
		}
		no_place32.text[0] = '\0';
		ret = place_all(p, PCI_SPACE_MEM64, &parts64, err);
		if (ret == 0)
			break;
		if (ret == -E2BIG) /* which larger windows do not mend */
			return -ERANGE;
		req->pci64_size = min_u64(map_total(&p->map, MAP_PCI64) + next_step(req, round),
					  ADDRESS_SPACE_END);
	}
	ret = give_parts(p, &parts32, err);
	return ret < 0 ? ret : give_parts(p, &parts64, err);
}
