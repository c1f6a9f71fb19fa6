#include "vmm/plan/pci_rules.h"

#include "vmm/base/platform.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Each BAR is mapped by itself, so no two BARs share a page. */
#define PAGE	    (4 * KIB)
#define IO_UNIT	    (4 * KIB)
#define MEMORY_UNIT MIB

const char *plan_pci_address(char buf[16], unsigned bus, unsigned slot, unsigned function)
{
	snprintf(buf, 16, "%02x:%02x.%u", bus & 0xff, slot & 0x1f, function & 7);
	return buf;
}

const char *plan_pci_bar_name(unsigned bar)
{
	static const char *const names[BARS_AND_ROM] = { "BAR 0", "BAR 1", "BAR 2",  "BAR 3",
							 "BAR 4", "BAR 5", "the ROM" };

	return names[bar];
}

/*
 * A bridge forwards 64-bit prefetchable memory through a window that can lie anywhere, and all
 * other memory through one of 32 bits. On a root bus the width alone decides.
 */
enum pci_space plan_pci_space(const struct plan_pci *fn, const struct bar_shape *bar)
{
	if (bar->io)
		return PCI_SPACE_IO;
	if (bar->wide && (bar->prefetch || fn->port == PLAN_NO_PORT))
		return PCI_SPACE_MEM64;
	return PCI_SPACE_MEM32;
}

struct span *plan_pci_window(struct plan_port *port, enum pci_space kind)
{
	return kind == PCI_SPACE_IO	 ? &port->io
	       : kind == PCI_SPACE_MEM32 ? &port->mem32
					 : &port->prefetch;
}

uint64_t plan_pci_unit(enum pci_space kind)
{
	return kind == PCI_SPACE_IO ? IO_UNIT : MEMORY_UNIT;
}

uint64_t plan_pci_room(const struct bar_shape *bar)
{
	return bar->io ? bar->size : max_u64(bar->size, PAGE);
}

/* Bridge 0 has all I/O ports, because they are few and nobody needs them. */
size_t plan_pci_spans(const struct plan *p, unsigned bridge, enum pci_space kind, struct span *out,
		      size_t cap)
{
	if (kind != PCI_SPACE_IO)
		return plan_bridge_windows(
			p, bridge, kind == PCI_SPACE_MEM32 ? MAP_PCI32 : MAP_PCI64, out, cap);
	out[0] = (struct span){ PCI_IO_BASE, BAR_IO_END };
	return bridge == 0;
}

/* --- folds --- */

unsigned plan_buses(const struct plan *p)
{
	return p->nr_ports + p->nr_bridges;
}

unsigned plan_bridge_of(const struct plan *p, unsigned bus)
{
	for (unsigned i = 0; i < p->nr_bridges; i++)
		if (bus - p->bridges[i].bus < p->bridges[i].buses)
			return i;
	return 0;
}

/* The number of the slot, as long as that is unique. Bus numbers are, and have 8 bits. */
unsigned plan_port_number(const struct plan *p, const struct plan_port *port)
{
	if (plan_bridge_of(p, port->bus))
		return 256 + port->bus;
	return port->slot + PCI_SLOTS_MAX * port->function;
}

/*
 * A bridge rotates the pins by the number of the slot behind it: PCI Express Base 5.0 section
 * 2.2.8.1.
 */
unsigned plan_pci_gsi(const struct plan *p, const struct plan_pci *fn, unsigned pin)
{
	if (fn->port == PLAN_NO_PORT)
		return GSI_PCI(fn->slot, pin);
	return GSI_PCI(p->ports[fn->port].slot, (fn->slot + pin) % 4);
}

/* --- the rules of every layout --- */

/* An address range that is decoded on a root bus or behind one port. */
struct claim {
	struct span at;
	bool io;
	unsigned port; /* behind which, or PLAN_NO_PORT */
	const char *name;
};

struct claims {
	struct claim list[PCI_DEVICES_MAX * (PCI_SPACES + BARS_AND_ROM)];
	unsigned n;
};

static bool any_holds(const struct span *spans, size_t n, struct span at)
{
	for (size_t i = 0; i < n; i++)
		if (span_holds(spans[i], at.base, span_size(at)))
			return true;
	return false;
}

/* Whether `at` lies in one of the host bridge's windows. */
static bool bridge_holds(const struct plan *p, unsigned bridge, enum pci_space kind, struct span at)
{
	struct span spans[PLAN_LIST_MAX];

	return any_holds(spans, plan_pci_spans(p, bridge, kind, spans, PLAN_LIST_MAX), at);
}

/*
 * Each host bridge has buses that follow the ones of the bridge before it: its own, then those of
 * its ports. The first one has bus 0 and node 0, each other one a node of its own.
 */
