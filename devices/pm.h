/*
 * The power block of a hardware-reduced ACPI machine: sleep registers (ACPI 6.5 section 4.8.3.7)
 * and the event register that the generic event device's _EVT method reads (section 5.6.9).
 *
 * There is no PM timer, no PM1 event block and no SCI: a guest polls no register here, and an event
 * is the only interrupt. Offsets and values are in vmm/base/platform.h, because the DSDT names
 * them, too. Reading a byte of the event register clears that byte.
 */
#ifndef DEVICES_PM_H
#define DEVICES_PM_H

#include "devices/device.h"

struct pm_state {
	uint8_t sleep_type; /* SLP_TYP as written, in bits 4:2 as in the register */
	uint32_t events;    /* pending; the line is high while one is set */
};

struct pm {
	struct device dev;
	struct irq_line irq;
	struct device_ender ender;
	struct pm_state state;
};

/* A write of SLP_EN with type S5 gives DEVICE_END_POWEROFF. */
void pm_init(struct pm *pm, struct irq_line irq, struct device_ender ender);

/* Presses the power button, which asks the guest to power off. Any thread. */
void pm_power_button(struct pm *pm);

#endif
