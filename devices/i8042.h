/*
 * The one wire of a PC's keyboard controller that a machine without keyboard still wants: the CPU
 * reset line. There is no controller behind the ports, and drivers that probe find that out fast.
 */
#ifndef DEVICES_I8042_H
#define DEVICES_I8042_H

#include "devices/device.h"

struct i8042 {
	struct device dev;
	struct device_ender ender;
};

/* Pulsing the reset line (command 0xfe) gives DEVICE_END_RESET. */
void i8042_init(struct i8042 *kbc, struct device_ender ender);

#endif
