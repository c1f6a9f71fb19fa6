/*
 * 16550A UART with interrupts (TI PC16550D data sheet). The divisor is ignored: bytes are as fast
 * as sink and source.
 *
 * Output is never dropped and never blocks a vCPU: while the sink is not ready, the transmitter is
 * busy (THRE and TEMT clear), and a driver that checks those bits waits. Input is never dropped
 * either: bytes that do not fit the receive FIFO are refused, and the source is told when there is
 * room.
 */
#ifndef DEVICES_SERIAL_H
#define DEVICES_SERIAL_H

#include "devices/device.h"

#include <stddef.h>

#define SERIAL_FIFO 16

/*
 * The sink of the output. Called with the device's lock held; neither may block.
 * put:   takes a byte, also while not ready, because a driver may fill a whole FIFO at once, and
 *        early consoles stop waiting after a time. So the sink has room above its mark.
 * ready: false while the sink is above its mark.
 */
struct serial_out {
	void (*put)(void *to, uint8_t byte);
	bool (*ready)(void *to);
	void *to;
};

/*
 * The source of the input. `room` is called, with the device's lock held, when there is room for
 * input that was refused; it may be NULL.
 */
struct serial_in {
	void (*room)(void *to);
	void *to;
};

struct serial_state {
	uint8_t ier, fcr, lcr, mcr, scr;
	uint8_t dll, dlm;  /* stored and ignored, because bytes take no time */
	uint8_t overrun;   /* LSR's OE bit, set or clear; only loopback can overrun */
	uint8_t msr_delta; /* low half of MSR: changes since the last read */
	bool thr_busy;	   /* the sink was not ready: THRE and TEMT read as zero */
	bool thr_event;	   /* the THR became empty and IIR has not reported it yet */

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

/* `irq` is high while an enabled interrupt is pending, and is called only when that changes. */
void serial_init(struct serial *s, struct irq_line irq, struct serial_out out, struct serial_in in);

/*
 * Passes `n` received bytes to the guest. Returns how many were accepted, from the first on. If
 * fewer than `n`, in.room is called once, when the guest has read all bytes of the FIFO. Any
 * thread.
 */
size_t serial_input(struct serial *s, const uint8_t *bytes, size_t n);

/*
 * To be called after out.ready has changed from false to true: signals to the guest that the
 * transmitter is empty. Has no effect at other times. Any thread.
 */
void serial_output_room(struct serial *s);

#endif
