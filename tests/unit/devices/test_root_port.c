/*
 * A root port: what firmware would have left in it, its slot as Linux' pciehp works it, and the
 * messages that it sends.
 */
#include "devices/root_port.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

/* Registers of the PCI Express capability, from its start */
#define LNKCTL	0x10
#define LNKSTA	0x12
#define SLTCAP	0x14
#define SLTCTL	0x18
#define SLTSTA	0x1a
#define DEVCAP2 0x24

#define HPIE	    0x0020
#define CHANGES	    0x1008 /* enables of presence and link changes */
#define LINK_EVENTS 0x1000
#define BUTTON	    0x0001
#define LIGHT_ON    0x0100
#define LIGHT_BLINK 0x0200
#define LIGHT_OFF   0x0300
#define POWER_OFF   0x0400
#define HERE	    0x0040
#define CHANGED	    0x0008
#define LINK_CHANGE 0x0100

#define MSI_ADDRESS UINT64_C(0x1fee01000)
#define MSI_DATA    0x4021

struct board {
	struct pci_host host;
	struct pci_env env;
	struct root_port port;
	struct pci_function card;
	unsigned resets, messages, released;
	uint64_t address;
	uint32_t data;
};

static struct board *board_of_card(struct pci_function *fn)
{
	return (struct board *)((char *)fn - offsetof(struct board, card));
}

static void card_reset(struct pci_function *fn)
{
	board_of_card(fn)->resets++;
	pci_function_reset(fn);
}

static void board_msi(void *to, uint64_t address, uint32_t data)
{
	struct board *b = to;

	b->messages++;
	b->address = address;
	b->data = data;
}

/* The host bridge's lock is held around it. */
static void board_released(void *to)
{
	struct board *b = to;

	assert_int_not_equal(pthread_mutex_trylock(&b->host.lock), 0);
	assert_null(b->port.child);
	b->released++;
}

static const struct pci_ops card_ops = { .name = "card", .reset = card_reset };

static uint64_t place(unsigned bus, unsigned slot, unsigned offset)
{
	return (uint64_t)bus << 20 | slot << 15 | offset;
}

static uint32_t rd(struct board *b, uint64_t at, unsigned size)
{
	return (uint32_t)(b->host.ecam.ops->read(&b->host.ecam, at, size) &
			  (UINT64_MAX >> (64 - 8 * size)));
}

static uint32_t get(struct board *b, unsigned offset, unsigned size)
{
	return rd(b, place(0, 2, offset), size);
}

static void set(struct board *b, unsigned offset, unsigned size, uint32_t value)
{
	b->host.ecam.ops->write(&b->host.ecam, place(0, 2, offset), size, value);
}

static uint32_t pcie_get(struct board *b, unsigned reg, unsigned size)
{
	return get(b, b->port.pcie + reg, size);
}

static void pcie_set(struct board *b, unsigned reg, unsigned size, uint32_t value)
{
	set(b, b->port.pcie + reg, size, value);
}

static bool card_answers(struct board *b)
{
	return rd(b, place(1, 0, 0), 2) == 0x1234;
}

static void board_init(struct board *b, bool card)
{
	static const struct pci_identity identity = { .vendor = 0x1234, .class = 0x010802 };
	const struct root_port_numbers numbers = {
		.slot = 2,
		.bus = 1,
		.atomics = 0xffffffff,
		.mem32 = { 0xc0100000, 0xc0300000 },
		.prefetch = { 3 * TIB, 3 * TIB + 128 * GIB },
	};

	*b = (struct board){ .env = { .msi = board_msi, .to = b } };
	pci_host_init(&b->host, NULL);
	pci_function_init(&b->card, &card_ops, &identity);
	root_port_init(&b->port, &b->host, &b->env, &numbers, card ? &b->card : NULL);
	b->host.root.slots[2] = &b->port.fn;
}

