/*
 * BARs of a passed-through function: mapped straight into the guest where VFIO allows it, trapped
 * where the MSI-X table is, where pages are shared, and for I/O ports.
 */
#include "vfio/pci_internal.h"

#include "vmm/base/bytes.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <unistd.h>

#define PAGE	  4096
#define INFO_MAX  65536
#define CONGRUENT GIB /* the largest page that nested page tables have */

/* --- accesses that exit --- */

static struct vfio_bar *bar_of(struct device *trap)
{
	return container_of(trap, struct vfio_bar, trap);
}

/*
 * Reads the ROM when a guest first reads it. Few guests do, and some devices lock up when their ROM
 * is read while they work. Bytes that cannot be read become 0xff, which is no valid signature, so
 * the guest sees no ROM.
 */
static void read_rom(struct vfio_pci *dev)
{
	const struct vfio_bar *bar = &dev->bars[BAR_ROM];
	ssize_t n;

	dev->rom = malloc(bar->shape.size);
	if (!dev->rom)
		return;
	n = pread(dev->fd, dev->rom, bar->shape.size, (off_t)bar->region_offset);
	n = n < 0 ? 0 : n;
	memset(dev->rom + n, 0xff, bar->shape.size - (size_t)n);
}

static uint64_t trap_read(struct device *trap, uint64_t offset, unsigned size)
{
	struct vfio_bar *bar = bar_of(trap);
	struct vfio_pci *dev = bar->owner;
	uint64_t value = UINT64_MAX;

	if (bar->index == BAR_ROM) {
		if (!dev->rom)
			read_rom(dev);
		if (dev->rom)
			value = load_le(dev->rom + offset, size);
		return value;
	}
	if (!vfio_msix_read(dev, bar->index, offset, size, &value) &&
	    pread(dev->fd, &value, size, (off_t)(bar->region_offset + offset)) != (ssize_t)size)
		value = UINT64_MAX;
	return value;
}

static void trap_write(struct device *trap, uint64_t offset, unsigned size, uint64_t value)
{
	struct vfio_bar *bar = bar_of(trap);
	struct vfio_pci *dev = bar->owner;
	ssize_t n;

	if (bar->index == BAR_ROM || vfio_msix_write(dev, bar->index, offset, size, value))
		return;
	n = pwrite(dev->fd, &value, size, (off_t)(bar->region_offset + offset));
	(void)n; /* an error is ignored: the guest sees that the write had no effect */
}

static const struct device_ops trap_ops = {
	.name = "passed-through BAR",
	.read = trap_read,
	.write = trap_write,
};

/* --- regions as VFIO describes them --- */

/* A region's information with its capabilities; the caller frees it. -EINVAL: there is none. */
static int region_info(struct vfio_pci *dev, unsigned index, struct vfio_region_info **out,
		       struct err *err)
{
	uint32_t size = sizeof(struct vfio_region_info);

	for (;;) {
		struct vfio_region_info *info = calloc(1, size);
		int code;

		if (!info)
			return err_sys(err, ENOMEM, "out of memory for region %u", index);
		info->argsz = size;
		info->index = index;
		if (ioctl(dev->fd, VFIO_DEVICE_GET_REGION_INFO, info) < 0) {
			code = errno;
			free(info);
			return err_sys(err, code, "VFIO does not describe region %u", index);
		}
		*out = info;
		if (info->argsz <= size || info->argsz > INFO_MAX)
			return 0;
		size = info->argsz;
		free(info);
	}
}

static const struct vfio_info_cap_header *next_cap(const struct vfio_region_info *info, uint32_t at)
{
	if (at < sizeof(*info) || at % 8 || info->argsz < sizeof(struct vfio_info_cap_header) ||
	    at > info->argsz - sizeof(struct vfio_info_cap_header))
		return NULL;
	return (const void *)((const char *)info + at);
}

