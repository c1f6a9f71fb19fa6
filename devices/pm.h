/*
 * The power block of a hardware-reduced ACPI machine: sleep registers (ACPI 6.5 section 4.8.3.7)
 * and the event register that the generic event device's _EVT method reads (section 5.6.9).
 *
 * No PM timer, no PM1 event block, no SCI: nothing here is polled, and the only interrupt is an
 * event. vmm/base/platform.h has offsets and values, because the DSDT names them; reading a byte of
 * the event register clears that byte.
 */
#ifndef DEVICES_PM_H
#define DEVICES_PM_H

#include "devices/device.h"

struct pm_state {
	uint8_t sleep_type; /* SLP_TYP as written, in place (bits 4:2) */
	uint32_t events;    /* pending; the line is high while any is */
};

struct pm {
	struct device dev;
	struct irq_line irq;
	struct device_ender ender;
	struct pm_state state;
};

/* A write of SLP_EN with type S5 gives DEVICE_END_POWEROFF. */
void pm_init(struct pm *pm, struct irq_line irq, struct device_ender ender);

/* Presses the power button: the guest is asked to power off. Any thread. */
void pm_power_button(struct pm *pm);

#endif
