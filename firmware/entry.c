#include "firmware/entry.h"

#include "vmm/base/bytes.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define CR0_PE (UINT64_C(1) << 0)
#define CR0_ET (UINT64_C(1) << 4) /* always set */
#define CR0_PG (UINT64_C(1) << 31)

#define CR4_PAE	 (UINT64_C(1) << 5)
#define EFER_LME (UINT64_C(1) << 8)
#define EFER_LMA (UINT64_C(1) << 10)

#define RFLAGS_FIXED 2 /* bit 1 is always set; interrupts are off */

/* Segment types, with the accessed bit set, so that loading a segment does not write to the GDT. */
#define TYPE_CODE 0xb /* execute, read */
#define TYPE_DATA 0x3 /* read, write */
#define TYPE_TSS  0xb /* busy, as VM entry demands of TR */

/* boot.rst, "64-bit BOOT PROTOCOL" */
#define BOOT_CS	 0x10
#define BOOT_DS	 0x18
#define BOOT_TSS 0x20

/* Present, writable; accessed and dirty, so that a walk does not write to the tables. */
#define PTE_TABLE 0x23
#define PTE_2MIB  0xe3
#define PTE_ADDR  UINT64_C(0x000ffffffffff000)

#define LOW_GIB 4 /* always mapped */

static void segments_set(struct entry_cpu *cpu, bool long_mode)
{
	cpu->data = (struct entry_segment){
		.limit = UINT32_MAX, .selector = BOOT_DS, .type = TYPE_DATA, .db = true, .g = true
	};
	cpu->code = (struct entry_segment){ .limit = UINT32_MAX,
					    .selector = BOOT_CS,
					    .type = TYPE_CODE,
					    .db = !long_mode,
					    .l = long_mode,
					    .g = true };
	cpu->task = (struct entry_segment){
		.limit = 0x67, .selector = BOOT_TSS, .type = TYPE_TSS, .system = true
	};
}

void entry_linux64(struct entry_cpu *cpu, uint64_t entry, uint64_t zeropage, uint64_t gdt,
		   uint64_t tables)
{
	*cpu = (struct entry_cpu){
		.rip = entry,
		.rflags = RFLAGS_FIXED,
		.rsi = zeropage,
		.cr0 = CR0_PE | CR0_ET | CR0_PG,
		.cr3 = tables,
		.cr4 = CR4_PAE,
		.efer = EFER_LME | EFER_LMA,
		.gdt = gdt,
	};
	segments_set(cpu, true);
}

static void entry_protected(struct entry_cpu *cpu, uint64_t entry, uint64_t gdt)
{
	*cpu = (struct entry_cpu){
		.rip = entry,
		.rflags = RFLAGS_FIXED,
		.cr0 = CR0_PE | CR0_ET,
		.gdt = gdt,
	};
	segments_set(cpu, false);
}

void entry_linux32(struct entry_cpu *cpu, uint64_t entry, uint64_t zeropage, uint64_t gdt)
{
	entry_protected(cpu, entry, gdt);
	cpu->rsi = zeropage;
}

void entry_pvh(struct entry_cpu *cpu, uint64_t entry, uint64_t start_info, uint64_t gdt)
{
	entry_protected(cpu, entry, gdt);
	cpu->rbx = start_info;
}

/* SDM figure 3-8, "Segment Descriptor". */
static uint64_t descriptor(const struct entry_segment *s)
{
	uint64_t limit = s->g ? s->limit >> 12 : s->limit;

	return (limit & 0xffff) | (s->base & 0xffffff) << 16 | (uint64_t)s->type << 40 |
	       (uint64_t)!s->system << 44 | UINT64_C(1) << 47 /* present */ |
	       (limit >> 16 & 0xf) << 48 | (uint64_t)s->l << 53 | (uint64_t)s->db << 54 |
	       (uint64_t)s->g << 55 | (s->base >> 24 & 0xff) << 56;
}

void entry_gdt(const struct entry_cpu *cpu, uint8_t gdt[ENTRY_GDT_SIZE])
{
	memset(gdt, 0, ENTRY_GDT_SIZE);
	store_le(gdt + cpu->code.selector, descriptor(&cpu->code), 8);
	store_le(gdt + cpu->data.selector, descriptor(&cpu->data), 8);
	/* In long mode a task descriptor has 16 bytes: the upper half of its base is zero. */
	store_le(gdt + cpu->task.selector, descriptor(&cpu->task), 8);
}

struct tables {
	uint8_t *buf;
	size_t cap, used;
	uint64_t gpa;
};

static uint8_t *page_add(struct tables *t)
{
	uint8_t *page = t->buf + t->used;

	if (t->cap - t->used < ENTRY_PAGE)
		return NULL;
	memset(page, 0, ENTRY_PAGE);
	t->used += ENTRY_PAGE;
	return page;
}

/* Returns the table of entry `i` of `parent`, and makes it if there is none; NULL: no room. */
static uint8_t *table_below(struct tables *t, uint8_t *parent, unsigned i, bool *made)
{
	uint64_t entry = load_le(parent + i * 8, 8);
	uint8_t *page;

	*made = !entry;
	if (entry)
		return t->buf + ((entry & PTE_ADDR) - t->gpa);
	page = page_add(t);
	if (page)
		store_le(parent + i * 8, (t->gpa + (uint64_t)(page - t->buf)) | PTE_TABLE, 8);
	return page;
}

/* Maps the GiB number `gib` to itself. */
static bool gib_map(struct tables *t, uint64_t gib)
{
	bool made;
	uint8_t *pdpt = table_below(t, t->buf, (unsigned)(gib >> 9), &made);
	uint8_t *pd = pdpt ? table_below(t, pdpt, gib & 511, &made) : NULL;

	if (!pd)
		return false;
	for (unsigned i = 0; made && i < 512; i++)
		store_le(pd + i * 8, (gib * GIB + i * 2 * MIB) | PTE_2MIB, 8);
	return true;
}

int entry_tables(uint8_t *buf, size_t cap, uint64_t gpa, const struct span *extra, size_t n,
		 size_t *used, struct err *err)
{
	struct tables t = { .buf = buf, .cap = cap, .gpa = gpa };
	bool room = page_add(&t);

	for (uint64_t gib = 0; room && gib < LOW_GIB; gib++)
		room = gib_map(&t, gib);
	for (size_t i = 0; room && i < n; i++) {
		if (extra[i].end > ENTRY_ADDRESS_MAX)
			return err_set(err, ERANGE,
				       "the kernel would lie up to %#" PRIx64
				       ", where page tables of 4 levels cannot map it",
				       extra[i].end);
		for (uint64_t gib = extra[i].base / GIB; room && gib * GIB < extra[i].end; gib++)
			room = gib_map(&t, gib);
	}
	if (!room)
		return err_set(
			err, ERANGE,
			"the kernel is scattered over too many GiB for %zu KiB of page tables",
			cap / 1024);
	*used = t.used;
	return 0;
}