static void take_sparse(struct vfio_bar *bar, const struct vfio_region_info *info,
			const struct vfio_info_cap_header *cap)
{
	const struct vfio_region_info_cap_sparse_mmap *s = (const void *)cap;
	size_t room = info->argsz - (size_t)((const char *)cap - (const char *)info);

	bar->nr_sparse = 0;
	if (room < sizeof(*s))
		return;
	room = (room - sizeof(*s)) / sizeof(s->areas[0]);
	for (uint32_t i = 0; i < s->nr_areas && i < room && bar->nr_sparse < BAR_PARTS_MAX; i++) {
		struct span area = { s->areas[i].offset, s->areas[i].offset + s->areas[i].size };

		if (s->areas[i].size &&
		    span_holds((struct span){ 0, bar->shape.size }, area.base, s->areas[i].size))
			bar->sparse[bar->nr_sparse++] = area;
	}
}

static void take_caps(struct vfio_bar *bar, const struct vfio_region_info *info)
{
	const struct vfio_info_cap_header *cap;

	bar->sparse[0] = (struct span){ 0, bar->shape.size };
	bar->nr_sparse = 1;
	if (!(info->flags & VFIO_REGION_INFO_FLAG_CAPS))
		return;
	cap = next_cap(info, info->cap_offset);
	for (unsigned n = 0; cap && n < 16; n++, cap = next_cap(info, cap->next))
		if (cap->id == VFIO_REGION_INFO_CAP_SPARSE_MMAP)
			take_sparse(bar, info, cap);
}

