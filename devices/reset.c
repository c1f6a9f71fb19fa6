/*
 * Reset control register. Called by vCPUs through the bus.
 */
#include "devices/reset.h"

#define SYS_RST	 0x02u /* hard reset instead of soft: here both rebuild the machine */
#define RST_CPU	 0x04u
#define FULL_RST 0x08u

static uint64_t reset_read(struct device *dev, uint64_t offset, unsigned size)
{
	(void)offset;
	(void)size;
	return ((struct reset *)dev)->state.value;
}

static void reset_write(struct device *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct reset *reset = (struct reset *)dev;
	bool raised = (value & ~(uint64_t)reset->state.value & RST_CPU) != 0;

	(void)offset;
	(void)size;
	reset->state.value = value & (SYS_RST | RST_CPU | FULL_RST);
	if (raised)
		device_end(&reset->ender, DEVICE_END_RESET, 0);
}

static const struct device_ops reset_ops = {
	.name = "reset",
	.width = 1,
	.read = reset_read,
	.write = reset_write,
};

void reset_init(struct reset *reset, struct device_ender ender)
{
	*reset = (struct reset){ .ender = ender };
	device_init(&reset->dev, &reset_ops);
}
