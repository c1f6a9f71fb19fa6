/*
 * Adds the devices that straddle emulates to the devices of the plan.
 *
 * PURE. They follow the passed-through ones, on bus 0, in the order of enum device_kind. They join
 * the facts of the host, so that one layout places all devices; their BARs are known without asking
 * the host.
 */
#ifndef PLAN_DEVICES_H
#define PLAN_DEVICES_H

#include "vmm/base/err.h"
#include "vmm/base/facts.h"

/*
 * Adds so many of each kind to facts->pci, which has the passed-through devices;
 * counts->of[DEVICE_PASSED_THROUGH] is ignored. -ERANGE: more than a guest can have.
 */
int plan_add_devices(struct host_facts *facts, const struct device_counts *counts, struct err *err);

#endif
