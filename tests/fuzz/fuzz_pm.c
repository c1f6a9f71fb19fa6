/*
 * A hostile guest and an impatient user at the ACPI power block. Holds at every step: the line is
 * high while an event is pending, a press is reported exactly once, and only SLP_EN with S5 powers
 * off.
 */
#include "devices/bus.h"
#include "devices/pm.h"
#include "vmm/base/platform.h"

#include <stdlib.h>

struct board {
	struct bus bus;
	struct pm pm;
	bool level;
	unsigned ends;
};

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void board_irq(void *to, unsigned gsi, bool level)
{
	struct board *b = to;

	(void)gsi;
	must(b->level != level);
	b->level = level;
}

static void board_end(void *to, enum device_end why, unsigned value)
{
	must(why == DEVICE_END_POWEROFF && value == 0);
	((struct board *)to)->ends++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct board b = { 0 };
	bool pressed = false;

	pm_init(&b.pm, (struct irq_line){ board_irq, &b, 9 },
		(struct device_ender){ board_end, &b });
	bus_add(&b.bus, (struct span){ 0, PM_PORTS }, &b.pm.dev, NULL);

	/* Two bytes a step: what (with offset and size), value. */
	for (size_t i = 0; i + 1 < size; i += 2) {
		unsigned offset = data[i] & 7, access = 1u << (data[i] >> 3 & 3), ends = b.ends;
		uint8_t value = data[i + 1];
		uint8_t bytes[8] = { value, value, value, value, value, value, value, value };

		switch (data[i] >> 5 & 3) {
		case 0:
			if (!bus_read(&b.bus, offset, access, bytes))
				break;
			if (offset <= PM_EVENTS && offset + access > PM_EVENTS) {
				must(bytes[PM_EVENTS - offset] == pressed);
				pressed = false;
			}
			break;
		case 1:
			if (bus_write(&b.bus, offset, access, bytes) && offset == PM_SLEEP_CONTROL)
				ends += (value & 0x3c) == 0x34;
			break;
		default:
			pm_power_button(&b.pm);
			pressed = true;
			break;
		}
		must(b.ends == ends);
		must(b.level == pressed);
	}
	pthread_mutex_destroy(&b.pm.dev.lock);
	return 0;
}
