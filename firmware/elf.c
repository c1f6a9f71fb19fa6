#include "firmware/elf.h"

#include "vmm/bytes.h"
#include "vmm/span.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* ELF64 file header and program headers, System V ABI "ELF Header" and "Program Header" */
#define EHDR_SIZE   64
#define EI_CLASS    4
#define EI_DATA	    5
#define E_TYPE	    16
#define E_MACHINE   18
#define E_ENTRY	    24
#define E_PHOFF	    32
#define E_PHENTSIZE 54
#define E_PHNUM	    56

#define PHDR_SIZE 56
#define PHDRS_MAX 256 /* vmlinux has 5; bounds the work that a hostile file can ask for */

#define ELFCLASS64  2
#define ELFDATA2LSB 1
#define ET_EXEC	    2
#define ET_DYN	    3
#define EM_X86_64   62
#define PT_LOAD	    1
#define PT_INTERP   3
#define PT_NOTE	    4

/* elfnote.h: "Physical entry point into the kernel", a 32-bit address */
#define XEN_ELFNOTE_PHYS32_ENTRY 18

struct program_header {
	uint32_t type;
	uint64_t offset, vaddr, paddr, file_size, mem_size, align;
};

struct file {
	const uint8_t *data;
	size_t len;
	uint64_t phoff;
	unsigned phnum;
	struct elf *elf;
	struct err *err;
	/* Addresses the segments are linked at, for a virtual e_entry. */
	uint64_t vaddr[ELF_SEGMENTS_MAX];
};

bool elf_is(const uint8_t *file, size_t len)
{
	return len >= 4 && !memcmp(file, "\177ELF", 4);
}

static int header_check(struct file *f)
{
	const uint8_t *h = f->data;
	unsigned type, machine;

	if (f->len < EHDR_SIZE)
		return err_set(f->err, ENOEXEC,
			       "truncated ELF file: %zu bytes, less than its header", f->len);
	machine = (unsigned)load_le(h + E_MACHINE, 2);
	if (h[EI_DATA] != ELFDATA2LSB)
		return err_set(f->err, ENOEXEC, "a big-endian ELF file; give an x86-64 vmlinux");
	if (h[EI_CLASS] != ELFCLASS64)
		return err_set(f->err, ENOEXEC, "a 32-bit ELF file; give an x86-64 vmlinux");
	if (machine != EM_X86_64)
		return err_set(f->err, ENOEXEC,
			       "an ELF file for another machine (e_machine %u, x86-64 is %u)",
			       machine, EM_X86_64);
	type = (unsigned)load_le(h + E_TYPE, 2);
	if (type != ET_EXEC && type != ET_DYN)
		return err_set(f->err, ENOEXEC,
			       "an ELF file that is no executable (e_type %u): an object, a kernel "
			       "module or a core dump",
			       type);

	f->phoff = load_le(h + E_PHOFF, 8);
	f->phnum = (unsigned)load_le(h + E_PHNUM, 2);
	if (!f->phnum)
		return err_set(f->err, ENOEXEC,
			       "an ELF file without program headers: nothing to load");
	if (f->phnum > PHDRS_MAX || load_le(h + E_PHENTSIZE, 2) != PHDR_SIZE)
		return err_set(
			f->err, ENOEXEC,
			"corrupt ELF file: %u program headers of %u bytes; expected are up to "
			"%u of %u",
			f->phnum, (unsigned)load_le(h + E_PHENTSIZE, 2), PHDRS_MAX, PHDR_SIZE);
	if (f->phoff > f->len || f->phnum * (uint64_t)PHDR_SIZE > f->len - f->phoff)
		return err_set(f->err, ENOEXEC,
			       "truncated ELF file: %zu bytes end before its program headers",
			       f->len);
	return 0;
}

/* Program header `i`; its bytes in the file are checked to be there. */
static int program_header(const struct file *f, unsigned i, struct program_header *ph)
{
	const uint8_t *p = f->data + f->phoff + (size_t)i * PHDR_SIZE;

	*ph = (struct program_header){
		.type = (uint32_t)load_le(p, 4),
		.offset = load_le(p + 8, 8),
		.vaddr = load_le(p + 16, 8),
		.paddr = load_le(p + 24, 8),
		.file_size = load_le(p + 32, 8),
		.mem_size = load_le(p + 40, 8),
		.align = load_le(p + 48, 8),
	};
	if (ph->offset > f->len || ph->file_size > f->len - ph->offset) {
		if (ph->type == PT_LOAD || ph->type == PT_NOTE)
			return err_set(f->err, ENOEXEC,
				       "truncated ELF file: %zu bytes, but program header %u is of "
				       "%" PRIu64 " bytes at %#" PRIx64,
				       f->len, i, ph->file_size, ph->offset);
		ph->file_size = 0;
	}
	return 0;
}

