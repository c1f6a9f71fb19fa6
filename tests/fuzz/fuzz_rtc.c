/*
 * A hostile guest at the clock while host time runs, leaps and steps back. Holds at every step:
 * the line is what register C says, a timer is armed only for an enabled interrupt that is not
 * pending, it lies ahead, firing makes progress, and the time registers stay in range.
 */
#include "devices/bus.h"
#include "devices/rtc.h"
#include "vmm/base/platform.h"

#include <stdlib.h>

struct board {
	struct bus bus;
	struct rtc rtc;
	bool level;
	int64_t now, armed;
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

static int64_t board_now(void *to)
{
	return ((struct board *)to)->now;
}

static void board_arm(void *to, int64_t at)
{
	struct board *b = to;

	must(at == 0 || (at > b->now && at - b->now <= INT64_C(86400000000000)));
	b->armed = at;
}

static void board_advance(struct board *b, int64_t by)
{
	b->now += by;
	if (b->armed && b->armed <= b->now) {
		b->armed = 0;
		rtc_timer(&b->rtc);
		must(!b->armed || b->armed > b->now);
	}
}

static void guest_read(struct board *b, uint8_t index)
{
	bool held = (b->rtc.state.cmos[0x0b] & 0x80) || (b->rtc.state.cmos[0x0a] & 0x60) == 0x60;
	uint8_t value = 0;

	bus_write(&b->bus, 0, 1, &index);
	must(bus_read(&b->bus, 1, 1, &value));
	if (index == 0x0c)
		must(!b->level && b->rtc.state.cmos[0x0c] == 0);
	if (index == 0x0d)
		must(value == 0x80);
	if (index == 0 && !held)
		must((b->rtc.state.cmos[0x0b] & 4) ? value < 60
						   : value < 0x60 && (value & 15) < 10);
	if (index == 7 && !held)
		must(value >= 1 && value <= ((b->rtc.state.cmos[0x0b] & 4) ? 31 : 0x31));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct board b = { .now = INT64_C(1709164798) * 1000000000 };

	rtc_init(&b.rtc, (struct irq_line){ board_irq, &b, 8 },
		 (struct device_timer){ board_now, board_arm, &b });
	bus_add(&b.bus, (struct span){ 0, RTC_PORTS }, &b.rtc.dev, NULL);

	/* Three bytes a step: what, register, value. */
	for (size_t i = 0; i + 2 < size; i += 3) {
		uint8_t reg = data[i + 1], value = data[i + 2], pair[2] = { reg, value }, enabled;

		switch (data[i] & 7) {
		case 0:
			guest_read(&b, reg);
			break;
		case 1:
		case 2:
			must(bus_write(&b.bus, 0, 2, pair));
			break;
		case 3: /* up to 16 s, in steps of 244 us */
			board_advance(&b, (reg << 8 | value) * INT64_C(244141));
			break;
		case 4: /* up to 227 days, in steps of 5 minutes */
			board_advance(&b, (reg << 8 | value) * INT64_C(300000000000));
			break;
		case 5: /* the host's clock is set back, by up to 18 hours */
			b.now -= (reg << 8 | value) * INT64_C(1000000000);
			break;
		case 6: /* to the moment when the timer is due */
			if (b.armed)
				board_advance(&b, b.armed > b.now ? b.armed - b.now : 0);
			break;
		default:
			rtc_set_cmos(&b.rtc, reg, value);
			break;
		}
		enabled = b.rtc.state.cmos[0x0b] & 0x70;
		must(b.level == ((enabled & b.rtc.state.cmos[0x0c]) != 0));
		must(b.armed == b.rtc.armed);
		must(!b.armed || (enabled && !b.level));
		/* The host's clock covers the years that nanoseconds in 64 bits can. */
		if (b.now > INT64_C(8000000000) * 1000000000 || b.now < INT64_C(1000000000000000))
			break;
	}
	pthread_mutex_destroy(&b.rtc.dev.lock);
	return 0;
}
