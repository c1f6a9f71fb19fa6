/*
 * The host bridge as a guest sees it: both ways to configuration space, who answers, and BARs that
 * are sized, moved, turned on and off.
 */
#include "devices/bus.h"
#include "devices/pci.h"
#include "devices/reset.h"
#include "vmm/base/platform.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#define ECAM  0xe0000000u
#define BUSES 4

/* A function that notes where its BARs are, and holds the rule that a BAR leaves before it moves.
 */
struct card {
	struct pci_function fn;
	struct span at[BARS_AND_ROM];
	unsigned moves;
	unsigned last; /* the BAR that moved last */
};

struct board {
	struct bus memory, ports;
	struct pci_host host;
	struct reset reset;
	unsigned resets;
	struct card card;
};

static void card_moved(struct pci_function *fn, unsigned bar, struct span at)
{
	struct card *card = (struct card *)fn;

	assert_true(span_empty(card->at[bar]) != span_empty(at));
	card->at[bar] = at;
	card->last = bar;
	card->moves++;
}

static const struct pci_ops card_ops = { .name = "card", .bar_moved = card_moved };

static void board_end(void *to, enum device_end why, unsigned value)
{
	(void)value;
	assert_int_equal(why, DEVICE_END_RESET);
	((struct board *)to)->resets++;
}

/* A card in slot 3 with every kind of BAR. */
static void board_init(struct board *b)
{
	static const struct pci_identity identity = {
		.vendor = 0x1234,
		.device = 0x5678,
		.subsystem_vendor = 0x9abc,
		.subsystem = 0xdef0,
		.class = 0x010802,
		.revision = 7,
		.pin = 2,
	};

	*b = (struct board){ 0 };
	reset_init(&b->reset, (struct device_ender){ board_end, b });
	pci_host_init(&b->host, &b->reset.dev);
	assert_int_equal(
		bus_add(&b->memory, (struct span){ ECAM, ECAM + BUSES * MIB }, &b->host.ecam, NULL),
		0);
	assert_int_equal(
		bus_add(&b->ports, (struct span){ 0xcf8, 0xcf8 + PCI_PORTS }, &b->host.ports, NULL),
		0);
	pci_function_init(&b->card.fn, &card_ops, &identity);
	pci_function_add_bar(
		&b->card.fn, 0,
		&(struct bar_shape){ .size = 128 * GIB, .wide = true, .prefetch = true }, TIB);
	pci_function_add_bar(&b->card.fn, 2, &(struct bar_shape){ .size = 0x1000 }, 0xc0000000);
	pci_function_add_bar(&b->card.fn, 3, &(struct bar_shape){ .size = 0x20, .io = true },
			     0xc000);
	pci_function_add_bar(&b->card.fn, 4, &(struct bar_shape){ .size = 16, .wide = true },
			     0xc0001000);
	pci_function_add_bar(&b->card.fn, BAR_ROM, &(struct bar_shape){ .size = 0x10000 },
			     0xc0010000);
	b->host.root.slots[3] = &b->card.fn;
}

static uint64_t ecam(unsigned bus, unsigned slot, unsigned function, unsigned offset)
{
	return ECAM + (bus << 20 | slot << 15 | function << 12 | offset);
}

static uint64_t rd(struct board *b, uint64_t addr, unsigned size)
{
	uint64_t value = 0;

	assert_true(bus_read(&b->memory, addr, size, &value));
	return value;
}

static uint32_t get(struct board *b, unsigned offset, unsigned size)
{
	return (uint32_t)rd(b, ecam(0, 3, 0, offset), size);
}

static void set(struct board *b, unsigned offset, unsigned size, uint64_t value)
{
	assert_true(bus_write(&b->memory, ecam(0, 3, 0, offset), size, &value));
}

static uint32_t in(struct board *b, uint64_t port, unsigned size)
{
	uint32_t value = 0;

	assert_true(bus_read(&b->ports, port, size, &value));
	return value;
}

static void out(struct board *b, uint64_t port, unsigned size, uint32_t value)
{
	assert_true(bus_write(&b->ports, port, size, &value));
}

static void assert_at(const struct board *b, unsigned bar, uint64_t base, uint64_t size)
{
	assert_int_equal(b->card.at[bar].base, base);
	assert_int_equal(span_size(b->card.at[bar]), size);
	assert_int_equal(b->card.fn.bars[bar].at.base, base);
}

static void assert_nowhere(const struct board *b, unsigned bar)
{
	assert_true(span_empty(b->card.at[bar]));
}

/* --- who answers --- */

