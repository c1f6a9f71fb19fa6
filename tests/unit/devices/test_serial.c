/*
 * 16550A: what drivers probe for, interrupts and their priorities, and that no byte is lost in
 * either direction however slow the other side is. The board's interrupt line and sink check that
 * the device calls out only when it should.
 */
#include "devices/bus.h"
#include "devices/serial.h"
#include "vmm/base/platform.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR, FCR = IIR };

struct board {
	struct bus bus;
	struct serial serial;
	bool level;
	unsigned irq_calls;
	char sent[256];
	size_t nr_sent, mark; /* ready while nr_sent is below mark */
	unsigned rooms;
};

static void board_irq(void *to, unsigned gsi, bool level)
{
	struct board *b = to;

	assert_int_equal(gsi, 4);
	assert_int_not_equal(b->level, level); /* only changes are worth a system call */
	b->level = level;
	b->irq_calls++;
}

static void board_put(void *to, uint8_t byte)
{
	struct board *b = to;

	assert_true(b->nr_sent < sizeof(b->sent));
	b->sent[b->nr_sent++] = (char)byte;
}

static bool board_ready(void *to)
{
	struct board *b = to;

	return b->nr_sent < b->mark;
}

static void board_room(void *to)
{
	struct board *b = to;

	b->rooms++;
}

static void board_init(struct board *b)
{
	*b = (struct board){ .mark = SIZE_MAX };
	serial_init(&b->serial, (struct irq_line){ board_irq, b, 4 },
		    (struct serial_out){ board_put, board_ready, b },
		    (struct serial_in){ board_room, b });
	assert_int_equal(bus_add(&b->bus, (struct span){ 0x3f8, 0x3f8 + SERIAL_PORTS },
				 &b->serial.dev, NULL),
			 0);
}

static uint8_t in(struct board *b, unsigned reg)
{
	uint8_t value = 0;

	assert_true(bus_read(&b->bus, 0x3f8 + reg, 1, &value));
	return value;
}

static void out(struct board *b, unsigned reg, uint8_t value)
{
	assert_true(bus_write(&b->bus, 0x3f8 + reg, 1, &value));
}

static size_t input(struct board *b, const char *text)
{
	return serial_input(&b->serial, (const uint8_t *)text, strlen(text));
}

static void test_power_on_state(void **state)
{
	struct board b;

	(void)state;
	board_init(&b);
	assert_int_equal(in(&b, IER), 0);
	assert_int_equal(in(&b, IIR), 0x01);
	assert_int_equal(in(&b, LCR), 0);
	assert_int_equal(in(&b, MCR), 0);
	assert_int_equal(in(&b, LSR), 0x60);
	assert_int_equal(in(&b, MSR), 0xb0);
	assert_int_equal(in(&b, DATA), 0);
	assert_false(b.level);
}

/* The steps of Linux' 8250 autoconfiguration that tell a 16550A from everything else. */
static void test_linux_autoconfig(void **state)
{
	struct board b;

	(void)state;
	board_init(&b);
	out(&b, IER, 0);
	assert_int_equal(in(&b, IER) & 0x0f, 0);
	out(&b, IER, 0xff);
	assert_int_equal(in(&b, IER), 0x0f); /* bits 7:4 belong to other chips */
	out(&b, IER, 0);
	assert_false(b.level);

	out(&b, MCR, 0x10 | 0x0a);
	assert_int_equal(in(&b, MSR) & 0xf0, 0x90);
	out(&b, MCR, 0);

	/* EFR (with LCR 0xbf) is IIR here and must not read as zero. */
	out(&b, LCR, 0xbf);
	assert_int_not_equal(in(&b, IIR), 0);
	out(&b, LCR, 0);
	out(&b, FCR, 0x01);
	assert_int_equal(in(&b, IIR) >> 6, 3);
	out(&b, FCR, 0x21); /* a 16750 would show its 64-byte FIFO in bit 5 */
	assert_int_equal(in(&b, IIR), 0xc1);
	out(&b, FCR, 0);
	assert_int_equal(in(&b, IIR), 0x01);

	out(&b, SCR, 0x5a);
	assert_int_equal(in(&b, SCR), 0x5a);
}

