/*
 * What the machine hands to a PCI function: guest addresses, interrupts, the event loop.
 *
 * A function never sees KVM. Calls come from vCPU threads and from the loop's thread; the machine
 * locks what it owns. None may call back into a PCI function, except `watch`, which does so later,
 * on the loop's thread.
 */
#ifndef DEVICES_PCI_ENV_H
#define DEVICES_PCI_ENV_H

#include "devices/device.h"
#include "vmm/base/err.h"
#include "vmm/base/span.h"

struct pci_env {
	/*
	 * Accesses of the guest to [at) go to `dev`: memory, or ports if `io`. -EEXIST if something
	 * else is there (a hostile or confused guest), -ENOSPC.
	 */
	int (*claim)(void *to, bool io, struct span at, struct device *dev, struct err *err);
	/* Nothing goes to `dev` at [at) any more. */
	void (*unclaim)(void *to, bool io, struct span at);
	/*
	 * Host memory at `hva` shows at guest-physical [at), page-aligned all: no exits. Returns a
	 * handle (>= 0) for unmap, or -EEXIST and the like.
	 */
	int (*map)(void *to, struct span at, void *hva, struct err *err);
	void (*unmap)(void *to, int handle);

	/* Sends one message-signalled interrupt. */
	void (*msi)(void *to, uint64_t address, uint32_t data);
	/*
	 * A route from an eventfd to a message: whenever `fd` is signalled, KVM sends the message,
	 * without this process. Returns a handle (>= 0; it is a GSI), or -ENOSPC and the like.
	 * route_move changes the message of a route.
	 */
	int (*route)(void *to, int fd, uint64_t address, uint32_t data, struct err *err);
	int (*route_move)(void *to, int handle, uint64_t address, uint32_t data, struct err *err);
	void (*unroute)(void *to, int handle, int fd);
	/*
	 * A level-triggered line driven by eventfds: signalling `fd` raises GSI `gsi`; when the
	 * guest acknowledges it, the line falls and KVM signals `resample`.
	 */
	int (*intx)(void *to, unsigned gsi, int fd, int resample, struct err *err);
	void (*unintx)(void *to, unsigned gsi, int fd);

	/*
	 * A write of the guest to the memory address `at`, of any size, signals the eventfd `fd`
	 * instead of exiting. -EEXIST, -ENOSPC and the like: then it exits as before.
	 */
	int (*doorbell)(void *to, uint64_t at, int fd, struct err *err);
	void (*undoorbell)(void *to, uint64_t at, int fd);

	/* Calls ready(dev) on the loop's thread whenever `fd` is readable, until unwatch. */
	int (*watch)(void *to, int fd, void (*ready)(void *dev), void *dev, struct err *err);
	void (*unwatch)(void *to, int fd);

	/* One line for the user: a guest's mistake, a host's event. The machine limits the rate. */
	void (*say)(void *to, const char *sentence);
	/* The guest cannot go on; the sentence is the reason that the user reads. */
	void (*fail)(void *to, const char *sentence);
	void *to;
};

#endif