static int segment_add(struct file *f, unsigned i, const struct program_header *ph)
{
	struct elf *elf = f->elf;
	struct span at = { ph->paddr, ph->paddr + ph->mem_size };

	if (ph->file_size > ph->mem_size)
		return err_set(f->err, ENOEXEC,
			       "corrupt ELF file: segment %u has %" PRIu64
			       " bytes in the file, but %" PRIu64 " in memory",
			       i, ph->file_size, ph->mem_size);
	if (!ph->mem_size)
		return 0;
	if (ph->mem_size > UINT64_MAX - ph->paddr)
		return err_set(f->err, ENOEXEC,
			       "corrupt ELF file: segment %u, %" PRIu64 " bytes at %#" PRIx64
			       ", wraps around",
			       i, ph->mem_size, ph->paddr);
	for (unsigned k = 0; k < elf->nr_segments; k++) {
		const struct elf_segment *s = &elf->segments[k];

		if (span_overlaps(at, (struct span){ s->gpa, s->gpa + s->mem_size }))
			return err_set(f->err, ENOEXEC,
				       "corrupt ELF file: segment %u, %" PRIu64
				       " bytes at %#" PRIx64 ", overlaps another",
				       i, ph->mem_size, ph->paddr);
	}
	if (elf->nr_segments == ELF_SEGMENTS_MAX)
		return err_set(f->err, ENOEXEC, "an ELF file of more than %u segments to load",
			       ELF_SEGMENTS_MAX);

	f->vaddr[elf->nr_segments] = ph->vaddr;
	elf->segments[elf->nr_segments++] = (struct elf_segment){
		.offset = ph->offset,
		.file_size = ph->file_size,
		.gpa = ph->paddr,
		.mem_size = ph->mem_size,
	};
	return 0;
}

/*
 * Looks for the PVH note. "Note Section": name size, descriptor size and type of 4 bytes each, then
 * name and descriptor; each starts at a multiple of 4, or of 8 if the segment says so.
 */
static void notes_read(struct file *f, const struct program_header *ph)
{
	uint64_t align = ph->align == 8 ? 8 : 4;
	struct bytes_in in = { .data = f->data + ph->offset, .len = ph->file_size };

	while (!in.failed && in.at < in.len) {
		uint64_t name_size = get_le(&in, 4), desc_size = get_le(&in, 4);
		uint64_t type = get_le(&in, 4);
		const uint8_t *name = get_mem(&in, name_size);
		const uint8_t *desc;

		get_seek(&in, align_up(in.at, align));
		desc = get_mem(&in, desc_size);
		if (!name || !desc)
			return;
		get_seek(&in, align_up(in.at, align));
		if (type != XEN_ELFNOTE_PHYS32_ENTRY || name_size != 4 || memcmp(name, "Xen", 4))
			continue;
		if (desc_size == 4 || desc_size == 8) {
			f->elf->entry = load_le(desc, (unsigned)desc_size);
			f->elf->pvh = true;
		}
	}
}

static bool entry_loaded(const struct elf *elf)
{
	for (unsigned i = 0; i < elf->nr_segments; i++) {
		const struct elf_segment *s = &elf->segments[i];

		if (span_holds((struct span){ s->gpa, s->gpa + s->file_size }, elf->entry, 1))
			return true;
	}
	return false;
}

/*
 * Linux links vmlinux with a physical e_entry, but a virtual one is what most linkers write. The
 * physical reading comes first: vmlinux also has a per-CPU segment at virtual address 0.
 */
static int entry_find(struct file *f)
{
	struct elf *elf = f->elf;

	if (elf->pvh) {
		if (elf->entry > UINT32_MAX || !entry_loaded(elf))
			return err_set(f->err, ENOEXEC,
				       "corrupt ELF file: the PVH entry %#" PRIx64
				       " is not in a segment below 4 GiB",
				       elf->entry);
		return 0;
	}
	elf->entry = load_le(f->data + E_ENTRY, 8);
	if (entry_loaded(elf))
		return 0;
	for (unsigned i = 0; i < elf->nr_segments; i++) {
		const struct elf_segment *s = &elf->segments[i];
		uint64_t into = elf->entry - f->vaddr[i];

		if (elf->entry >= f->vaddr[i] && into < s->file_size) {
			elf->entry = s->gpa + into;
			return 0;
		}
	}
	return err_set(f->err, ENOEXEC,
		       "corrupt ELF file: the entry %#" PRIx64 " is outside of its segments",
		       elf->entry);
}

int elf_parse(struct elf *elf, const uint8_t *file, size_t len, struct err *err)
{
	struct file f = { .data = file, .len = len, .elf = elf, .err = err };
	int ret;

	*elf = (struct elf){ 0 };
	if (!elf_is(file, len))
		return err_set(err, ENOEXEC, "not an ELF file");
	ret = header_check(&f);
	for (unsigned i = 0; !ret && i < f.phnum; i++) {
		struct program_header ph;

		ret = program_header(&f, i, &ph);
		if (ret)
			break;
		if (ph.type == PT_INTERP)
			ret = err_set(err, ENOEXEC,
				      "a program, not a kernel; give an x86-64 vmlinux");
		else if (ph.type == PT_LOAD)
			ret = segment_add(&f, i, &ph);
		else if (ph.type == PT_NOTE)
			notes_read(&f, &ph);
	}
	if (ret)
		return ret;
	if (!elf->nr_segments)
		return err_set(err, ENOEXEC, "an ELF file without segments: nothing to load");
	return entry_find(&f);
}
