/*
 * MC146818 real-time clock with 128 bytes of CMOS memory (Motorola data sheet; the century is at
 * 0x32, where the FADT says so). Clock, alarm, update and periodic interrupts.
 *
 * The clock is host time (UTC) plus whatever the guest made of it by setting it: the host's clock
 * is never touched. Nothing runs between accesses: what happened since the last one is worked out
 * at the next, and the timer is armed only for an interrupt that is enabled and not yet pending.
 */
#ifndef DEVICES_RTC_H
#define DEVICES_RTC_H

#include "devices/device.h"

#define RTC_CMOS_SIZE 128

struct rtc_state {
	uint8_t index;
	uint8_t cmos[RTC_CMOS_SIZE]; /* time bytes count only while the clock is held */
	int64_t phase;		     /* guest seconds begin when (now + phase) % 1e9 == 0, in ns */
	int64_t offset;		     /* guest time less (now + phase), in seconds */
	int64_t seen;		     /* now + phase up to which events are in register C, in ns */
};

struct rtc {
	struct device dev;
	struct irq_line irq;
	struct device_timer timer;
	struct rtc_state state;
	int64_t armed; /* host time the timer is set to, 0 if it is not */
	bool level;    /* of the interrupt line */
};

/* Reads timer.now once. The line is high while register C has IRQF; it is set only on change. */
void rtc_init(struct rtc *rtc, struct irq_line irq, struct device_timer timer);

/*
 * Gives a byte of CMOS memory its first value, as firmware would have. `index` is below
 * RTC_CMOS_SIZE and not one of the clock's own (0 to 0xd, RTC_CENTURY): those are ignored.
 */
void rtc_set_cmos(struct rtc *rtc, uint8_t index, uint8_t value);

/* The timer that was armed has fired (or might have: calling too early or too often is fine). */
void rtc_timer(struct rtc *rtc);

#endif
