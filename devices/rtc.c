/*
 * MC146818 real-time clock. Called by vCPUs through the bus and by the event loop when the timer
 * fires; sets only its interrupt line and its timer.
 *
 * There are two times. `now + phase` (nanoseconds) is the position of the divider chain: a second
 * begins at each multiple of 1e9, and a periodic interrupt comes at each multiple of its period.
 * Guest time is the whole seconds of that position plus `offset`. Only setting the clock changes
 * `offset`, and only resetting the divider changes `phase`.
 */
#include "devices/rtc.h"

#include "vmm/base/platform.h"

#define NS_PER_S  INT64_C(1000000000)
#define S_PER_DAY 86400
#define TICK_HZ	  32768

#define REG_SEC	       0x00
#define REG_SEC_ALARM  0x01
#define REG_MIN	       0x02
#define REG_MIN_ALARM  0x03
#define REG_HOUR       0x04
#define REG_HOUR_ALARM 0x05
#define REG_WEEKDAY    0x06
#define REG_DAY	       0x07
#define REG_MONTH      0x08
#define REG_YEAR       0x09
#define REG_A	       0x0a
#define REG_B	       0x0b
#define REG_C	       0x0c
#define REG_D	       0x0d

#define A_UIP	    0x80
#define A_DIV_RESET 0x60 /* both bits set hold the divider chain in reset */
#define A_RATE	    0x0f
#define A_INITIAL   0x26 /* 32.768 kHz crystal, 1024 Hz periodic rate: what PC firmware leaves */

#define B_SET  0x80
#define B_PIE  0x40
#define B_AIE  0x20
#define B_UIE  0x10
#define B_DM   0x04 /* binary instead of BCD */
#define B_24H  0x02
#define B_INTS 0x70 /* PIE, AIE, UIE; each flag of register C has the number of its enable bit */

#define C_IRQF 0x80
#define C_PF   0x40
#define C_AF   0x20
#define C_UF   0x10

#define D_VRT 0x80 /* the battery is good */

#define HOUR_PM	   0x80
#define ALARM_ANY  0xc0		  /* both bits set in an alarm byte match everything */
#define UIP_NS	   244000	  /* the update begins this long after UIP rises */
#define RESTART_NS (NS_PER_S / 2) /* the first update comes this long after a divider reset */