/* Linux measures the FIFO by sending 256 bytes to itself. */
static void test_fifo_size_by_loopback(void **state)
{
	struct board b;
	unsigned count;

	(void)state;
	for (unsigned fifo = 0; fifo < 2; fifo++) {
		board_init(&b);
		out(&b, FCR, fifo ? 0x07 : 0);
		out(&b, MCR, 0x10);
		for (unsigned i = 0; i < 256; i++)
			out(&b, DATA, i);
		assert_int_equal(in(&b, LSR), 0x63); /* overrun, told once */
		assert_int_equal(in(&b, LSR), 0x61);
		for (count = 0; in(&b, LSR) & 1; count++)
			assert_int_equal(in(&b, DATA), fifo ? count : 255);
		assert_int_equal(count, fifo ? 16 : 1);
		assert_int_equal(b.nr_sent, 0);
	}
}

/* Linux' tests for UART_BUG_THRE and UART_BUG_TXEN. */
static void test_linux_thre_bugs(void **state)
{
	struct board b;

	(void)state;
	board_init(&b);
	for (unsigned i = 0; i < 2; i++) {
		out(&b, IER, 0x02);
		assert_true(b.level);
		assert_int_equal(in(&b, IIR), 0x02);
		assert_false(b.level); /* reading IIR takes it back */
		assert_int_equal(in(&b, IIR), 0x01);
		out(&b, IER, 0);
	}
	out(&b, IER, 0x02);
	assert_int_equal(in(&b, LSR), 0x60);
	assert_int_equal(in(&b, IIR), 0x02);
	/* Writing IER without enabling anything anew is no event. */
	out(&b, IER, 0x03);
	assert_int_equal(in(&b, IIR), 0x01);
}

static void test_divisor_latch(void **state)
{
	struct board b;

	(void)state;
	board_init(&b);
	out(&b, LCR, 0x83);
	out(&b, DATA, 0x01);
	out(&b, IER, 0x02);
	assert_int_equal(in(&b, DATA), 0x01);
	assert_int_equal(in(&b, IER), 0x02);
	assert_int_equal(b.nr_sent, 0);
	assert_false(b.level);
	out(&b, LCR, 0x03);
	assert_int_equal(in(&b, IER), 0);
	assert_int_equal(input(&b, "x"), 1);
	out(&b, LCR, 0x83);
	assert_int_equal(in(&b, DATA), 0x01);
	out(&b, LCR, 0x03);
	assert_int_equal(in(&b, DATA), 'x');
	/* A word written to the latch sets both halves. */
	out(&b, LCR, 0x80);
	assert_true(bus_write(&b.bus, 0x3f8, 2, "\x0c\x34"));
	assert_int_equal(in(&b, DATA), 0x0c);
	assert_int_equal(in(&b, IER), 0x34);
}

static void test_interrupt_priorities(void **state)
{
	struct board b;

	(void)state;
	board_init(&b);
	out(&b, FCR, 0x01);
	/* In loopback: overrun, data, empty THR and changed modem lines, all at once. */
	out(&b, MCR, 0x1d);
	for (unsigned i = 0; i < 17; i++)
		out(&b, DATA, i);
	out(&b, IER, 0x0f);
	assert_int_equal(in(&b, IIR), 0xc6);
	assert_int_equal(in(&b, LSR) & 0x02, 0x02);
	assert_int_equal(in(&b, IIR), 0xc4);
	for (unsigned i = 0; i < 16; i++)
		in(&b, DATA);
	assert_int_equal(in(&b, IIR), 0xc2);
	assert_true(b.level);
	assert_int_equal(in(&b, IIR), 0xc0);
	/* CTS went. RI came, which is no event; its end is. */
	assert_int_equal(in(&b, MSR), 0xe1);
	assert_int_equal(in(&b, IIR), 0xc1);
	assert_false(b.level);
	out(&b, MCR, 0x19);
	assert_true(b.level);
	assert_int_equal(in(&b, MSR), 0xa4);
	assert_false(b.level);
}

