/*
 * pvpanic: a port to which a guest kernel writes that it has panicked (QEMU's docs/specs/pvpanic).
 * The guest finds the port as ACPI device QEMU0001.
 */
#ifndef DEVICES_PVPANIC_H
#define DEVICES_PVPANIC_H

#include "devices/device.h"

struct pvpanic {
	struct device dev;
	struct device_ender ender;
};

/* A write gives DEVICE_END_PANIC, or DEVICE_END_CRASH_LOADED if a crash kernel takes over. */
void pvpanic_init(struct pvpanic *pv, struct device_ender ender);

#endif
