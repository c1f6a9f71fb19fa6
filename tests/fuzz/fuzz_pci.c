/*
 * A hostile guest in configuration space: a host bridge, a card on bus 0 and one behind each of two
 * root ports, which are functions of one slot, another function beside the first of these cards, a
 * second root bus with a card, every kind of BAR, written at random through both ways, with
 * presses, removals and arrivals in between. After each step every BAR is exactly where its
 * registers say, what claims an address has a BAR for it, a slot shows what is in it, and read-only
 * registers are what they were.
 */
#include "devices/bus.h"
#include "devices/root_port.h"
#include "vmm/base/platform.h"

#include <stdlib.h>
#include <string.h>

#define ECAM  UINT64_C(0xe0000000)
#define CARDS 5
#define PORTS 2
#define STEP  7

struct card {
	struct pci_function fn;
	struct board *board;
	struct device dev;
	struct span told[BARS_AND_ROM]; /* what bar_moved last said */
	bool claimed[BARS_AND_ROM];
	bool present;
};

struct board {
	struct bus memory, ports;
	struct pci_host host;
	struct pci_env env;
	struct root_port port[PORTS];
	/* on bus 0, behind port 0, behind port 1, function 4 behind port 0, on the other bus */
	struct card cards[CARDS];
	struct pci_bus other;
	unsigned asked; /* bit p: port p's button was pressed, and nothing came of it */
};

#define OTHER_BUS 8

static void must(bool holds)
{
	if (!holds)
		abort();
}

static uint64_t card_read(struct device *dev, uint64_t offset, unsigned size)
{
	(void)dev;
	(void)offset;
	(void)size;
	return 0;
}

static void card_write(struct device *dev, uint64_t offset, unsigned size, uint64_t value)
{
	(void)dev;
	(void)offset;
	(void)size;
	(void)value;
}

static const struct device_ops card_device = {
	.name = "card",
	.read = card_read,
	.write = card_write,
};

static void card_moved(struct pci_function *fn, unsigned bar, struct span at)
{
	struct card *c = (struct card *)fn;
	struct bus *bus = fn->bars[bar].shape.io ? &c->board->ports : &c->board->memory;

	must(span_empty(c->told[bar]) != span_empty(at));
	if (c->claimed[bar])
		bus_remove(bus, c->told[bar]);
	c->claimed[bar] = !span_empty(at) && bus_add(bus, at, &c->dev, NULL) == 0;
	c->told[bar] = at;
}

static void card_reset(struct pci_function *fn)
{
	must(((struct card *)fn)->present);
	pci_function_reset(fn);
}

static const struct pci_ops card_ops = {
	.name = "card",
	.bar_moved = card_moved,
	.reset = card_reset,
};

static void board_msi(void *to, uint64_t address, uint32_t data)
{
	struct board *b = to;
	bool enabled = false;

	for (unsigned i = 0; i < PORTS; i++)
		enabled |= pci_config_get(&b->port[i].fn.config, b->port[i].msi + 2, 2) & 1;
	must(enabled && address % 4 == 0 && data <= 0xffff);
}

/* All functions of a card arrive, as they were before they were first used. */
static void put_in(struct board *b, unsigned port)
{
	for (unsigned i = 1 + port; i < 4; i += 2) {
		if (!b->cards[i].present)
			pci_function_reset(&b->cards[i].fn);
		b->cards[i].present = true;
	}
}

/* All functions behind a port go. */
static void take_out(struct board *b, unsigned port)
{
	for (unsigned i = 1 + port; i < 4; i += 2) {
		b->cards[i].present = false;
		pci_function_unmap(&b->cards[i].fn);
	}
	b->asked &= ~(1u << port);
}

static void board_released(void *to)
{
	struct card *c = to;
	struct board *b = c->board;
	unsigned port = (unsigned)(c - b->cards) - 1;

	must(c->present && (b->asked & 1u << port) && !b->port[port].child);
	take_out(b, port);
}

static void card_init(struct card *c, struct board *b)
{
	static const struct pci_identity identity = {
		.vendor = 0x1234,
		.device = 0x5678,
		.subsystem_vendor = 0x9abc,
		.subsystem = 0xdef0,
		.class = 0x010802,
		.pin = 1,
	};
	static const struct bar_shape wide = { .size = 128 * GIB, .wide = true, .prefetch = true };
	static const struct bar_shape narrow = { .size = 0x1000 };
	static const struct bar_shape io = { .size = 8, .io = true };
	static const struct bar_shape small = { .size = 16, .wide = true };
	static const struct bar_shape rom = { .size = 0x800 };

	c->board = b;
	c->present = true;
	device_init(&c->dev, &card_device);
	pci_function_init(&c->fn, &card_ops, &identity);
	pci_function_add_bar(&c->fn, 0, &wide, TIB);
	pci_function_add_bar(&c->fn, 2, &narrow, 0xc0000000);
	pci_function_add_bar(&c->fn, 3, &io, 0xc000);
	pci_function_add_bar(&c->fn, 4, &small, 0xc0001000);
	pci_function_add_bar(&c->fn, BAR_ROM, &rom, 0xc0002000);
}