static void test_ecam(void **state)
{
	struct board b;

	(void)state;
	board_init(&b);
	assert_int_equal(rd(&b, ecam(0, 0, 0, 0), 4), 0x00081b36);
	assert_int_equal(rd(&b, ecam(0, 0, 0, 8), 4), 0x06000000);
	assert_int_equal(get(&b, 0, 4), 0x56781234);
	assert_int_equal(get(&b, 2, 2), 0x5678);
	assert_int_equal(get(&b, 3, 1), 0x56);
	assert_int_equal(get(&b, 8, 4), 0x01080207);
	assert_int_equal(get(&b, 0x2c, 4), 0xdef09abc);
	assert_int_equal(get(&b, 0x3d, 1), 2);
	assert_int_equal(get(&b, 0x100, 4), 0);
	/* Eight bytes are two registers. */
	assert_int_equal(rd(&b, ecam(0, 3, 0, 8), 8), 0x01080207);
	assert_int_equal(rd(&b, ecam(0, 3, 0, 0x28), 8), UINT64_C(0xdef09abc00000000));
	/* Nobody: another slot, another function, a bus behind no bridge; and what crosses dwords.
	 */
	assert_int_equal(rd(&b, ecam(0, 4, 0, 0), 4), UINT32_MAX);
	assert_int_equal(rd(&b, ecam(0, 3, 1, 0), 4), UINT32_MAX);
	assert_int_equal(rd(&b, ecam(0, 0, 7, 0), 2), 0xffff);
	assert_int_equal(rd(&b, ecam(1, 3, 0, 0), 4), UINT32_MAX);
	assert_int_equal(get(&b, 3, 2), 0xffff);
	assert_int_equal(get(&b, 1, 4), UINT32_MAX);
}

static void test_ports(void **state)
{
	struct board b;

	(void)state;
	board_init(&b);
	out(&b, 0xcf8, 4, 0xff001802 | 0x2c);
	assert_int_equal(in(&b, 0xcf8, 4), 0x8000182c); /* reserved bits are not kept */
	assert_int_equal(in(&b, 0xcfc, 4), 0xdef09abc);
	assert_int_equal(in(&b, 0xcfe, 2), 0xdef0);
	assert_int_equal(in(&b, 0xcfd, 1), 0x9a);
	assert_int_equal(in(&b, 0xcff, 1), 0xde);
	out(&b, 0xcf8, 4, 0x8000180c);
	out(&b, 0xcfc, 1, 0x10);
	assert_int_equal(get(&b, 0xc, 1), 0x10);
	/* Bits 10:8 are the function, and there is none but 0. */
	out(&b, 0xcf8, 4, 0x80001900);
	assert_int_equal(in(&b, 0xcfc, 4), UINT32_MAX);
	/* Without the enable bit the data port is nothing. */
	out(&b, 0xcf8, 4, 0x00001800);
	assert_int_equal(in(&b, 0xcfc, 4), UINT32_MAX);
	out(&b, 0xcf8, 4, 0x0000180c);
	out(&b, 0xcfc, 1, 0x20);
	assert_int_equal(get(&b, 0xc, 1), 0x10);
}

/* The address register is a dword only; the byte at 0xcf9 is the chipset's. */
static void test_reset_register(void **state)
{
	struct board b;

	(void)state;
	board_init(&b);
	out(&b, 0xcf8, 4, 0x80001800);
	out(&b, 0xcf8, 1, 0xff);
	out(&b, 0xcf8, 2, 0xffff);
	out(&b, 0xcfa, 2, 0xffff);
	out(&b, 0xcfb, 1, 0xff);
	assert_int_equal(in(&b, 0xcf8, 4), 0x80001800);
	assert_int_equal(in(&b, 0xcf8, 1), 0xff);
	assert_int_equal(in(&b, 0xcfa, 2), 0xffff);
	assert_int_equal(b.resets, 0);
	out(&b, 0xcf8, 4, 0x80000600); /* a byte 6 at 0xcf9, but of the address */
	assert_int_equal(b.resets, 0);
	out(&b, 0xcf9, 1, 0x02);
	assert_int_equal(in(&b, 0xcf9, 1), 0x02);
	out(&b, 0xcf9, 1, RESET_NOW);
	assert_int_equal(b.resets, 1);
	assert_int_equal(in(&b, 0xcf8, 4), 0x80000600);
	b.host.at_cf9 = NULL;
	out(&b, 0xcf9, 1, 0x02);
	assert_int_equal(in(&b, 0xcf9, 1), 0xff);
}

