/*
 * Both IOMMU backends against a kernel that the test plays: every call failing, refusals and their
 * sentences, and what is left mapped.
 */
#include "tests/fault/wrap.h"
#include "vfio/iommu.h"
#include "vmm/backends/passthrough.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/iommufd.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOLE	      UINT64_C(0xfd00000000)
#define HOLE_END      UINT64_C(0x10000000000)
#define IOAS_MAP_FILE _IO(IOMMUFD_TYPE, 0x8f) /* Linux 6.13 */

static struct err err;
static struct iommu io;
static const struct vfio_id ids[] = {
	{ .name = "0000:05:00.0", .pci = true, .has_group = true, .group = 7, .cdev = "vfio0" },
	{ .name = "0000:06:00.0", .pci = true, .has_group = true, .group = 9, .cdev = "vfio1" },
};

/* --- the played kernel --- */

static struct {
	int no_extension;
	uint32_t group_flags;
	bool ranges; /* it says which IOVAs are usable */
	uint32_t nr_ranges;
	bool malformed; /* its capabilities point nowhere */
	uint32_t avail;
	unsigned containers, iommus_set;
	/* what is mapped */
	struct span maps[256];
	unsigned nr_maps;
	unsigned calls; /* of map */
	unsigned fail_map;
	int map_error;
	int share_error;    /* of VFIO_DEVICE_FEATURE_DMA_BUF; ENOTTY: there is none */
	int file_error;	    /* of IOMMU_IOAS_MAP_FILE */
	struct span shared; /* of the region */
	unsigned probes;
	int set_error, join_error, bind_error, attach_error, allow_error;
	unsigned left; /* groups that left their container */
	uint64_t allowed;
} host;

static const struct vfio_iova_range ranges[] = {
	{ 0, 0xfedfffff },
	{ 0xfef00000, HOLE - 1 },
	{ HOLE_END, UINT64_MAX },
};

/* A container's information: the ranges, then how many maps are left. */
static int get_info(struct vfio_iommu_type1_info *info)
{
	struct vfio_iommu_type1_info_cap_iova_range *r;
	struct vfio_iommu_type1_info_dma_avail *avail;
	uint32_t first = 24, second = first + sizeof(*r) + sizeof(ranges);
	uint32_t need = second + sizeof(*avail);

	info->flags = VFIO_IOMMU_INFO_PGSIZES;
	if (!host.ranges)
		return 0;
	info->flags |= VFIO_IOMMU_INFO_CAPS;
	if (info->argsz < need) {
		info->argsz = need;
		return 0;
	}
	info->cap_offset = host.malformed ? 0xfffffff0 : first;
	r = (void *)((char *)info + first);
	*r = (struct vfio_iommu_type1_info_cap_iova_range){
		.header = { .id = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, .next = second },
		.nr_iovas = host.nr_ranges,
	};
	memcpy(r->iova_ranges, ranges, sizeof(ranges));
	avail = (void *)((char *)info + second);
	*avail = (struct vfio_iommu_type1_info_dma_avail){
		.header = { .id = VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL },
		.avail = host.avail,
	};
	return 0;
}

static int iova_ranges(struct iommu_ioas_iova_ranges *ask)
{
	struct iommu_iova_range *out = (void *)(uintptr_t)ask->allowed_iovas;

	for (unsigned i = 0; i < 3 && i < ask->num_iovas; i++)
		out[i] = (struct iommu_iova_range){ ranges[i].start, ranges[i].end };
	ask->num_iovas = host.nr_ranges;
	return 0;
}

static int map(uint64_t iova, uint64_t size)
{
	assert_true(host.nr_maps < ARRAY_SIZE(host.maps));
	host.calls++;
	if (host.calls == host.fail_map) {
		errno = host.map_error;
		return -1;
	}
	host.maps[host.nr_maps++] = (struct span){ iova, iova + size };
	return 0;
}

static int unmap(uint64_t iova, uint64_t size)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < host.nr_maps; i++)
		if (!span_overlaps(host.maps[i], (struct span){ iova, iova + size }))
			host.maps[kept++] = host.maps[i];
	host.nr_maps = kept;
	return 0;
}

static int answer(int error)
{
	errno = error;
	return error ? -1 : 0;
}

/* Linux 6.19: include/uapi/linux/vfio.h, struct vfio_device_feature_dma_buf */
static int feature(const struct vfio_device_feature *f)
{
	const uint32_t *words = (const void *)f->data;
	uint64_t range[2];

	assert_int_equal(f->flags & VFIO_DEVICE_FEATURE_MASK, 11);
	if (f->flags & VFIO_DEVICE_FEATURE_PROBE) {
		host.probes++;
		return answer(host.share_error);
	}
	assert_int_equal(f->flags, VFIO_DEVICE_FEATURE_GET | 11);
	assert_int_equal(f->argsz, 8 + 16 + 16);
	if (host.share_error)
		return answer(host.share_error);
	assert_int_equal(words[0], 2); /* region */
	assert_int_equal(words[1], O_RDWR | O_CLOEXEC);
	assert_int_equal(words[2], 0);
	assert_int_equal(words[3], 1);
	memcpy(range, words + 4, sizeof(range));
	host.shared = (struct span){ range[0], range[0] + range[1] };
	return memfd_create("DMA-BUF", MFD_CLOEXEC);
}

