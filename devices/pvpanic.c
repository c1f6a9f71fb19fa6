/*
 * Guest panic port. Called by vCPUs through the bus.
 */
#include "devices/pvpanic.h"

#define PANICKED     0x01u
#define CRASH_LOADED 0x02u

static uint64_t pvpanic_read(struct device *dev, uint64_t offset, unsigned size)
{
	(void)dev;
	(void)offset;
	(void)size;
	return PANICKED | CRASH_LOADED; /* the events that this device handles */
}

static void pvpanic_write(struct device *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct pvpanic *pv = (struct pvpanic *)dev;

	(void)offset;
	(void)size;
	if (value & PANICKED)
		device_end(&pv->ender, DEVICE_END_PANIC, 0);
	else if (value & CRASH_LOADED)
		device_end(&pv->ender, DEVICE_END_CRASH_LOADED, 0);
}

static const struct device_ops pvpanic_ops = {
	.name = "pvpanic",
	.width = 1,
	.read = pvpanic_read,
	.write = pvpanic_write,
};

void pvpanic_init(struct pvpanic *pv, struct device_ender ender)
{
	*pv = (struct pvpanic){ .ender = ender };
	device_init(&pv->dev, &pvpanic_ops);
}
