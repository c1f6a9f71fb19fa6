/*
 * Debug-exit port. Called by vCPUs through the bus.
 */
#include "devices/debug_exit.h"

#define VALUE_MASK 0x7fu

static uint64_t debug_exit_read(struct device *dev, uint64_t offset, unsigned size)
{
	(void)dev;
	(void)offset;
	(void)size;
	return UINT64_MAX;
}

static void debug_exit_write(struct device *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct debug_exit *de = (struct debug_exit *)dev;

	(void)size;
	if (offset == 0)
		device_end(&de->ender, DEVICE_END_DEBUG_EXIT, value & VALUE_MASK);
}

static const struct device_ops debug_exit_ops = {
	.name = "debug-exit",
	.read = debug_exit_read,
	.write = debug_exit_write,
};

void debug_exit_init(struct debug_exit *de, struct device_ender ender)
{
	*de = (struct debug_exit){ .ender = ender };
	device_init(&de->dev, &debug_exit_ops);
}