static void test_modem_deltas(void **state)
{
	struct board b;

	(void)state;
	board_init(&b);
	out(&b, MCR, 0x10); /* into loopback: all lines drop */
	assert_int_equal(in(&b, MSR), 0x0b);
	assert_int_equal(in(&b, MSR), 0x00);
	out(&b, MCR, 0x14);
	assert_int_equal(in(&b, MSR), 0x40);
	out(&b, MCR, 0x12);
	assert_int_equal(in(&b, MSR), 0x15);
	out(&b, MCR, 0x0b);
	assert_int_equal(in(&b, MSR), 0xba);
}

static void test_rx_trigger_and_timeout(void **state)
{
	static const struct {
		uint8_t fcr;
		unsigned trigger;
	} cases[] = { { 0x01, 1 }, { 0x41, 4 }, { 0x81, 8 }, { 0xc1, 14 } };
	struct board b;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		board_init(&b);
		out(&b, FCR, cases[i].fcr);
		out(&b, IER, 0x01);
		for (unsigned n = 1; n <= SERIAL_FIFO; n++) {
			assert_int_equal(input(&b, "x"), 1);
			assert_true(b.level);
			assert_int_equal(in(&b, IIR), n < cases[i].trigger ? 0xcc : 0xc4);
		}
		for (unsigned n = SERIAL_FIFO; n > 0; n--) {
			assert_true(b.level);
			in(&b, DATA);
		}
		assert_false(b.level);
		assert_int_equal(b.irq_calls, 2);
	}
}

static void test_input_is_never_lost(void **state)
{
	const char *text = "the quick brown fox jumps over the lazy dog, twice in a row.";
	struct board b;
	size_t fed, got = 0;

	(void)state;
	board_init(&b);
	assert_int_equal(input(&b, text), 1); /* no FIFO yet: one byte */
	assert_int_equal(in(&b, DATA), 't');
	assert_int_equal(b.rooms, 1);

	out(&b, FCR, 0x01);
	fed = input(&b, text);
	assert_int_equal(fed, SERIAL_FIFO);
	assert_int_equal(input(&b, text + fed), 0);
	while (got < strlen(text)) {
		unsigned rooms = b.rooms;

		assert_int_equal(in(&b, LSR) & 1, 1);
		assert_int_equal(in(&b, DATA), text[got++]);
		/* Asked for once, when the FIFO has run dry, and not after the last byte fitted. */
		assert_int_equal(b.rooms - rooms, got == fed && got != strlen(text));
		if (b.rooms != rooms)
			fed += input(&b, text + fed);
	}
	assert_int_equal(in(&b, LSR) & 1, 0);
	in(&b, DATA);
	assert_int_equal(b.rooms, 1 + 3);
}

static void test_room_after_fifo_reset_and_loopback(void **state)
{
	struct board b;

	(void)state;
	board_init(&b);
	out(&b, FCR, 0x01);
	assert_int_equal(input(&b, "0123456789abcdefg"), SERIAL_FIFO);
	out(&b, FCR, 0x05); /* clears the transmitter only */
	assert_int_equal(in(&b, LSR) & 1, 1);
	assert_int_equal(b.rooms, 0);
	out(&b, FCR, 0x03);
	assert_int_equal(in(&b, LSR) & 1, 0);
	assert_int_equal(b.rooms, 1);
	out(&b, MCR, 0x10);
	assert_int_equal(input(&b, "x"), 0);
	assert_int_equal(b.rooms, 1);
	out(&b, MCR, 0);
	assert_int_equal(b.rooms, 2);
	assert_int_equal(input(&b, "x"), 1);
	out(&b, FCR, 0); /* disabling the FIFOs clears them */
	assert_int_equal(in(&b, LSR) & 1, 0);
	assert_int_equal(b.rooms, 2);
}

