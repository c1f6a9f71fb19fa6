/*
 * The virtio devices that the user asked for, as devices of the plan.
 *
 * PURE. They follow the passed-through ones, on bus 0: disks, then network adapters, each in
 * their order, then the others. Their
 * shape is ours and known, so they join the facts of the host, and slots and addresses come from
 * the same layout.
 */
#ifndef VMM_PLAN_VIRTIO_H
#define VMM_PLAN_VIRTIO_H

#include "vmm/config.h"
#include "vmm/facts.h"

unsigned plan_nr_virtio(const struct config *c);
/* Adds them to facts->pci, which has the passed-through devices. -ERANGE: too many. */
int plan_add_virtio(struct host_facts *facts, const struct config *c, struct err *err);

#endif
