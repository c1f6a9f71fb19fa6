/*
 * The machine's own devices, as opposed to those that the user asks for: serial port, clock, power
 * management, the ports by which a guest ends, and the watchdog; and what they are given of the
 * host: the console, timers.
 *
 * Made after the interrupt controllers and before any
 * vCPU runs; taken down after the last one stopped.
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
#include "vmm/host/kvm.h"
#include "vmm/host/loop.h"
#include "vmm/machine/pci.h"
#include "vmm/plan/plan.h"

/* Parts of the machine that the devices borrow. */
struct machine_devices_parts {
	const struct plan *plan;
	const struct kvm *kvm;
	struct bus *ports;
	struct loop *loop;
	struct console *console;
	bool has_debug_exit;
	uint16_t debug_exit_port;
	struct device_ender ender;
	/* The user at the console wants the guest to end. */
	void (*quit)(void *to);
	void *to;
};

struct machine_devices {
	struct machine_devices_parts parts;
	struct serial serial;
	struct rtc rtc;
	int rtc_timer; /* timerfd */
	struct pm pm;
	struct i8042 i8042;
	struct reset reset; /* the PCI host's to place */
	struct pvpanic pvpanic;
	struct debug_exit debug_exit;
	struct watchdog watchdog;
	int watchdog_timer; /* timerfd; -1: there is no watchdog */
};

#define MACHINE_DEVICES_EMPTY                          \
	{                                              \
		.rtc_timer = -1, .watchdog_timer = -1, \
	}

/* Fails with a sentence; machine_devices_destroy is then due all the same. */
int machine_devices_create(struct machine_devices *d, const struct machine_devices_parts *parts,
			   struct err *err);
/* Adds the watchdog to the PCI bus if the plan has one. */
int machine_devices_add_watchdog(struct machine_devices *d, struct machine_pci *pci,
				 struct err *err);
/* From now on input of the console goes to the serial port. */
void machine_devices_attach(struct machine_devices *d);
void machine_devices_destroy(struct machine_devices *d);

#endif
