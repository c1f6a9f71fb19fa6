#include "firmware/elf.h"

#include "vmm/base/bytes.h"
#include "vmm/base/span.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* ELF file header and program headers, System V ABI "ELF Header" and "Program Header" */
#define EI_CLASS  4
#define EI_DATA	  5
#define E_TYPE	  16
#define E_MACHINE 18
#define E_ENTRY	  24

#define ELFCLASS32  1
#define ELFCLASS64  2
#define ELFDATA2LSB 1
#define ET_EXEC	    2
#define ET_DYN	    3
#define EM_386	    3
#define EM_X86_64   62
#define PT_LOAD	    1
#define PT_INTERP   3
#define PT_NOTE	    4

#define PHDRS_MAX 256 /* vmlinux has 5; bounds the work that a hostile file can ask for */

/* The differences of ELF32 and ELF64: offsets, and the size of an address. */
struct class
{
	unsigned address; /* bytes of an address, an offset or a size */
	unsigned ehdr_size, e_phoff, e_phentsize, e_phnum;
	unsigned phdr_size, p_offset, p_vaddr, p_paddr, p_filesz, p_memsz, p_align;
};

static const struct class class64 = { 8, 64, 32, 54, 56, 56, 8, 16, 24, 32, 40, 48 };
static const struct class class32 = { 4, 52, 28, 42, 44, 32, 4, 8, 12, 16, 20, 28 };

/* elfnote.h: "Physical entry point into the kernel", a 32-bit address */
#define XEN_ELFNOTE_PHYS32_ENTRY 18

/*
 * Multiboot Specification 0.6.96, section 3.1: three fields that add up to zero, the first of them
 * the magic number, on a multiple of 4 in the first 8192 bytes of the file.
 */
#define MULTIBOOT_MAGIC	 0x1badb002u
#define MULTIBOOT_WITHIN 8192

struct program_header {
	uint32_t type;
	uint64_t offset, vaddr, paddr, file_size, mem_size, align;
};

struct file {
	const uint8_t *data;
	size_t len;
	const struct class *class;
	uint64_t phoff;
	unsigned phnum;
	bool interp;   /* names a dynamic linker */
	bool is_linux; /* has a note with the name "Linux" */
	uint64_t pvh_entry;
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
	unsigned type, machine, phentsize;

	f->class = f->len > EI_CLASS && h[EI_CLASS] == ELFCLASS32 ? &class32 : &class64;
	if (f->len < f->class->ehdr_size)
		return err_set(f->err, ENOEXEC,
			       "truncated ELF file: %zu bytes, less than its header", f->len);
	machine = (unsigned)load_le(h + E_MACHINE, 2);
	if (h[EI_DATA] != ELFDATA2LSB)
		return err_set(f->err, ENOEXEC, "a big-endian ELF file; give an x86 vmlinux");
	if (h[EI_CLASS] != ELFCLASS64 && h[EI_CLASS] != ELFCLASS32)
		return err_set(f->err, ENOEXEC, "corrupt ELF file: its class is %u", h[EI_CLASS]);
	if (machine != EM_X86_64 && machine != EM_386)
		return err_set(f->err, ENOEXEC,
			       "an ELF file for another machine (e_machine %u, x86-64 is %u)",
			       machine, EM_X86_64);
	type = (unsigned)load_le(h + E_TYPE, 2);
	if (type != ET_EXEC && type != ET_DYN)
		return err_set(f->err, ENOEXEC,
			       "an ELF file that is no executable (e_type %u): an object, a kernel "
			       "module or a core dump",
			       type);

	f->elf->wide = f->class == &class64;
	f->phoff = load_le(h + f->class->e_phoff, f->class->address);
	f->phnum = (unsigned)load_le(h + f->class->e_phnum, 2);
	phentsize = (unsigned)load_le(h + f->class->e_phentsize, 2);
	if (!f->phnum)
		return err_set(f->err, ENOEXEC,
			       "an ELF file without program headers: nothing to load");
	if (f->phnum > PHDRS_MAX || phentsize != f->class->phdr_size)
		return err_set(
			f->err, ENOEXEC,
			"corrupt ELF file: %u program headers of %u bytes; expected are up to "
			"%u of %u",
			f->phnum, phentsize, PHDRS_MAX, f->class->phdr_size);
	if (f->phoff > f->len || f->phnum * (uint64_t)f->class->phdr_size > f->len - f->phoff)
		return err_set(f->err, ENOEXEC,
			       "truncated ELF file: %zu bytes end before its program headers",
			       f->len);
	return 0;
}

