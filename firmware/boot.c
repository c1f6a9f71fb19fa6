#include "firmware/boot.h"

#include "firmware/kind.h"
#include "vmm/base/platform.h"
#include "vmm/base/quote.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PAGE_SIZE 4096
#define LOW_START (64 * KIB)

/* The boot protocol, which decides the entry state, the boot data and their limits. */
enum protocol {
	LINUX64, /* boot.rst, "64-bit BOOT PROTOCOL": the zero page, anywhere in memory */
	LINUX32, /* "32-bit BOOT PROTOCOL": the zero page, all below 4 GiB */
	PVH,	 /* the start info; Linux takes an initrd below 4 GiB only */
};

static const char *const protocol_names[] = {
	[LINUX64] = "linux64",
	[LINUX32] = "linux32",
	[PVH] = "pvh",
};

/* The state of boot_build(): the guest's RAM, and the places in it that are in use. */
struct work {
	struct boot *b;
	const struct boot_request *req;
	struct err *err;
	struct span kernel[ELF_SEGMENTS_MAX];
	unsigned nr_kernel;
	struct span taken[BOOT_PLACES_MAX];
	unsigned nr_taken;
	enum protocol protocol;
	uint64_t entry;
	size_t scratch_used;
};

/* A piece of generated data in low memory, and the scratch bytes for it. */
struct piece {
	uint64_t gpa;
	uint8_t *data;
	size_t size;
};

int boot_kernel_parse(struct boot_kernel *k, const uint8_t *file, size_t len, struct err *err)
{
	k->is_elf = elf_is(file, len);
	if (k->is_elf)
		return elf_parse(&k->elf, file, len, err);
	return bzimage_parse(&k->bzimage, file, len, err);
}

int boot_initrd_check(const uint8_t *file, size_t len, struct err *err)
{
	const struct kind *kind = kind_of(file, len);

	if (!len)
		return err_set(err, EINVAL, "an empty file, not an initrd");
	if (!kind || kind->class == KIND_ARCHIVE)
		return 0;
	return err_set(err, EINVAL, "not an initrd but %s%s", kind->what,
		       kind->class == KIND_KERNEL ? "; are --kernel and --initrd swapped?" : "");
}

/* --- finding RAM --- */

/*
 * Finds the next run of usable RAM from entry *i on, joining adjacent entries. False: there is
 * none.
 */
static bool usable_next(const struct boot_request *req, size_t *i, struct span *run)
{
	const struct e820_entry *e = req->e820;

	while (*i < req->nr_e820 && e[*i].type != E820_USABLE)
		(*i)++;
	if (*i == req->nr_e820)
		return false;
	*run = e[(*i)++].at;
	while (*i < req->nr_e820 && e[*i].type == E820_USABLE && e[*i].at.base == run->end)
		run->end = e[(*i)++].at.end;
	return true;
}

static bool usable_holds(const struct boot_request *req, uint64_t at, uint64_t size)
{
	struct span run;

	for (size_t i = 0; usable_next(req, &i, &run);) {
		if (span_holds(run, at, size))
			return true;
	}
	return false;
}

static const struct span *taken_over(const struct work *w, uint64_t at, uint64_t size)
{
	for (unsigned i = 0; i < w->nr_taken; i++) {
		if (span_overlaps(w->taken[i], (struct span){ at, at + size }))
			return &w->taken[i];
	}
	return NULL;
}

static void boot_take(struct work *w, uint64_t at, uint64_t size)
{
	w->taken[w->nr_taken++] = (struct span){ at, at + size };
}

/* Finds the lowest free place for `size` bytes in `window`. */
static bool find_lowest(const struct work *w, struct span window, uint64_t size, uint64_t align,
			uint64_t *at)
{
	struct span run;

	for (size_t i = 0; usable_next(w->req, &i, &run);) {
		struct span room = span_common(run, window);
		const struct span *other;

		*at = align_up(room.base, align);
		while (span_holds(room, *at, size)) {
			other = taken_over(w, *at, size);
			if (!other)
				return true;
			*at = align_up(other->end, align);
		}
	}
	return false;
}

/* Finds the highest free, page-aligned place for `size` bytes in `window`. */
static bool find_highest(const struct work *w, struct span window, uint64_t size, uint64_t *at)
{
	bool found = false;
	struct span run;

	for (size_t i = 0; usable_next(w->req, &i, &run);) {
		struct span room = span_common(run, window);
		uint64_t end = room.end;

		while (size <= end - room.base) {
			uint64_t try = align_down(end - size, PAGE_SIZE);
			const struct span *other = taken_over(w, try, size);

			if (try < room.base)
				break;
			if (!other) {
				*at = try;
				found = true;
				break;
			}
			if (other->base <= room.base)
				break;
			end = other->base;
		}
	}
	return found;
}

