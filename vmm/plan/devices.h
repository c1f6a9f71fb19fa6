/*
 * The virtio devices that the user asked for, and the watchdog, as devices of the plan.
 *
 * PURE. They follow the passed-through ones, on bus 0, in the order of enum virtio_kind; the
 * watchdog is last. Their
 * shape is ours and known, so they join the facts of the host, and slots and addresses come from
 * the same layout.
 */
#ifndef PLAN_DEVICES_H
#define PLAN_DEVICES_H

#include "vmm/base/facts.h"
#include "vmm/config/config.h"

enum virtio_kind {
	VIRTIO_DISK,
	VIRTIO_NET,
	VIRTIO_FS,
	VIRTIO_PMEM,
	VIRTIO_CONSOLE,
	VIRTIO_RNG,
	VIRTIO_BALLOON,
	VIRTIO_VSOCK,
	VIRTIO_KINDS,
};

struct plan_virtio {
	enum virtio_kind kind;
	unsigned index; /* among those of its kind: of config.disks and so on */
};

unsigned plan_nr_virtio(const struct config *c);
/* Number `i` of them, counted from 0 in the order of the plan. */
struct plan_virtio plan_virtio_at(const struct config *c, unsigned i);
#define PLAN_WATCHDOG "watchdog" /* its name */

/* Adds them to facts->pci, which has the passed-through devices. -ERANGE: too many. */
int plan_add_virtio(struct host_facts *facts, const struct config *c, struct err *err);

#endif
