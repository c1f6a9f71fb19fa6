/*
 * A passed-through PCI function: a device of VFIO, shown to the guest as a PCI function of
 * straddle.
 *
 * Opened once, before the plan's machine exists; plugged into each machine (a guest reset unplugs,
 * resets and plugs it again). BARs are mapped straight into the guest except the pages that hold
 * the MSI-X table and pending bits; interrupts go from the device to the vCPU through eventfds.
 * Configuration space is emulated where a guest could harm the host (header, BARs, MSI and MSI-X
 * addresses, hidden capabilities), and the device's elsewhere. linux/vfio.h.
 */
#ifndef VFIO_PCI_H
#define VFIO_PCI_H

#include "devices/pci.h"
#include "vfio/iommu.h"

/* Capabilities that are hidden unless caps= names them. */
enum vfio_caps {
	VFIO_CAP_SRIOV = 1 << 0,
	VFIO_CAP_ARI = 1 << 1,
	VFIO_CAP_REBAR = 1 << 2,
	VFIO_CAP_ATS = 1 << 3,
	VFIO_CAP_PRI = 1 << 4,
	VFIO_CAP_PASID = 1 << 5,
};

struct vfio_pci_options {
	unsigned caps;	      /* enum vfio_caps bits to show */
	bool rom;	      /* show the option ROM */
	const char *rom_file; /* its contents; NULL: the device's own */
	bool no_map;	      /* BARs are not mapped into the guest; each access exits */
	bool no_p2p;	      /* BARs are not mapped for other devices */
	bool error_continues; /* an error of the device is logged; else it ends the guest */
};

struct vfio_pci; /* vfio/pci_internal.h */

/* Events of a device, called on the loop's thread. */
struct vfio_pci_events {
	/* The host wants the device back: ask the guest to release it. */
	void (*request)(void *to, struct vfio_pci *dev);
	void *to;
};

/* Opens the function. Owns `device`, a descriptor from iommu_attach(), also on failure. */
int vfio_pci_open(struct vfio_pci **out, int device, const char *name,
		  const struct vfio_pci_options *options, struct err *err);
/*
 * Gives an unplugged device back to the host while vCPUs run. A vCPU may be about to access a
 * trapped BAR (devices/bus.h), so the struct stays, ignoring all accesses, until vfio_pci_close().
 */
void vfio_pci_give_back(struct vfio_pci *dev);
/* Closes and frees the device. Called when no vCPU runs. */
void vfio_pci_close(struct vfio_pci *dev);
const char *vfio_pci_name(const struct vfio_pci *dev);
/* The device's descriptor, borrowed, for KVM_DEV_VFIO_FILE where there are no groups. */
int vfio_pci_file(const struct vfio_pci *dev);
/*
 * What the host's root port completes of the function's atomic operations, as bits 7 to 9 of Device
 * Capabilities 2 (32, 64 and 128 bits); 0 before Linux 6.5.
 */
uint32_t vfio_pci_atomics(const struct vfio_pci *dev);
/* BARs and ROM as VFIO reports them, for the plan, which prefers them to those of sysfs. */
void vfio_pci_shape(const struct vfio_pci *dev, struct host_pci *out);

/*
 * Resets all devices, at most PCI_DEVICES_MAX: each by its own reset, else by a reset of its bus,
 * if this process owns all functions that are affected (in groups that it holds, or by its
 * iommufd), passed through or not. A device that has neither reset stays as it is; the sentence
 * names it, and the result is 0.
 */
int vfio_pci_reset_all(struct vfio_pci *const *devs, size_t n, const struct iommu *io,
		       struct err *err);

struct vfio_pci_place {
	uint64_t bars[BARS_AND_ROM]; /* the plan's addresses */
	unsigned gsi[4];	     /* of INTA to INTD as the slot is wired */
	bool p2p;		     /* its BARs are mapped for other devices */
	bool root_bus;		     /* on a root bus, not behind a port: an integrated endpoint */
	bool neighbours;	     /* there are other functions behind its port */
	unsigned bus;		     /* the guest's; behind a port it is the port's own */
	/* All devices of the machine, including this one; NULL: given back. Borrowed. */
	struct vfio_pci *const *all;
	unsigned nr_all;
};
/*
 * Makes the function of a machine. BARs are mapped for other devices in `io` (NULL: not mapped).
 * vfio_pci_unplug() undoes everything: interrupts, mappings, watches.
 */
int vfio_pci_plug(struct vfio_pci *dev, const struct pci_env *env, struct iommu *io,
		  const struct vfio_pci_place *place, const struct vfio_pci_events *events,
		  struct err *err);
struct pci_function *vfio_pci_function(struct vfio_pci *dev);
void vfio_pci_unplug(struct vfio_pci *dev);

#endif