/* --- placing --- */

static void place_add(struct work *w, enum boot_source from, const char *what, uint64_t gpa,
		      uint64_t offset, uint64_t len)
{
	w->b->places[w->b->nr_places++] = (struct boot_place){
		.gpa = gpa, .offset = offset, .len = len, .from = from, .what = what
	};
}

static void kernel_take(struct work *w, uint64_t at, uint64_t size)
{
	w->kernel[w->nr_kernel++] = (struct span){ at, at + size };
	boot_take(w, at, size);
}

/*
 * Places the kernel at its preferred address, or else at the lowest one above it, because a
 * relocatable kernel that is loaded below moves itself up there
 * (arch/x86/boot/compressed/head_64.S, startup_64).
 */
static int bzimage_place(struct work *w, const struct bzimage *bz)
{
	uint64_t from = max_u64(bz->pref_address, MIB), at;
	struct span below_4g = { min_u64(from, FOUR_GIB), FOUR_GIB };
	struct span above_4g = { max_u64(from, FOUR_GIB), max_u64(from, ENTRY_ADDRESS_MAX) };
	bool found;

	if (bz->relocatable)
		found = find_lowest(w, below_4g, bz->init_size, bz->alignment, &at) ||
			(bz->above_4g &&
			 find_lowest(w, above_4g, bz->init_size, bz->alignment, &at));
	else
		found = find_lowest(w, below_4g, bz->init_size, 1, &at) && at == from;
	if (!found)
		return err_set(w->err, ERANGE,
			       "the kernel needs %s of usable RAM in one piece %s %#" PRIx64
			       ", which the guest has not; give more --memory or --low-memory",
			       QUOTED_ABOUT(bz->init_size),
			       bz->relocatable ? "at or above" : "exactly at", from);
	kernel_take(w, at, bz->init_size);
	place_add(w, BOOT_FROM_KERNEL, "kernel", at, bz->code_offset, bz->code_size);
	w->protocol = bz->entry64 ? LINUX64 : LINUX32;
	w->entry = bz->entry64 ? at + BZIMAGE_ENTRY_64 : at;
	return 0;
}

static int elf_place(struct work *w, const struct elf *elf)
{
	for (unsigned i = 0; i < elf->nr_segments; i++) {
		const struct elf_segment *s = &elf->segments[i];

		if (!usable_holds(w->req, s->gpa, s->mem_size))
			return err_set(w->err, ERANGE,
				       "the kernel's segment of %s at %#" PRIx64
				       " does not lie in usable RAM; give more --memory or "
				       "--low-memory, or link the kernel elsewhere",
				       QUOTED_ABOUT(s->mem_size), s->gpa);
		kernel_take(w, s->gpa, s->mem_size);
		place_add(w, BOOT_FROM_KERNEL, "kernel", s->gpa, s->offset, s->file_size);
		w->b->places[w->b->nr_places - 1].zeroes = s->mem_size - s->file_size;
	}
	w->protocol = elf->pvh ? PVH : elf->wide ? LINUX64 : LINUX32;
	w->entry = elf->entry;
	return 0;
}

/* Reserves `size` bytes of low memory and of the scratch buffer. The caller writes every byte. */
static int piece_place(struct work *w, const char *what, size_t size, struct piece *p)
{
	struct span low = { LOW_START, LOW_RAM_END };

	if (size > w->req->scratch_size - w->scratch_used)
		return err_set(w->err, ENOSPC, "%zu bytes are too few for the boot data",
			       w->req->scratch_size);
	if (!find_lowest(w, low, size, PAGE_SIZE, &p->gpa))
		return err_set(w->err, ERANGE,
			       "the %s of %s finds no usable RAM between %#" PRIx64 " and %#x",
			       what, QUOTED_ABOUT(size), low.base, LOW_RAM_END);
	p->data = w->req->scratch + w->scratch_used;
	p->size = size;
	boot_take(w, p->gpa, size);
	place_add(w, BOOT_FROM_DATA, what, p->gpa, w->scratch_used, size);
	w->scratch_used += size;
	return 0;
}

