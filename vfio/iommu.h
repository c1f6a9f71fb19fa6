/*
 * The host's IOMMU as passthrough uses it: one address space that devices are attached to and
 * memory is mapped into. Two backends behind one table: type1 (VFIO containers and groups) and
 * iommufd (/dev/iommu and VFIO character devices).
 *
 * Nothing is mapped that was not first found inside the ranges that the kernel reports as usable.
 * Lives longer than a machine: a guest reset keeps every mapping of RAM. One thread at a time
 * (callers hold `lock` for BARs that move).
 */
#ifndef VFIO_IOMMU_H
#define VFIO_IOMMU_H

#include "vfio/sysfs.h"

#include <pthread.h>
#include <stddef.h>

enum iommu_backend {
	IOMMU_AUTO, /* iommufd where host and every device have it and it works, else type1 */
	IOMMU_TYPE1,
	IOMMU_IOMMUFD,
};

/* Which part of a device's memory a mapping is. */
struct iommu_region {
	int device;	 /* VFIO's descriptor, borrowed */
	unsigned index;	 /* VFIO_PCI_BAR0_REGION_INDEX and so on */
	uint64_t offset; /* bytes into the region */
};

/* Memory to be reached by devices. Page-aligned. */
struct iommu_mapping {
	struct span iova;
	void *hva;			   /* of iova.base */
	const char *owner;		   /* for sentences: "RAM", "BAR 2 of 0000:41:00.0" */
	const struct iommu_region *region; /* NULL: it is RAM */
};

/*
 * How a long mapping tells how far it is, learns that it is to stop, and waits, before it pins a
 * piece of RAM, until other threads have made its pages. Each may be NULL.
 */
struct iommu_progress {
	void (*done)(void *to, uint64_t bytes, uint64_t total);
	bool (*stop)(void *to);
	int (*ready)(void *to, struct span hva, struct err *err); /* 0, or -errno and a sentence */
	void *to;
};

/* The mapping of RAM, of which there is one: all at once, or block by block. */
struct iommu_ram {
	const struct iommu_progress *progress; /* NULL: nobody looks */
	uint64_t piece;	      /* what is mapped at once, in bytes; 0: not checked */
	uint64_t done, total; /* bytes */
};

struct iommu;

struct iommu_ops {
	const char *name; /* "type1", "iommufd" */
	/* Attaches the device and opens it: *device is its descriptor, the caller's. */
	int (*attach)(struct iommu *io, const struct vfio_id *id, const char *token, int *device,
		      struct err *err);
	/* What can be mapped, sorted and disjoint; *n is how many there are. */
	int (*ranges)(struct iommu *io, struct span *out, size_t cap, size_t *n, struct err *err);
	/* From now on no other device may take these away from us. Type1: nothing to do. */
	int (*allow)(struct iommu *io, const struct span *spans, size_t n, struct err *err);
	/* One mapping, whole or not at all; -errno alone, iommu.c knows the sentence. */
	int (*map)(struct iommu *io, const struct iommu_mapping *m);
	int (*unmap)(struct iommu *io, struct span iova);
	/* Whether BARs of this device can be mapped for others. NULL: yes. */
	bool (*maps_bars)(int device);
	/* A reset of a device takes its BARs' mappings away, and only iommu_map_bar() makes them
	   again. */
	bool revokes;
	/* The groups, which KVM is to know (KVM_DEV_VFIO_FILE): at most `cap`; returns how many. */
	size_t (*kvm_files)(const struct iommu *io, int *out, size_t cap);
	/* See iommu_leave(). NULL: devices leave as their descriptors are closed. */
	void (*leave)(struct iommu *io, unsigned i);
	void (*close)(struct iommu *io);
};

#define IOMMU_GROUPS_MAX PCI_DEVICES_MAX