static int check_bridges(const struct plan *p, struct err *err)
{
	unsigned bus = 0;

	if (!p->nr_bridges || p->nr_bridges > NODES_MAX)
		return err_set(err, EINVAL, "the plan has %u PCI host bridges", p->nr_bridges);
	for (unsigned i = 0; i < p->nr_bridges; i++) {
		const struct plan_bridge *b = &p->bridges[i];

		if (b->bus != bus || !b->buses || b->buses > p->nr_ports + 1 ||
		    (i ? b->node <= p->bridges[i - 1].node || b->node >= p->nr_nodes : b->node))
			return err_set(err, EINVAL,
				       "host bridge %u has %u buses from bus %u and NUMA node %u: "
				       "buses follow one another, and nodes rise from 0",
				       i, b->buses, b->bus, b->node);
		bus += b->buses;
	}
	if (bus != plan_buses(p))
		return err_set(err, EINVAL,
			       "the host bridges have %u buses, but the plan has %u root ports and "
			       "%u host bridges",
			       bus, p->nr_ports, p->nr_bridges);
	for (unsigned i = 0; i < p->map.nr_regions; i++) {
		const struct map_region *r = &p->map.regions[i];

		if (map_is_window(r->kind) && r->node >= p->nr_bridges)
			return err_set(err, EINVAL,
				       "the PCI window at %#" PRIx64
				       " belongs to host bridge %u of %u",
				       r->at.base, r->node, p->nr_bridges);
	}
	return 0;
}

/* The bus behind port `i`: ports have, in their order, the buses that no host bridge has. */
static unsigned bus_of_port(const struct plan *p, unsigned i)
{
	unsigned bus = i + 1;

	for (unsigned b = 1; b < p->nr_bridges && p->bridges[b].bus <= bus; b++)
		bus++;
	return bus;
}

static int check_port(struct claims *c, const struct plan *p, unsigned i, struct err *err)
{
	struct plan_port port = p->ports[i];
	unsigned want = bus_of_port(p, i);

	if (port.bus != want)
		return err_set(err, EINVAL, "root port %u has bus %u; it should have bus %u", i,
			       port.bus, want);
	if (!port.link_speed != !port.link_width)
		return err_set(err, EINVAL, "root port %u has a link of half a shape", i);
	for (enum pci_space kind = PCI_SPACE_IO; kind < PCI_SPACES; kind++) {
		struct span at = *plan_pci_window(&port, kind);

		if (at.base == 0 && at.end == 0)
			continue;
		if (span_empty(at) || (at.base | at.end) % plan_pci_unit(kind) ||
		    !bridge_holds(p, plan_bridge_of(p, port.bus), kind, at))
			return err_set(err, EINVAL,
				       "root port %u cannot forward [%#" PRIx64 ", %#" PRIx64
				       "): windows are whole and lie in those of the host bridge",
				       i, at.base, at.end);
		c->list[c->n++] =
			(struct claim){ at, kind == PCI_SPACE_IO, PLAN_NO_PORT, "a bridge window" };
	}
	return 0;
}

static int check_bar(struct claims *c, const struct plan *p, const struct plan_pci *fn, unsigned i,
		     struct err *err)
{
	const struct plan_bar *bar = &fn->bars[i];
	enum pci_space kind = plan_pci_space(fn, &bar->shape);
	uint64_t room = plan_pci_room(&bar->shape);
	struct span at = { bar->at, bar->at + room }, window;
	bool held;

	if (bar->shape.io && !bar->at)
		return 0;
	if (bar->at > UINT64_MAX - room || bar->at % room)
		return err_set(err, EINVAL, "%s: %s is not aligned to its size", fn->name,
			       plan_pci_bar_name(i));
	if (fn->port == PLAN_NO_PORT) {
		held = bridge_holds(p, plan_bridge_of(p, fn->bus), kind, at);
	} else {
		struct plan_port port = p->ports[fn->port];

		window = *plan_pci_window(&port, kind);
		held = any_holds(&window, 1, at);
	}
	if (!held)
		return err_set(err, EINVAL,
			       "%s: %s at %#" PRIx64 " lies outside of the window that leads to it",
			       fn->name, plan_pci_bar_name(i), bar->at);
	c->list[c->n++] =
		(struct claim){ at, kind == PCI_SPACE_IO, fn->port, plan_pci_bar_name(i) };
	return 0;
}

static int pci_rules_check_device(struct claims *c, const struct plan *p, unsigned i,
				  struct err *err)
{
	const struct plan_pci *fn = &p->pci[i];
	struct bar_shape bars[BARS_AND_ROM];

