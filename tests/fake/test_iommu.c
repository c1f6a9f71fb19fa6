/*
 * Both IOMMU backends against a kernel that the test plays: every call failing, refusals and their
 * sentences, and what is left mapped.
 */
#include "tests/fake/wrap.h"
#include "vfio/iommu.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
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
#define IOAS_MAP_FILE _IO(IOMMUFD_TYPE, 0x8f)

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
	bool has_map_file;
	unsigned file_maps, bar_error;
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

static int ioas_map(const struct iommu_ioas_map *m)
{
	if (host.bar_error && m->length == 4096) {
		errno = (int)host.bar_error;
		return -1;
	}
	return map(m->iova, m->length);
}

static int map_file(const uint8_t *m)
{
	uint64_t length, iova;

	if (!host.has_map_file) {
		errno = ENOTTY;
		return -1;
	}
	memcpy(&length, m + 24, 8);
	memcpy(&iova, m + 32, 8);
	host.file_maps++;
	return map(iova, length);
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
		break;
	case VFIO_SET_IOMMU:
		host.iommus_set++;
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
		break;
	case IOMMU_IOAS_MAP:
		*ret = ioas_map(arg);
		break;
	case IOAS_MAP_FILE:
		*ret = map_file(arg);
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
	{ .iova = { 0, 2 * GIB }, .hva = (void *)(uintptr_t)TIB, .owner = "RAM", .memfd = -1 },
	{ .iova = { 4 * GIB, 100 * GIB + 2 * MIB },
	  .hva = (void *)(uintptr_t)(2 * TIB),
	  .owner = "RAM",
	  .memfd = -1 },
	{ .iova = { HOLE_END, HOLE_END + GIB },
	  .hva = (void *)(uintptr_t)(4 * TIB),
	  .owner = "RAM",
	  .memfd = -1 },
};

static uint64_t total(const struct iommu_mapping *list, size_t n)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		bytes += span_size(list[i].iova);
	return bytes;
}

static int open_backend(enum iommu_backend backend, struct err *e)
{
	int device, ret = iommu_open(&io, backend, ids, ARRAY_SIZE(ids), false, e);

	for (size_t i = 0; ret == 0 && i < ARRAY_SIZE(ids); i++) {
		ret = iommu_attach(&io, &ids[i], NULL, &device, e);
		if (ret == 0)
			close(device);
	}
	return ret < 0 ? ret : iommu_ask_ranges(&io, e);
}

static int attempt(void *to, struct err *e)
{
	int ret = open_backend(*(enum iommu_backend *)to, e);

	host.nr_maps = host.calls = 0;
	if (ret == 0)
		ret = iommu_map_ram(&io, ram, ARRAY_SIZE(ram), NULL, e);
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
		{ .iova = { 4 * GIB, TIB + GIB }, .hva = NULL, .owner = "RAM", .memfd = -1 },
	};

	(void)state;
	for (enum iommu_backend b = IOMMU_TYPE1; b <= IOMMU_IOMMUFD; b++) {
		open_or_fail(b);
		assert_int_equal(iommu_map_ram(&io, over, 2, NULL, &err), -ERANGE);
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
	assert_int_equal(iommu_map_ram(&io, ram, ARRAY_SIZE(ram), NULL, &err), 0);
	assert_int_equal(host.nr_maps, 1 + 7 + 1);
	for (unsigned i = 0; i < host.nr_maps; i++)
		assert_true(span_size(host.maps[i]) <= 16 * GIB);
	assert_int_equal(host.maps[1].end, 16 * GIB); /* pieces end on multiples */
	assert_int_equal(host.maps[7].end, 100 * GIB + 2 * MIB);
	iommu_unmap(&io, ram[1].iova);
	assert_int_equal(host.nr_maps, 2);
	assert_int_equal(io.mapped, 3 * GIB);
	iommu_close(&io);
	/* Room for few: larger pieces, or a sentence. */
	host.nr_maps = 0;
	host.avail = 20;
	open_or_fail(IOMMU_TYPE1);
	assert_int_equal(iommu_map_ram(&io, ram, ARRAY_SIZE(ram), NULL, &err), 0);
	assert_true(host.nr_maps <= 10);
	iommu_close(&io);
	host.avail = 4;
	open_or_fail(IOMMU_TYPE1);
	assert_int_equal(iommu_map_ram(&io, ram, ARRAY_SIZE(ram), NULL, &err), -ENOSPC);
	wrap_assert_says(&err, "dma_entry_limit");
	iommu_close(&io);
}

