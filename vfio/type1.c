/*
 * The type1 backend: one container, the groups of the devices, and VFIO's own mapping calls.
 * Documentation/driver-api/vfio.rst, linux/vfio.h.
 */
#include "vfio/iommu.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static_assert(VFIO_API_VERSION == 0, "the stable VFIO API");
static_assert(sizeof(struct vfio_iommu_type1_dma_map) == 32, "VFIO_IOMMU_MAP_DMA");
static_assert(sizeof(struct vfio_iommu_type1_dma_unmap) == 24, "VFIO_IOMMU_UNMAP_DMA");

#define INFO_MAX (64 * KIB)

static int type1_open_node(const char *path, struct err *err)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	switch (errno) {
	case ENOENT:
	case ENODEV:
		return err_set(err, errno, "%s does not exist: load the module vfio-pci", path);
	case EACCES:
	case EPERM:
		return err_set(err, errno,
			       "%s may not be opened by this user: give it to the user or a group "
			       "of the user's (chown), or run as root",
			       path);
	case EBUSY:
		return err_set(err, EBUSY, "%s is in use by another program", path);
	default:
		return err_sys(err, errno, "%s cannot be opened", path);
	}
}

int iommu_type1_open(struct iommu *io, struct err *err)
{
	int type = io->no_iommu ? VFIO_NOIOMMU_IOMMU : VFIO_TYPE1v2_IOMMU;
	int version;

	io->fd = type1_open_node("/dev/vfio/vfio", err);
	if (io->fd < 0)
		return io->fd;
	io->ops = iommu_type1_ops();
	version = ioctl(io->fd, VFIO_GET_API_VERSION);
	if (version != VFIO_API_VERSION) {
		iommu_close(io);
		return err_set(err, ENOTSUP, "/dev/vfio/vfio speaks API version %d, not %d",
			       version, VFIO_API_VERSION);
	}
	if (ioctl(io->fd, VFIO_CHECK_EXTENSION, (unsigned long)type) <= 0) {
		iommu_close(io);
		return err_set(err, ENOTSUP, "this kernel's VFIO lacks %s: load the module %s",
			       type == VFIO_NOIOMMU_IOMMU ? "the no-IOMMU mode" : "type1v2",
			       type == VFIO_NOIOMMU_IOMMU ? "vfio with enable_unsafe_noiommu_mode=1"
							  : "vfio_iommu_type1");
	}
	return 0;
}

/* --- groups and devices --- */

static int join_container(struct iommu *io, int group, unsigned number, const char *path,
			  struct err *err)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	int type = io->no_iommu ? VFIO_NOIOMMU_IOMMU : VFIO_TYPE1v2_IOMMU;

	if (ioctl(group, VFIO_GROUP_GET_STATUS, &status) < 0)
		return err_sys(err, errno, "%s gives no status", path);
	if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		return err_set(err, EBUSY,
			       "%s is not viable: a member is bound to a driver that is not VFIO's",
			       path);
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &io->fd) < 0)
		return iommu_attach_failed(path, number, errno, err);
	if (io->nr_groups == 0 && ioctl(io->fd, VFIO_SET_IOMMU, (unsigned long)type) < 0)
		return iommu_attach_failed(path, number, errno, err);
	return 0;
}

static int open_group(struct iommu *io, const struct vfio_id *id, int *fd, struct err *err)
{
	char path[64];
	int ret;

	for (unsigned i = 0; i < io->nr_groups; i++)
		if (io->groups[i].number == id->group) {
			*fd = io->groups[i].fd;
			return 0;
		}
	if (io->nr_groups == IOMMU_GROUPS_MAX)
		return err_set(err, E2BIG, "there can be at most %u IOMMU groups",
			       IOMMU_GROUPS_MAX);
	snprintf(path, sizeof(path), "/dev/vfio/%s%u", id->no_iommu ? "noiommu-" : "", id->group);
	*fd = type1_open_node(path, err);
	if (*fd < 0)
		return *fd;
	ret = join_container(io, *fd, id->group, path, err);
	if (ret < 0) {
		close(*fd);
		return ret;
	}
	io->groups[io->nr_groups].number = id->group;
	io->groups[io->nr_groups++].fd = *fd;
	return 0;
}

/*
 * A virtual function whose physical function has a token is opened by its name and the token
 * (vfio-pci).
 */
static int type1_attach(struct iommu *io, const struct vfio_id *id, const char *token, int *device,
			struct err *err)
{
	char name[VFIO_NAME_MAX + 64];
	int group = -1, ret = open_group(io, id, &group, err);

	if (ret < 0)
		return ret;
	snprintf(name, sizeof(name), token ? "%s vf_token=%s" : "%s", id->name, token);
	*device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
	if (*device >= 0)
		return 0;
	if (errno == EACCES)
		return err_set(err, EACCES,
			       "%s wants the VF token that its physical function's driver set: "
			       "add token=UUID",
			       id->name);
	if (errno == ESRCH)
		return err_set(err, ESRCH,
			       "%s wants to know its virtual machine when it is opened (i915's "
			       "GVT-g), and is opened before there is one: it cannot be passed "
			       "through",
			       id->name);
	return err_sys(err, errno, "VFIO does not hand out %s", id->name);
}

