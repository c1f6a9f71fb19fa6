/*
 * The ports of a keyboard controller, of which only the reset command works. Called by vCPUs
 * through the bus.
 */
#include "devices/i8042.h"

#define COMMAND 4

/*
 * Port 0x61, which comes here only where KVM has no PIT: no NMI of memory or bus (bits 7 and 6),
 * and the PIT's second counter has run down (bit 5), which calibration loops wait for.
 */
#define PORT_B	    1
#define PORT_B_IDLE 0x20u

/*
 * The status register always reads "output buffer full, input buffer empty". A driver that probes
 * for a controller flushes the output buffer, which never becomes empty, so the driver soon gives
 * up (Linux after 16 reads; all-zeroes would make Linux wait for a timeout of half a second). A
 * driver that waits for an empty input buffer before it sends the reset command need not wait
 * (all-ones would make Linux read 65,536 times).
 */
#define STATUS 0x01u

static uint64_t i8042_read(struct device *dev, uint64_t offset, unsigned size)
{
	(void)dev;
	(void)size;
	if (offset == PORT_B)
		return PORT_B_IDLE;
	return offset == COMMAND ? STATUS : 0xff;
}

static void i8042_write(struct device *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct i8042 *kbc = (struct i8042 *)dev;

	(void)size;
	/* 0xf0 to 0xff pulse the output lines whose bit is clear; line 0 resets the CPU. */
	if (offset == COMMAND && (value & 0xf1) == 0xf0)
		device_end(&kbc->ender, DEVICE_END_RESET, 0);
}

static const struct device_ops i8042_ops = {
	.name = "i8042",
	.width = 1,
	.read = i8042_read,
	.write = i8042_write,
};

void i8042_init(struct i8042 *kbc, struct device_ender ender)
{
	*kbc = (struct i8042){ .ender = ender };
	device_init(&kbc->dev, &i8042_ops);
}