/* As a driver does: a message, then events. */
static void board_listens(struct board *b)
{
	set(b, b->port.msi + 4, 4, (uint32_t)MSI_ADDRESS);
	set(b, b->port.msi + 8, 4, MSI_ADDRESS >> 32);
	set(b, b->port.msi + 12, 2, MSI_DATA);
	set(b, b->port.msi + 2, 2, 1);
	pcie_set(b, SLTCTL, 2, HPIE | CHANGES | BUTTON | LIGHT_ON);
}

/* What pciehp does five seconds after the press: driver gone, then power and light. */
static void guest_lets_go(struct board *b)
{
	pcie_set(b, SLTSTA, 2, BUTTON);
	pcie_set(b, SLTCTL, 2, HPIE | CHANGES | BUTTON | LIGHT_BLINK);
	pcie_set(b, SLTCTL, 2, HPIE | CHANGES | BUTTON | LIGHT_BLINK | POWER_OFF);
	pcie_set(b, SLTCTL, 2, HPIE | CHANGES | BUTTON | LIGHT_OFF | POWER_OFF);
}

/* --- as firmware leaves it --- */

static void test_bridge(void **state)
{
	struct board b;

	(void)state;
	board_init(&b, true);
	assert_int_equal(get(&b, 0x00, 4), 0x000c1b36);
	assert_int_equal(get(&b, 0x08, 4), 0x06040000);
	assert_int_equal(get(&b, 0x0c, 4), 0x00010000);
	assert_int_equal(get(&b, 0x04, 2), 7);
	assert_int_equal(get(&b, 0x18, 4), 0x00010100);
	assert_int_equal(get(&b, 0x1c, 2), 0x00f0); /* closed */
	assert_int_equal(get(&b, 0x20, 4), 0xc020c010);
	assert_int_equal(get(&b, 0x24, 4), 0xfff10001);
	assert_int_equal(get(&b, 0x28, 4), 0x300);
	assert_int_equal(get(&b, 0x2c, 4), 0x31f);
	assert_int_equal(get(&b, 0x3d, 1), 0);
	for (unsigned offset = 0x18; offset < 0x40; offset += 4)
		set(&b, offset, 4, UINT32_MAX);
	assert_int_equal(get(&b, 0x18, 4), 0x00ffffff);
	assert_int_equal(get(&b, 0x1c, 4), 0x0000f0f0);
	assert_int_equal(get(&b, 0x20, 4), 0xfff0fff0);
	assert_int_equal(get(&b, 0x24, 4), 0xfff1fff1);
	assert_int_equal(get(&b, 0x28, 4), UINT32_MAX);
	assert_int_equal(get(&b, 0x2c, 4), UINT32_MAX);
	assert_int_equal(get(&b, 0x30, 4), 0); /* I/O is 16 bits: no upper halves */
	assert_int_equal(get(&b, 0x38, 4), 0); /* no ROM */
	assert_int_equal(get(&b, 0x3e, 2), 0x005f);
}

static void test_capabilities(void **state)
{
	struct board b;

	(void)state;
	board_init(&b, true);
	assert_int_equal(get(&b, b.port.pcie, 1), 0x10);
	assert_int_equal(get(&b, b.port.pcie + 2, 2), 0x0142);
	assert_int_equal(pcie_get(&b, SLTCAP, 4), 0x0004005b | 2 << 19);
	assert_int_equal(pcie_get(&b, DEVCAP2, 4), 0x380); /* completes atomics, and no more */
	assert_int_equal(get(&b, b.port.msi, 1), 0x05);
	assert_int_equal(get(&b, b.port.msi + 2, 2), 0x0080);
	assert_int_equal(get(&b, b.port.pm, 1), 0x01);
	assert_int_equal(get(&b, 0x100, 4), 0);
	/* D3hot and back; D1 and D2 do not exist. */
	set(&b, b.port.pm + 4, 2, 3);
	assert_int_equal(get(&b, b.port.pm + 4, 2), 0x000b);
	set(&b, b.port.pm + 4, 2, 1);
	assert_int_equal(get(&b, b.port.pm + 4, 2), 0x000b);
	set(&b, b.port.pm + 4, 1, 0);
	assert_int_equal(get(&b, b.port.pm + 4, 2), 0x0008);
	set(&b, b.port.pm + 4, 4, 2);
	assert_int_equal(get(&b, b.port.pm + 4, 2), 0x0008);
}

