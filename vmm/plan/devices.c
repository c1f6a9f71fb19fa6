#include "vmm/plan/devices.h"

#include "vmm/base/platform.h"

#include <errno.h>
#include <stdio.h>

static void plan_devices_add(struct host_facts *facts, enum device_kind kind, unsigned index)
{
	struct host_pci *d = &facts->pci[facts->nr_pci++];

	*d = (struct host_pci){ .kind = kind, .index = index, .node = -1 };
	if (kind == DEVICE_WATCHDOG)
		d->bars[0] = (struct bar_shape){ .size = WATCHDOG_BAR_SIZE };
	else
		d->bars[0] = (struct bar_shape){ .size = VIRTIO_BAR_SIZE, .wide = true };
	if (device_kind_is_numbered(kind))
		snprintf(d->name, sizeof(d->name), "%s%u", device_kind_name(kind), index);
	else
		snprintf(d->name, sizeof(d->name), "%s", device_kind_name(kind));
}

int plan_add_devices(struct host_facts *facts, const struct device_counts *counts, struct err *err)
{
	unsigned n = 0;

	for (unsigned kind = DEVICE_PASSED_THROUGH + 1; kind < DEVICE_KINDS; kind++)
		n += counts->of[kind];
	if (facts->nr_pci + n > PCI_DEVICES_MAX)
		return err_set(
			err, ERANGE,
			"%u emulated and %u passed-through devices are more than a guest can have: "
			"%u",
			n, facts->nr_pci, PCI_DEVICES_MAX);
	for (unsigned kind = DEVICE_PASSED_THROUGH + 1; kind < DEVICE_KINDS; kind++)
		for (unsigned i = 0; i < counts->of[kind]; i++)
			plan_devices_add(facts, (enum device_kind)kind, i);
	return 0;
}