/* A driver that sends a FIFO's worth per interrupt, into a sink that takes 20 bytes at a time. */
static void test_output_flow_control(void **state)
{
	const char *text = "All that is sent arrives, in order, without a vCPU being held up: "
			   "the transmitter is busy until there is room.";
	struct board b;
	size_t next = 0;

	(void)state;
	board_init(&b);
	b.mark = 20;
	out(&b, FCR, 0x01);
	out(&b, IER, 0x02);
	while (next < strlen(text)) {
		if (!b.level) {
			assert_int_equal(in(&b, LSR), 0x00);
			assert_int_equal(in(&b, IIR), 0xc1);
			serial_output_room(&b.serial); /* not true yet */
			assert_false(b.level);
			b.mark = b.nr_sent + 20;
			serial_output_room(&b.serial);
			assert_true(b.level);
		}
		assert_int_equal(in(&b, IIR), 0xc2);
		assert_false(b.level);
		assert_int_equal(in(&b, LSR), 0x60);
		for (unsigned i = 0; i < 16 && next < strlen(text); i++)
			out(&b, DATA, text[next++]);
	}
	assert_int_equal(b.nr_sent, strlen(text));
	assert_memory_equal(b.sent, text, b.nr_sent);
}

static void test_output_while_busy(void **state)
{
	struct board b;

	(void)state;
	board_init(&b);
	b.mark = 1;
	out(&b, DATA, 'a');
	assert_int_equal(in(&b, LSR), 0);
	out(&b, DATA, 'b'); /* an early console that has waited long enough */
	assert_int_equal(b.nr_sent, 2);
	out(&b, IER, 0x02); /* THR is not empty: no event */
	assert_false(b.level);
	b.mark = 3;
	serial_output_room(&b.serial);
	assert_true(b.level);
	assert_int_equal(in(&b, LSR), 0x60);
	serial_output_room(&b.serial);
	assert_int_equal(b.irq_calls, 1);
	/* The sink may have become ready between two bytes. */
	out(&b, DATA, 'c');
	assert_false(b.level);
	b.mark = 5;
	out(&b, DATA, 'd');
	assert_true(b.level);
	assert_int_equal(in(&b, LSR), 0x60);
	assert_memory_equal(b.sent, "abcd", 4);
}

static void test_unconnected(void **state)
{
	struct board b;

	(void)state;
	board_init(&b);
	b.serial.irq = (struct irq_line){ 0 };
	b.serial.in = (struct serial_in){ 0 };
	out(&b, IER, 0x0f);
	assert_int_equal(input(&b, "xy"), 1);
	assert_int_equal(in(&b, DATA), 'x');
	out(&b, LSR, 0xff);
	out(&b, MSR, 0xff);
	assert_int_equal(in(&b, LSR), 0x60);
	assert_int_equal(in(&b, MSR), 0xb0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_power_on_state),
		cmocka_unit_test(test_linux_autoconfig),
		cmocka_unit_test(test_fifo_size_by_loopback),
		cmocka_unit_test(test_linux_thre_bugs),
		cmocka_unit_test(test_divisor_latch),
		cmocka_unit_test(test_interrupt_priorities),
		cmocka_unit_test(test_modem_deltas),
		cmocka_unit_test(test_rx_trigger_and_timeout),
		cmocka_unit_test(test_input_is_never_lost),
		cmocka_unit_test(test_room_after_fifo_reset_and_loopback),
		cmocka_unit_test(test_output_flow_control),
		cmocka_unit_test(test_output_while_busy),
		cmocka_unit_test(test_unconnected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
