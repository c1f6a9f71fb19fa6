/*
 * The chipset's reset control register, port 0xcf9 of every PC since Intel's PIIX (ICH9 datasheet
 * section 13.7.5). The FADT names this port as its reset register, too.
 */
#ifndef DEVICES_RESET_H
#define DEVICES_RESET_H

#include "devices/device.h"

struct reset_state {
	uint8_t value; /* as the register reads */
};

struct reset {
	struct device dev;
	struct device_ender ender;
	struct reset_state state;
};

/* Raising RST_CPU (bit 2) gives DEVICE_END_RESET. */
void reset_init(struct reset *reset, struct device_ender ender);

#endif