struct iommu {
	const struct iommu_ops *ops; /* NULL: closed */
	int fd;			     /* the container, or /dev/iommu */
	uint32_t ioas;
	bool no_iommu;
	struct {
		unsigned number;
		int fd; /* type1: the group; iommufd: -1 */
	} groups[IOMMU_GROUPS_MAX];
	unsigned nr_groups;
	struct span usable[HOST_USABLE_MAX];
	size_t nr_usable;
	uint64_t mapped;    /* bytes */
	uint64_t most_maps; /* how many mappings there is room for; 0: not known */
	bool may_fall_back; /* to type1, if a device cannot be attached */
	bool wants_p2p;	    /* or if BARs cannot be mapped for other devices */
	bool fell_for_p2p;  /* the latter was so */
	bool no_p2p;	    /* the kernel refused to map a BAR; said once */
	pthread_mutex_t lock;
};

#define IOMMU_EMPTY                                         \
	{                                                   \
		.fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER \
	}

/* Chooses the backend for these devices (all of them) and opens it; attaches none. */
int iommu_open(struct iommu *io, enum iommu_backend want, const struct vfio_id *ids, size_t n,
	       bool no_iommu, struct err *err);
/*
 * Attaches and opens all of them; files[i] are their descriptors, the caller's. `tokens` holds a VF
 * token or NULL for each, and may itself be NULL. If IOMMU_AUTO chose iommufd and one cannot be
 * attached, or io->wants_p2p is set and the kernel's iommufd maps no BARs, all of them are attached
 * to type1 instead. On failure nothing is open, and *failed is
 * the number of the one that could not be.
 */
int iommu_attach_all(struct iommu *io, const struct vfio_id *ids, const char *const *tokens,
		     size_t n, int *files, size_t *failed, struct err *err);
/*
 * The group's descriptor if the backend has groups, else -1; borrowed. KVM must have let go of it
 * before iommu_leave(), which takes a group without open devices out of the container and closes
 * it: before Linux 6.1 the host waits for that (drivers/vfio/vfio.c, vfio_unregister_group_dev()).
 * With the last group all mappings go.
 */
int iommu_group_file(const struct iommu *io, unsigned number);
void iommu_leave(struct iommu *io, unsigned number);
/* Reads the usable ranges into io->usable; after the last attach, before the plan. */
int iommu_ask_ranges(struct iommu *io, struct err *err);
/*
 * Before any of it is mapped: looks at all RAM that is to be, with what is already. -ERANGE if a
 * span is not in io->usable, and a sentence that has both: the span, the range that the host
 * refuses, and --iova-policy as the way out. -ENOSPC: there is no room for so many mappings. Sets
 * r->piece and r->total.
 */
int iommu_check_ram(const struct iommu *io, const struct iommu_mapping *list, size_t n,
		    struct iommu_ram *r, struct err *err);
/*
 * Maps some of what was checked, in pieces; raises RLIMIT_MEMLOCK before, as far as it can be. On
 * failure nothing of `list` stays mapped. -EINTR: stopped.
 */
int iommu_map_ram(struct iommu *io, const struct iommu_mapping *list, size_t n, struct iommu_ram *r,
		  struct err *err);
/* The last of `list` first. */
void iommu_unmap_ram(struct iommu *io, const struct iommu_mapping *list, size_t n,
		     struct iommu_ram *r);
/*
 * Maps a BAR for other devices. Returns 1 if it is mapped, 0 if the kernel does not do that (then
 * peer-to-peer is off from now on, and the sentence says so once; empty if said before).
 */
int iommu_map_bar(struct iommu *io, const struct iommu_mapping *m, struct err *err);
void iommu_unmap(struct iommu *io, struct span iova);
/* Gives everything back. */
void iommu_close(struct iommu *io);

/* The sentence for a group or device that the kernel does not put behind the IOMMU. */
int iommu_attach_failed(const char *name, unsigned group, int code, struct err *err);

const struct iommu_ops *iommu_type1_ops(void);
const struct iommu_ops *iommu_iommufd_ops(void);
int iommu_type1_open(struct iommu *io, struct err *err);
int iommu_iommufd_open(struct iommu *io, struct err *err);

#endif