/* Reads program header `i`, and checks that the bytes it names are in the file. */
static int program_header(const struct file *f, unsigned i, struct program_header *ph)
{
	const struct class *c = f->class;
	const uint8_t *p = f->data + f->phoff + (size_t)i * c->phdr_size;

	*ph = (struct program_header){
		.type = (uint32_t)load_le(p, 4),
		.offset = load_le(p + c->p_offset, c->address),
		.vaddr = load_le(p + c->p_vaddr, c->address),
		.paddr = load_le(p + c->p_paddr, c->address),
		.file_size = load_le(p + c->p_filesz, c->address),
		.mem_size = load_le(p + c->p_memsz, c->address),
		.align = load_le(p + c->p_align, c->address),
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
 * Looks for the PVH note (true: found), and for any note of Linux. "Note Section": name size,
 * descriptor size and type of 4 bytes each, then name and descriptor; each starts at a multiple of
 * `align`.
 */
static bool notes_walk(struct file *f, const struct program_header *ph, uint64_t align)
{
	struct bytes_in in = { .data = f->data + ph->offset, .len = ph->file_size };
	bool found = false;

	while (!in.failed && in.at < in.len) {
		uint64_t name_size = get_le(&in, 4), desc_size = get_le(&in, 4);
		uint64_t type = get_le(&in, 4);
		const uint8_t *name = get_mem(&in, name_size);
		const uint8_t *desc;

		get_seek(&in, align_up(in.at, align));
		desc = get_mem(&in, desc_size);
		if (!name || !desc)
			break;
		get_seek(&in, align_up(in.at, align));
		if (name_size == 6 && !memcmp(name, "Linux", 6))
			f->is_linux = true;
		if (type != XEN_ELFNOTE_PHYS32_ENTRY || name_size != 4 || memcmp(name, "Xen", 4))
			continue;
		if (desc_size == 4 || desc_size == 8) {
			f->pvh_entry = load_le(desc, (unsigned)desc_size);
			f->elf->pvh = found = true;
		}
	}
	return found;
}

/*
 * The fields of a note start at multiples of 4, or of 8 if the segment's alignment is 8. Both are
 * tried, because some linkers put notes with alignment 4 into segments of alignment 8.
 */
static void notes_read(struct file *f, const struct program_header *ph)
{
	if (ph->align != 8 || !notes_walk(f, ph, 8))
		notes_walk(f, ph, 4);
}

static bool multiboot_is(const struct file *f)
{
	size_t end = f->len < MULTIBOOT_WITHIN ? f->len : MULTIBOOT_WITHIN;

	for (size_t at = 0; at + 12 <= end; at += 4) {
		uint32_t magic = (uint32_t)load_le(f->data + at, 4);
		uint32_t flags = (uint32_t)load_le(f->data + at + 4, 4);
		uint32_t sum = (uint32_t)load_le(f->data + at + 8, 4);

		if (magic == MULTIBOOT_MAGIC && (uint32_t)(magic + flags + sum) == 0)
			return true;
	}
	return false;
}

static bool entry_loaded(const struct elf *elf, uint64_t entry)
{
	for (unsigned i = 0; i < elf->nr_segments; i++) {
		const struct elf_segment *s = &elf->segments[i];

		if (span_holds((struct span){ s->gpa, s->gpa + s->file_size }, entry, 1))
			return true;
	}
	return false;
}

/*
 * Finds the physical entry. Linux links vmlinux with a physical e_entry, but most linkers write a
 * virtual one. It is taken as physical first, because vmlinux also has a per-CPU segment at virtual
 * address 0.
 */
static bool entry_find(const struct file *f, uint64_t *entry)
{
	const struct elf *elf = f->elf;

	*entry = load_le(f->data + E_ENTRY, f->class->address);
	if (entry_loaded(elf, *entry))
		return true;
	for (unsigned i = 0; i < elf->nr_segments; i++) {
		const struct elf_segment *s = &elf->segments[i];
		uint64_t into = *entry - f->vaddr[i];

		if (*entry >= f->vaddr[i] && into < s->file_size) {
			*entry = s->gpa + into;
			return true;
		}
	}
	return false;
}

/*
 * A PVH note decides before anything else, because FreeBSD's kernels name a dynamic linker that
 * does not exist, and other kernels have a Multiboot header as well.
 */
static int protocol_find(struct file *f)
{
	struct elf *elf = f->elf;
	uint64_t entry;
	bool found = entry_find(f, &entry);

	if (elf->pvh) {
		elf->linux_entry = f->is_linux && found ? entry : 0;
		elf->entry = f->pvh_entry;
		if (elf->entry > UINT32_MAX || !entry_loaded(elf, elf->entry))
			return err_set(f->err, ENOEXEC,
				       "corrupt ELF file: the PVH entry %#" PRIx64
				       " is not in a segment below 4 GiB",
				       elf->entry);
		return 0;
	}
	if (f->interp)
		return err_set(f->err, ENOEXEC, "a program, not a kernel; give an x86-64 vmlinux");
	if (multiboot_is(f))
		return err_set(f->err, ENOEXEC,
			       "a kernel for the Multiboot protocol alone; give one that has a PVH "
			       "note, or a Linux bzImage or vmlinux");
	elf->entry = entry;
	if (!found)
		return err_set(f->err, ENOEXEC,
			       "corrupt ELF file: the entry %#" PRIx64
			       " is outside of its segments",
			       elf->entry);
	return 0;
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
			f.interp = true;
		else if (ph.type == PT_LOAD)
			ret = segment_add(&f, i, &ph);
		else if (ph.type == PT_NOTE)
			notes_read(&f, &ph);
	}
	if (ret)
		return ret;
	if (!elf->nr_segments)
		return err_set(err, ENOEXEC, "an ELF file without segments: nothing to load");
	return protocol_find(&f);
}