/* RAM is never mapped so: pages of a file that nobody has touched would not be zeroed. */
static int map_file(const uint8_t *arg)
{
	uint64_t start, length, iova;
	uint32_t head[4];

	memcpy(head, arg, sizeof(head));
	memcpy(&start, arg + 16, 8);
	memcpy(&length, arg + 24, 8);
	memcpy(&iova, arg + 32, 8);
	assert_int_equal(head[0], 40);
	assert_int_equal(head[1], 7); /* fixed, read, write */
	assert_int_equal(head[2], 5);
	assert_true(fcntl((int)head[3], F_GETFD) >= 0);
	assert_int_equal(start, 0);
	assert_int_equal(length, span_size(host.shared));
	return host.file_error ? answer(host.file_error) : map(iova, length);
}

static bool played(int fd, unsigned long request, void *arg, int *ret)
{
	struct vfio_iommu_type1_dma_map *m = arg;
	struct vfio_iommu_type1_dma_unmap *u = arg;

	(void)fd;
	*ret = 0;
	switch (request) {
	case VFIO_CHECK_EXTENSION:
		*ret = (int)(uintptr_t)arg != host.no_extension;
		break;
	case VFIO_GROUP_GET_STATUS:
		((struct vfio_group_status *)arg)->flags = host.group_flags;
		break;
	case VFIO_GROUP_SET_CONTAINER:
		host.containers++;
		*ret = answer(host.join_error);
		break;
	case VFIO_GROUP_UNSET_CONTAINER:
		host.left++;
		break;
	case VFIO_SET_IOMMU:
		host.iommus_set++;
		*ret = answer(host.set_error);
		break;
	case VFIO_DEVICE_BIND_IOMMUFD:
		*ret = answer(host.bind_error);
		break;
	case VFIO_DEVICE_ATTACH_IOMMUFD_PT:
		*ret = answer(host.attach_error);
		break;
	case VFIO_GROUP_GET_DEVICE_FD:
		*ret = memfd_create("device", MFD_CLOEXEC);
		break;
	case VFIO_IOMMU_GET_INFO:
		*ret = get_info(arg);
		break;
	case VFIO_IOMMU_MAP_DMA:
		*ret = map(m->iova, m->size);
		break;
	case VFIO_IOMMU_UNMAP_DMA:
		*ret = unmap(u->iova, u->size);
		break;
	case IOMMU_IOAS_ALLOC:
		((struct iommu_ioas_alloc *)arg)->out_ioas_id = 5;
		break;
	case IOMMU_IOAS_IOVA_RANGES:
		*ret = iova_ranges(arg);
		break;
	case IOMMU_IOAS_ALLOW_IOVAS:
		host.allowed = ((struct iommu_ioas_allow_iovas *)arg)->num_iovas;
		*ret = answer(host.allow_error);
		break;
	case IOMMU_IOAS_MAP:
		*ret = map(((struct iommu_ioas_map *)arg)->iova,
			   ((struct iommu_ioas_map *)arg)->length);
		break;
	case IOAS_MAP_FILE:
		*ret = map_file(arg);
		break;
	case VFIO_DEVICE_FEATURE:
		*ret = feature(arg);
		break;
	case IOMMU_IOAS_UNMAP:
		*ret = unmap(((struct iommu_ioas_unmap *)arg)->iova,
			     ((struct iommu_ioas_unmap *)arg)->length);
		break;
	}
	return true;
}

static int play(void **state)
{
	memset(&host, 0, sizeof(host));
	host.no_extension = -1;
	host.group_flags = VFIO_GROUP_FLAGS_VIABLE;
	host.ranges = true;
	host.nr_ranges = ARRAY_SIZE(ranges);
	host.avail = 65535;
	wrap_setup(state);
	wrap_redirect("/dev/*", "/dev/null");
	wrap_ioctl(played);
	return 0;
}

/* --- a guest's life with a backend --- */

/* Nothing is there: the played kernel does not look. */
static const struct iommu_mapping ram[] = {
	{ .iova = { 0, 2 * GIB }, .hva = (void *)(uintptr_t)TIB, .owner = "RAM" },
	{
		.iova = { 4 * GIB, 100 * GIB + 2 * MIB },
		.hva = (void *)(uintptr_t)(2 * TIB),
		.owner = "RAM",
	},
	{
		.iova = { HOLE_END, HOLE_END + GIB },
		.hva = (void *)(uintptr_t)(4 * TIB),
		.owner = "RAM",
	},
};

static uint64_t total_of(const struct span *list, size_t n)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		bytes += span_size(list[i]);
	return bytes;
}

static uint64_t total(const struct iommu_mapping *list, size_t n)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		bytes += span_size(list[i].iova);
	return bytes;
}

