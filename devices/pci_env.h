/*
 * What the machine provides to a PCI function: guest addresses, interrupts, the event loop.
 *
 * A function never sees KVM. vCPU threads and the loop's thread call these callbacks; the machine
 * locks its own data. No callback may call into a PCI function, because the caller holds locks;
 * `ready` of `watch` is called later, on the loop's thread.
 */
#ifndef DEVICES_PCI_ENV_H
#define DEVICES_PCI_ENV_H

#include "devices/device.h"
#include "vmm/base/err.h"
#include "vmm/base/msi.h"
#include "vmm/base/span.h"

struct pci_env {
	/*
	 * Accesses of the guest to [at) go to `dev`: memory, or ports if `io`. -EEXIST if another
	 * device is there, because a guest may choose any address; -ENOSPC.
	 */
	int (*claim)(void *to, bool io, struct span at, struct device *dev, struct err *err);
	/* Undoes `claim` of the same range. */
	void (*unclaim)(void *to, bool io, struct span at);
	/*
	 * Maps host memory at `hva` to guest-physical [at), so that accesses do not exit. `at` and
	 * `hva` are page-aligned. Returns a handle (>= 0) for unmap, or a negative errno such as
	 * -EEXIST.
	 */
	int (*map)(void *to, struct span at, void *hva, struct err *err);
	void (*unmap)(void *to, int handle);

	/* Sends one message-signalled interrupt. */
	void (*msi)(void *to, uint64_t address, uint32_t data);
	/*
	 * Routes from eventfds to messages: whenever one is signalled, KVM sends the message
	 * without this process. Adds those of `list` whose handle is -1, and changes the messages
	 * of the others; all that one access of the guest changes in one call, because KVM's table
	 * of routes is written as a whole. On failure, -errno and the first one's sentence, each
	 * entry of `list` says what is: handle -1 if nothing is sent, else the message that is.
	 */
	int (*route)(void *to, struct msi_route *list, size_t n, struct err *err);
	void (*unroute)(void *to, int handle, int fd);
	/*
	 * Adds a level-triggered line driven by eventfds: signalling `fd` raises GSI `gsi`; when
	 * the guest acknowledges the interrupt, KVM lowers the line and signals `resample`.
	 */
	int (*intx)(void *to, unsigned gsi, int fd, int resample, struct err *err);
	void (*unintx)(void *to, unsigned gsi, int fd);

	/*
	 * A write of the guest to the memory address `at`, of any size, signals the eventfd `fd`
	 * instead of exiting. A negative errno, such as -EEXIST or -ENOSPC: the write exits.
	 */
	int (*doorbell)(void *to, uint64_t at, int fd, struct err *err);
	void (*undoorbell)(void *to, uint64_t at, int fd);

	/* Calls ready(dev) on the loop's thread whenever `fd` is readable, until unwatch. */
	int (*watch)(void *to, int fd, void (*ready)(void *dev), void *dev, struct err *err);
	void (*unwatch)(void *to, int fd);

	/* Prints a line about the guest or the host for the user. The machine limits the rate. */
	void (*say)(void *to, const char *sentence);
	/* Ends the guest, which cannot continue; `sentence` tells the user why. */
	void (*fail)(void *to, const char *sentence);
	void *to;
};

#endif
