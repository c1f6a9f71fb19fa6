/*
 * 16550A UART. Called by vCPUs through the bus and by the event loop (input, room for output);
 * calls its interrupt line, its sink and its source.
 *
 * Two simplifications are visible to the guest: a byte takes no time to send, so the transmitter is
 * idle again at once unless the sink is not ready, and the receive timeout (4 character times) has
 * always passed. The interrupt is not gated by MCR's OUT2, unlike on a PC, because small kernels do
 * not set OUT2, and other virtual machines do not gate the interrupt either.
 */
#include "devices/serial.h"

/* Register offsets. While LCR has DLAB set, offsets 0 and 1 are the divisor latch. */
#define REG_DATA 0 /* RBR (read), THR (write), DLL */
#define REG_IER	 1 /* or DLM */
#define REG_IIR	 2 /* read; FCR on write */
#define REG_LCR	 3
#define REG_MCR	 4
#define REG_LSR	 5
#define REG_MSR	 6
#define REG_SCR	 7

#define IER_RDI	 0x01 /* received data */
#define IER_THRI 0x02 /* transmitter empty */
#define IER_RLSI 0x04 /* receiver line status */
#define IER_MSI	 0x08 /* modem status */
#define IER_ALL	 0x0f

#define IIR_NONE    0x01
#define IIR_MSI	    0x00
#define IIR_THRI    0x02
#define IIR_RDI	    0x04
#define IIR_RLSI    0x06
#define IIR_TIMEOUT 0x0c
#define IIR_FIFOS   0xc0

#define FCR_ENABLE   0x01
#define FCR_CLEAR_RX 0x02
#define FCR_KEPT     0xc9 /* trigger level, DMA mode, enable; the clear bits are not stored */

#define LCR_DLAB 0x80

#define MCR_DTR	 0x01
#define MCR_RTS	 0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08
#define MCR_LOOP 0x10
#define MCR_ALL	 0x1f

#define LSR_DR	 0x01
#define LSR_OE	 0x02
#define LSR_THRE 0x20
#define LSR_TEMT 0x40

#define MSR_TERI  0x04 /* delta of RI: set only when RI becomes clear */
#define MSR_CTS	  0x10
#define MSR_DSR	  0x20
#define MSR_RI	  0x40
#define MSR_DCD	  0x80
#define MSR_LINES 0xf0

static struct serial *to_serial(struct device *dev)
{
	return (struct serial *)dev;
}

/* Returns IIR without its FIFO bits; priorities as in the data sheet's table 5. */
static uint8_t serial_pending(const struct serial_state *st)
{
	static const uint8_t trigger[4] = { 1, 4, 8, 14 };

	if ((st->ier & IER_RLSI) && st->overrun)
		return IIR_RLSI;
	if ((st->ier & IER_RDI) && st->count) {
		bool timeout = (st->fcr & FCR_ENABLE) && st->count < trigger[st->fcr >> 6];

		return timeout ? IIR_TIMEOUT : IIR_RDI;
	}
	if ((st->ier & IER_THRI) && st->thr_event)
		return IIR_THRI;
	if ((st->ier & IER_MSI) && st->msr_delta)
		return IIR_MSI;
	return IIR_NONE;
}

/* Sets the interrupt line as the registers require. Every entry point ends with this. */
static void serial_update(struct serial *s)
{
	bool level = serial_pending(&s->state) != IIR_NONE;

	if (level != s->level) {
		s->level = level;
		irq_set(&s->irq, level);
	}
}

/* --- receiver --- */

static unsigned serial_capacity(const struct serial_state *st)
{
	return st->fcr & FCR_ENABLE ? SERIAL_FIFO : 1;
}

static void serial_push(struct serial_state *st, uint8_t byte)
{
	st->fifo[(st->head + st->count++) % SERIAL_FIFO] = byte;
}

/*
 * Tells a source whose input was refused that there is room: only when the FIFO is empty, because
 * one call for each byte would wake the source more often.
 */
static void serial_offer_room(struct serial *s)
{
	if (!s->in_refused || s->state.count || (s->state.mcr & MCR_LOOP))
		return;
	s->in_refused = false;
	if (s->in.room)
		s->in.room(s->in.to);
}

static uint8_t serial_pop(struct serial *s)
{
	struct serial_state *st = &s->state;
	uint8_t byte;

	if (!st->count)
		return 0;
	byte = st->fifo[st->head];
	st->head = (st->head + 1) % SERIAL_FIFO;
	st->count--;
	serial_offer_room(s);
	return byte;
}

static void serial_clear_rx(struct serial *s)
{
	s->state.count = 0;
	serial_offer_room(s);
}

/*
 * Receives a byte that the guest sent in loopback mode. On overrun a FIFO drops the new byte, and
 * the single register of a UART without FIFOs is overwritten.
 */
static void serial_loop_back(struct serial_state *st, uint8_t byte)
{
	if (st->count == serial_capacity(st)) {
		st->overrun = LSR_OE;
		if (st->fcr & FCR_ENABLE)
			return;
		st->count = 0;
	}
	serial_push(st, byte);
}

/* --- transmitter --- */

static void serial_transmit(struct serial *s, uint8_t byte)
{
	struct serial_state *st = &s->state;

	if (st->mcr & MCR_LOOP) {
		serial_loop_back(st, byte);
	} else {
		s->out.put(s->out.to, byte);
		st->thr_busy = !s->out.ready(s->out.to);
	}
	/* If the transmitter is not busy, the byte is sent already and the THR is empty again. */
	st->thr_event = !st->thr_busy;
}

/* --- modem lines --- */