static int cmdline_place(struct work *w, struct piece *p)
{
	const struct boot_kernel *k = w->req->kernel;
	const char *text = w->req->cmdline ? w->req->cmdline : "";
	uint64_t max = k->is_elf ? SETUP_DEFAULT_CMDLINE_SIZE : k->bzimage.cmdline_max;
	size_t len = strlen(text);
	int ret;

	max = min_u64(max, BOOT_CMDLINE_MAX);
	if (len > max)
		return err_set(w->err, E2BIG,
			       "the kernel command line has %zu bytes, but this kernel takes at "
			       "most %" PRIu64 "; shorten --append",
			       len, max);
	ret = piece_place(w, "command line", len + 1, p);
	if (!ret)
		memcpy(p->data, text, len + 1);
	return ret;
}

/*
 * Where the kernel accepts an initrd: tried are addresses below its own limit, then below 4 GiB,
 * then all.
 */
struct initrd_limits {
	uint64_t end; /* at most 4 GiB */
	bool below_4g, anywhere;
};

/*
 * The header's limit matters to old kernels only: a kernel that accepts an initrd above 4 GiB
 * accepts one anywhere. A 64-bit vmlinux does; entered by PVH, Linux reads only 32 bits of the
 * address.
 */
static struct initrd_limits initrd_limits(const struct work *w)
{
	const struct boot_kernel *k = w->req->kernel;
	uint64_t max = k->is_elf ? SETUP_DEFAULT_INITRD_ADDR_MAX : k->bzimage.initrd_max;
	bool anywhere = k->is_elf ? w->protocol == LINUX64 : k->bzimage.above_4g;

	return (struct initrd_limits){
		.end = max_u64(min_u64(max + 1, FOUR_GIB), MIB),
		.below_4g = anywhere || w->protocol == PVH,
		.anywhere = anywhere,
	};
}

/*
 * Places the initrd as high as possible below 4 GiB, away from the kernel's first allocations, or
 * else as low as possible above 4 GiB, where the fewest address bits are needed.
 */
static bool initrd_find(const struct work *w, uint64_t *at)
{
	const struct initrd_limits limits = initrd_limits(w);
	uint64_t size = w->req->initrd_size;

	return find_highest(w, (struct span){ MIB, limits.end }, size, at) ||
	       (limits.below_4g && find_highest(w, (struct span){ MIB, FOUR_GIB }, size, at)) ||
	       (limits.anywhere &&
		find_lowest(w, (struct span){ FOUR_GIB, ENTRY_ADDRESS_MAX }, size, PAGE_SIZE, at));
}

static int initrd_place(struct work *w, uint64_t *at)
{
	const struct initrd_limits limits = initrd_limits(w);
	uint64_t size = w->req->initrd_size, kernel = 0;

	*at = 0;
	if (!size)
		return 0;
	if (initrd_find(w, at)) {
		boot_take(w, *at, size);
		place_add(w, BOOT_FROM_INITRD, "initrd", *at, 0, size);
		return 0;
	}
	for (unsigned i = 0; i < w->nr_kernel; i++)
		kernel += span_size(w->kernel[i]);
	if (limits.anywhere)
		return err_set(
			w->err, ERANGE,
			"the initrd of %s fits nowhere into the guest's RAM beside the kernel's "
			"%s; give more --memory",
			QUOTED_ABOUT(size), QUOTED_ABOUT(kernel));
	return err_set(w->err, ERANGE,
		       "the initrd of %s does not fit into the guest's RAM below %#" PRIx64
		       " beside the kernel's %s, and this kernel takes it nowhere else; give more "
		       "--memory or --low-memory",
		       QUOTED_ABOUT(size), limits.below_4g ? FOUR_GIB : limits.end,
		       QUOTED_ABOUT(kernel));
}

/* --- the protocols --- */

/*
 * Places the page tables last, because their size is known only when they are written, and the
 * unused rest then wastes no room between other pieces.
 */
static int tables_place(struct work *w, struct piece *tables)
{
	size_t used = 0;
	int ret = piece_place(w, "page tables", ENTRY_TABLES_MAX, tables);

	if (!ret)
		ret = entry_tables(tables->data, tables->size, tables->gpa, w->kernel, w->nr_kernel,
				   &used, w->err);
	if (!ret)
		w->b->places[w->b->nr_places - 1].len = used;
	return ret;
}