/* pciehp takes an occupied slot at start as it is: present, link up, power on, nothing changed. */
static void test_slot_at_start(void **state)
{
	struct board b;

	(void)state;
	board_init(&b, true);
	assert_int_equal(pcie_get(&b, SLTSTA, 2), HERE);
	assert_int_equal(pcie_get(&b, LNKSTA, 2), 0x2104);
	assert_int_equal(pcie_get(&b, SLTCTL, 2), 0x01c0);
	assert_true(card_answers(&b));
	board_listens(&b);
	assert_int_equal(b.messages + b.resets, 0);
	/* Slot 0 alone is behind the port, and only on its bus. */
	assert_int_equal(rd(&b, place(1, 1, 0), 4), UINT32_MAX);
	set(&b, 0x18, 4, 0x00070700);
	assert_false(card_answers(&b));
	assert_int_equal(rd(&b, place(7, 0, 0), 2), 0x1234);

	board_init(&b, false);
	assert_int_equal(pcie_get(&b, SLTSTA, 2), 0);
	assert_int_equal(pcie_get(&b, LNKSTA, 2), 0x0104);
	assert_false(card_answers(&b));
}

/* --- the slot --- */

static void test_release(void **state)
{
	struct board b;

	(void)state;
	board_init(&b, true);
	board_listens(&b);
	root_port_press_button(&b.port, board_released, &b);
	assert_int_equal(b.messages, 1);
	assert_int_equal(b.address, MSI_ADDRESS);
	assert_int_equal(b.data, MSI_DATA);
	assert_int_equal(pcie_get(&b, SLTSTA, 2), HERE | BUTTON);
	assert_true(card_answers(&b));
	guest_lets_go(&b);
	assert_int_equal(b.released, 1);
	assert_int_equal(b.resets, 1);
	assert_false(card_answers(&b));
	assert_int_equal(pcie_get(&b, SLTSTA, 2), CHANGED | LINK_CHANGE);
	assert_int_equal(pcie_get(&b, LNKSTA, 2), 0x0104);
	assert_int_equal(b.messages, 2);
	/* Nothing is there any more, whatever the guest does with the power. */
	pcie_set(&b, SLTCTL, 2, LIGHT_ON);
	pcie_set(&b, SLTCTL, 2, POWER_OFF);
	root_port_press_button(&b.port, board_released, &b);
	assert_int_equal(pcie_get(&b, SLTSTA, 2) & BUTTON, 0);
	assert_int_equal(b.released, 1);
	assert_int_equal(b.resets, 1);
}

/* Power off without a press: the device stays in its slot and starts anew. */
static void test_power_cycle(void **state)
{
	struct board b;

	(void)state;
	board_init(&b, true);
	board_listens(&b);
	pci_config_set(&b.card.config, 0x04, 2, 2);
	pcie_set(&b, SLTCTL, 2, HPIE | CHANGES | POWER_OFF);
	assert_false(card_answers(&b));
	assert_int_equal(pcie_get(&b, SLTSTA, 2), HERE | LINK_CHANGE);
	assert_int_equal(b.messages, 1);
	assert_int_equal(b.resets, 1);
	pcie_set(&b, SLTSTA, 2, LINK_CHANGE);
	pcie_set(&b, SLTCTL, 2, HPIE | CHANGES);
	assert_true(card_answers(&b));
	assert_int_equal(rd(&b, place(1, 0, 4), 2), 0);
	assert_int_equal(pcie_get(&b, LNKSTA, 2), 0x2104);
	assert_int_equal(b.messages, 2);
	assert_int_equal(b.released, 0);
	/* The host asks while the power is off: it need not wait. */
	pcie_set(&b, SLTCTL, 2, POWER_OFF);
	root_port_press_button(&b.port, board_released, &b);
	assert_int_equal(b.released, 1);
	assert_int_equal(b.resets, 2);
	assert_int_equal(pcie_get(&b, SLTSTA, 2), CHANGED | LINK_CHANGE);
}

