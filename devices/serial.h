/*
 * 16550A UART, interrupt driven, at the speed of whatever is behind it (TI PC16550D data sheet).
 *
 * Output is never dropped and never blocks a vCPU: when the host side has had enough, the
 * transmitter stays busy (THRE and TEMT clear) until there is room, and a driver that honours
 * that waits. Input is never dropped either: what does not fit the receive FIFO is refused and
 * asked for again.
 */
#ifndef DEVICES_SERIAL_H
#define DEVICES_SERIAL_H

#include "devices/device.h"

#include <stddef.h>

#define SERIAL_FIFO 16

/*
 * Where output goes. Called with the device's lock held; neither may block.
 * put:   takes a byte, also while not ready: a driver may fill a whole FIFO, and early consoles
 *        give up waiting, so the sink keeps a generous reserve above its mark.
 * ready: false while the sink is above its mark.
 */
struct serial_out {
	void (*put)(void *to, uint8_t byte);
	bool (*ready)(void *to);
	void *to;
};

/* Called with the device's lock held when refused input would fit now. `room` may be NULL. */
struct serial_in {
	void (*room)(void *to);
	void *to;
};

struct serial_state {
	uint8_t ier, fcr, lcr, mcr, scr;
	uint8_t dll, dlm;  /* kept and ignored: bytes take no time */
	uint8_t overrun;   /* LSR's OE bit, set or clear; only loopback can overrun */
	uint8_t msr_delta; /* low half of MSR: what changed since it was read */
	bool thr_busy;	   /* the sink was not ready: THRE and TEMT read as zero */
	bool thr_event;	   /* the THR became empty and IIR has not told yet */

	uint8_t fifo[SERIAL_FIFO]; /* received bytes, a ring */
	unsigned head, count;
};

struct serial {
	struct device dev;
	struct irq_line irq;
	struct serial_out out;
	struct serial_in in;
	struct serial_state state;
	bool in_refused; /* serial_input took less than it was given */
	bool level;	 /* of the interrupt line */
};

/* `irq` is high exactly while an enabled interrupt is pending; it is set only on change. */
void serial_init(struct serial *s, struct irq_line irq, struct serial_out out, struct serial_in in);

/*
 * Hands `n` received bytes to the guest. Returns how many were accepted, the first ones; after
 * fewer than `n`, in.room is called once, when the guest has taken what there is. Any thread.
 */
size_t serial_input(struct serial *s, const uint8_t *bytes, size_t n);

/*
 * To be called after out.ready has turned from false to true: tells the guest that it may send.
 * Harmless at any other time. Any thread.
 */
void serial_output_room(struct serial *s);

#endif
