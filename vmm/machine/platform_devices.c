#include "vmm/machine/platform_devices.h"

#include "vmm/base/platform.h"
#include "vmm/plan/devices.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static void set_irq(void *to, unsigned gsi, bool level)
{
	struct machine_devices *d = to;

	machine_interrupts_set(d->parts.interrupts, gsi, level);
}

/* --- the serial port and the console --- */

static void serial_put(void *to, uint8_t byte)
{
	console_put(to, byte);
}

static bool serial_ready(void *to)
{
	return console_ready(to);
}

static void serial_in_room(void *to)
{
	console_resume(to);
}

static size_t console_input(void *to, const uint8_t *data, size_t n)
{
	struct machine_uart *u = to;

	return serial_input(&u->serial, data, n);
}

static void console_room(void *to)
{
	struct machine_uart *u = to;

	serial_output_room(&u->serial);
}

static void platform_console_quit(void *to)
{
	const struct machine_devices_parts *parts = &((struct machine_uart *)to)->devices->parts;

	parts->quit(parts->to);
}

void machine_devices_attach(struct machine_devices *d)
{
	for (unsigned i = 0; i < UARTS; i++) {
		struct machine_uart *u = &d->uarts[i];
		const struct console_user user = { console_input, console_room,
						   platform_console_quit, u };

		if (u->console)
			console_attach(u->console, &user);
	}
}

static void create_uart(struct machine_devices *d, unsigned i, struct console *console,
			unsigned gsi)
{
	struct machine_uart *u = &d->uarts[i];
	const struct serial_out out = { serial_put, serial_ready, console };
	const struct serial_in in = { serial_in_room, console };

	u->devices = d;
	u->console = console;
	if (console)
		serial_init(&u->serial, (struct irq_line){ set_irq, d, gsi }, out, in);
}

/* --- clocks and timers --- */

static int64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static int64_t wall_clock(void *to)
{
	(void)to;
	return clock_ns(CLOCK_REALTIME);
}

static int64_t monotonic_clock(void *to)
{
	(void)to;
	return clock_ns(CLOCK_MONOTONIC);
}

