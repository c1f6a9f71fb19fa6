/*
 * The watchdog timer of Intel's 6300ESB I/O controller hub, which Linux drives with i6300esb: a
 * guest that has started it and does not feed it in time is reset. Intel document 300641, chapter
 * 16 (device 29, function 4).
 *
 * Two stages of the same kind follow each other; the end of the second is the end of the guest.
 */
#ifndef DEVICES_WATCHDOG_H
#define DEVICES_WATCHDOG_H

#include "devices/pci.h"

struct watchdog_state {
	uint32_t stages[2];   /* ticks */
	unsigned unlock;      /* how far the two magic writes are */
	bool running, second; /* a stage; what is left of it, the timer has */
	bool expired;	      /* once, since the guest has cleared it */
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
/* Gives the BAR's address back; does not fire any more. */
void watchdog_destroy(struct watchdog *w);
/* The timer's function. */
void watchdog_timer(struct watchdog *w);

#endif
