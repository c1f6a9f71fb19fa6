/*
 * What sysfs says of PCI functions, mediated devices and IOMMU groups. Read-only; opens no device.
 *
 * `root` is put before every path: "" on a real host, a directory in tests. All text is bounded and
 * untrusted. Called by vmm/backends/passthrough.c, by the bind and check commands, and by tests.
 */
#ifndef VFIO_SYSFS_H
#define VFIO_SYSFS_H

#include "vmm/base/err.h"
#include "vmm/base/facts.h"

#include <stddef.h>

#define VFIO_NAME_MAX  HOST_PCI_NAME
#define VFIO_PATH_MAX  512
#define VFIO_GROUP_MAX 64 /* members that one group may have */

/* A device's names and places; no descriptors. */
struct vfio_id {
	char name[VFIO_NAME_MAX]; /* "0000:41:10.1" or a UUID: what VFIO_GROUP_GET_DEVICE_FD wants
				   */
	char path[VFIO_PATH_MAX]; /* its directory in sysfs, without root and links */
	bool pci;		  /* false: a mediated device */
	bool has_group;
	unsigned group;	 /* IOMMU group number */
	bool no_iommu;	 /* the group is a no-IOMMU group of VFIO, or will be one when vfio-pci is
			    bound */
	bool vfio;	 /* VFIO provides the device; its driver need not be vfio-pci (vGPUs) */
	char cdev[32];	 /* "vfio3": /dev/vfio/devices/vfio3; "": none */
	char driver[64]; /* bound driver; "": none */
};

/*
 * `name` is a BDF ("41:10.1" means segment 0000) or a path of sysfs. -ENODEV and a sentence that
 * names what is missing: no such device, no IOMMU group (IOMMU off?), ...
 */
int sysfs_find(const char *root, const char *name, struct vfio_id *id, struct err *err);

struct vfio_member {
	char name[VFIO_NAME_MAX];
	char driver[64]; /* "": none */
	bool vfio;	 /* VFIO hands it out */
	bool bridge;	 /* a PCI to PCI bridge, which never keeps a group from VFIO */
	bool in_use;	 /* bound to a driver that keeps the group from being viable */
};
/* The members of a group, sorted by name. */
int sysfs_group(const char *root, unsigned group, struct vfio_member *out, unsigned cap,
		unsigned *n, struct err *err);
struct vfio_bound {
	char name[VFIO_NAME_MAX];
	char driver[64];
	unsigned group;
};
/*
 * The devices that VFIO hands out, sorted by group and name: writes at most `cap` and returns
 * how many there are. *groups is the number of the host's IOMMU groups.
 */
unsigned sysfs_bound(const char *root, struct vfio_bound *out, unsigned cap, unsigned *groups);
/*
 * 0 if the group can be used: VFIO provides the device, and each other member is provided by VFIO,
 * a bridge, or unbound. Else -EBUSY, and the sentence names each other member with its driver, and
 * `straddle bind` as the way out.
 */
int sysfs_group_viable(const char *root, const struct vfio_id *id, struct err *err);

/*
 * Adds the device (BARs, ROM, IDs, node) to facts->pci and the reserved regions of its group to
 * facts->resv, without those that are there already.
 */
int sysfs_probe(const char *root, const struct vfio_id *id, struct host_facts *facts,
		struct err *err);
/*
 * Parses the text of a reserved_regions file: "0x... 0x... type" a line, the end included. Lines of
 * any length; a type that is not known counts as reserved. -EINVAL and a sentence.
 */
int sysfs_parse_reserved(const char *text, size_t len, unsigned group, struct host_facts *facts,
			 struct err *err);
/* The kind of the host's first IOMMU in /sys/class/iommu: "AMD-Vi", "Intel VT-d", "none" ... */
const char *sysfs_iommu_kind(const char *root, char buf[32]);

#endif
