/* The I/O APIC: what a driver reads, and which messages its pins become. */
#include "devices/bus.h"
#include "devices/ioapic.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#define MASKED 0x10000u
#define LEVEL  0x8000u
#define IRR    0x4000u

static struct {
	struct bus bus;
	struct ioapic ioapic;
	unsigned sent, watches, acknowledged;
	uint64_t address, watched[IOAPIC_PINS]; /* 0: not watched */
	uint32_t data, watched_data[IOAPIC_PINS];
	uint32_t lowered; /* pins that an acknowledgement lowers */
} b;

static void board_send(void *to, uint64_t address, uint32_t data)
{
	(void)to;
	b.sent++;
	b.address = address;
	b.data = data;
}

static void board_watch(void *to, unsigned pin, bool wanted, uint64_t address, uint32_t data)
{
	(void)to;
	b.watches++;
	b.watched[pin] = wanted ? address : 0;
	b.watched_data[pin] = wanted ? data : 0;
}

static bool board_acknowledged(void *to, unsigned pin)
{
	(void)to;
	b.acknowledged++;
	return b.lowered >> pin & 1;
}

static int set_up(void **state)
{
	(void)state;
	bus_init(&b.bus);
	b.sent = b.watches = b.acknowledged = b.lowered = 0;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		b.watched[pin] = b.watched_data[pin] = 0;
	ioapic_init(&b.ioapic,
		    (struct ioapic_out){ board_send, board_watch, board_acknowledged, NULL });
	return bus_add(&b.bus, (struct span){ 0, IOAPIC_SIZE }, &b.ioapic.dev, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	bus_remove(&b.bus, (struct span){ 0, IOAPIC_SIZE });
	return 0;
}

static void put(uint64_t at, uint32_t value)
{
	assert_true(bus_write(&b.bus, at, 4, &value));
}

static void ioapic_put(uint8_t reg, uint32_t value)
{
	put(0, reg);
	put(0x10, value);
}

static uint32_t ioapic_get(uint8_t reg)
{
	uint32_t value = 0;

	put(0, reg);
	assert_true(bus_read(&b.bus, 0x10, 4, &value));
	return value;
}

/* As Linux does: the upper half first. */
static void pin_put(unsigned pin, uint32_t low, uint32_t high)
{
	ioapic_put((uint8_t)(0x11 + 2 * pin), high);
	ioapic_put((uint8_t)(0x10 + 2 * pin), low);
}

static void test_registers(void **state)
{
	uint64_t wide = 0;

	(void)state;
	assert_int_equal(ioapic_get(1), 0x170020); /* 24 pins, with an EOI register */
	ioapic_put(1, 0);
	assert_int_equal(ioapic_get(1), 0x170020);
	assert_int_equal(ioapic_get(0), 0);
	ioapic_put(0, 0xffffffff);
	assert_int_equal(ioapic_get(0), 0x0f000000);
	assert_int_equal(ioapic_get(2), 0x0f000000);
	for (unsigned reg = 3; reg < 0x10; reg++)
		assert_int_equal(ioapic_get((uint8_t)reg), 0);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		assert_int_equal(ioapic_get((uint8_t)(0x10 + 2 * pin)), MASKED);
		assert_int_equal(ioapic_get((uint8_t)(0x11 + 2 * pin)), 0);
	}
	for (unsigned reg = 0x40; reg < 0x100; reg++) {
		ioapic_put((uint8_t)reg, 0xffffffff);
		assert_int_equal(ioapic_get((uint8_t)reg), 0);
	}
	/* Reserved bits do not stick, nor do those that the device sets. */
	pin_put(0, 0xffffffff, 0xffffffff);
	assert_int_equal(ioapic_get(0x10), 0x1afff);
	assert_int_equal(ioapic_get(0x11), 0xfffe0000);
	/* A register is written whole; other offsets read as zeroes. */
	put(0, 0x11);
	assert_true(bus_write(&b.bus, 0x10, 2, &wide));
	assert_int_equal(ioapic_get(0x11), 0xfffe0000);
	assert_true(bus_read(&b.bus, 0x20, 8, &wide));
	assert_int_equal(wide, 0);
	assert_true(bus_read(&b.bus, 0, 1, &wide));
	assert_int_equal(wide, 0x11);
	assert_true(bus_read(&b.bus, 0x10, 2, &wide));
	assert_int_equal(wide, 0);
	assert_int_equal(b.sent, 0);
}