static void board_init(struct board *b)
{
	memset(b, 0, sizeof(*b));
	b->env = (struct pci_env){ .msi = board_msi, .to = b };
	pci_host_init(&b->host, NULL);
	bus_add(&b->memory, (struct span){ ECAM, ECAM + 256 * MIB }, &b->host.ecam, NULL);
	bus_add(&b->ports, (struct span){ 0xcf8, 0xcf8 + PCI_PORTS }, &b->host.ports, NULL);
	for (unsigned i = 0; i < CARDS; i++)
		card_init(&b->cards[i], b);
	pci_bus_add(&b->host.root, 1, 0, &b->cards[0].fn);
	pci_host_add_root(&b->host, &b->other, OTHER_BUS);
	pci_bus_add(&b->other, 1, 0, &b->cards[4].fn);
	for (unsigned i = 0; i < PORTS; i++) {
		const struct root_port_numbers numbers = {
			.slot = (uint16_t)(2 + 32 * i),
			.bus = (uint8_t)(1 + i),
			.prefetch = { TIB, 2 * TIB },
		};
		struct pci_bus behind = { .slots = { NULL } };

		pci_bus_add(&behind, 0, 0, &b->cards[1 + i].fn);
		if (i == 0)
			pci_bus_add(&behind, 0, 4, &b->cards[3].fn);
		root_port_init(&b->port[i], &b->host, &b->env, &numbers, behind.slots[0]);
		pci_bus_add(&b->host.root, 2, i, &b->port[i].fn);
	}
}

/* --- what must hold --- */

/* Said again, apart from devices/pci.c: where the registers put a BAR. */
static struct span expected(const struct card *c, unsigned bar)
{
	const struct pci_config *config = &c->fn.config;
	const struct pci_bar *b = &c->fn.bars[bar];
	unsigned reg = bar == BAR_ROM ? 0x30 : 0x10 + 4 * bar;
	uint64_t at = pci_config_get(config, reg, 4);
	uint64_t last = b->shape.io ? 0xffff : (UINT64_C(1) << 52) - 1;
	bool on = c->present && (pci_config_get(config, 4, 2) & (b->shape.io ? 1 : 2));

	if (bar == BAR_ROM)
		on = on && (at & 1);
	if (b->shape.wide)
		at += (uint64_t)pci_config_get(config, reg + 4, 4) << 32;
	at -= at % (b->shape.size ? b->shape.size : 1);
	if (!b->shape.size || !on || !at || at > last)
		return (struct span){ 0, 0 };
	return (struct span){ at, at + b->shape.size };
}

static void check_card(const struct card *c)
{
	static const uint32_t fixed[BARS_AND_ROM] = { 0xc, 0, 0, 1, 4, 0, 0 };
	static const uint32_t mask[BARS_AND_ROM] = { 0xffffffff, 0x1f,	     0xfff, 7,
						     0xf,	 0xffffffff, 0x7fe };

	must(pci_config_get(&c->fn.config, 0, 4) == 0x56781234);
	must(pci_config_get(&c->fn.config, 0x2c, 4) == 0xdef09abc);
	must(c->fn.config.state.data[0x0e] ==
	     (c == &c->board->cards[1] || c == &c->board->cards[3] ? 0x80 : 0));
	for (unsigned i = 0; i < BARS_AND_ROM; i++) {
		unsigned reg = i == BAR_ROM ? 0x30 : 0x10 + 4 * i;
		struct span at = expected(c, i);

		if (i != 5) /* the upper half of 4 is all address */
			must((pci_config_get(&c->fn.config, reg, 4) & mask[i]) == fixed[i]);
		must(c->told[i].base == at.base && c->told[i].end == at.end);
		must(c->fn.bars[i].at.base == at.base && c->fn.bars[i].at.end == at.end);
		must(!c->claimed[i] || !span_empty(at));
	}
}

