/*
 * The CPU reset line of a PC's keyboard controller, which kernels pulse to reboot. There is no
 * controller behind the ports, and drivers that probe for a controller give up soon.
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