/* Which bus a bridge leads to is what its registers say now. */
static void test_bridges_route(void **state)
{
	static const struct pci_identity identity = { .vendor = 1, .class = 0x060400, .header = 1 };
	struct pci_function bridge;
	struct pci_bus behind = { .slots = { NULL } };
	struct board b;

	(void)state;
	board_init(&b);
	pci_function_init(&bridge, &card_ops, &identity);
	bridge.behind = &behind;
	behind.slots[0] = &b.card.fn;
	b.host.root.slots[3] = NULL;
	b.host.root.slots[5] = &bridge;
	assert_int_equal(rd(&b, ecam(2, 0, 0, 0), 4), UINT32_MAX);
	pci_config_set(&bridge.config, 0x18, 4, 0x00030200);
	assert_int_equal(rd(&b, ecam(2, 0, 0, 0), 4), 0x56781234);
	assert_int_equal(rd(&b, ecam(2, 1, 0, 0), 4), UINT32_MAX);
	assert_int_equal(rd(&b, ecam(3, 0, 0, 0), 4), UINT32_MAX);
	out(&b, 0xcf8, 4, 0x80020000);
	assert_int_equal(in(&b, 0xcfc, 4), 0x56781234);
	pci_config_set(&bridge.config, 0x18, 4, 0x00010200); /* subordinate below secondary */
	assert_int_equal(rd(&b, ecam(2, 0, 0, 0), 4), UINT32_MAX);
	pci_config_set(&bridge.config, 0x18, 4, 0x00000000);
	assert_int_equal(rd(&b, ecam(0, 0, 0, 0), 4), 0x00081b36);
}

/* Functions of one slot are found by their numbers, and say that there are several. */
static void test_functions(void **state)
{
	static const struct pci_identity identity = { .vendor = 1, .device = 5, .class = 0x020000 };
	struct pci_function more[2];
	struct board b;

	(void)state;
	board_init(&b);
	assert_int_equal(get(&b, 0x0e, 1), 0);
	for (unsigned i = 0; i < 2; i++)
		pci_function_init(&more[i], &card_ops, &identity);
	pci_bus_add(&b.host.root, 3, 7, &more[0]);
	pci_bus_add(&b.host.root, 3, 2, &more[1]);
	assert_int_equal(get(&b, 0x0e, 1), 0x80);
	assert_int_equal(rd(&b, ecam(0, 3, 2, 0x0e), 1), 0x80);
	assert_int_equal(rd(&b, ecam(0, 3, 0, 0), 4), 0x56781234);
	assert_int_equal(rd(&b, ecam(0, 3, 2, 0), 4), 0x00050001);
	assert_int_equal(rd(&b, ecam(0, 3, 7, 0), 4), 0x00050001);
	assert_ptr_equal(pci_host_find(&b.host, 0, 3, 7), &more[0]);
	for (unsigned i = 0; i < 8; i++)
		if (i != 0 && i != 2 && i != 7)
			assert_int_equal(rd(&b, ecam(0, 3, i, 0), 4), UINT32_MAX);
	out(&b, 0xcf8, 4, 0x80001a00);
	assert_int_equal(in(&b, 0xcfc, 4), 0x00050001);
	/* The ROM of a function that is one of several is where it was. */
	set(&b, 0x30, 4, 0xffffffff);
	assert_int_equal(get(&b, 0x30, 4), 0xffff0001);
	/* Alone in its slot, and not function 0, which is given back: it still says so. */
	b.host.root.slots[4] = NULL;
	pci_function_init(&more[0], &card_ops, &identity);
	pci_bus_add(&b.host.root, 4, 1, &more[0]);
	assert_int_equal(rd(&b, ecam(0, 4, 0, 0), 4), UINT32_MAX);
	assert_int_equal(rd(&b, ecam(0, 4, 1, 0x0e), 1), 0x80);
}