static void check_port(const struct board *b, unsigned i)
{
	const struct root_port *p = &b->port[i];
	const struct card *card = &b->cards[1 + i];
	uint32_t control = pci_config_get(&p->fn.config, p->pcie + 0x18, 2);
	uint32_t status = pci_config_get(&p->fn.config, p->pcie + 0x1a, 2);
	bool active = pci_config_get(&p->fn.config, p->pcie + 0x12, 2) & 0x2000;
	bool disabled = pci_config_get(&p->fn.config, p->pcie + 0x10, 2) & 0x10;

	must(pci_config_get(&p->fn.config, 0, 4) == 0x000c1b36);
	must(p->fn.config.state.data[0x0e] == 0x81 && p->fn.number == i);
	must(pci_host_find((struct pci_host *)&b->host, 0, 2, (uint8_t)i) == &p->fn);
	must(p->child == (card->present ? &card->fn : NULL));
	must(!(status & 0x40) == !card->present);
	must(active == (card->present && !(control & 0x400) && !disabled));
	must(p->bus.slots[0] == (active ? p->child : NULL));
	must(!(card->present && (b->asked & 1u << i) && (control & 0x400)));
}

static void check(const struct board *b)
{
	unsigned claims = 0;

	for (unsigned i = 0; i < CARDS; i++) {
		check_card(&b->cards[i]);
		for (unsigned bar = 0; bar < BARS_AND_ROM; bar++)
			claims += b->cards[i].claimed[bar];
	}
	for (unsigned i = 0; i < PORTS; i++)
		check_port(b, i);
	must(b->memory.nr + b->ports.nr == claims + 2);
	must(pci_config_get(&b->host.bridge.config, 0, 4) == 0x00081b36);
	must(pci_host_find((struct pci_host *)&b->host, OTHER_BUS, 1, 0) == &b->cards[4].fn);
}

/* --- steps --- */

/*
 * Where in ECAM target 0 to 6 is now: by the ports' own bus numbers, so that cards are found. With
 * `far`, other functions.
 */
static uint64_t target(const struct board *b, unsigned t, bool far)
{
	if (t == 3)
		return UINT64_C(2) << 15 | 1 << 12;
	if (t < 3)
		return (uint64_t)t << 15;
	if (t < 4 + PORTS)
		return (uint64_t)b->port[t - 4].fn.config.state.data[0x19] << 20 |
		       (far ? 4 << 12 : 0);
	return far ? UINT64_C(9) << 15 : (uint64_t)OTHER_BUS << 20 | 1 << 15;
}

static void event(struct board *b, unsigned what)
{
	unsigned i = what & 1;

	if (what & 4) {
		put_in(b, i);
		root_port_insert(&b->port[i], &b->cards[1 + i].fn);
	} else if (what & 2) {
		root_port_remove(&b->port[i]);
		take_out(b, i);
	} else {
		b->asked |= b->cards[1 + i].present ? 1u << i : 0;
		root_port_press_button(&b->port[i], board_released, &b->cards[1 + i]);
	}
}

/* Both ways to a register say the same, and say it byte by byte. */
static void read_twice(struct board *b, uint64_t at, unsigned size)
{
	uint32_t address = 0x80000000u | (uint32_t)(at >> 4 & 0xffff00) | (at & 0xfc);
	uint8_t whole[8], bytes[8];

	must(bus_read(&b->memory, ECAM + at, size, whole));
	if (at % size)
		return;
	for (unsigned i = 0; i < size; i++)
		must(bus_read(&b->memory, ECAM + at + i, 1, bytes + i));
	must(memcmp(whole, bytes, size) == 0);
	if ((at & 0xf00) || size > 4)
		return;
	must(bus_write(&b->ports, 0xcf8, 4, &address));
	must(bus_read(&b->ports, 0xcfc + (at & 3), size, bytes));
	must(memcmp(whole, bytes, size) == 0);
}

/* Seven bytes: what (target, size, way, read or write), offset, value. */
static void step(struct board *b, const uint8_t *d)
{
	unsigned size = 1u << (d[0] >> 3 & 3);
	uint64_t at = target(b, d[0] & 7, d[0] & 0x80) + (d[1] | (d[2] & 0xfu) << 8);
	uint8_t value[8];

	memcpy(value, d + 3, 4);
	memcpy(value + 4, d + 3, 4);
	if ((at & 0xfff) + size > 0x1000)
		return;
	if ((d[0] & 7) == 7) {
		event(b, d[1]);
	} else if (d[0] & 0x20) {
		read_twice(b, at, size);
	} else if (d[0] & 0x40) {
		uint32_t address = 0x80000000u | (uint32_t)(at >> 4 & 0xffff00) | (at & 0xfc);

		bus_write(&b->ports, 0xcf8, 4, &address);
		bus_write(&b->ports, 0xcfc + (at & 3), size, value);
	} else {
		bus_write(&b->memory, ECAM + at, size, value);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct board b;

	board_init(&b);
	check(&b);
	for (size_t i = 0; i + STEP <= size; i += STEP) {
		step(&b, data + i);
		check(&b);
	}
	for (unsigned i = 0; i < CARDS; i++)
		pci_function_unmap(&b.cards[i].fn);
	must(b.memory.nr == 1 && b.ports.nr == 1);
	return 0;
}
