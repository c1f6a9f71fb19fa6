/*
 * The debug-exit port: a test guest writes a number to the port and the VMM ends with status
 * (number << 1) | 1, which is odd and so never mistaken for a clean power-off.
 *
 * An exit status has 8 bits, so the number has 7: higher bits of the value are dropped (0x80 is the
 * same as 0).
 */
#ifndef DEVICES_DEBUG_EXIT_H
#define DEVICES_DEBUG_EXIT_H

#include "devices/device.h"

struct debug_exit {
	struct device dev;
	struct device_ender ender;
};

/* A write gives DEVICE_END_DEBUG_EXIT with a value from 0 to 127. */
void debug_exit_init(struct debug_exit *de, struct device_ender ender);

#endif