	if (!fn->name[0] || !memchr(fn->name, 0, sizeof(fn->name)))
		return err_set(err, EINVAL, "device %u has no name", i);
	for (unsigned j = 0; j < i; j++)
		if (!strcmp(fn->name, p->pci[j].name))
			return err_set(err, EINVAL, "the plan has %s twice", fn->name);
	if (fn->port != PLAN_NO_PORT && fn->kind != DEVICE_PASSED_THROUGH)
		return err_set(err, EINVAL,
			       "%s is behind a root port, where only devices of "
			       "--vfio can be",
			       fn->name);
	if (fn->port == PLAN_NO_PORT
		    ? fn->bus != p->bridges[plan_bridge_of(p, fn->bus)].bus
		    : fn->port >= p->nr_ports || fn->bus != p->ports[fn->port].bus || fn->slot != 0)
		return err_set(err, EINVAL, "%s is on bus %u, slot %u, where nothing leads to",
			       fn->name, fn->bus, fn->slot);
	for (unsigned b = 0; b < BARS_AND_ROM; b++)
		bars[b] = fn->bars[b].shape;
	for (unsigned b = 0; b < BARS_AND_ROM; b++) {
		const char *fault;
		int ret;

		if (!bars[b].size)
			continue;
		fault = bar_fault(bars, b);
		if (fault)
			return err_set(err, EINVAL, "%s: the size of %s, %#" PRIx64 ", %s",
				       fn->name, plan_pci_bar_name(b), bars[b].size, fault);
		ret = check_bar(c, p, fn, b, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* The functions of each slot that are there: a bit each. */
struct slots {
	uint8_t of[NODES_MAX + PCI_DEVICES_MAX][PCI_SLOTS_MAX]; /* by bus */
};

static int take_slot(struct slots *s, unsigned bus, unsigned slot, unsigned function,
		     struct err *err)
{
	if (slot >= PCI_SLOTS_MAX || function >= PCI_FUNCTIONS_MAX ||
	    s->of[bus][slot] & 1u << function)
		return err_set(err, EINVAL,
			       "function %u of slot %u of bus %u is taken or does not exist",
			       function, slot, bus);
	s->of[bus][slot] |= (uint8_t)(1u << function);
	return 0;
}

/* No two functions are in one place, and a slot has function 0, without which it looks empty. */
static int check_slots(const struct plan *p, struct err *err)
{
	struct slots s = { { { 0xff } } }; /* slot 0 of bus 0 is the host bridge's */
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < p->nr_ports; i++) {
		const struct plan_port *port = &p->ports[i];
		unsigned bridge = plan_bridge_of(p, port->bus);

		ret = take_slot(&s, p->bridges[bridge].bus, port->slot, port->function, err);
	}
	for (unsigned i = 0; ret == 0 && i < p->nr_pci; i++)
		ret = take_slot(&s, p->pci[i].bus, p->pci[i].slot, p->pci[i].function, err);
	for (unsigned i = 0; ret == 0 && i < ARRAY_SIZE(s.of) * PCI_SLOTS_MAX; i++) {
		unsigned bus = i / PCI_SLOTS_MAX, slot = i % PCI_SLOTS_MAX;

		if (s.of[bus][slot] && !(s.of[bus][slot] & 1))
			ret = err_set(err, EINVAL, "slot %u of bus %u has no function 0", slot,
				      bus);
	}
	return ret;
}

static int check_claims(const struct claims *c, struct err *err)
{
	for (unsigned i = 0; i < c->n; i++) {
		for (unsigned j = 0; j < i; j++) {
			const struct claim *a = &c->list[i], *b = &c->list[j];

			if (a->io == b->io && a->port == b->port && span_overlaps(a->at, b->at))
				return err_set(err, EINVAL,
					       "%s at %#" PRIx64 " and %s at %#" PRIx64 " overlap",
					       b->name, b->at.base, a->name, a->at.base);
		}
	}
	return 0;
}

int plan_pci_check(const struct plan *p, struct err *err)
{
	struct claims c = { .n = 0 };
	int ret;

	if (p->nr_ports > PCI_DEVICES_MAX || p->nr_pci > PCI_DEVICES_MAX)
		return err_set(err, EINVAL, "the plan has more than %u devices", PCI_DEVICES_MAX);
	ret = check_bridges(p, err);
	if (ret < 0)
		return ret;
	for (unsigned i = 0; i < p->nr_ports; i++) {
		ret = check_port(&c, p, i, err);
		if (ret < 0)
			return ret;
	}
	for (unsigned i = 0; i < p->nr_pci; i++) {
		ret = pci_rules_check_device(&c, p, i, err);
		if (ret < 0)
			return ret;
	}
	ret = check_slots(p, err);
	if (ret < 0)
		return ret;
	return check_claims(&c, err);
}