/* Root buses have fixed numbers, which no bridge of another one can take over. */
static void test_roots(void **state)
{
	static const struct pci_identity identity = { .vendor = 1, .class = 0x060400, .header = 1 };
	static const struct pci_identity nic = { .vendor = 1, .device = 5, .class = 0x020000 };
	struct pci_bus second = { .slots = { NULL } }, third = { .slots = { NULL } };
	struct pci_bus behind = { .slots = { NULL } };
	struct pci_function bridge, far;
	struct board b;

	(void)state;
	board_init(&b);
	pci_function_init(&bridge, &card_ops, &identity);
	pci_function_init(&far, &card_ops, &nic);
	bridge.behind = &behind;
	pci_bus_add(&behind, 0, 0, &far);
	pci_host_add_root(&b.host, &second, 1);
	pci_host_add_root(&b.host, &third, 3);
	pci_bus_add(&second, 1, 0, &bridge);
	assert_int_equal(rd(&b, ecam(1, 0, 0, 0), 4), UINT32_MAX);
	assert_int_equal(rd(&b, ecam(1, 1, 0, 0), 2), 1);
	assert_int_equal(rd(&b, ecam(2, 0, 0, 0), 4), UINT32_MAX);
	pci_config_set(&bridge.config, 0x18, 4, 0x00020201);
	assert_int_equal(rd(&b, ecam(2, 0, 0, 0), 4), 0x00050001);
	pci_config_set(&bridge.config, 0x18, 4, 0x00030301);
	assert_int_equal(rd(&b, ecam(3, 0, 0, 0), 4), UINT32_MAX);
	pci_config_set(&bridge.config, 0x18, 4, 0x00000000);
	assert_int_equal(rd(&b, ecam(0, 0, 0, 0), 4), 0x00081b36);
}

/* --- the header --- */

static void test_header(void **state)
{
	struct board b;

	(void)state;
	board_init(&b);
	set(&b, 0x00, 4, 0);
	set(&b, 0x08, 4, 0);
	set(&b, 0x2c, 4, 0);
	set(&b, 0x3c, 4, UINT32_MAX);
	assert_int_equal(get(&b, 0x00, 4), 0x56781234);
	assert_int_equal(get(&b, 0x08, 4), 0x01080207);
	assert_int_equal(get(&b, 0x2c, 4), 0xdef09abc);
	assert_int_equal(get(&b, 0x3c, 4), 0x000002ff);
	set(&b, 0x04, 2, 0xffff);
	assert_int_equal(get(&b, 0x04, 2), 0x0547);
	/* An error that the device reported is there until 1 is written to it. */
	pci_config_set(&b.card.fn.config, 0x06, 2, 0x2010);
	set(&b, 0x06, 2, 0);
	assert_int_equal(get(&b, 0x06, 2), 0x2010);
	set(&b, 0x06, 2, 0xffff);
	assert_int_equal(get(&b, 0x06, 2), 0x0010);
}

/* --- BARs --- */

static void test_bar_sizing(void **state)
{
	struct board b;

	(void)state;
	board_init(&b);
	assert_int_equal(get(&b, 0x10, 4), 0x0000000c);
	assert_int_equal(get(&b, 0x14, 4), TIB >> 32);
	assert_int_equal(get(&b, 0x18, 4), 0xc0000000);
	assert_int_equal(get(&b, 0x1c, 4), 0x0000c001);
	assert_int_equal(get(&b, 0x20, 4), 0xc0001004);
	assert_int_equal(get(&b, 0x30, 4), 0xc0010000);
	for (unsigned offset = 0x10; offset < 0x28; offset += 4)
		set(&b, offset, 4, UINT32_MAX);
	set(&b, 0x30, 4, 0xfffffffe);
	assert_int_equal(get(&b, 0x10, 4), 0x0000000c);
	assert_int_equal(get(&b, 0x14, 4), 0xffffffe0); /* 128 GiB */
	assert_int_equal(get(&b, 0x18, 4), 0xfffff000);
	assert_int_equal(get(&b, 0x1c, 4), 0xffffffe1);
	assert_int_equal(get(&b, 0x20, 4), 0xfffffff4);
	assert_int_equal(get(&b, 0x24, 4), 0xffffffff);
	assert_int_equal(get(&b, 0x30, 4), 0xffff0000);
	assert_int_equal(b.card.moves, 0);
}

static void test_bar_decoding(void **state)
{
	struct board b;

	(void)state;
	board_init(&b);
	for (unsigned i = 0; i < BARS_AND_ROM; i++)
		assert_nowhere(&b, i);
	set(&b, 0x04, 2, 2);
	assert_at(&b, 0, TIB, 128 * GIB);
	assert_at(&b, 2, 0xc0000000, 0x1000);
	assert_nowhere(&b, 3);
	assert_at(&b, 4, 0xc0001000, 16);
	assert_nowhere(&b, BAR_ROM);
	assert_int_equal(b.card.moves, 3);
	set(&b, 0x04, 2, 3);
	assert_at(&b, 3, 0xc000, 0x20);
	set(&b, 0x30, 4, 0xc0010001);
	assert_at(&b, BAR_ROM, 0xc0010000, 0x10000);
	assert_int_equal(b.card.moves, 5);
	/* Writes that change nothing move nothing. */
	set(&b, 0x04, 2, 7);
	set(&b, 0x18, 4, 0xc0000fff);
	assert_int_equal(b.card.moves, 5);
	set(&b, 0x04, 1, 1);
	assert_int_equal(b.card.moves, 9);
	assert_at(&b, 3, 0xc000, 0x20);
	assert_nowhere(&b, 0);
	assert_nowhere(&b, BAR_ROM);
}

