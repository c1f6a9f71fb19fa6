/*
 * A hostile guest, an arbitrary typist and an arbitrary reader at the UART. Holds at every step:
 * the interrupt line is what IIR says, it is set only on change, every byte sent outside loopback
 * reaches the sink, refused input is asked for again exactly once, accepted input comes out in
 * order until the guest throws it away.
 */
#include "devices/bus.h"
#include "devices/serial.h"
#include "vmm/base/platform.h"

#include <stdlib.h>

struct board {
	struct bus bus;
	struct serial serial;
	bool level, ready, refused;
	uint64_t sent;
	uint8_t next_in;
};

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void board_irq(void *to, unsigned gsi, bool level)
{
	struct board *b = to;

	(void)gsi;
	must(b->level != level);
	b->level = level;
}

static void board_put(void *to, uint8_t byte)
{
	(void)byte;
	((struct board *)to)->sent++;
}

static bool board_ready(void *to)
{
	return ((struct board *)to)->ready;
}

static void board_room(void *to)
{
	struct board *b = to;

	must(b->refused);
	b->refused = false;
}

static void guest_read(struct board *b, unsigned offset, unsigned size)
{
	const struct serial_state *st = &b->serial.state;
	bool level = b->level, data = offset == 0 && size == 1 && !(st->lcr & 0x80) && st->count;
	uint8_t first = st->fifo[st->head], bytes[8];
	bool claimed = bus_read(&b->bus, offset, size, bytes);

	must(claimed == (offset + size <= SERIAL_PORTS));
	if (data)
		must(bytes[0] == first);
	if (offset == 2 && size == 1)
		must(!(bytes[0] & 1) == level);
	if (offset == 5 && size == 1)
		must(!(bytes[0] & 0x9c) && !(bytes[0] & 0x20) == !(bytes[0] & 0x40));
}

static void guest_write(struct board *b, unsigned offset, unsigned size, uint8_t value)
{
	bool sends = offset == 0 && !(b->serial.state.lcr & 0x80) && !(b->serial.state.mcr & 0x10);
	uint8_t bytes[8] = { value, value, value, value, value, value, value, value };
	uint64_t sent = b->sent;

	if (!bus_write(&b->bus, offset, size, bytes))
		sends = false;
	must(b->sent == sent + sends);
}

static void typist(struct board *b, unsigned n)
{
	uint8_t bytes[32];
	bool refused = b->refused;
	size_t taken;

	n %= sizeof(bytes);
	for (unsigned i = 0; i < n; i++)
		bytes[i] = b->next_in + i;
	b->refused = true; /* the callback may not come before the refusal either */
	taken = serial_input(&b->serial, bytes, n);
	must(b->refused && taken <= n);
	b->refused = refused || taken < n;
	b->next_in += taken;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct board b = { .ready = true };

	serial_init(&b.serial, (struct irq_line){ board_irq, &b, 4 },
		    (struct serial_out){ board_put, board_ready, &b },
		    (struct serial_in){ board_room, &b });
	bus_add(&b.bus, (struct span){ 0, SERIAL_PORTS }, &b.serial.dev, NULL);

	/* Two bytes a step: what (low 3 bits are the register), and with which value. */
	for (size_t i = 0; i + 1 < size; i += 2) {
		unsigned reg = data[i] & 7, access = 1u << (data[i] >> 3 & 1 ? data[i + 1] & 3 : 0);

		switch (data[i] >> 4 & 3) {
		case 0:
			guest_read(&b, reg, access);
			break;
		case 1:
			guest_write(&b, reg, access, data[i + 1]);
			break;
		case 2:
			typist(&b, data[i + 1]);
			break;
		default:
			b.ready = data[i + 1] & 1;
			serial_output_room(&b.serial);
			must(!b.ready || !b.serial.state.thr_busy);
			break;
		}
		must(b.serial.state.count <= SERIAL_FIFO);
		must(b.serial.in_refused == b.refused);
		/* A guest that has emptied its FIFO is never left waiting for input. */
		must(!b.refused || b.serial.state.count || (b.serial.state.mcr & 0x10));
	}
	pthread_mutex_destroy(&b.serial.dev.lock);
	return 0;
}