/* A second press would call the first off, so there is none while the light blinks. */
static void test_press_again(void **state)
{
	struct board b;

	(void)state;
	board_init(&b, true);
	root_port_press_button(&b.port, board_released, &b); /* nobody listens yet */
	assert_int_equal(b.messages, 0);
	pcie_set(&b, SLTSTA, 2, BUTTON); /* pciehp forgets what was before it */
	board_listens(&b);
	root_port_press_button(&b.port, board_released, &b);
	assert_int_equal(b.messages, 1);
	pcie_set(&b, SLTSTA, 2, BUTTON);
	pcie_set(&b, SLTCTL, 2, HPIE | CHANGES | BUTTON | LIGHT_BLINK);
	root_port_press_button(&b.port, board_released, &b);
	assert_int_equal(b.messages, 1);
	assert_int_equal(pcie_get(&b, SLTSTA, 2), HERE);
	guest_lets_go(&b);
	assert_int_equal(b.released, 1);
}

static void test_surprise(void **state)
{
	struct board b;

	(void)state;
	board_init(&b, true);
	board_listens(&b);
	root_port_press_button(&b.port, board_released, &b);
	pcie_set(&b, SLTSTA, 2, BUTTON);
	root_port_remove(&b.port);
	assert_int_equal(b.messages, 2);
	assert_int_equal(pcie_get(&b, SLTSTA, 2), CHANGED | LINK_CHANGE);
	assert_false(card_answers(&b));
	pcie_set(&b, SLTCTL, 2, POWER_OFF);
	assert_int_equal(b.released, 0);
	assert_int_equal(b.resets, 0); /* there is nothing to reset */
	pcie_set(&b, SLTSTA, 2, CHANGED | LINK_CHANGE);
	root_port_remove(&b.port);
	assert_int_equal(pcie_get(&b, SLTSTA, 2), 0);
}

/* As pciehp leaves an empty slot: without power, and listening to the button and to the link. */
static void board_waits(struct board *b)
{
	board_listens(b);
	pcie_set(b, SLTCTL, 2, HPIE | LINK_EVENTS | BUTTON | LIGHT_OFF | POWER_OFF);
}

static void test_arrival(void **state)
{
	struct pci_function other;
	struct board b;

	(void)state;
	board_init(&b, false);
	board_waits(&b);
	assert_int_equal(rd(&b, place(1, 0, 0), 4), UINT32_MAX);
	root_port_insert(&b.port, &b.card);
	assert_int_equal(b.messages, 1);
	assert_int_equal(pcie_get(&b, SLTSTA, 2), HERE | CHANGED | BUTTON);
	assert_false(card_answers(&b)); /* it has no power yet */
	pcie_set(&b, SLTSTA, 2, CHANGED | BUTTON);
	pcie_set(&b, SLTCTL, 2, HPIE | LINK_EVENTS | BUTTON | LIGHT_BLINK);
	assert_int_equal(b.messages, 2);
	assert_true(card_answers(&b));
	assert_int_equal(pcie_get(&b, SLTSTA, 2), HERE | LINK_CHANGE);
	assert_int_equal(pcie_get(&b, LNKSTA, 2), 0x2104);
	assert_int_equal(b.resets, 0);
	/* Another one does not fit in beside it. */
	pcie_set(&b, SLTSTA, 2, LINK_CHANGE);
	root_port_insert(&b.port, &other);
	assert_ptr_equal(b.port.child, &b.card);
	assert_int_equal(pcie_get(&b, SLTSTA, 2), HERE);
	/* It can be asked for, and come again. */
	pcie_set(&b, SLTCTL, 2, HPIE | CHANGES | BUTTON | LIGHT_ON);
	root_port_press_button(&b.port, board_released, &b);
	guest_lets_go(&b);
	assert_int_equal(b.released, 1);
	root_port_insert(&b.port, &b.card);
	pcie_set(&b, SLTCTL, 2, LIGHT_ON);
	assert_true(card_answers(&b));
	/* What asked for it before is not told of this one. */
	pcie_set(&b, SLTCTL, 2, POWER_OFF);
	assert_int_equal(b.released, 1);
	assert_ptr_equal(b.port.child, &b.card);
}