static int open_backend(enum iommu_backend backend, struct err *e)
{
	int files[ARRAY_SIZE(ids)], ret = iommu_open(&io, backend, ids, ARRAY_SIZE(ids), false, e);
	size_t failed;

	if (ret == 0)
		ret = iommu_attach_all(&io, ids, NULL, ARRAY_SIZE(ids), files, &failed, e);
	for (size_t i = 0; ret == 0 && i < ARRAY_SIZE(ids); i++)
		close(files[i]);
	return ret < 0 ? ret : iommu_ask_ranges(&io, e);
}

static struct iommu_ram mapping;

/* All of it at once. */
static int map_ram(const struct iommu_mapping *list, size_t n, const struct iommu_progress *p,
		   struct err *e)
{
	int ret;

	mapping = (struct iommu_ram){ .progress = p };
	ret = iommu_check_ram(&io, list, n, &mapping, e);
	return ret < 0 ? ret : iommu_map_ram(&io, list, n, &mapping, e);
}

static int attempt(void *to, struct err *e)
{
	int ret = open_backend(*(enum iommu_backend *)to, e);

	host.nr_maps = host.calls = 0;
	if (ret == 0)
		ret = map_ram(ram, ARRAY_SIZE(ram), NULL, e);
	if (ret == 0)
		assert_int_equal(io.mapped, total(ram, ARRAY_SIZE(ram)));
	if (ret == 0 && io.ops->allow)
		ret = io.ops->allow(&io, io.usable, io.nr_usable, e);
	if (ret < 0)
		assert_int_equal(io.mapped, host.nr_maps ? total(ram, ARRAY_SIZE(ram)) : 0);
	iommu_close(&io);
	return ret;
}

static const struct wrap_harmless harmless[] = { { { 0 }, 0, NULL } };

static void test_every_call(void **state)
{
	enum iommu_backend backends[] = { IOMMU_TYPE1, IOMMU_IOMMUFD };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		wrap_sweep(attempt, &backends[i], ENOMEM, harmless);
		wrap_sweep(attempt, &backends[i], EIO, harmless);
	}
}

static void open_or_fail(enum iommu_backend backend)
{
	if (open_backend(backend, &err) < 0)
		fail_msg("%s", err.text);
}

static void test_groups(void **state)
{
	int files[4];

	(void)state;
	open_or_fail(IOMMU_TYPE1);
	assert_int_equal(host.containers, 2);
	assert_int_equal(host.iommus_set, 1); /* one container for both */
	assert_int_equal(io.ops->kvm_files(&io, files, 4), 2);
	assert_int_equal(io.nr_usable, 3);
	assert_int_equal(io.usable[1].end, HOLE);
	assert_int_equal(io.usable[2].base, HOLE_END);
	iommu_close(&io);
	host.group_flags = 0;
	assert_int_equal(open_backend(IOMMU_TYPE1, &err), -EBUSY);
	wrap_assert_says(&err, "/dev/vfio/7 is not viable");
	iommu_close(&io);
}

/* Before Linux 6.1 the host waits until an empty group has left its container. */
static void test_leave(void **state)
{
	struct wrap_held held;
	int files[4];

	(void)state;
	open_or_fail(IOMMU_TYPE1);
	assert_int_equal(map_ram(ram, ARRAY_SIZE(ram), NULL, &err), 0);
	held = wrap_held();
	assert_true(iommu_group_file(&io, 7) >= 0);
	iommu_leave(&io, 7);
	assert_int_equal(host.left, 1);
	assert_int_equal(wrap_held().fds, held.fds - 1);
	assert_int_equal(iommu_group_file(&io, 7), -1);
	assert_int_equal(io.ops->kvm_files(&io, files, 4), 1); /* what a next machine tells KVM */
	assert_int_equal(files[0], iommu_group_file(&io, 9));
	assert_int_equal(io.mapped, total(ram, ARRAY_SIZE(ram)));
	iommu_leave(&io, 7); /* not twice */
	assert_int_equal(host.left, 1);
	iommu_leave(&io, 9);
	assert_int_equal(io.mapped, 0);
	iommu_close(&io);
	open_or_fail(IOMMU_IOMMUFD);
	assert_int_equal(iommu_group_file(&io, 7), -1);
	iommu_leave(&io, 7);
	assert_int_equal(io.nr_groups, 2);
	iommu_close(&io);
}

/* iommufd is taken if it works; nothing is mapped yet when that is known. */
static void test_auto(void **state)
{
	struct wrap_held held = wrap_held();

	(void)state;
	open_or_fail(IOMMU_AUTO);
	assert_string_equal(io.ops->name, "iommufd");
	iommu_close(&io);
	host.attach_error = EINVAL;
	open_or_fail(IOMMU_AUTO);
	assert_string_equal(io.ops->name, "type1");
	assert_int_equal(host.iommus_set, 1);
	iommu_close(&io);
	wrap_fail_path("/dev/vfio/devices/vfio1", EACCES); /* only its group was given away */
	open_or_fail(IOMMU_AUTO);
	assert_string_equal(io.ops->name, "type1");
	iommu_close(&io);
	wrap_fail_path("/dev/iommu", ENOENT);
	open_or_fail(IOMMU_AUTO);
	assert_string_equal(io.ops->name, "type1");
	iommu_close(&io);
	host.set_error = EPERM;
	wrap_fail_path("/dev/vfio/devices/vfio0", EACCES);
	assert_int_equal(open_backend(IOMMU_AUTO, &err), -EACCES);
	wrap_assert_says(&err, "/dev/vfio/devices/vfio0 may not be opened by this user");
	wrap_assert_says(&err, "and with type1: /dev/vfio/7 may not be put behind");
	iommu_close(&io);
	assert_int_equal(open_backend(IOMMU_IOMMUFD, &err), -EACCES);
	iommu_close(&io);
	wrap_assert_released(held, "all of them");
}

