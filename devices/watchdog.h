/*
 * The watchdog timer of Intel's 6300ESB I/O controller hub, whose Linux driver is i6300esb. A guest
 * that starts the timer and does not reload it in time is reset. Intel document 300641, chapter 16
 * (device 29, function 4).
 *
 * The timer has two stages, one after the other; the guest is reset when the second one expires.
 */
#ifndef DEVICES_WATCHDOG_H
#define DEVICES_WATCHDOG_H

#include "devices/pci.h"

struct watchdog_state {
	uint32_t stages[2];   /* ticks of each stage */
	unsigned unlock;      /* magic values that were written: 0, 1 or 2 */
	bool running, second; /* a stage runs; it is the second. `timer` has its end */
	bool expired;	      /* the second stage expired; the guest clears this */
};

struct watchdog {
	struct pci_function fn;
	struct device bar; /* its lock is the watchdog's */
	const struct pci_env *env;
	struct device_timer timer; /* monotonic */
	struct device_ender ender;
	struct watchdog_state state;
	struct span at; /* of the BAR; empty: nowhere */
};

/* `bar` is the plan's address. `env` is borrowed. */
void watchdog_init(struct watchdog *w, const struct pci_env *env, struct device_timer timer,
		   struct device_ender ender, uint64_t bar);
/* Releases the BAR's address. The timer must not fire afterwards. */
void watchdog_destroy(struct watchdog *w);
/* To be called when `timer` fires. */
void watchdog_timer(struct watchdog *w);

#endif