static void test_bar_moves(void **state)
{
	struct board b;

	(void)state;
	board_init(&b);
	set(&b, 0x04, 2, 3);
	set(&b, 0x18, 4, 0xd0000000);
	assert_at(&b, 2, 0xd0000000, 0x1000);
	assert_int_equal(b.card.last, 2);
	set(&b, 0x14, 4, 0x200); /* the upper half alone */
	assert_at(&b, 0, 2 * TIB, 128 * GIB);
	set(&b, 0x19, 1, 0x20); /* and a byte */
	assert_at(&b, 2, 0xd0002000, 0x1000);
	set(&b, 0x10, 8, 4 * TIB); /* both halves at once */
	assert_at(&b, 0, 4 * TIB, 128 * GIB);
}

/* Address 0, beyond 16 bits of ports, beyond 52 of memory, at the very end of 64: nowhere. */
static void test_bar_bad_addresses(void **state)
{
	struct board b;

	(void)state;
	board_init(&b);
	set(&b, 0x04, 2, 3);
	set(&b, 0x18, 4, 0);
	assert_nowhere(&b, 2);
	set(&b, 0x1c, 4, 0x10000);
	assert_nowhere(&b, 3);
	set(&b, 0x1c, 4, 0xffe0);
	assert_at(&b, 3, 0xffe0, 0x20);
	set(&b, 0x14, 4, 1u << 20);
	assert_nowhere(&b, 0);
	set(&b, 0x14, 4, UINT32_MAX);
	assert_nowhere(&b, 0);
	set(&b, 0x14, 4, 0x000fffe0); /* the last 128 GiB of 2^52 */
	assert_at(&b, 0, (UINT64_C(1) << 52) - 128 * GIB, 128 * GIB);
	set(&b, 0x18, 4, 0xfffff000); /* the last page below 4 GiB */
	assert_at(&b, 2, 0xfffff000, 0x1000);
}

/* A sleeping function decodes nothing; a reset one has no addresses. */
static void test_sleep_and_reset(void **state)
{
	struct board b;

	(void)state;
	board_init(&b);
	set(&b, 0x04, 2, 3);
	set(&b, 0x30, 4, 0xc0010001);
	pci_function_sleep(&b.card.fn, true);
	for (unsigned i = 0; i < BARS_AND_ROM; i++)
		assert_nowhere(&b, i);
	set(&b, 0x18, 4, 0xd0000000);
	assert_nowhere(&b, 2);
	pci_function_sleep(&b.card.fn, false);
	assert_at(&b, 2, 0xd0000000, 0x1000);
	assert_at(&b, BAR_ROM, 0xc0010000, 0x10000);

	pci_function_sleep(&b.card.fn, true);
	set(&b, 0x0c, 1, 0x10);
	set(&b, 0x3c, 1, 0x0b);
	pci_function_reset(&b.card.fn);
	assert_false(b.card.fn.state.asleep);
	assert_int_equal(get(&b, 0x04, 2), 0);
	assert_int_equal(get(&b, 0x0c, 4), 0);
	assert_int_equal(get(&b, 0x10, 8), 0x0c);
	assert_int_equal(get(&b, 0x1c, 4), 0x01);
	assert_int_equal(get(&b, 0x30, 4), 0);
	assert_int_equal(get(&b, 0x3c, 2), 0x200);
	set(&b, 0x04, 2, 3);
	for (unsigned i = 0; i < BARS_AND_ROM; i++)
		assert_nowhere(&b, i);

	set(&b, 0x18, 4, 0xd0000000);
	pci_function_unmap(&b.card.fn);
	assert_nowhere(&b, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ecam),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_reset_register),
		cmocka_unit_test(test_functions),
		cmocka_unit_test(test_roots),
		cmocka_unit_test(test_bridges_route),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_bar_sizing),
		cmocka_unit_test(test_bar_decoding),
		cmocka_unit_test(test_bar_moves),
		cmocka_unit_test(test_bar_bad_addresses),
		cmocka_unit_test(test_sleep_and_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
