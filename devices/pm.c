/*
 * Hardware-reduced ACPI power block. Called by vCPUs through the bus; any thread may call
 * pm_power_button().
 */
#include "devices/pm.h"

#include "vmm/base/platform.h"

/* Sleep control register, ACPI 6.5 section 4.8.3.7. SLP_EN reads as zero. */
#define SLP_TYP_MASK  0x1cu
#define SLP_TYP_SHIFT 2
#define SLP_EN	      0x20u

static struct pm *to_pm(struct device *dev)
{
	return (struct pm *)dev;
}

static uint8_t pm_take_events(struct pm *pm, unsigned shift)
{
	uint8_t taken = (uint8_t)(pm->state.events >> shift);

	if (!taken)
		return 0;
	pm->state.events &= ~(UINT32_C(0xff) << shift);
	if (!pm->state.events)
		irq_set(&pm->irq, false);
	return taken;
}

static uint64_t pm_read(struct device *dev, uint64_t offset, unsigned size)
{
	struct pm *pm = to_pm(dev);

	(void)size;
	if (offset >= PM_EVENTS)
		return pm_take_events(pm, 8 * (unsigned)(offset - PM_EVENTS));
	/* The status register reads 0, because its only bit, WAK_STS, needs a sleep state. */
	return offset == PM_SLEEP_CONTROL ? pm->state.sleep_type : 0;
}

static void pm_write(struct device *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct pm *pm = to_pm(dev);

	(void)size;
	if (offset != PM_SLEEP_CONTROL)
		return;
	pm->state.sleep_type = value & SLP_TYP_MASK;
	if ((value & SLP_EN) && pm->state.sleep_type >> SLP_TYP_SHIFT == PM_SLP_TYP_S5)
		device_end(&pm->ender, DEVICE_END_POWEROFF, 0);
}

static const struct device_ops pm_ops = {
	.name = "acpi-pm",
	.width = 1,
	.read = pm_read,
	.write = pm_write,
};

void pm_init(struct pm *pm, struct irq_line irq, struct device_ender ender)
{
	*pm = (struct pm){ .irq = irq, .ender = ender };
	device_init(&pm->dev, &pm_ops);
}

void pm_power_button(struct pm *pm)
{
	pthread_mutex_lock(&pm->dev.lock);
	if (!pm->state.events)
		irq_set(&pm->irq, true);
	pm->state.events |= PM_EVENT_POWER_BUTTON;
	pthread_mutex_unlock(&pm->dev.lock);
}