/* What neither errno says: interrupt remapping that is off, and memory that the firmware wants. */
static void test_attach_refused(void **state)
{
	(void)state;
	host.set_error = EPERM;
	assert_int_equal(open_backend(IOMMU_TYPE1, &err), -EPERM);
	wrap_assert_says(&err, "does not remap interrupts");
	wrap_assert_says(&err, "iommu_groups/7/reserved_regions");
	iommu_close(&io);
	host.set_error = 0;
	host.join_error = EINVAL;
	assert_int_equal(open_backend(IOMMU_TYPE1, &err), -EINVAL);
	wrap_assert_says(&err, "mapped one to one");
	iommu_close(&io);
	host.bind_error = EPERM;
	assert_int_equal(open_backend(IOMMU_IOMMUFD, &err), -EPERM);
	wrap_assert_says(&err, "0000:05:00.0 may not be put behind");
	iommu_close(&io);
	host.bind_error = 0;
	host.attach_error = EINVAL;
	assert_int_equal(open_backend(IOMMU_IOMMUFD, &err), -EINVAL);
	wrap_assert_says(&err, "a `direct` line");
	iommu_close(&io);
}

static void test_no_backend(void **state)
{
	struct vfio_id bare = ids[0];

	(void)state;
	bare.cdev[0] = '\0';
	assert_int_equal(iommu_open(&io, IOMMU_IOMMUFD, &bare, 1, false, &err), -ENODEV);
	wrap_assert_says(&err, "--vfio-backend type1");
	assert_int_equal(iommu_open(&io, IOMMU_AUTO, &bare, 1, false, &err), 0);
	assert_string_equal(io.ops->name, "type1");
	iommu_close(&io);
	host.no_extension = VFIO_TYPE1v2_IOMMU;
	assert_int_equal(iommu_open(&io, IOMMU_TYPE1, ids, 1, false, &err), -ENOTSUP);
	wrap_assert_says(&err, "vfio_iommu_type1");
	wrap_fail_named("open", 1, EACCES);
	assert_int_equal(iommu_open(&io, IOMMU_TYPE1, ids, 1, false, &err), -EACCES);
	wrap_assert_says(&err, "/dev/vfio/vfio may not be opened by this user");
	wrap_fail_named("open", 1, ENOENT);
	assert_int_equal(iommu_open(&io, IOMMU_IOMMUFD, ids, 1, false, &err), -ENOENT);
	wrap_assert_says(&err, "/dev/iommu does not exist");
}

/* --- what the kernel says of usable ranges --- */

static void test_old_kernel(void **state)
{
	(void)state;
	host.ranges = false;
	open_or_fail(IOMMU_TYPE1);
	assert_int_equal(io.nr_usable, 1);
	assert_int_equal(io.usable[0].base, 0);
	assert_int_equal(io.usable[0].end, UINT64_MAX);
	iommu_close(&io);
}

static void test_malformed(void **state)
{
	(void)state;
	host.malformed = true;
	open_or_fail(IOMMU_TYPE1); /* as if it had said nothing */
	assert_int_equal(io.nr_usable, 1);
	iommu_close(&io);
	host.malformed = false;
	host.nr_ranges = 1000; /* more than the structure holds */
	assert_true(open_backend(IOMMU_TYPE1, &err) <= 0);
	assert_true(io.nr_usable <= HOST_USABLE_MAX);
	iommu_close(&io);
	assert_int_equal(open_backend(IOMMU_IOMMUFD, &err), -E2BIG);
	iommu_close(&io);
}

static void test_refused(void **state)
{
	const struct iommu_mapping over[] = {
		ram[0],
		{ .iova = { 4 * GIB, TIB + GIB }, .hva = NULL, .owner = "RAM" },
	};

	(void)state;
	for (enum iommu_backend b = IOMMU_TYPE1; b <= IOMMU_IOMMUFD; b++) {
		open_or_fail(b);
		assert_int_equal(map_ram(over, 2, NULL, &err), -ERANGE);
		wrap_assert_says(&err, "RAM at [0x100000000, 0x10040000000)");
		wrap_assert_says(&err, "refuses [0xfd00000000, 0x10000000000)");
		wrap_assert_says(&err, "IOMMU groups 7, 9");
		wrap_assert_says(&err, "--iova-policy auto");
		assert_int_equal(host.calls, 0); /* not even the first span */
		iommu_close(&io);
	}
}

/* --- mapping --- */