static int linux_build(struct work *w, const struct piece *gdt, const struct piece *cmdline)
{
	const struct boot_request *req = w->req;
	const struct bzimage *bz = req->kernel->is_elf ? NULL : &req->kernel->bzimage;
	struct piece page, tables = { 0 }, ext = { 0 };
	size_t ext_size = zeropage_ext_size(req->nr_e820);
	struct bytes_out ext_out;
	struct zeropage z;
	uint64_t initrd;
	int ret;

	ret = piece_place(w, "zero page", ZEROPAGE_SIZE, &page);
	if (!ret && ext_size)
		ret = piece_place(w, "E820 extension", ext_size, &ext);
	if (!ret && w->protocol == LINUX64)
		ret = tables_place(w, &tables);
	if (!ret)
		ret = initrd_place(w, &initrd);
	if (ret)
		return ret;

	z = (struct zeropage){
		.header = bz ? bz->header : NULL,
		.header_len = bz ? bz->header_len : 0,
		.cmdline = cmdline->gpa,
		.initrd = initrd,
		.initrd_size = req->initrd_size,
		.rsdp = req->rsdp,
		.e820 = req->e820,
		.nr_e820 = req->nr_e820,
		.e820_ext = ext.gpa,
	};
	zeropage_write(page.data, &z);
	ext_out = (struct bytes_out){ .data = ext.data, .cap = ext.size };
	zeropage_ext_write(&ext_out, req->e820, req->nr_e820);
	if (w->protocol == LINUX64)
		entry_linux64(&w->b->cpu, w->entry, page.gpa, gdt->gpa, tables.gpa);
	else
		entry_linux32(&w->b->cpu, w->entry, page.gpa, gdt->gpa);
	return 0;
}

static int pvh_build(struct work *w, const struct piece *gdt, const struct piece *cmdline)
{
	const struct boot_request *req = w->req;
	struct bytes_out out;
	struct pvh_info info;
	struct piece p;
	uint64_t initrd;
	int ret;

	if (req->nr_e820 > PVH_E820_MAX)
		return err_set(
			w->err, E2BIG,
			"the memory map has %zu entries, but kernels with a PVH note are known to "
			"take %u; use less --reserve or devices of fewer IOMMU groups",
			req->nr_e820, PVH_E820_MAX);
	ret = piece_place(w, "PVH start info", pvh_size(req->nr_e820), &p);
	if (!ret)
		ret = initrd_place(w, &initrd);
	if (ret)
		return ret;

	info = (struct pvh_info){
		.at = p.gpa,
		.cmdline = cmdline->gpa,
		.initrd = initrd,
		.initrd_size = req->initrd_size,
		.rsdp = req->rsdp,
		.e820 = req->e820,
		.nr_e820 = req->nr_e820,
	};
	out = (struct bytes_out){ .data = p.data, .cap = p.size };
	pvh_write(&out, &info);
	entry_pvh(&w->b->cpu, w->entry, p.gpa, gdt->gpa);
	return 0;
}

/*
 * Enters a Linux with a PVH note by its own entry if it needs what PVH cannot describe to Linux:
 * more than PVH_E820_MAX entries of E820, or an initrd above 4 GiB.
 */
static void protocol_reconsider(struct work *w)
{
	const struct boot_kernel *k = w->req->kernel;
	uint64_t at;

	if (w->protocol != PVH || !k->elf.linux_entry)
		return;
	if (w->req->nr_e820 <= PVH_E820_MAX && (!w->req->initrd_size || initrd_find(w, &at)))
		return;
	w->protocol = k->elf.wide ? LINUX64 : LINUX32;
	w->entry = k->elf.linux_entry;
}

int boot_build(struct boot *b, const struct boot_request *req, struct err *err)
{
	struct work w = { .b = b, .req = req, .err = err };
	const struct boot_kernel *k = req->kernel;
	struct piece gdt, cmdline;
	int ret;

	*b = (struct boot){ 0 };
	ret = k->is_elf ? elf_place(&w, &k->elf) : bzimage_place(&w, &k->bzimage);
	if (!ret)
		ret = piece_place(&w, "GDT", ENTRY_GDT_SIZE, &gdt);
	if (!ret)
		ret = cmdline_place(&w, &cmdline);
	if (!ret) {
		protocol_reconsider(&w);
		ret = w.protocol == PVH ? pvh_build(&w, &gdt, &cmdline)
					: linux_build(&w, &gdt, &cmdline);
	}
	if (!ret)
		entry_gdt(&b->cpu, gdt.data);
	b->protocol = protocol_names[w.protocol];
	return ret;
}