/* Nobody has looked at the slot, or it has power: a press would ask for the card at once. */
static void test_arrival_with_power(void **state)
{
	struct board b;

	(void)state;
	board_init(&b, false);
	root_port_insert(&b.port, &b.card);
	assert_true(card_answers(&b));
	assert_int_equal(b.messages, 0);
	assert_int_equal(pcie_get(&b, SLTSTA, 2), HERE | CHANGED | LINK_CHANGE);

	board_init(&b, false);
	board_listens(&b);
	pcie_set(&b, LNKCTL, 2, 0x0010);
	root_port_insert(&b.port, &b.card);
	assert_int_equal(b.messages, 1);
	assert_false(card_answers(&b)); /* the link is disabled */
	assert_int_equal(pcie_get(&b, SLTSTA, 2), HERE | CHANGED);
	pcie_set(&b, LNKCTL, 2, 0);
	assert_true(card_answers(&b));
}

static void test_link_disable(void **state)
{
	struct board b;

	(void)state;
	board_init(&b, true);
	pcie_set(&b, LNKCTL, 2, 0x0010);
	assert_false(card_answers(&b));
	assert_int_equal(pcie_get(&b, LNKSTA, 2), 0x0104);
	assert_int_equal(pcie_get(&b, SLTSTA, 2), HERE | LINK_CHANGE);
	pcie_set(&b, LNKCTL, 2, 0x0060); /* retrain is no state */
	assert_int_equal(pcie_get(&b, LNKCTL, 2), 0x0040);
	assert_true(card_answers(&b));
	assert_int_equal(b.resets, 1);
}

static unsigned more_resets;

static void more_reset(struct pci_function *fn)
{
	(void)fn;
	more_resets++;
}