static void test_map_errors(void **state)
{
	static const struct {
		int code;
		const char *says;
	} cases[] = {
		{ EINVAL, "reserved" },	       { ENOMEM, "ulimit -l" },
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
			assert_int_equal(iommu_map_ram(&io, ram, ARRAY_SIZE(ram), NULL, &err),
					 -cases[i].code);
			wrap_assert_says(&err, "RAM: mapping IOVA [0x800000000, 0xc00000000)");
			wrap_assert_says(&err, "16384 MiB at host address 0x20700000000");
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
	const struct iommu_progress p = { watch_done, watch_stop, &w };

	(void)state;
	open_or_fail(IOMMU_IOMMUFD);
	assert_int_equal(iommu_map_ram(&io, ram, ARRAY_SIZE(ram), &p, &err), 0);
	assert_int_equal(w.last, total(ram, ARRAY_SIZE(ram)));
	assert_int_equal(w.calls, host.nr_maps);
	iommu_close(&io);
	host.nr_maps = 0;
	w = (struct watcher){ .stop_at = 3 };
	open_or_fail(IOMMU_TYPE1);
	assert_int_equal(iommu_map_ram(&io, ram, ARRAY_SIZE(ram), &p, &err), -EINTR);
	wrap_assert_says(&err, "interrupted");
	assert_int_equal(w.calls, 3);
	assert_int_equal(host.nr_maps, 0);
	assert_int_equal(io.mapped, 0);
	iommu_close(&io);
}

/* RAM that is a file is mapped as one where the kernel can; else by address, and it is not asked
 * again.
 */
static void test_map_file(void **state)
{
	struct iommu_mapping list[2] = { ram[0], ram[2] };

	(void)state;
	list[0].memfd = list[1].memfd = 0;
	host.has_map_file = true;
	open_or_fail(IOMMU_IOMMUFD);
	assert_int_equal(iommu_map_ram(&io, list, 2, NULL, &err), 0);
	assert_int_equal(host.file_maps, 2);
	iommu_close(&io);
	host.has_map_file = false;
	open_or_fail(IOMMU_IOMMUFD);
	assert_int_equal(iommu_map_ram(&io, list, 2, NULL, &err), 0);
	assert_true(io.no_map_file);
	assert_int_equal(host.file_maps, 2);
	iommu_close(&io);
}

static void test_bars(void **state)
{
	const struct iommu_mapping bar = {
		.iova = { 200 * GIB, 200 * GIB + 4096 },
		.hva = (void *)(uintptr_t)TIB,
		.owner = "BAR 0 of 0000:05:00.0",
		.bar = true,
		.memfd = -1,
	};
	struct iommu_mapping in_hole = bar;

	(void)state;
	open_or_fail(IOMMU_IOMMUFD);
	assert_int_equal(iommu_map_bar(&io, &bar, &err), 1);
	assert_string_equal(err.text, "");
	iommu_unmap(&io, bar.iova);
	in_hole.iova = (struct span){ HOLE, HOLE + 4096 };
	assert_int_equal(iommu_map_bar(&io, &in_hole, &err), 0);
	wrap_assert_says(&err, "the IOMMU cannot map [0xfd00000000");
	host.bar_error = EFAULT;
	assert_int_equal(iommu_map_bar(&io, &bar, &err), 0);
	wrap_assert_says(&err, "BAR 0 of 0000:05:00.0 is not reachable for other devices");
	assert_int_equal(iommu_map_bar(&io, &bar, &err), 0); /* said once */
	assert_string_equal(err.text, "");
	iommu_close(&io);
}

/* --- the limit of locked memory: in a child without privileges --- */

static int child_without_privileges(void)
{
	struct rlimit limit = { MIB, MIB };

	if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0 || (geteuid() == 0 && setuid(65534) < 0))
		return 2;
	if (iommu_map_ram(&io, ram, ARRAY_SIZE(ram), NULL, &err) != -ENOMEM)
		return 3;
	if (!strstr(err.text, "103811072 KiB of locked memory") ||
	    !strstr(err.text, "may lock 1024 KiB") || !strstr(err.text, "LimitMEMLOCK="))
		return 4;
	return host.calls ? 5 : 0;
}

static void test_memlock(void **state)
{
	int status = 0;
	pid_t child;

	(void)state;
	open_or_fail(IOMMU_TYPE1);
	child = fork();
	if (child == 0)
		_exit(child_without_privileges());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	iommu_close(&io);
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
		cmocka_unit_test_setup(test_map_file, play),
		cmocka_unit_test_setup(test_bars, play),
		cmocka_unit_test_setup(test_memlock, play),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