/* Returns the upper half of MSR: a peer that is ready, or in loopback the outputs of MCR. */
static uint8_t serial_lines(uint8_t mcr)
{
	if (!(mcr & MCR_LOOP))
		return MSR_DCD | MSR_DSR | MSR_CTS;
	return (mcr & MCR_RTS ? MSR_CTS : 0) | (mcr & MCR_DTR ? MSR_DSR : 0) |
	       (mcr & MCR_OUT1 ? MSR_RI : 0) | (mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static void serial_set_mcr(struct serial *s, uint8_t value)
{
	struct serial_state *st = &s->state;
	uint8_t before = serial_lines(st->mcr), after, changed;

	st->mcr = value & MCR_ALL;
	after = serial_lines(st->mcr);
	changed = (before ^ after) & MSR_LINES;
	/* The delta bit of a line is four bits below the line's own. */
	st->msr_delta |= (changed >> 4) & ~MSR_TERI;
	if (changed & before & MSR_RI)
		st->msr_delta |= MSR_TERI;
	serial_offer_room(s);
}

/* --- registers --- */

static void serial_set_ier(struct serial_state *st, uint8_t value)
{
	/* Enabling the interrupt while the THR is empty raises it: drivers start to send so. */
	if (value & ~st->ier & IER_THRI)
		st->thr_event = !st->thr_busy;
	st->ier = value & IER_ALL;
}

static void serial_set_fcr(struct serial *s, uint8_t value)
{
	struct serial_state *st = &s->state;
	bool toggled = (value ^ st->fcr) & FCR_ENABLE;

	/*
	 * Without the enable bit the other bits are not programmed. There is nothing to clear in
	 * the transmit FIFO, which is always empty.
	 */
	st->fcr = value & FCR_ENABLE ? value & FCR_KEPT : 0;
	if (toggled || (value & FCR_CLEAR_RX))
		serial_clear_rx(s);
}

static uint8_t serial_take_iir(struct serial_state *st)
{
	uint8_t pending = serial_pending(st);

	if (pending == IIR_THRI)
		st->thr_event = false;
	return pending | (st->fcr & FCR_ENABLE ? IIR_FIFOS : 0);
}

static uint8_t serial_take_lsr(struct serial_state *st)
{
	uint8_t lsr = st->overrun;

	st->overrun = 0;
	if (st->count)
		lsr |= LSR_DR;
	if (!st->thr_busy)
		lsr |= LSR_THRE | LSR_TEMT;
	return lsr;
}

static uint8_t serial_take_msr(struct serial_state *st)
{
	uint8_t msr = serial_lines(st->mcr) | st->msr_delta;

	st->msr_delta = 0;
	return msr;
}

static uint8_t serial_read_register(struct serial *s, uint64_t offset)
{
	struct serial_state *st = &s->state;
	bool dlab = st->lcr & LCR_DLAB;

	switch (offset) {
	case REG_DATA:
		return dlab ? st->dll : serial_pop(s);
	case REG_IER:
		return dlab ? st->dlm : st->ier;
	case REG_IIR:
		return serial_take_iir(st);
	case REG_LCR:
		return st->lcr;
	case REG_MCR:
		return st->mcr;
	case REG_LSR:
		return serial_take_lsr(st);
	case REG_MSR:
		return serial_take_msr(st);
	default:
		return st->scr;
	}
}

static uint64_t serial_read(struct device *dev, uint64_t offset, unsigned size)
{
	struct serial *s = to_serial(dev);
	uint8_t value = serial_read_register(s, offset);

	(void)size;
	serial_update(s);
	return value;
}

static void serial_write(struct device *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct serial *s = to_serial(dev);
	struct serial_state *st = &s->state;
	bool dlab = st->lcr & LCR_DLAB;
	uint8_t byte = (uint8_t)value;

	(void)size;
	switch (offset) {
	case REG_DATA:
		if (dlab)
			st->dll = byte;
		else
			serial_transmit(s, byte);
		break;
	case REG_IER:
		if (dlab)
			st->dlm = byte;
		else
			serial_set_ier(st, byte);
		break;
	case REG_IIR:
		serial_set_fcr(s, byte);
		break;
	case REG_LCR:
		st->lcr = byte;
		break;
	case REG_MCR:
		serial_set_mcr(s, byte);
		break;
	case REG_SCR:
		st->scr = byte;
		break;
	default: /* LSR and MSR are read-only; writes are for factory tests */
		break;
	}
	serial_update(s);
}

static const struct device_ops serial_ops = {
	.name = "serial",
	.width = 1,
	.read = serial_read,
	.write = serial_write,
};

void serial_init(struct serial *s, struct irq_line irq, struct serial_out out, struct serial_in in)
{
	*s = (struct serial){
		.irq = irq,
		.out = out,
		.in = in,
		.state.dll = 12, /* 9600 baud from the PC's 1.8432 MHz */
	};
	device_init(&s->dev, &serial_ops);
}

size_t serial_input(struct serial *s, const uint8_t *bytes, size_t n)
{
	struct serial_state *st = &s->state;
	size_t taken = 0;

	pthread_mutex_lock(&s->dev.lock);
	/* In loopback the receiver is disconnected from its input. */
	if (!(st->mcr & MCR_LOOP))
		while (taken < n && st->count < serial_capacity(st))
			serial_push(st, bytes[taken++]);
	if (taken < n)
		s->in_refused = true;
	serial_update(s);
	pthread_mutex_unlock(&s->dev.lock);
	return taken;
}

void serial_output_room(struct serial *s)
{
	struct serial_state *st = &s->state;

	pthread_mutex_lock(&s->dev.lock);
	if (st->thr_busy && s->out.ready(s->out.to)) {
		st->thr_busy = false;
		st->thr_event = true;
		serial_update(s);
	}
	pthread_mutex_unlock(&s->dev.lock);
}