/* A card of two functions comes, goes and is reset as one. */
static void test_card(void **state)
{
	static const struct pci_identity identity = { .vendor = 0x1234, .class = 0x010802 };
	static const struct pci_ops more_ops = { .name = "card", .reset = more_reset };
	const struct root_port_numbers numbers = {
		.slot = 0x1fff, .primary = 4, .bus = 5, .link_speed = 5, .link_width = 8
	};
	struct pci_bus behind = { .slots = { NULL } };
	struct pci_function more;
	struct board b;

	(void)state;
	board_init(&b, true);
	pci_function_init(&b.card, &card_ops, &identity);
	pci_function_init(&more, &more_ops, &identity);
	pci_bus_add(&behind, 0, 0, &b.card);
	pci_bus_add(&behind, 0, 3, &more);
	root_port_init(&b.port, &b.host, &b.env, &numbers, behind.slots[0]);
	assert_int_equal(get(&b, 0x18, 4), 0x00050504);
	assert_int_equal(pcie_get(&b, SLTCAP, 4), 0x0004005b | 0x1fffu << 19);
	assert_int_equal(pcie_get(&b, 0x0c, 4), 0xff100085); /* the port's number has 8 bits */
	assert_int_equal(pcie_get(&b, 0x12, 2), 0x2085);
	assert_int_equal(pcie_get(&b, 0x2c, 4), 0x3e); /* 2.5 to 32 GT/s */
	assert_int_equal(pcie_get(&b, 0x30, 2), 5);
	assert_int_equal(rd(&b, place(5, 0, 0) | 3 << 12, 2), 0x1234);
	assert_int_equal(rd(&b, place(5, 0, 0) | 1 << 12, 2), 0xffff);
	set(&b, 0x3e, 2, 0x40);
	assert_int_equal(b.resets, 1);
	assert_int_equal(more_resets, 1);
	pcie_set(&b, SLTCTL, 2, POWER_OFF);
	assert_int_equal(b.resets, 2);
	assert_int_equal(more_resets, 2);
	assert_int_equal(rd(&b, place(5, 0, 0) | 3 << 12, 2), 0xffff);
	pcie_set(&b, SLTCTL, 2, LIGHT_ON);
	assert_int_equal(rd(&b, place(5, 0, 0) | 3 << 12, 2), 0x1234);
	root_port_remove(&b.port);
	assert_int_equal(rd(&b, place(5, 0, 0) | 3 << 12, 2), 0xffff);
}

static void test_secondary_reset(void **state)
{
	struct board b;

	(void)state;
	board_init(&b, true);
	pci_config_set(&b.card.config, 0x04, 2, 7);
	set(&b, 0x3e, 2, 0x0003);
	assert_int_equal(b.resets, 0);
	set(&b, 0x3e, 2, 0x0043);
	assert_int_equal(b.resets, 1);
	assert_int_equal(rd(&b, place(1, 0, 4), 2), 0);
	set(&b, 0x3e, 2, 0x0043);
	set(&b, 0x3c, 4, 0);
	assert_int_equal(b.resets, 1);
	set(&b, 0x3c, 4, 0x00400000); /* by its dword */
	assert_int_equal(b.resets, 2);
}

/* --- messages: PCI Express Base 5.0 section 6.7.3.4 --- */

static void test_messages(void **state)
{
	struct board b;

	(void)state;
	board_init(&b, true);
	board_listens(&b);
	pcie_set(&b, SLTCTL, 2, CHANGES | BUTTON | LIGHT_ON); /* no interrupts */
	root_port_press_button(&b.port, board_released, &b);
	assert_int_equal(b.messages, 0);
	pcie_set(&b, SLTCTL, 2, HPIE | CHANGES | LIGHT_ON); /* not for buttons */
	assert_int_equal(b.messages, 0);
	set(&b, b.port.msi + 2, 2, 0);
	pcie_set(&b, SLTCTL, 2, HPIE | CHANGES | BUTTON | LIGHT_ON); /* MSI is off */
	assert_int_equal(b.messages, 0);
	set(&b, b.port.msi + 2, 2, 1);
	assert_int_equal(b.messages, 1);
	/* One message until all events are seen to; then one for the next. */
	root_port_remove(&b.port);
	assert_int_equal(b.messages, 1);
	pcie_set(&b, SLTSTA, 2, BUTTON | CHANGED);
	assert_int_equal(b.messages, 1);
	pcie_set(&b, SLTSTA, 2, LINK_CHANGE);
	pcie_set(&b, SLTCTL, 2, HPIE | CHANGES);
	assert_int_equal(b.messages, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bridge),	      cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_slot_at_start), cmocka_unit_test(test_release),
		cmocka_unit_test(test_power_cycle),   cmocka_unit_test(test_press_again),
		cmocka_unit_test(test_surprise),      cmocka_unit_test(test_link_disable),
		cmocka_unit_test(test_arrival),	      cmocka_unit_test(test_arrival_with_power),
		cmocka_unit_test(test_card),	      cmocka_unit_test(test_secondary_reset),
		cmocka_unit_test(test_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
