/*
 * The passed-through devices of a run: found in sysfs, attached to the IOMMU, asked for what they
 * are, mapped to. Introduces vfio/ to config, facts and plan.
 *
 * Lives longer than a machine: a guest reset keeps devices and mappings. Called by the commands
 * (main) and by machine/pci.c.
 */
#ifndef BACKENDS_PASSTHROUGH_H
#define BACKENDS_PASSTHROUGH_H

#include "vfio/iommu.h"
#include "vfio/pci.h"
#include "vmm/base/guest_memory.h"
#include "vmm/config/config.h"
#include "vmm/plan/plan.h"

struct passthrough {
	struct iommu iommu;
	struct vfio_id ids[PCI_DEVICES_MAX];
	struct vfio_pci *devices[PCI_DEVICES_MAX]; /* NULL: the host took it back */
	struct vfio_pci *gone[PCI_DEVICES_MAX];	   /* then this is what vCPUs may still touch */
	unsigned n;
	/* guest memory that they reach */
	struct guest_memory_listener listener;
	const struct plan *plan;
	struct iommu_ram mapping;
	bool absent; /* they do not reach it yet, so the guest must not find them in their slots */
	/*
	 * Another thread is in passthrough_map(), so the last group must stay: with it the kernel
	 * would take away what is mapped into. If it is to leave, `unwanted` (atomic) is set, and
	 * the thread ends soon.
	 */
	bool busy, unwanted;
};

#define PASSTHROUGH_EMPTY             \
	{                             \
		.iommu = IOMMU_EMPTY, \
	}

/* Adds what sysfs says of the named devices to `facts`; opens nothing. */
int passthrough_probe(const struct config *c, struct host_facts *facts, struct err *err);
/*
 * As passthrough_probe, then attaches and opens the devices and asks for usable IOVAs: all that
 * the plan wants to know. On failure everything is as before.
 */
int passthrough_open(struct passthrough *pt, const struct config *c, struct host_facts *facts,
		     struct err *err);
/* What the user should know of the choices that passthrough_open() made. */
void passthrough_remark(const struct passthrough *pt, void (*say)(void *to, const char *sentence),
			void *to);
/*
 * Three steps until devices reach guest memory, that is RAM of the plan, because a guest may start
 * before its devices: the first one judges without mapping anything, and makes the devices absent;
 * the second one maps, on any thread, and leaves nothing mapped if it fails; the last one ends it,
 * on the thread that changes guest memory, and the devices are no longer absent. They return 0 or a
 * negative errno and a sentence; -EINTR: progress->stop() said so. `plan` is borrowed until
 * passthrough_close, `progress` is not.
 */
int passthrough_prepare(struct passthrough *pt, const struct guest_memory *m,
			const struct plan *plan, struct err *err);
int passthrough_map(struct passthrough *pt, const struct guest_memory *m,
		    const struct iommu_progress *progress, struct err *err);
void passthrough_join(struct passthrough *pt, struct guest_memory *m);
/* Resets the devices for the next guest; a sentence in `err` if one could not be. */
int passthrough_reset(struct passthrough *pt, struct err *err);
/* Whether the host has taken back all of the devices. */
bool passthrough_is_empty(const struct passthrough *pt);
/* Closes one device, while vCPUs run. */
void passthrough_drop(struct passthrough *pt, unsigned i);
/*
 * The descriptor of the group that device i was in, borrowed, if it has no open device any more and
 * the backend has groups; else -1. Once KVM has let go of it, passthrough_leave() closes it: only
 * then has the host the device back (Linux before 6.1 waits for it).
 */
int passthrough_empty_group(const struct passthrough *pt, unsigned i);
void passthrough_leave(struct passthrough *pt, unsigned i);
/* No vCPU runs, and the guest memory has forgotten it: all mappings go at once. */
void passthrough_close(struct passthrough *pt);

#endif