static void test_edge(void **state)
{
	(void)state;
	ioapic_set(&b.ioapic, 4, true); /* masked: lost */
	ioapic_set(&b.ioapic, 4, false);
	pin_put(4, 0x31, 0x2c020000); /* vector 31h to id 12Ch: 2Ch, and 1 from bit 17 on */
	assert_int_equal(b.sent, 0);
	ioapic_set(&b.ioapic, 4, true);
	assert_int_equal(b.sent, 1);
	assert_int_equal(b.address, 0xfee2c020);
	assert_int_equal(b.data, 0x31);
	ioapic_set(&b.ioapic, 4, true); /* no edge */
	assert_int_equal(b.sent, 1);
	ioapic_set(&b.ioapic, 4, false);
	ioapic_set(&b.ioapic, 4, true);
	assert_int_equal(b.sent, 2);
	assert_int_equal(ioapic_get(0x18), 0x31); /* nothing is pending */
	assert_int_equal(b.watches, 0);
	ioapic_eoi(&b.ioapic, 0x31);
	assert_int_equal(b.acknowledged, 0);
	ioapic_set(&b.ioapic, IOAPIC_PINS, true);
	ioapic_set(&b.ioapic, 31, true);
	assert_int_equal(b.sent, 2);
}

/* All modes but that of an 8259; logical destinations. */
static void test_modes(void **state)
{
	(void)state;
	for (uint32_t mode = 0; mode < 8; mode++) {
		unsigned before = b.sent;

		pin_put(1, 0x40 | mode << 8 | 0x800, 0x01000000);
		ioapic_set(&b.ioapic, 1, true);
		ioapic_set(&b.ioapic, 1, false);
		assert_int_equal(b.sent - before, mode != 7);
		assert_int_equal(b.address, 0xfee01004);
		assert_int_equal(b.data, 0x40 | (mode < 7 ? mode : 6) << 8);
	}
}

static void test_level(void **state)
{
	(void)state;
	ioapic_set(&b.ioapic, 9, true);
	assert_int_equal(b.sent, 0);
	pin_put(9, LEVEL | 0x51, 0x05000000);
	assert_int_equal(b.sent, 1);
	assert_int_equal(b.data, 0xc051);
	assert_int_equal(b.watched[9], 0xfee05000);
	assert_int_equal(b.watched_data[9], 0xc051);
	assert_int_equal(ioapic_get(0x22), LEVEL | IRR | 0x51);
	/* It waits for the acknowledgement, by another vector too. */
	ioapic_set(&b.ioapic, 9, false);
	ioapic_set(&b.ioapic, 9, true);
	ioapic_eoi(&b.ioapic, 0x52);
	assert_int_equal(b.sent, 1);
	ioapic_eoi(&b.ioapic, 0x51);
	assert_int_equal(b.sent, 2);
	/* Masked meanwhile it is acknowledged all the same, and sent when the mask goes. */
	pin_put(9, MASKED | LEVEL | 0x51, 0x05000000);
	assert_int_equal(b.watched[9], 0xfee05000);
	ioapic_eoi(&b.ioapic, 0x51);
	assert_int_equal(b.sent, 2);
	assert_int_equal(ioapic_get(0x22), MASKED | LEVEL | 0x51);
	pin_put(9, LEVEL | 0x51, 0x05000000);
	assert_int_equal(b.sent, 3);
	/* The EOI register does the same as the CPU's message. */
	ioapic_set(&b.ioapic, 9, false);
	put(0x40, 0x51);
	assert_int_equal(ioapic_get(0x22), LEVEL | 0x51);
	assert_int_equal(b.sent, 3);
	assert_int_equal(b.acknowledged, 3);
	/* A mask and an edge clear the remote IRR, which drivers of old I/O APICs rely on. */
	ioapic_set(&b.ioapic, 9, true);
	assert_int_equal(ioapic_get(0x22), LEVEL | IRR | 0x51);
	pin_put(9, MASKED | 0x51, 0x05000000);
	assert_int_equal(ioapic_get(0x22), MASKED | 0x51);
	assert_int_equal(b.watched[9], 0);
}

/* The table that KVM looks into is written when the message changes only: not for a mask. */
static void test_watches(void **state)
{
	(void)state;
	pin_put(16, LEVEL | MASKED | 0x60, 0);
	assert_int_equal(b.watches, 1);
	for (unsigned i = 0; i < 10; i++) {
		pin_put(16, LEVEL | 0x60, 0);
		pin_put(16, LEVEL | MASKED | 0x60, 0);
	}
	assert_int_equal(b.watches, 1);
	pin_put(16, LEVEL | MASKED | 0x60, 0x2c020000);
	assert_int_equal(b.watches, 2);
	assert_int_equal(b.watched[16], 0xfee2c020);
}

/* A line that the acknowledgement lowers is not sent again until it rises. */
static void test_lowered(void **state)
{
	(void)state;
	b.lowered = 1u << 20;
	pin_put(20, LEVEL | 0x61, 0);
	ioapic_set(&b.ioapic, 20, true);
	ioapic_eoi(&b.ioapic, 0x61);
	assert_int_equal(b.sent, 1);
	ioapic_set(&b.ioapic, 20, true);
	assert_int_equal(b.sent, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_registers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_edge, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_modes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_level, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_watches, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lowered, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