static struct rtc *to_rtc(struct device *dev)
{
	return (struct rtc *)dev;
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static int64_t floor_mod(int64_t a, int64_t b)
{
	return a - floor_div(a, b) * b;
}

/* --- calendar: proleptic Gregorian, days counted from 1970-01-01 --- */

struct calendar {
	int64_t year;
	unsigned month, day; /* from 1 */
};

static bool leap_year(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int64_t days_before_year(int64_t year)
{
	int64_t past = year - 1; /* whole years since year 1 */

	return past * 365 + floor_div(past, 4) - floor_div(past, 100) + floor_div(past, 400) -
	       719162; /* 0001-01-01 to 1970-01-01 */
}

static unsigned days_before_month(int64_t year, unsigned month)
{
	static const uint16_t before[12] = {
		0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334
	};

	return before[month - 1] + (month > 2 && leap_year(year));
}

static int64_t days_from_calendar(struct calendar c)
{
	return days_before_year(c.year) + days_before_month(c.year, c.month) + c.day - 1;
}

static struct calendar calendar_from_days(int64_t days)
{
	/* 400 years have 146097 days; the estimate is at most one year off either way. */
	struct calendar c = { .year = 1970 + floor_div(days * 400, 146097), .month = 12 };

	while (days_before_year(c.year) > days)
		c.year--;
	while (days_before_year(c.year + 1) <= days)
		c.year++;
	days -= days_before_year(c.year);
	while (days_before_month(c.year, c.month) > days)
		c.month--;
	c.day = (unsigned)days - days_before_month(c.year, c.month) + 1;
	return c;
}

/* --- numbers in registers: BCD or binary, 12 or 24 hours --- */

static uint8_t rtc_encode(const struct rtc_state *st, unsigned value)
{
	return st->cmos[REG_B] & B_DM ? value : value / 10 << 4 | value % 10;
}

/* Accepts any byte: a BCD digit above 9 counts with its binary value. */
static unsigned rtc_decode(const struct rtc_state *st, uint8_t byte)
{
	return st->cmos[REG_B] & B_DM ? byte : (byte >> 4) * 10 + (byte & 0x0f);
}

static uint8_t rtc_encode_hour(const struct rtc_state *st, unsigned hour)
{
	if (st->cmos[REG_B] & B_24H)
		return rtc_encode(st, hour);
	return rtc_encode(st, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static unsigned rtc_decode_hour(const struct rtc_state *st, uint8_t byte)
{
	if (st->cmos[REG_B] & B_24H)
		return rtc_decode(st, byte);
	return rtc_decode(st, byte & ~HOUR_PM) % 12 + (byte & HOUR_PM ? 12 : 0);
}

static bool rtc_is_time(uint8_t index)
{
	switch (index) {
	case REG_SEC:
	case REG_MIN:
	case REG_HOUR:
	case REG_WEEKDAY:
	case REG_DAY:
	case REG_MONTH:
	case REG_YEAR:
	case RTC_CENTURY:
		return true;
	default:
		return false;
	}
}

/* Returns the value of one time register at `time`, in seconds since the epoch. */
static uint8_t rtc_time_byte(const struct rtc_state *st, uint8_t index, int64_t time)
{
	int64_t days = floor_div(time, S_PER_DAY);
	unsigned second = (unsigned)floor_mod(time, S_PER_DAY);
	struct calendar c = calendar_from_days(days);

	switch (index) {
	case REG_SEC:
		return rtc_encode(st, second % 60);
	case REG_MIN:
		return rtc_encode(st, second / 60 % 60);
	case REG_HOUR:
		return rtc_encode_hour(st, second / 3600);
	case REG_WEEKDAY: /* 1 is Sunday; day 0 was a Thursday */
		return rtc_encode(st, (unsigned)floor_mod(days + 4, 7) + 1);
	case REG_DAY:
		return rtc_encode(st, c.day);
	case REG_MONTH:
		return rtc_encode(st, c.month);
	case REG_YEAR:
		return rtc_encode(st, (unsigned)floor_mod(c.year, 100));
	default: /* RTC_CENTURY */
		return rtc_encode(st, (unsigned)floor_mod(floor_div(c.year, 100), 100));
	}
}

/*
 * Converts the time registers in cmos[] to seconds since the epoch. The guest may have written any
 * values: month and day are clamped to their ranges; hours, minutes and seconds that are too large
 * carry over. The weekday is not read.
 */
static int64_t rtc_time_from_bytes(const struct rtc_state *st)
{
	const uint8_t *r = st->cmos;
	unsigned month = rtc_decode(st, r[REG_MONTH]);
	unsigned day = rtc_decode(st, r[REG_DAY]);
	struct calendar c = {
		.year = (int64_t)rtc_decode(st, r[RTC_CENTURY]) * 100 + rtc_decode(st, r[REG_YEAR]),
		.month = month < 1    ? 1
			 : month > 12 ? 12
				      : month,
		.day = day < 1	  ? 1
		       : day > 31 ? 31
				  : day,
	};

	return days_from_calendar(c) * S_PER_DAY +
	       (int64_t)rtc_decode_hour(st, r[REG_HOUR]) * 3600 +
	       (int64_t)rtc_decode(st, r[REG_MIN]) * 60 + rtc_decode(st, r[REG_SEC]);
}

/* --- the clock, held and running --- */

static bool rtc_divider_reset(const struct rtc_state *st)
{
	return (st->cmos[REG_A] & A_DIV_RESET) == A_DIV_RESET;
}

/*
 * Whether the clock is held, by SET or by a divider in reset: then the time in cmos[] does not
 * change, and the guest may write it.
 */
static bool rtc_held(const struct rtc_state *st)
{
	return (st->cmos[REG_B] & B_SET) || rtc_divider_reset(st);
}

static int64_t rtc_time(const struct rtc_state *st)
{
	return floor_div(st->seen, NS_PER_S) + st->offset;
}

/* Copies the running clock's time to cmos[]. */
static void rtc_latch(struct rtc_state *st)
{
	int64_t time = rtc_time(st);

	for (uint8_t i = 0; i < RTC_CMOS_SIZE; i++)
		if (rtc_is_time(i))
			st->cmos[i] = rtc_time_byte(st, i, time);
}

/* Sets the clock to the time in cmos[]. */
static void rtc_set_clock(struct rtc_state *st)
{
	st->offset = rtc_time_from_bytes(st) - floor_div(st->seen, NS_PER_S);
}

/* The divider chain starts again, so that the next second begins after RESTART_NS. */
static void rtc_restart_divider(struct rtc_state *st)
{
	int64_t host = st->seen - st->phase;

	st->phase = floor_mod(RESTART_NS - host, NS_PER_S);
	st->seen = host + st->phase;
}

/* --- events --- */

/*
 * tick_at: the divider chain's 32.768 kHz ticks at `t` ns, rounded down. tick_start: the first ns
 * of a tick.
 */
static int64_t tick_at(int64_t t)
{
	return floor_div(t, NS_PER_S) * TICK_HZ + floor_mod(t, NS_PER_S) * TICK_HZ / NS_PER_S;
}

static int64_t tick_start(int64_t tick)
{
	return floor_div(tick, TICK_HZ) * NS_PER_S +
	       (floor_mod(tick, TICK_HZ) * NS_PER_S + TICK_HZ - 1) / TICK_HZ;
}

/* log2 of the periodic interrupt's period in ticks, or -1 if there is none (data sheet table 5). */
static int rtc_period_shift(const struct rtc_state *st)
{
	unsigned rate = st->cmos[REG_A] & A_RATE;

	if (!rate || rtc_divider_reset(st))
		return -1;
	/* Rates 1 and 2 repeat 8 and 9. */
	return (int)(rate <= 2 ? rate + 6 : rate - 1);
}

/* An alarm byte as a number that the clock can show (below `limit`), -1 for any, -2 for none. */
static int rtc_alarm_value(const struct rtc_state *st, uint8_t index, unsigned limit)
{
	uint8_t byte = st->cmos[index];
	unsigned value;

	if ((byte & ALARM_ANY) == ALARM_ANY)
		return -1;
	value = index == REG_HOUR_ALARM ? rtc_decode_hour(st, byte) : rtc_decode(st, byte);
	return value < limit ? (int)value : -2;
}

/* Seconds from guest time `time` to the next one, later, that matches the alarm; 0 if none does. */
static int64_t rtc_alarm_in(const struct rtc_state *st, int64_t time)
{
	int hour = rtc_alarm_value(st, REG_HOUR_ALARM, 24);
	int minute = rtc_alarm_value(st, REG_MIN_ALARM, 60);
	int second = rtc_alarm_value(st, REG_SEC_ALARM, 60);
	int today = (int)floor_mod(time, S_PER_DAY);

	if (hour == -2 || minute == -2 || second == -2)
		return 0;
	/* Skips whole hours and minutes, so this is at most about 150 steps. */
	for (int in = 1; in <= S_PER_DAY;) {
		int at = (today + in) % S_PER_DAY;

		if (hour >= 0 && at / 3600 != hour)
			in += 3600 - at % 3600;
		else if (minute >= 0 && at / 60 % 60 != minute)
			in += 60 - at % 60;
		else if (second >= 0 && at % 60 != second)
			in++;
		else
			return in;
	}
	return 0;
}

/* Adds events since the last call to register C. Every entry point begins with this. */
static void rtc_catch_up(struct rtc *rtc)
{
	struct rtc_state *st = &rtc->state;
	int64_t from = st->seen, to = rtc->timer.now(rtc->timer.to) + st->phase;
	int64_t seconds = floor_div(to, NS_PER_S) - floor_div(from, NS_PER_S);
	int shift = rtc_period_shift(st);
	uint8_t *c = &st->cmos[REG_C];

	/* If host time has stepped back there are no events, and later ones count from there. */
	st->seen = to;
	if (shift >= 0 && tick_at(to) >> shift > tick_at(from) >> shift)
		*c |= C_PF;
	if (seconds > 0 && !rtc_held(st)) {
		int64_t in = rtc_alarm_in(st, floor_div(from, NS_PER_S) + st->offset);

		*c |= C_UF;
		if (in && in <= seconds)
			*c |= C_AF;
	}
}

static int64_t earlier(int64_t a, int64_t b)
{
	return !a || b < a ? b : a;
}

/* Returns the host time of the next event that must raise the line; 0 if there is none. */
static int64_t rtc_next_event(const struct rtc *rtc)
{
	const struct rtc_state *st = &rtc->state;
	uint8_t enabled = st->cmos[REG_B] & B_INTS;
	int64_t second = floor_div(st->seen, NS_PER_S), next = 0;
	int shift = rtc_period_shift(st);

	if (rtc->level)
		return 0; /* the line is high already; a read computes register C */
	if ((enabled & B_PIE) && shift >= 0)
		next = tick_start(((tick_at(st->seen) >> shift) + 1) << shift);
	if ((enabled & B_UIE) && !rtc_held(st))
		next = earlier(next, (second + 1) * NS_PER_S);
	if ((enabled & B_AIE) && !rtc_held(st)) {
		int64_t in = rtc_alarm_in(st, second + st->offset);

		if (in)
			next = earlier(next, (second + in) * NS_PER_S);
	}
	return next ? next - st->phase : 0;
}

/* Sets line and timer as the registers require. Every entry point ends with this. */
static void rtc_update(struct rtc *rtc)
{
	bool level = rtc->state.cmos[REG_B] & rtc->state.cmos[REG_C] & B_INTS;
	int64_t next;

	if (level != rtc->level) {
		rtc->level = level;
		irq_set(&rtc->irq, level);
	}
	next = rtc_next_event(rtc);
	if (next != rtc->armed) {
		rtc->armed = next;
		rtc->timer.arm(rtc->timer.to, next);
	}
}

/* --- registers --- */

static uint8_t rtc_read_a(const struct rtc_state *st)
{
	bool uip = !rtc_held(st) && floor_mod(st->seen, NS_PER_S) >= NS_PER_S - UIP_NS;

	return st->cmos[REG_A] | (uip ? A_UIP : 0);
}

static uint8_t rtc_take_c(struct rtc_state *st)
{
	uint8_t c = st->cmos[REG_C];

	st->cmos[REG_C] = 0;
	return c | (c & st->cmos[REG_B] & B_INTS ? C_IRQF : 0);
}

static uint8_t rtc_read_data(struct rtc_state *st)
{
	uint8_t index = st->index;

	if (index == REG_A)
		return rtc_read_a(st);
	if (index == REG_C)
		return rtc_take_c(st);
	if (index == REG_D)
		return D_VRT;
	if (rtc_is_time(index) && !rtc_held(st))
		return rtc_time_byte(st, index, rtc_time(st));
	return st->cmos[index];
}

/* Writes register A or B, whose SET and divider bits hold or release the clock. */
static void rtc_write_control(struct rtc_state *st, uint8_t value)
{
	bool was_held = rtc_held(st), was_reset = rtc_divider_reset(st);

	/*
	 * cmos[] gets the time in the old format and is read in the new one, because a driver
	 * changes the format while SET holds the clock, and then writes all time registers.
	 */
	if (!was_held)
		rtc_latch(st);
	if (st->index == REG_A)
		st->cmos[REG_A] = value & ~A_UIP;
	else
		st->cmos[REG_B] = value & B_SET ? value & ~B_UIE : value;
	if (was_reset && !rtc_divider_reset(st))
		rtc_restart_divider(st);
	if (was_held && !rtc_held(st))
		rtc_set_clock(st);
}

static void rtc_write_data(struct rtc_state *st, uint8_t value)
{
	uint8_t index = st->index;

	if (index == REG_A || index == REG_B) {
		rtc_write_control(st, value);
	} else if (index == REG_C || index == REG_D) {
		return; /* read-only */
	} else if (rtc_is_time(index) && !rtc_held(st)) {
		/* A chip may corrupt the time here; this device keeps the other registers. */
		rtc_latch(st);
		st->cmos[index] = value;
		rtc_set_clock(st);
	} else {
		st->cmos[index] = value;
	}
}

static uint64_t rtc_read(struct device *dev, uint64_t offset, unsigned size)
{
	struct rtc *rtc = to_rtc(dev);
	uint8_t value;

	(void)size;
	if (offset == 0)
		return 0xff; /* the index is write-only on a PC */
	rtc_catch_up(rtc);
	value = rtc_read_data(&rtc->state);
	rtc_update(rtc);
	return value;
}

static void rtc_write(struct device *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct rtc *rtc = to_rtc(dev);

	(void)size;
	if (offset == 0) {
		rtc->state.index = value % RTC_CMOS_SIZE; /* bit 7 masks NMI: there is none */
		return;
	}
	rtc_catch_up(rtc);
	rtc_write_data(&rtc->state, (uint8_t)value);
	rtc_update(rtc);
}

static const struct device_ops rtc_ops = {
	.name = "rtc",
	.width = 1,
	.read = rtc_read,
	.write = rtc_write,
};

void rtc_init(struct rtc *rtc, struct irq_line irq, struct device_timer timer)
{
	*rtc = (struct rtc){ .irq = irq, .timer = timer, .state.seen = timer.now(timer.to) };
	rtc->state.cmos[REG_A] = A_INITIAL;
	rtc->state.cmos[REG_B] = B_24H;
	device_init(&rtc->dev, &rtc_ops);
}

void rtc_set_cmos(struct rtc *rtc, uint8_t index, uint8_t value)
{
	if (index >= RTC_CMOS_SIZE || index <= REG_D || index == RTC_CENTURY)
		return;
	pthread_mutex_lock(&rtc->dev.lock);
	rtc->state.cmos[index] = value;
	pthread_mutex_unlock(&rtc->dev.lock);
}

void rtc_timer(struct rtc *rtc)
{
	pthread_mutex_lock(&rtc->dev.lock);
	rtc->armed = 0; /* the timer fires once, so rtc_update arms it for an event still to come */
	rtc_catch_up(rtc);
	rtc_update(rtc);
	pthread_mutex_unlock(&rtc->dev.lock);
}