static int open_bar(struct vfio_pci *dev, unsigned i, struct err *err)
{
	uint32_t reg = (uint32_t)dev->raw[0x10 + 4 * i];
	struct vfio_bar *bar = &dev->bars[i];
	struct vfio_region_info *info;
	int ret;

	/* The upper half of the previous BAR. */
	if (i && dev->bars[i - 1].shape.wide)
		return 0;
	ret = region_info(dev, i, &info, err);
	if (ret < 0)
		return ret == -EINVAL ? 0 : ret; /* mediated devices describe only the regions that
						    they have */
	bar->shape.size = info->size;
	bar->region_offset = info->offset;
	bar->can_map = info->flags & VFIO_REGION_INFO_FLAG_MMAP;
	bar->shape.io = reg & PCI_BASE_ADDRESS_SPACE_IO;
	bar->shape.wide = bar->shape.size && !bar->shape.io &&
			  (reg & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64 &&
			  i < 5;
	bar->shape.prefetch = !bar->shape.io && (reg & PCI_BASE_ADDRESS_MEM_PREFETCH);
	take_caps(bar, info);
	free(info);
	return 0;
}

/* --- option ROM --- */

static int read_rom_file(struct vfio_pci *dev, const char *path, struct err *err)
{
	struct vfio_bar *bar = &dev->bars[BAR_ROM];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	int ret = 0;

	if (fd < 0)
		return err_sys(err, errno, "rom=%s cannot be opened", path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 ||
	    st.st_size > (off_t)BAR_ROM_MAX) {
		close(fd);
		return err_set(err, EINVAL, "rom=%s is no file of 1 byte to 16 MiB", path);
	}
	bar->shape.size = bar_rom_size((uint64_t)st.st_size);
	dev->rom = calloc(1, bar->shape.size);
	if (!dev->rom)
		ret = err_sys(err, ENOMEM, "out of memory for rom=%s", path);
	else if (pread(fd, dev->rom, (size_t)st.st_size, 0) != st.st_size)
		ret = err_set(err, EIO, "rom=%s cannot be read", path);
	close(fd);
	return ret;
}

/* Broadcom BCM57810: reading its ROM hangs the device until the host is reset. */
static bool rom_locks_up(const struct vfio_pci *dev)
{
	return load_le(dev->raw, 2) == 0x14e4 && load_le(dev->raw + 2, 2) == 0x168e;
}

/*
 * Finds the size of the ROM; its contents are read when the guest reads them. Mediated devices may
 * describe none.
 */
static int open_rom(struct vfio_pci *dev, struct err *err)
{
	struct vfio_bar *bar = &dev->bars[BAR_ROM];
	struct vfio_region_info *info;
	int ret;

	if (!dev->options.rom)
		return 0;
	if (dev->options.rom_file)
		return read_rom_file(dev, dev->options.rom_file, err);
	if (rom_locks_up(dev))
		return 0;
	ret = region_info(dev, VFIO_PCI_ROM_REGION_INDEX, &info, err);
	if (ret < 0)
		return ret == -EINVAL ? 0 : ret;
	if (info->size == bar_rom_size(info->size) && info->size <= BAR_ROM_MAX) {
		bar->shape.size = info->size;
		bar->region_offset = info->offset;
	}
	free(info);
	return 0;
}

int vfio_bars_open(struct vfio_pci *dev, struct err *err)
{
	struct bar_shape shapes[BARS_AND_ROM] = { { 0 } };
	int ret;

	for (unsigned i = 0; i < BARS_AND_ROM; i++) {
		struct vfio_bar *bar = &dev->bars[i];

		bar->owner = dev;
		bar->index = i;
		device_init(&bar->trap, &trap_ops);
	}
	for (unsigned i = 0; i < BARS; i++) {
		ret = open_bar(dev, i, err);
		if (ret < 0)
			return ret;
	}
	for (unsigned i = 0; i < BARS; i++)
		shapes[i] = dev->bars[i].shape;
	for (unsigned i = 0; i < BARS; i++) {
		const char *fault = shapes[i].size ? bar_fault(shapes, i) : NULL;

		if (fault)
			return err_set(err, EINVAL, "BAR %u has %#" PRIx64 " bytes, which %s", i,
				       shapes[i].size, fault);
	}
	return open_rom(dev, err);
}

/* --- mappings of this process --- */

/* Whole pages that hold the MSI-X table or its pending bits are trapped. */
static struct span trapped_pages(uint64_t offset, uint64_t len)
{
	return (struct span){ align_down(offset, PAGE), align_up(offset + len, PAGE) };
}

static unsigned trapped_spans(const struct vfio_pci *dev, unsigned bar, struct span out[2])
{
	const struct vfio_config *c = &dev->config;
	unsigned n = 0;

	if (c->msix && c->table_bar == bar)
		out[n++] = trapped_pages(c->table_offset, c->msix_vectors * 16u);
	if (c->msix && c->pba_bar == bar)
		out[n++] = trapped_pages(c->pba_offset, (c->msix_vectors + 63) / 64 * 8);
	if (n == 2 && out[1].base < out[0].base) {
		struct span first = out[1];

		out[1] = out[0];
		out[0] = first;
	}
	return n;
}

static int map_part(struct vfio_pci *dev, struct vfio_bar *bar, uint8_t *base, struct span at,
		    struct err *err)
{
	struct vfio_part *part;

	at = (struct span){ align_up(at.base, PAGE), align_down(at.end, PAGE) };
	if (at.base >= at.end || bar->nr_parts == BAR_PARTS_MAX)
		return 0;
	if (mmap(base + at.base, span_size(at), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		 dev->fd, (off_t)(bar->region_offset + at.base)) == MAP_FAILED)
		return err_sys(err, errno, "BAR %u cannot be mapped", bar->index);
	part = &bar->parts[bar->nr_parts++];
	*part = (struct vfio_part){ .at = at, .hva = base + at.base, .handle = -1 };
	return 0;
}

/*
 * Reserves address space for the whole BAR, aligned like its guest address modulo a large page:
 * BARs are naturally aligned, so an alignment to their size is enough.
 */
static uint8_t *reserve(uint64_t size)
{
	uint64_t align = min_u64(size, CONGRUENT);
	uint8_t *all, *base;

	all = mmap(NULL, size + align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		   0);
	if (all == MAP_FAILED)
		return NULL;
	base = (uint8_t *)(uintptr_t)align_up((uintptr_t)all, align);
	if (base > all)
		munmap(all, (size_t)(base - all));
	munmap(base + size, (size_t)(all + align - base));
	return base;
}

static int map_bar(struct vfio_pci *dev, struct vfio_bar *bar, struct err *err)
{
	struct span holes[2], rest;
	unsigned nr_holes = trapped_spans(dev, bar->index, holes);
	int ret;

	bar->base = reserve(bar->shape.size);
	if (!bar->base)
		return err_sys(err, errno, "cannot reserve addresses for BAR %u", bar->index);
	for (unsigned i = 0; i < bar->nr_sparse; i++) {
		rest = bar->sparse[i];
		for (unsigned j = 0; j < nr_holes; j++) {
			struct span before = { rest.base, min_u64(rest.end, holes[j].base) };

			if (!span_overlaps(rest, holes[j]))
				continue;
			if (before.base < before.end) {
				ret = map_part(dev, bar, bar->base, before, err);
				if (ret < 0)
					return ret;
			}
			rest.base = min_u64(rest.end, holes[j].end);
		}
		ret = map_part(dev, bar, bar->base, rest, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static bool is_small(const struct vfio_bar *bar)
{
	return bar->shape.size && bar->shape.size < PAGE;
}

/*
 * Maps a BAR that is smaller than a page, which VFIO allows if the BAR is alone on its page in the
 * host (vfio_pci_probe_mmaps()). If the mapping fails, the BAR is trapped.
 */
static void map_small(struct vfio_pci *dev, struct vfio_bar *bar)
{
	struct span tables[2];
	void *at;

	if (trapped_spans(dev, bar->index, tables))
		return;
	at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, dev->fd,
		  (off_t)bar->region_offset);
	if (at == MAP_FAILED)
		return;
	bar->base = at;
	bar->nr_parts = 1;
	bar->parts[0] = (struct vfio_part){ .at = { 0, PAGE }, .hva = at, .handle = -1 };
}

int vfio_bars_map(struct vfio_pci *dev, struct err *err)
{
	int ret = 0;

	for (unsigned i = 0; ret == 0 && !dev->options.no_map && i < BAR_ROM; i++) {
		struct vfio_bar *bar = &dev->bars[i];

		if (!bar->shape.size || !bar->can_map || bar->shape.io)
			continue;
		if (is_small(bar))
			map_small(dev, bar);
		else
			ret = map_bar(dev, bar, err);
	}
	return ret;
}

void vfio_bars_unmap(struct vfio_pci *dev)
{
	for (unsigned i = 0; i < BAR_ROM; i++) {
		struct vfio_bar *bar = &dev->bars[i];

		if (bar->base)
			munmap(bar->base, max_u64(bar->shape.size, PAGE));
		bar->base = NULL;
		bar->nr_parts = 0;
	}
}

void vfio_bars_close(struct vfio_pci *dev)
{
	free(dev->rom);
	dev->rom = NULL;
}

/* --- the guest's view --- */

static void p2p_map(struct vfio_pci *dev, struct vfio_bar *bar, struct vfio_part *part)
{
	const struct iommu_region region = { dev->fd, bar->index, part->at.base };
	char owner[VFIO_NAME_MAX + 16];
	struct iommu_mapping m = {
		.iova = { bar->at.base + part->at.base, bar->at.base + part->at.end },
		.hva = part->hva,
		.owner = owner,
		.region = &region,
	};
	struct err err = { "" };

	if (!dev->io || !dev->place.p2p || dev->options.no_p2p)
		return;
	if (is_small(bar) && dev->io->ops->revokes) /* a DMA-BUF is of whole pages of the BAR */
		return;
	snprintf(owner, sizeof(owner), "BAR %u of %s", bar->index, dev->name);
	pthread_mutex_lock(&dev->io->lock);
	part->p2p = iommu_map_bar(dev->io, &m, &err) == 1;
	pthread_mutex_unlock(&dev->io->lock);
	if (*err.text)
		dev->env->say(dev->env->to, err.text);
}

static void p2p_unmap(struct vfio_pci *dev, struct vfio_bar *bar, struct vfio_part *part)
{
	struct span iova = { bar->at.base + part->at.base, bar->at.base + part->at.end };

	pthread_mutex_lock(&dev->io->lock);
	iommu_unmap(dev->io, iova);
	pthread_mutex_unlock(&dev->io->lock);
	part->p2p = false;
}

void vfio_bars_were_reset(struct vfio_pci *dev)
{
	if (!dev->io || !dev->io->ops->revokes)
		return;
	for (unsigned i = 0; i < BAR_ROM; i++) {
		struct vfio_bar *bar = &dev->bars[i];

		for (unsigned j = 0; j < bar->nr_parts; j++) {
			if (!bar->parts[j].p2p)
				continue;
			p2p_unmap(dev, bar, &bar->parts[j]);
			p2p_map(dev, bar, &bar->parts[j]);
		}
	}
}

static void unmap_parts(struct vfio_pci *dev, struct vfio_bar *bar)
{
	for (unsigned i = 0; i < bar->nr_parts; i++) {
		struct vfio_part *part = &bar->parts[i];

		if (part->p2p)
			p2p_unmap(dev, bar, part);
		if (part->handle >= 0)
			dev->env->unmap(dev->env->to, part->handle);
		part->handle = -1;
	}
}

static struct span pages_of(struct span at)
{
	return (struct span){ align_down(at.base, PAGE), align_up(at.end, PAGE) };
}

/*
 * Whether another BAR is in the same page of the guest. Both are then trapped, so the BAR that was
 * there first loses its mapping.
 */
static bool is_crowded(struct vfio_pci *dev, const struct vfio_bar *bar)
{
	bool crowded = false;

	for (unsigned i = 0; i < BARS_AND_ROM; i++) {
		struct vfio_bar *other = &dev->bars[i];

		if (other == bar || other->shape.io || !other->claimed ||
		    !span_overlaps(pages_of(other->at), pages_of(bar->at)))
			continue;
		crowded = true;
		if (is_small(other))
			unmap_parts(dev, other);
	}
	return crowded;
}

/*
 * Whether a BAR can be mapped at its address. A small BAR is mapped with its whole page, so it must
 * begin the page and be alone there. Behind a port of its own only the device's own BARs can be
 * near, because windows are multiples of 1 MiB.
 */
static bool can_show(const struct vfio_pci *dev, const struct vfio_bar *bar, bool crowded)
{
	const struct vfio_pci_place *place = &dev->place;

	return !is_small(bar) ||
	       (!crowded && !place->root_bus && !place->neighbours && bar->at.base % PAGE == 0);
}

static void vfio_bar_hide(struct vfio_pci *dev, struct vfio_bar *bar)
{
	unmap_parts(dev, bar);
	if (bar->claimed)
		dev->env->unclaim(dev->env->to, bar->shape.io, bar->at);
	bar->claimed = false;
	bar->at = (struct span){ 0, 0 };
}

/*
 * Claims the whole BAR on the bus and puts memory slots over its mapped parts, so that only
 * accesses outside of the slots exit. If the guest put the BAR where another device is, it is not
 * shown at all.
 */
static int show_bar(struct vfio_pci *dev, struct vfio_bar *bar, struct span at, struct err *err)
{
	int ret = dev->env->claim(dev->env->to, bar->shape.io, at, &bar->trap, err);
	bool crowded;

	if (ret < 0)
		return ret;
	bar->at = at;
	bar->claimed = true;
	crowded = !bar->shape.io && is_crowded(dev, bar);
	for (unsigned i = 0; can_show(dev, bar, crowded) && i < bar->nr_parts; i++) {
		struct vfio_part *part = &bar->parts[i];
		struct span gpa = { at.base + part->at.base, at.base + part->at.end };

		part->handle = dev->env->map(dev->env->to, gpa, part->hva, err);
		if (part->handle < 0)
			return part->handle;
	}
	for (unsigned i = 0; i < bar->nr_parts; i++)
		if (bar->parts[i].handle >= 0)
			p2p_map(dev, bar, &bar->parts[i]);
	return 0;
}

void vfio_bar_moved(struct vfio_pci *dev, unsigned i, struct span at)
{
	struct vfio_bar *bar = &dev->bars[i];
	struct err err = { "" };

	if (!span_empty(bar->at))
		vfio_bar_hide(dev, bar);
	if (span_empty(at) || show_bar(dev, bar, at, &err) == 0)
		return;
	vfio_bar_hide(dev, bar);
	err_prefix(&err, 0, "the guest put BAR %u where it cannot be: ", i);
	vfio_say(dev, &err);
}
