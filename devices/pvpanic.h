/*
 * pvpanic: one port by which a guest kernel tells that it has panicked (QEMU's docs/specs/pvpanic;
 * the guest finds it as ACPI device QEMU0001).
 */
#ifndef DEVICES_PVPANIC_H
#define DEVICES_PVPANIC_H

#include "devices/device.h"

struct pvpanic {
	struct device dev;
	struct device_ender ender;
};

/* Gives DEVICE_END_PANIC, or DEVICE_END_CRASH_LOADED when the guest has a kernel for that. */
void pvpanic_init(struct pvpanic *pv, struct device_ender ender);

#endif