static void test_pieces(void **state)
{
	(void)state;
	open_or_fail(IOMMU_TYPE1);
	assert_int_equal(map_ram(ram, ARRAY_SIZE(ram), NULL, &err), 0);
	assert_int_equal(host.nr_maps, 2 + 97 + 1);
	for (unsigned i = 0; i < host.nr_maps; i++)
		assert_true(span_size(host.maps[i]) <= GIB);
	assert_int_equal(host.maps[2].end, 5 * GIB); /* pieces end on multiples */
	assert_int_equal(host.maps[98].end, 100 * GIB + 2 * MIB);
	iommu_unmap(&io, ram[1].iova);
	assert_int_equal(host.nr_maps, 3);
	assert_int_equal(io.mapped, 3 * GIB);
	iommu_close(&io);
	/* Room for few: larger pieces, or a sentence. */
	host.nr_maps = 0;
	host.avail = 20;
	open_or_fail(IOMMU_TYPE1);
	assert_int_equal(map_ram(ram, ARRAY_SIZE(ram), NULL, &err), 0);
	assert_true(host.nr_maps <= 10);
	assert_true(span_size(host.maps[2]) > GIB);
	iommu_close(&io);
	host.avail = 4;
	open_or_fail(IOMMU_TYPE1);
	assert_int_equal(map_ram(ram, ARRAY_SIZE(ram), NULL, &err), -ENOSPC);
	wrap_assert_says(&err, "dma_entry_limit");
	iommu_close(&io);
}

