/*
 * Keyboard controller without controller: reset only. Called by vCPUs through the bus.
 */
#include "devices/i8042.h"

#define COMMAND 4

/*
 * "Output buffer full, input buffer empty", for ever. A driver that flushes the controller never
 * sees it run dry and gives up at once (Linux after 16 reads; all-zeroes would cost it a timeout
 * of half a second), and one that waits until it may send the reset command need not wait
 * (all-ones would cost it 65,536 reads).
 */
#define STATUS 0x01u

static uint64_t i8042_read(struct device *dev, uint64_t offset, unsigned size)
{
	(void)dev;
	(void)size;
	/* Port 0x61 is not seen here: it is the PIT's, which KVM has. */
	return offset == COMMAND ? STATUS : 0xff;
}

static void i8042_write(struct device *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct i8042 *kbc = (struct i8042 *)dev;

	(void)size;
	/* 0xf0 to 0xff pulse those of four output lines whose bit is clear; line 0 is reset. */
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
