/*
 * MC146818 real-time clock with 128 bytes of CMOS memory (Motorola data sheet; the century is at
 * 0x32, where the FADT says so). Clock, alarm, update and periodic interrupts.
 *
 * The clock is host time (UTC) plus an offset, which the guest changes by setting the clock; the
 * host's clock is never set. Nothing runs between accesses: each access computes the events since
 * the last one, and the timer is armed only for an interrupt that is enabled and not yet pending.
 */
#ifndef DEVICES_RTC_H
#define DEVICES_RTC_H

#include "devices/device.h"

#define RTC_CMOS_SIZE 128

struct rtc_state {
	uint8_t index;
	uint8_t cmos[RTC_CMOS_SIZE]; /* its time registers are valid only while the clock is held */
	int64_t phase;		     /* guest seconds begin when (now + phase) % 1e9 == 0, in ns */
	int64_t offset;		     /* guest time less (now + phase), in seconds */
	int64_t seen;		     /* now + phase up to which events are in register C, in ns */
};

struct rtc {
	struct device dev;
	struct irq_line irq;
	struct device_timer timer;
	struct rtc_state state;
	int64_t armed; /* host time for which the timer is armed; 0: not armed */
	bool level;    /* of the interrupt line */
};

/*
 * Reads timer.now once. The interrupt line is high while register C has IRQF; `irq` is called only
 * when the level changes.
 */
void rtc_init(struct rtc *rtc, struct irq_line irq, struct device_timer timer);

/*
 * Sets a byte of CMOS memory before the guest starts, as firmware does. Ignored if `index` is the
 * clock's own (0 to 0xd, RTC_CENTURY) or not below RTC_CMOS_SIZE.
 */
void rtc_set_cmos(struct rtc *rtc, uint8_t index, uint8_t value);

/* Handles the timer. A call that is early, or one too many, does no harm. */
void rtc_timer(struct rtc *rtc);

#endif