static void test_map_errors(void **state)
{
	static const struct {
		int code;
		const char *says;
	} cases[] = {
		{ EINVAL, "reserved" },	       { ENOMEM, "free memory" },
		{ ENOSPC, "dma_entry_limit" }, { EFAULT, "pinned" },
		{ EEXIST, "is mapped there" }, { EIO, "kernel log may" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (enum iommu_backend b = IOMMU_TYPE1; b <= IOMMU_IOMMUFD; b++) {
			host.calls = 0;
			host.fail_map = 4;
			host.map_error = cases[i].code;
			open_or_fail(b);
			assert_int_equal(map_ram(ram, ARRAY_SIZE(ram), NULL, &err), -cases[i].code);
			wrap_assert_says(&err, "RAM: mapping IOVA [0x140000000, 0x180000000)");
			wrap_assert_says(&err, "1024 MiB at host address 0x20040000000");
			wrap_assert_says(&err, strerror(cases[i].code));
			wrap_assert_says(&err, cases[i].says);
			assert_int_equal(host.nr_maps, 0); /* the three before are gone again */
			assert_int_equal(io.mapped, 0);
			iommu_close(&io);
		}
}

struct watcher {
	uint64_t last;
	unsigned calls, stop_at;
};

static void watch_done(void *to, uint64_t bytes, uint64_t of)
{
	struct watcher *w = to;

	assert_true(bytes > w->last && bytes <= of);
	assert_int_equal(of, total(ram, ARRAY_SIZE(ram)));
	w->last = bytes;
	w->calls++;
}

static bool watch_stop(void *to)
{
	struct watcher *w = to;

	return w->stop_at && w->calls >= w->stop_at;
}

static void test_progress(void **state)
{
	struct watcher w = { .stop_at = 0 };
	const struct iommu_progress p = { watch_done, watch_stop, NULL, &w };

	(void)state;
	open_or_fail(IOMMU_IOMMUFD);
	assert_int_equal(map_ram(ram, ARRAY_SIZE(ram), &p, &err), 0);
	assert_int_equal(w.last, total(ram, ARRAY_SIZE(ram)));
	assert_int_equal(w.calls, host.nr_maps);
	iommu_close(&io);
	host.nr_maps = 0;
	w = (struct watcher){ .stop_at = 3 };
	open_or_fail(IOMMU_TYPE1);
	assert_int_equal(map_ram(ram, ARRAY_SIZE(ram), &p, &err), -EINTR);
	wrap_assert_says(&err, "interrupted");
	assert_int_equal(w.calls, 3);
	assert_int_equal(host.nr_maps, 0);
	assert_int_equal(io.mapped, 0);
	iommu_close(&io);
}

/* --- RAM whose pages other threads make --- */

struct maker {
	unsigned asked, fail_at;
	uint64_t made; /* bytes that were waited for */
};

static int make_pages(void *to, struct span hva, struct err *e)
{
	struct maker *m = to;

	/* Each piece is waited for before it is mapped, and not after those behind it. */
	assert_int_equal(m->asked, host.calls);
	assert_true(span_size(hva) <= GIB || host.avail < 65535);
	if (++m->asked == m->fail_at)
		return err_set(e, EFAULT, "no page is left");
	m->made += span_size(hva);
	return 0;
}

static void test_ready(void **state)
{
	struct maker m = { 0 };
	const struct iommu_progress p = { NULL, NULL, make_pages, &m };

	(void)state;
	for (enum iommu_backend b = IOMMU_TYPE1; b <= IOMMU_IOMMUFD; b++) {
		host.nr_maps = host.calls = 0;
		m = (struct maker){ 0 };
		open_or_fail(b);
		assert_int_equal(map_ram(ram, ARRAY_SIZE(ram), &p, &err), 0);
		assert_int_equal(m.made, total(ram, ARRAY_SIZE(ram)));
		assert_int_equal(m.asked, host.nr_maps);
		iommu_close(&io);
		/* Pages that cannot be had: the sentence is theirs, and nothing stays mapped. */
		host.nr_maps = host.calls = 0;
		m = (struct maker){ .fail_at = 5 };
		open_or_fail(b);
		assert_int_equal(map_ram(ram, ARRAY_SIZE(ram), &p, &err), -EFAULT);
		assert_string_equal(err.text, "no page is left");
		assert_int_equal(host.calls, 4);
		assert_int_equal(host.nr_maps, 0);
		assert_int_equal(io.mapped, 0);
		iommu_close(&io);
	}
	/* Room for few mappings: larger pieces, whole blocks in the end, and no more than that. */
	host.calls = 0;
	host.avail = 20;
	m = (struct maker){ 0 };
	open_or_fail(IOMMU_TYPE1);
	assert_int_equal(map_ram(ram, ARRAY_SIZE(ram), &p, &err), 0);
	assert_true(m.asked <= 10);
	assert_int_equal(m.made, total(ram, ARRAY_SIZE(ram)));
	iommu_close(&io);
}

/* Block by block, as guest memory tells of it: how far it is counts for all of it. */
static void test_blocks(void **state)
{
	struct watcher w = { .stop_at = 0 };
	const struct iommu_progress p = { watch_done, watch_stop, NULL, &w };

	(void)state;
	for (enum iommu_backend b = IOMMU_TYPE1; b <= IOMMU_IOMMUFD; b++) {
		host.nr_maps = host.calls = 0;
		w = (struct watcher){ .stop_at = 0 };
		mapping = (struct iommu_ram){ .progress = &p };
		open_or_fail(b);
		assert_int_equal(iommu_check_ram(&io, ram, ARRAY_SIZE(ram), &mapping, &err), 0);
		assert_int_equal(host.calls, 0);
		assert_int_equal(mapping.total, total(ram, ARRAY_SIZE(ram)));
		for (size_t i = 0; i < ARRAY_SIZE(ram); i++)
			assert_int_equal(iommu_map_ram(&io, &ram[i], 1, &mapping, &err), 0);
		assert_int_equal(w.last, total(ram, ARRAY_SIZE(ram)));
		assert_int_equal(w.calls, host.nr_maps);
		iommu_unmap_ram(&io, &ram[2], 1, &mapping);
		assert_int_equal(mapping.done, total(ram, 2));
		assert_int_equal(io.mapped, total(ram, 2));
		/* What fails stays away, and what was there stays. */
		mapping.progress = NULL;
		host.calls = 0;
		host.fail_map = 1;
		host.map_error = ENOMEM;
		assert_int_equal(iommu_map_ram(&io, &ram[2], 1, &mapping, &err), -ENOMEM);
		assert_int_equal(mapping.done, total(ram, 2));
		assert_int_equal(io.mapped, total(ram, 2));
		host.fail_map = 0;
		assert_int_equal(iommu_map_ram(&io, &ram[2], 1, &mapping, &err), 0);
		iommu_unmap_ram(&io, ram, ARRAY_SIZE(ram), &mapping);
		assert_int_equal(mapping.done, 0);
		assert_int_equal(io.mapped, 0);
		assert_int_equal(host.nr_maps, 0);
		iommu_close(&io);
	}
}

static uint64_t told_done, told_total;

static void note_done(void *to, uint64_t bytes, uint64_t of)
{
	(void)to;
	told_done = bytes;
	told_total = of;
}

static uint64_t mapped_bytes(void)
{
	return total_of(host.maps, host.nr_maps);
}

/* All three steps. */
static int reach_memory(struct passthrough *pt, struct guest_memory *m, const struct plan *plan,
			const struct iommu_progress *progress)
{
	int ret = passthrough_prepare(pt, m, plan, &err);

	if (ret == 0)
		ret = passthrough_map(pt, m, progress, &err);
	if (ret == 0)
		passthrough_join(pt, m);
	return ret;
}

/* As a listener of guest memory: of a file nothing is mapped, nor of the BIOS area what is taken.
 */
static void test_listens(void **state)
{
	static const struct map_region regions[] = {
		{ { 0, GIB }, MAP_RAM, 0 },
		{ { 4 * GIB, 6 * GIB }, MAP_RAM, 0 },
		{ { 8 * GIB, 9 * GIB }, MAP_PMEM, 0 },
	};
	static const uint64_t all = 3 * GIB - 4 * KIB;
	static struct ram_block blocks[ARRAY_SIZE(regions)];
	static struct passthrough pt;
	static struct plan plan;
	static struct guest_memory memory;
	const struct iommu_progress p = { note_done, NULL, NULL, NULL };

	(void)state;
	memcpy(plan.map.regions, regions, sizeof(regions));
	plan.map.nr_regions = ARRAY_SIZE(regions);
	plan.map.forbidden[0].at = (struct span){ 0xe8000, 0xe9000 };
	plan.map.nr_forbidden = 1;
	for (enum iommu_backend b = IOMMU_TYPE1; b <= IOMMU_IOMMUFD; b++) {
		open_or_fail(b);
		pt = (struct passthrough){ .iommu = io };
		host.nr_maps = host.calls = 0;
		guest_memory_init(&memory);
		for (size_t i = 0; i < ARRAY_SIZE(regions); i++) {
			blocks[i] = (struct ram_block){ regions[i].at,
							(uint8_t *)(uintptr_t)(i * TIB), -1, 0 };
			assert_int_equal(guest_memory_add(&memory, &blocks[i], &err), 0);
		}
		/* The second block fails: the first goes, too. */
		host.fail_map = 4;
		host.map_error = ENOMEM;
		assert_int_equal(reach_memory(&pt, &memory, &plan, &p), -ENOMEM);
		assert_int_equal(host.calls, 4);
		assert_int_equal(host.nr_maps, 0);
		assert_null(memory.first);
		host.fail_map = 0;
		/* What comes after the last block fails: all of them go, and it does not listen. */
		if (pt.iommu.ops->allow) {
			host.allow_error = EADDRINUSE;
			assert_int_equal(reach_memory(&pt, &memory, &plan, &p), -EADDRINUSE);
			assert_int_equal(host.nr_maps, 0);
			assert_int_equal(pt.iommu.mapped, 0);
			assert_null(memory.first);
			host.allow_error = 0;
		}
		assert_int_equal(reach_memory(&pt, &memory, &plan, &p), 0);
		assert_int_equal(host.maps[0].end, 0xe8000);
		assert_int_equal(host.maps[1].base, 0xe9000);
		assert_int_equal(mapped_bytes(), all);
		assert_int_equal(told_done, all);
		assert_int_equal(told_total, all);
		/* RAM goes and comes; it does not come if it cannot. */
		guest_memory_remove(&memory, regions[0].at);
		assert_int_equal(mapped_bytes(), 2 * GIB);
		host.calls = 0;
		host.fail_map = 2;
		assert_int_equal(guest_memory_add(&memory, &blocks[0], &err), -ENOMEM);
		assert_int_equal(mapped_bytes(), 2 * GIB);
		host.fail_map = 0;
		assert_int_equal(guest_memory_add(&memory, &blocks[0], &err), 0);
		assert_int_equal(mapped_bytes(), all);
		assert_int_equal(pt.iommu.mapped, all);
		guest_memory_remove(&memory, regions[2].at);
		assert_int_equal(mapped_bytes(), all);
		/* At the end it is not told: closing is faster. */
		guest_memory_forget(&memory, &pt.listener);
		passthrough_close(&pt);
		assert_int_equal(mapped_bytes(), all);
	}
}

static void test_bars(void **state)
{
	const struct iommu_region region = { 77, 2, 0x3000 };
	const struct iommu_mapping bar = {
		.iova = { 200 * GIB, 200 * GIB + 4096 },
		.hva = (void *)(uintptr_t)TIB,
		.owner = "BAR 2 of 0000:05:00.0",
		.region = &region,
	};
	struct iommu_mapping in_hole = bar;
	struct wrap_held held;

	(void)state;
	open_or_fail(IOMMU_IOMMUFD);
	held = wrap_held();
	assert_int_equal(iommu_map_bar(&io, &bar, &err), 1);
	assert_string_equal(err.text, "");
	assert_int_equal(host.shared.base, 0x3000);
	assert_int_equal(io.mapped, 4096);
	iommu_unmap(&io, bar.iova);
	in_hole.iova = (struct span){ HOLE, HOLE + 4096 };
	assert_int_equal(iommu_map_bar(&io, &in_hole, &err), 0);
	wrap_assert_says(&err, "the IOMMU cannot map [0xfd00000000");
	/* What concerns this BAR, or this moment, does not keep others from being mapped. */
	host.file_error = ENODEV; /* memory decoding is off, or the device is being reset */
	assert_int_equal(iommu_map_bar(&io, &bar, &err), 0);
	wrap_assert_says(&err, "BAR 2 of 0000:05:00.0 is not reachable for other devices");
	host.file_error = 0;
	host.share_error = EOPNOTSUPP; /* a variant of the driver */
	assert_int_equal(iommu_map_bar(&io, &bar, &err), 0);
	host.share_error = 0;
	assert_int_equal(iommu_map_bar(&io, &bar, &err), 1);
	iommu_unmap(&io, bar.iova);
	host.share_error = ENOTTY; /* before Linux 6.19 */
	assert_int_equal(iommu_map_bar(&io, &bar, &err), 0);
	wrap_assert_says(&err, "does not map device memory through iommufd");
	assert_int_equal(iommu_map_bar(&io, &bar, &err), 0); /* said once */
	assert_string_equal(err.text, "");
	assert_int_equal(io.mapped, 0);
	wrap_assert_released(held, "all of them");
	iommu_close(&io);
	open_or_fail(IOMMU_TYPE1); /* by address */
	assert_int_equal(iommu_map_bar(&io, &bar, &err), 1);
	iommu_close(&io);
}

static int open_for_peers(enum iommu_backend backend)
{
	int files[ARRAY_SIZE(ids)];
	int ret = iommu_open(&io, backend, ids, ARRAY_SIZE(ids), false, &err);
	size_t failed;

	io.wants_p2p = true;
	if (ret == 0)
		ret = iommu_attach_all(&io, ids, NULL, ARRAY_SIZE(ids), files, &failed, &err);
	for (size_t i = 0; ret == 0 && i < ARRAY_SIZE(ids); i++)
		close(files[i]);
	return ret;
}

/* As long as iommufd maps no BARs, type1 is taken where devices may want them, if it can be had. */
static void test_auto_for_peers(void **state)
{
	struct wrap_held held = wrap_held();

	(void)state;
	assert_int_equal(open_for_peers(IOMMU_AUTO), 0);
	assert_string_equal(io.ops->name, "iommufd");
	assert_false(io.fell_for_p2p);
	assert_int_equal(host.probes, 1);
	iommu_close(&io);
	host.share_error = ENOTTY;
	assert_int_equal(open_for_peers(IOMMU_AUTO), 0);
	assert_string_equal(io.ops->name, "type1");
	assert_true(io.fell_for_p2p);
	iommu_close(&io);
	host.probes = 0;
	open_or_fail(IOMMU_AUTO); /* nobody wants them */
	assert_string_equal(io.ops->name, "iommufd");
	assert_int_equal(host.probes, 0);
	iommu_close(&io);
	assert_int_equal(open_for_peers(IOMMU_IOMMUFD), 0); /* the user's choice */
	assert_string_equal(io.ops->name, "iommufd");
	iommu_close(&io);
	host.set_error = EPERM;
	assert_int_equal(open_for_peers(IOMMU_AUTO), 0);
	assert_string_equal(io.ops->name, "iommufd");
	assert_false(io.fell_for_p2p);
	iommu_close(&io);
	host.attach_error = EINVAL;
	assert_int_equal(open_for_peers(IOMMU_AUTO), -EINVAL);
	iommu_close(&io);
	wrap_assert_released(held, "all of them");
}

/* --- the limit of locked memory: in a child, without privileges --- */

/* The kernel refuses, as it does when the limit holds: the sentence has the numbers. */
static int child_refused(void)
{
	struct rlimit limit = { MIB, MIB };

	if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0 || (geteuid() == 0 && setuid(65534) < 0))
		return 2;
	host.fail_map = 3;
	host.map_error = ENOMEM;
	if (map_ram(ram, ARRAY_SIZE(ram), NULL, &err) != -ENOMEM)
		return 3;
	if (!strstr(err.text, "103811072 KiB and this user may lock 1024 KiB") ||
	    !strstr(err.text, "ulimit -l 103811072") || !strstr(err.text, "LimitMEMLOCK="))
		return 4;
	/* iommufd counts what all guests of a user pin. */
	return !strstr(err.text, "all of the user's guests") == (io.ops == iommu_type1_ops()) ? 0
											      : 5;
}

/* Whatever the soft limit was, the hard one holds from now on: others may need it, too. */
static int child_raises(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return 2;
	limit.rlim_cur = 64 * KIB;
	limit.rlim_max = limit.rlim_max == RLIM_INFINITY ? TIB : limit.rlim_max;
	if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0 || (geteuid() == 0 && setuid(65534) < 0))
		return 3;
	if (map_ram(ram, ARRAY_SIZE(ram), NULL, &err) < 0)
		return 4;
	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return 5;
	return limit.rlim_cur == limit.rlim_max ? 0 : 6;
}

