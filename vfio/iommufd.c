/*
 * The iommufd backend: one I/O address space of /dev/iommu, and VFIO's character devices attached
 * to it. Documentation/userspace-api/iommufd.rst, linux/iommufd.h, linux/vfio.h.
 */
#include "vfio/iommu.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/iommufd.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static_assert(sizeof(struct iommu_ioas_map) == 40, "IOMMU_IOAS_MAP");
static_assert(sizeof(struct iommu_ioas_unmap) == 24, "IOMMU_IOAS_UNMAP");
static_assert(sizeof(struct vfio_device_bind_iommufd) == 16, "VFIO_DEVICE_BIND_IOMMUFD");

/* VFIO_DEVICE_FEATURE_DMA_BUF of linux/vfio.h since Linux 6.19, with one range */
struct dma_buf_request {
	uint32_t argsz, feature; /* struct vfio_device_feature */
	uint32_t region_index;
	uint32_t open_flags;
	uint32_t flags;
	uint32_t nr_ranges;
	uint64_t offset, length;
};
static_assert(sizeof(struct dma_buf_request) == 40, "VFIO_DEVICE_FEATURE_DMA_BUF");
#define FEATURE_DMA_BUF 11

/* IOMMU_IOAS_MAP_FILE of linux/iommufd.h since Linux 6.13; takes a DMA-BUF of VFIO since 6.19 */
struct ioas_map_file {
	uint32_t size;
	uint32_t flags;
	uint32_t ioas_id;
	int32_t fd;
	uint64_t start, length;
	uint64_t iova;
};
static_assert(sizeof(struct ioas_map_file) == 40, "IOMMU_IOAS_MAP_FILE");
#define IOAS_MAP_FILE _IO(IOMMUFD_TYPE, 0x8f)

#define MAP_FLAGS (IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE)

static int iommufd_open_node(const char *path, const char *missing, struct err *err)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno == ENOENT || errno == ENODEV)
		return err_set(err, errno, "%s does not exist: %s", path, missing);
	if (errno == EACCES || errno == EPERM)
		return err_set(err, errno,
			       "%s may not be opened by this user: give it to the user or a group "
			       "of the user's (chown), or run as root",
			       path);
	return err_sys(err, errno, "%s cannot be opened", path);
}

int iommu_iommufd_open(struct iommu *io, struct err *err)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };

	io->fd = iommufd_open_node(
		"/dev/iommu",
		"load the module iommufd (Linux 6.6 or later), or use --vfio-backend "
		"type1",
		err);
	if (io->fd < 0)
		return io->fd;
	io->ops = iommu_iommufd_ops();
	if (ioctl(io->fd, IOMMU_IOAS_ALLOC, &alloc) < 0) {
		int code = errno;

		iommu_close(io);
		return err_sys(err, code, "/dev/iommu gives no I/O address space");
	}
	io->ioas = alloc.out_ioas_id;
	return 0;
}

/* --- devices --- */

static void note_group(struct iommu *io, unsigned number)
{
	for (unsigned i = 0; i < io->nr_groups; i++)
		if (io->groups[i].number == number)
			return;
	if (io->nr_groups < IOMMU_GROUPS_MAX) {
		io->groups[io->nr_groups].number = number;
		io->groups[io->nr_groups++].fd = -1;
	}
}

static int bind_and_attach(struct iommu *io, const struct vfio_id *id, int device, struct err *err)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = io->fd };
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
		.pt_id = io->ioas,
	};

	if (ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, &bind) < 0)
		return iommu_attach_failed(id->name, id->group, errno, err);
	if (ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach) < 0)
		return iommu_attach_failed(id->name, id->group, errno, err);
	return 0;
}

static int iommufd_attach(struct iommu *io, const struct vfio_id *id, const char *token,
			  int *device, struct err *err)
{
	char path[64];
	int ret;

	if (token)
		return err_set(err, ENOTSUP,
			       "iommufd takes no VF token: leave token= out, or use --vfio-backend "
			       "type1");
	snprintf(path, sizeof(path), "/dev/vfio/devices/%s", id->cdev);
	*device = iommufd_open_node(path, "bind the device to vfio-pci again", err);
	if (*device < 0)
		return *device;
	ret = bind_and_attach(io, id, *device, err);
	if (ret < 0) {
		close(*device);
		*device = -1;
		return ret;
	}
	note_group(io, id->group);
	return 0;
}

/* --- usable IOVAs --- */

static uint64_t end_of(uint64_t last)
{
	return last == UINT64_MAX ? last : last + 1; /* 2^64 cannot be written */
}

static int iommufd_ranges(struct iommu *io, struct span *out, size_t cap, size_t *n,
			  struct err *err)
{
	struct iommu_iova_range list[HOST_USABLE_MAX];
	struct iommu_ioas_iova_ranges ask = {
		.size = sizeof(ask),
		.ioas_id = io->ioas,
		.num_iovas = ARRAY_SIZE(list),
		.allowed_iovas = (uintptr_t)list,
	};