static void arm_timer(int fd, int64_t at)
{
	struct itimerspec when = {
		.it_value = { .tv_sec = at / 1000000000, .tv_nsec = at % 1000000000 },
	};

	timerfd_settime(fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static int platform_open_timer(struct machine_devices *d, int *timer, clockid_t clock,
			       void (*ready)(void *to, short revents), const char *whose,
			       struct err *err)
{
	*timer = timerfd_create(clock, TFD_CLOEXEC | TFD_NONBLOCK);
	if (*timer < 0)
		return err_sys(err, errno, "cannot make a timer for the %s", whose);
	return loop_watch(d->parts.loop, *timer, POLLIN, ready, d, err);
}

static void close_timer(struct machine_devices *d, int *timer)
{
	if (*timer < 0)
		return;
	loop_forget(d->parts.loop, *timer);
	close(*timer);
	*timer = -1;
}

/* --- the clock --- */

static void arm_rtc(void *to, int64_t at)
{
	const struct machine_devices *d = to;

	arm_timer(d->rtc_timer, at);
}

static void rtc_timer_ready(void *to, short revents)
{
	struct machine_devices *d = to;
	uint64_t count;

	(void)revents;
	if (read(d->rtc_timer, &count, sizeof(count)) == sizeof(count))
		rtc_timer(&d->rtc);
}

/* Writes the size of memory to CMOS, as a BIOS does. */
static void fill_cmos(struct machine_devices *d)
{
	struct plan_cmos cmos = plan_cmos(d->parts.plan);

	rtc_set_cmos(&d->rtc, 0x34, (uint8_t)cmos.above_16m_64k);
	rtc_set_cmos(&d->rtc, 0x35, (uint8_t)(cmos.above_16m_64k >> 8));
	rtc_set_cmos(&d->rtc, 0x5b, (uint8_t)cmos.above_4g_64k);
	rtc_set_cmos(&d->rtc, 0x5c, (uint8_t)(cmos.above_4g_64k >> 8));
	rtc_set_cmos(&d->rtc, 0x5d, (uint8_t)(cmos.above_4g_64k >> 16));
}

static int create_rtc(struct machine_devices *d, struct err *err)
{
	struct device_timer timer = { wall_clock, arm_rtc, d };
	int ret =
		platform_open_timer(d, &d->rtc_timer, CLOCK_REALTIME, rtc_timer_ready, "RTC", err);

	if (ret < 0)
		return ret;
	rtc_init(&d->rtc, (struct irq_line){ set_irq, d, GSI_RTC }, timer);
	fill_cmos(d);
	return 0;
}

/* --- the watchdog --- */

static void arm_watchdog(void *to, int64_t at)
{
	const struct machine_devices *d = to;

	arm_timer(d->watchdog_timer, at);
}

static void watchdog_timer_ready(void *to, short revents)
{
	struct machine_devices *d = to;
	uint64_t count;

	(void)revents;
	if (read(d->watchdog_timer, &count, sizeof(count)) == sizeof(count))
		watchdog_timer(&d->watchdog);
}

int machine_devices_add_watchdog(struct machine_devices *d, struct machine_pci *pci,
				 struct err *err)
{
	const struct device_timer timer = { monotonic_clock, arm_watchdog, d };
	const struct plan_pci *fn = NULL;
	int ret;

	for (unsigned i = 0; i < d->parts.plan->nr_pci; i++)
		if (d->parts.plan->pci[i].kind == DEVICE_WATCHDOG)
			fn = &d->parts.plan->pci[i];
	if (!fn)
		return 0;
	ret = platform_open_timer(d, &d->watchdog_timer, CLOCK_MONOTONIC, watchdog_timer_ready,
				  "watchdog", err);
	if (ret < 0)
		return ret;
	watchdog_init(&d->watchdog, &pci->env, timer, d->parts.ender, fn->bars[0].at);
	machine_pci_add(pci, fn, &d->watchdog.fn);
	return 0;
}

/* --- all of them --- */

/* Creates the devices and adds them to the bus, in this order. */
int machine_devices_create(struct machine_devices *d, const struct machine_devices_parts *parts,
			   struct err *err)
{
	const struct device_ender ender = parts->ender;
	const struct {
		uint64_t port, ports;
		struct device *dev;
	} list[] = {
		{ PORT_SERIAL, SERIAL_PORTS, &d->uarts[UART_SERIAL].serial.dev },
		{ PORT_CHANNEL, parts->channel ? SERIAL_PORTS : 0,
		  &d->uarts[UART_CHANNEL].serial.dev },
		{ PORT_RTC, RTC_PORTS, &d->rtc.dev },
		{ PORT_PM, PM_PORTS, &d->pm.dev },
		{ PORT_I8042, I8042_PORTS, &d->i8042.dev },
		{ PORT_PVPANIC, PVPANIC_PORTS, &d->pvpanic.dev },
		{ parts->debug_exit_port, parts->has_debug_exit ? DEBUG_EXIT_PORTS : 0,
		  &d->debug_exit.dev },
	};
	int ret;

	d->parts = *parts;
	create_uart(d, UART_SERIAL, parts->console, GSI_SERIAL);
	create_uart(d, UART_CHANNEL, parts->channel, GSI_CHANNEL);
	ret = create_rtc(d, err);
	if (ret < 0)
		return ret;
	pm_init(&d->pm, (struct irq_line){ set_irq, d, GSI_PM }, ender);
	i8042_init(&d->i8042, ender);
	reset_init(&d->reset, ender);
	pvpanic_init(&d->pvpanic, ender);
	debug_exit_init(&d->debug_exit, ender);
	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		struct span at = { list[i].port, list[i].port + list[i].ports };

		if (span_empty(at))
			continue;
		ret = bus_add(parts->ports, at, list[i].dev, err);
		if (ret < 0)
			return err_prefix(err, ret, "%s: ", list[i].dev->ops->name);
	}
	return 0;
}

void machine_devices_destroy(struct machine_devices *d)
{
	if (!d->parts.loop)
		return;
	for (unsigned i = 0; i < UARTS; i++)
		if (d->uarts[i].console)
			console_attach(d->uarts[i].console, NULL);
	close_timer(d, &d->rtc_timer);
	watchdog_destroy(&d->watchdog);
	close_timer(d, &d->watchdog_timer);
}