static void in_child(int (*run)(void))
{
	int status = 0;
	pid_t child = fork();

	if (child == 0)
		_exit(run());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void test_memlock(void **state)
{
	(void)state;
	for (enum iommu_backend b = IOMMU_TYPE1; b <= IOMMU_IOMMUFD; b++) {
		open_or_fail(b);
		in_child(child_refused);
		in_child(child_raises);
		iommu_close(&io);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_every_call, play),
		cmocka_unit_test_setup(test_groups, play),
		cmocka_unit_test_setup(test_no_backend, play),
		cmocka_unit_test_setup(test_old_kernel, play),
		cmocka_unit_test_setup(test_malformed, play),
		cmocka_unit_test_setup(test_refused, play),
		cmocka_unit_test_setup(test_pieces, play),
		cmocka_unit_test_setup(test_map_errors, play),
		cmocka_unit_test_setup(test_progress, play),
		cmocka_unit_test_setup(test_ready, play),
		cmocka_unit_test_setup(test_blocks, play),
		cmocka_unit_test_setup(test_listens, play),
		cmocka_unit_test_setup(test_leave, play),
		cmocka_unit_test_setup(test_auto, play),
		cmocka_unit_test_setup(test_attach_refused, play),
		cmocka_unit_test_setup(test_bars, play),
		cmocka_unit_test_setup(test_auto_for_peers, play),
		cmocka_unit_test_setup(test_memlock, play),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
