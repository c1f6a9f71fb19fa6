/*
 * What mapping guest RAM for devices costs beyond the kernel's own work: iommu_map_ram() against a
 * bare loop of the same ioctls on the same memory, in turn.
 *
 *	dma type1|iommufd BDF GIB ROUNDS	lines `dma BACKEND bare|ours SECONDS`
 *
 * RAM is GIB GiB of addresses over 512 MiB of huge pages, repeated, so that a small host can do it.
 */
#include "vfio/iommu.h"

#include <errno.h>
#include <linux/iommufd.h>
#include <linux/memfd.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define FOLD  (512 * MIB)
#define PIECE GIB /* what iommu_map_ram() takes at once */

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void die(const char *what)
{
	fprintf(stderr, "dma: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint8_t *fold(uint64_t size)
{
	int fd = memfd_create("fold", MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_2MB);
	uint8_t *all = mmap(NULL, size + GIB, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint8_t *at = (uint8_t *)(uintptr_t)align_up((uintptr_t)all, GIB);

	if (fd < 0 || ftruncate(fd, FOLD) < 0 || all == MAP_FAILED)
		die("memory");
	for (uint64_t done = 0; done < size; done += FOLD)
		if (mmap(at + done, FOLD, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
		    MAP_FAILED)
			die("huge pages (512 MiB of 2 MiB)");
	memset(at, 1, FOLD);
	return at;
}

static void map_bare(const struct iommu *io, uint8_t *at, uint64_t base, uint64_t size)
{
	struct vfio_iommu_type1_dma_map type1 = {
		.argsz = sizeof(type1),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.size = PIECE,
	};
	struct iommu_ioas_map ioas = {
		.size = sizeof(ioas),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.ioas_id = io->ioas,
		.length = PIECE,
	};

	for (uint64_t done = 0; done < size; done += PIECE) {
		type1.vaddr = ioas.user_va = (uintptr_t)(at + done);
		type1.iova = ioas.iova = base + done;
		if (io->ops == iommu_type1_ops() ? ioctl(io->fd, VFIO_IOMMU_MAP_DMA, &type1)
						 : ioctl(io->fd, IOMMU_IOAS_MAP, &ioas))
			die("map");
	}
}

static void map_ours(struct iommu *io, uint8_t *at, uint64_t base, uint64_t size)
{
	const struct iommu_mapping ram = {
		.iova = { base, base + size },
		.hva = at,
		.owner = "RAM",
	};
	struct iommu_ram mapping = { .progress = NULL };
	struct err err;

	if (iommu_check_ram(io, &ram, 1, &mapping, &err) < 0 ||
	    iommu_map_ram(io, &ram, 1, &mapping, &err) < 0) {
		fprintf(stderr, "dma: %s\n", err.text);
		exit(1);
	}
}

int main(int argc, char *argv[])
{
	enum iommu_backend backend;
	struct iommu io = IOMMU_EMPTY;
	struct vfio_id id;
	struct err err;
	uint64_t size;
	uint8_t *at;
	size_t failed;
	int device;

	if (argc < 5)
		return 2;
	backend = strcmp(argv[1], "iommufd") ? IOMMU_TYPE1 : IOMMU_IOMMUFD;
	size = strtoull(argv[3], NULL, 10) * GIB;
	at = fold(size);
	for (int i = 0; i < 2 * atoi(argv[4]); i++) {
		bool ours = (i + i / 2) % 2; /* bare, ours, ours, bare, ... */
		double start;

		if (sysfs_find("", argv[2], &id, &err) < 0 ||
		    iommu_open(&io, backend, &id, 1, false, &err) < 0 ||
		    iommu_attach_all(&io, &id, NULL, 1, &device, &failed, &err) < 0 ||
		    iommu_ask_ranges(&io, &err) < 0) {
			fprintf(stderr, "dma: %s\n", err.text);
			return 1;
		}
		start = now();
		if (ours)
			map_ours(&io, at, 16 * GIB, size);
		else
			map_bare(&io, at, 16 * GIB, size);
		printf("dma %s %s %.4f\n", argv[1], ours ? "ours" : "bare", now() - start);
		fflush(stdout);
		close(device);
		iommu_close(&io);
	}
	return 0;
}