/* --- what can be mapped --- */

/* VFIO_IOMMU_GET_INFO with as much room as the kernel asks for. The caller frees *info. */
static int get_info(const struct iommu *io, struct vfio_iommu_type1_info **info, struct err *err)
{
	uint32_t size = sizeof(**info);

	for (;;) {
		*info = calloc(1, size);
		if (!*info)
			return err_sys(err, ENOMEM, "out of memory for the usable IOVAs");
		(*info)->argsz = size;
		if (ioctl(io->fd, VFIO_IOMMU_GET_INFO, *info) < 0) {
			int code = errno;

			free(*info);
			return err_sys(err, code, "VFIO_IOMMU_GET_INFO failed");
		}
		if ((*info)->argsz <= size)
			return 0;
		size = (*info)->argsz;
		free(*info);
		if (size > INFO_MAX)
			return err_set(err, E2BIG, "VFIO_IOMMU_GET_INFO wants %u bytes", size);
	}
}

static const struct vfio_info_cap_header *find_cap(const struct vfio_iommu_type1_info *info,
						   uint16_t id, size_t size)
{
	uint32_t at = info->flags & VFIO_IOMMU_INFO_CAPS ? info->cap_offset : 0;

	for (unsigned n = 0; n < 32 && at >= sizeof(*info) && at <= info->argsz - size &&
			     info->argsz >= size && at % 8 == 0;
	     n++) {
		const struct vfio_info_cap_header *cap = (const void *)((const char *)info + at);

		if (cap->id == id)
			return cap;
		at = cap->next;
	}
	return NULL;
}

static size_t copy_ranges(const struct vfio_iommu_type1_info *info, struct span *out, size_t cap)
{
	const struct vfio_iommu_type1_info_cap_iova_range *r;
	size_t room, n = 0;

	r = (const void *)find_cap(info, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, sizeof(*r));
	if (!r) { /* Linux before 5.4 does not list usable IOVAs, and refuses no address */
		if (cap)
			out[0] = (struct span){ 0, UINT64_MAX };
		return 1;
	}
	room = (info->argsz - (size_t)((const char *)r->iova_ranges - (const char *)info)) /
	       sizeof(r->iova_ranges[0]);
	for (; n < r->nr_iovas && n < room; n++) {
		uint64_t last = r->iova_ranges[n].end;

		if (n < cap)
			out[n] = (struct span){ r->iova_ranges[n].start,
						last == UINT64_MAX ? last : last + 1 };
	}
	return n;
}

/* Since Linux 5.11; without it, 65,535 (dma_entry_limit). */
static uint64_t most_maps(const struct vfio_iommu_type1_info *info)
{
	const struct vfio_iommu_type1_info_dma_avail *avail;

	avail = (const void *)find_cap(info, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, sizeof(*avail));
	return avail ? avail->avail : UINT16_MAX;
}

static int type1_ranges(struct iommu *io, struct span *out, size_t cap, size_t *n, struct err *err)
{
	struct vfio_iommu_type1_info *info;
	int ret;

	if (io->no_iommu) { /* addresses are not translated, so nothing is mapped */
		out[0] = (struct span){ 0, UINT64_MAX };
		*n = 1;
		return 0;
	}
	ret = get_info(io, &info, err);
	if (ret < 0)
		return ret;
	*n = copy_ranges(info, out, cap);
	io->most_maps = most_maps(info);
	free(info);
	return 0;
}

/* --- mapping --- */

static int type1_map(struct iommu *io, const struct iommu_mapping *m)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)m->hva,
		.iova = m->iova.base,
		.size = span_size(m->iova),
	};

	return ioctl(io->fd, VFIO_IOMMU_MAP_DMA, &map) < 0 ? -errno : 0;
}

/* Version 2 removes several mappings in one call, but does not split one. */
static int type1_unmap(struct iommu *io, struct span iova)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = iova.base,
		.size = span_size(iova),
	};

	return ioctl(io->fd, VFIO_IOMMU_UNMAP_DMA, &unmap) < 0 ? -errno : 0;
}

static size_t type1_kvm_files(const struct iommu *io, int *out, size_t cap)
{
	size_t n = 0;

	for (; n < io->nr_groups && n < cap; n++)
		out[n] = io->groups[n].fd;
	return n;
}

/*
 * Removes the group from the container. The kernel refuses while a device is open or KVM has the
 * group; the group then leaves when the container is closed.
 */
static void type1_leave(struct iommu *io, unsigned i)
{
	(void)ioctl(io->groups[i].fd, VFIO_GROUP_UNSET_CONTAINER);
	close(io->groups[i].fd);
}

/* Closing the container's last descriptor removes all its mappings. */
static void type1_close(struct iommu *io)
{
	for (unsigned i = 0; i < io->nr_groups; i++)
		close(io->groups[i].fd);
	io->nr_groups = 0;
	close(io->fd);
}

const struct iommu_ops *iommu_type1_ops(void)
{
	static const struct iommu_ops ops = {
		.name = "type1",
		.attach = type1_attach,
		.ranges = type1_ranges,
		.map = type1_map,
		.unmap = type1_unmap,
		.kvm_files = type1_kvm_files,
		.leave = type1_leave,
		.close = type1_close,
	};

	return &ops;
}