	/* EMSGSIZE still returns the number of ranges, which the caller checks. */
	if (ioctl(io->fd, IOMMU_IOAS_IOVA_RANGES, &ask) < 0 && errno != EMSGSIZE)
		return err_sys(err, errno, "/dev/iommu does not say which IOVAs are usable");
	*n = ask.num_iovas;
	for (size_t i = 0; i < *n && i < cap && i < ARRAY_SIZE(list); i++)
		out[i] = (struct span){ list[i].start, end_of(list[i].last) };
	return 0;
}

static int iommufd_allow(struct iommu *io, const struct span *spans, size_t n, struct err *err)
{
	struct iommu_iova_range *list = calloc(n ? n : 1, sizeof(*list));
	struct iommu_ioas_allow_iovas allow = {
		.size = sizeof(allow),
		.ioas_id = io->ioas,
		.num_iovas = (uint32_t)n,
		.allowed_iovas = (uintptr_t)list,
	};
	int ret = 0;

	if (!list)
		return err_sys(err, ENOMEM, "out of memory for %zu ranges", n);
	for (size_t i = 0; i < n; i++)
		list[i] = (struct iommu_iova_range){ spans[i].base, spans[i].end - 1 };
	if (ioctl(io->fd, IOMMU_IOAS_ALLOW_IOVAS, &allow) < 0)
		ret = err_sys(err, errno, "/dev/iommu does not keep the plan's IOVAs for us");
	free(list);
	return ret;
}

/* --- mapping --- */

static bool iommufd_maps_bars(int device)
{
	struct vfio_device_feature probe = {
		.argsz = sizeof(probe),
		.flags = VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET | FEATURE_DMA_BUF,
	};

	return ioctl(device, VFIO_DEVICE_FEATURE, &probe) == 0;
}

/*
 * Device memory is mapped by a DMA-BUF of it, because by address the kernel refuses it (EFAULT).
 * The mapping keeps the DMA-BUF.
 */
static int map_region(struct iommu *io, const struct iommu_mapping *m)
{
	struct dma_buf_request share = {
		.argsz = sizeof(share),
		.feature = VFIO_DEVICE_FEATURE_GET | FEATURE_DMA_BUF,
		.region_index = m->region->index,
		.open_flags = O_RDWR | O_CLOEXEC,
		.nr_ranges = 1,
		.offset = m->region->offset,
		.length = span_size(m->iova),
	};
	struct ioas_map_file map = {
		.size = sizeof(map),
		.flags = MAP_FLAGS,
		.ioas_id = io->ioas,
		.length = span_size(m->iova),
		.iova = m->iova.base,
	};
	int ret;

	map.fd = ioctl(m->region->device, VFIO_DEVICE_FEATURE, &share);
	if (map.fd < 0)
		return -errno;
	ret = ioctl(io->fd, IOAS_MAP_FILE, &map) < 0 ? -errno : 0;
	close(map.fd);
	return ret;
}

/*
 * Maps RAM by address and not by file (IOMMU_IOAS_MAP_FILE, Linux 6.13), because mapping by file
 * did not zero untouched pages of hugetlbfs before 6.18 (mm/memfd.c, memfd_alloc_folio()), and
 * ignores the memory policy.
 */
static int iommufd_map(struct iommu *io, const struct iommu_mapping *m)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = MAP_FLAGS,
		.ioas_id = io->ioas,
		.user_va = (uintptr_t)m->hva,
		.length = span_size(m->iova),
		.iova = m->iova.base,
	};

	if (m->region)
		return map_region(io, m);
	return ioctl(io->fd, IOMMU_IOAS_MAP, &map) < 0 ? -errno : 0;
}

/* Removes every mapping that lies wholly inside `iova`. */
static int iommufd_unmap(struct iommu *io, struct span iova)
{
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = io->ioas,
		.iova = iova.base,
		.length = span_size(iova),
	};

	return ioctl(io->fd, IOMMU_IOAS_UNMAP, &unmap) < 0 ? -errno : 0;
}

/* Returns no files, because KVM is told of the devices themselves (vfio_pci_file()). */
static size_t iommufd_kvm_files(const struct iommu *io, int *out, size_t cap)
{
	(void)io;
	(void)out;
	(void)cap;
	return 0;
}

static void iommufd_close(struct iommu *io)
{
	close(io->fd);
}

const struct iommu_ops *iommu_iommufd_ops(void)
{
	static const struct iommu_ops ops = {
		.name = "iommufd",
		.attach = iommufd_attach,
		.ranges = iommufd_ranges,
		.allow = iommufd_allow,
		.map = iommufd_map,
		.unmap = iommufd_unmap,
		.maps_bars = iommufd_maps_bars,
		.revokes = true,
		.kvm_files = iommufd_kvm_files,
		.close = iommufd_close,
	};

	return &ops;
}
