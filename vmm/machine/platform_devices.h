/*
 * The devices that every machine has, and the watchdog: serial port, clock, power management, the
 * ports by which a guest ends; and the console and timers of the host behind them.
 *
 * Created after the interrupt controllers and before any vCPU runs; destroyed after the last vCPU
 * stopped.
 */
#ifndef MACHINE_PLATFORM_DEVICES_H
#define MACHINE_PLATFORM_DEVICES_H

#include "devices/bus.h"
#include "devices/debug_exit.h"
#include "devices/i8042.h"
#include "devices/pm.h"
#include "devices/pvpanic.h"
#include "devices/reset.h"
#include "devices/rtc.h"
#include "devices/serial.h"
#include "devices/watchdog.h"
#include "vmm/backends/line.h"
#include "vmm/host/loop.h"
#include "vmm/machine/interrupts.h"
#include "vmm/machine/pci.h"
#include "vmm/plan/plan.h"

/* Parts of the machine that the devices borrow. */
struct machine_devices_parts {
	const struct plan *plan;
	struct machine_interrupts *interrupts;
	struct bus *ports;
	struct loop *loop;
	struct console *console; /* the serial line */
	struct console *channel; /* the second one; NULL: none */
	bool has_debug_exit;
	uint16_t debug_exit_port;
	struct device_ender ender;
	/* The user asked at the console to end the guest. */
	void (*quit)(void *to);
	void *to;
};

struct machine_devices;

/* A UART and the line behind it. */
struct machine_uart {
	struct machine_devices *devices;
	struct serial serial;
	struct console *console; /* NULL: there is no such UART */
};

enum { UART_SERIAL, UART_CHANNEL, UARTS };

struct machine_devices {
	struct machine_devices_parts parts;
	struct machine_uart uarts[UARTS];
	struct rtc rtc;
	int rtc_timer; /* timerfd */
	struct pm pm;
	struct i8042 i8042;
	struct reset reset; /* placed among the PCI ports by the host bridge */
	struct pvpanic pvpanic;
	struct debug_exit debug_exit;
	struct watchdog watchdog;
	int watchdog_timer; /* timerfd; -1: there is no watchdog */
};

#define MACHINE_DEVICES_EMPTY                          \
	{                                              \
		.rtc_timer = -1, .watchdog_timer = -1, \
	}

/* -errno and a sentence on failure; the caller calls machine_devices_destroy() all the same. */
int machine_devices_create(struct machine_devices *d, const struct machine_devices_parts *parts,
			   struct err *err);
/* Adds the watchdog to the PCI bus if the plan has one. */
int machine_devices_add_watchdog(struct machine_devices *d, struct machine_pci *pci,
				 struct err *err);
/* Connects the console's input to the serial port. */
void machine_devices_attach(struct machine_devices *d);
void machine_devices_destroy(struct machine_devices *d);

#endif
