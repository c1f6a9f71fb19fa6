/*
 *	ELF header | PT_NOTE, PT_LOAD... | notes | ... | RAM, block by block
 *
 * The notes must lie before RAM and the first PT_LOAD must have no alignment: by these crash(8)
 * tells such a file from those of netdump, and it reads all up to there at once (its netdump.c).
 */
#include "vmm/vm/core.h"

#include "vmm/base/bytes.h"
#include "vmm/host/ram_reader.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE  (4 * KIB)
#define CHUNK MIB

/* The size of a note with a name of four letters. */
#define NOTE_SIZE(content) (sizeof(Elf64_Nhdr) + 8 + (content))

/*
 * struct elf_prstatus (linux/elfcore.h) of x86-64: the thread's number is at offset 32, the
 * registers (struct user_regs_struct) are at 112.
 */
#define PRSTATUS_SIZE 336
#define PRSTATUS_PID  32
#define PRSTATUS_REGS 112
/* QEMUCPUState of QEMU's target/i386/arch_dump.c, version 1. */
#define QEMU_SIZE 432

#define NOTES_SIZE (NOTE_SIZE(PRSTATUS_SIZE) + NOTE_SIZE(QEMU_SIZE)) /* of a vCPU */

struct core_file {
	const struct core *core;
	const char *path;
	int fd;
	uint64_t nr_loads;
	uint64_t memory; /* offset of the first block of RAM */
	uint64_t size;
	struct ram_reader reader;
	uint8_t chunk[CHUNK];
};

/* --- headers --- */

/*
 * Calls `add` for each span of guest addresses that is one span of the file. A fold begins where
 * the guest address is a multiple of it. Returns how many there are.
 */
static uint64_t each_load(const struct core_file *f,
			  void (*add)(struct bytes_out *b, struct span gpa, uint64_t offset),
			  struct bytes_out *b)
{
	const struct ram *ram = f->core->ram;
	uint64_t offset = f->memory, n = 0;

	for (size_t i = 0; i < ram->nr_blocks; i++) {
		const struct span gpa = ram->blocks[i].gpa;

		if (!ram->fold) {
			if (add)
				add(b, gpa, offset);
			offset += align_up(span_size(gpa), PAGE);
			n++;
			continue;
		}
		for (uint64_t at = gpa.base; at < gpa.end; n++) {
			uint64_t skip = at % ram->fold;
			struct span part = { at, min_u64(at - skip + ram->fold, gpa.end) };

			if (add)
				add(b, part, f->memory + skip);
			at = part.end;
		}
	}
	return n;
}

/*
 * The virtual address is the physical one, because gdb finds memory by the former. QEMU does the
 * same since version 8.0.
 */
static void put_load(struct bytes_out *b, struct span gpa, uint64_t offset)
{
	put_le(b, PT_LOAD, 4);
	put_le(b, PF_R | PF_W | PF_X, 4);
	put_le(b, offset, 8);
	put_le(b, gpa.base, 8);
	put_le(b, gpa.base, 8);
	put_le(b, span_size(gpa), 8);
	put_le(b, span_size(gpa), 8);
	put_le(b, 0, 8); /* alignment */
}

static void put_elf_header(struct bytes_out *b, uint64_t nr_headers)
{
	put_mem(b, ELFMAG, SELFMAG);
	put_le(b, ELFCLASS64, 1);
	put_le(b, ELFDATA2LSB, 1);
	put_le(b, EV_CURRENT, 1);
	put_pad(b, EI_NIDENT);
	put_le(b, ET_CORE, 2);
	put_le(b, EM_X86_64, 2);
	put_le(b, EV_CURRENT, 4);
	put_le(b, 0, 8);		  /* entry */
	put_le(b, sizeof(Elf64_Ehdr), 8); /* program headers */
	put_le(b, 0, 8);		  /* section headers */
	put_le(b, 0, 4);		  /* flags */
	put_le(b, sizeof(Elf64_Ehdr), 2);
	put_le(b, sizeof(Elf64_Phdr), 2);
	put_le(b, nr_headers, 2);
	put_pad(b, sizeof(Elf64_Ehdr));
}

/* --- notes --- */

static void put_note(struct bytes_out *b, const char *name, uint32_t type, uint32_t size)
{
	put_le(b, 5, 4); /* with the end of the string */
	put_le(b, size, 4);
	put_le(b, type, 4);
	put_mem(b, name, 5);
	put_fill(b, 0, 3);
}

/* In the order of struct user_regs_struct (sys/user.h). */
static void put_prstatus(struct bytes_out *b, const struct vcpu_state *cpu, unsigned number)
{
	const struct kvm_regs *r = &cpu->regs;
	const struct kvm_sregs *s = &cpu->sregs;
	const uint64_t values[] = {
		r->r15,		r->r14,		r->r13,		r->r12,
		r->rbp,		r->rbx,		r->r11,		r->r10,
		r->r9,		r->r8,		r->rax,		r->rcx,
		r->rdx,		r->rsi,		r->rdi,		0, /* orig_rax: no system call */
		r->rip,		s->cs.selector, r->rflags,	r->rsp,
		s->ss.selector, s->fs.base,	s->gs.base,	s->ds.selector,
		s->es.selector, s->fs.selector, s->gs.selector,
	};
	size_t begin;

	put_note(b, "CORE", NT_PRSTATUS, PRSTATUS_SIZE);
	begin = b->len;
	put_pad(b, begin + PRSTATUS_PID);
	put_le(b, number + 1, 4); /* gdb takes 0 for no thread */
	put_pad(b, begin + PRSTATUS_REGS);
	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		put_le(b, values[i], 8);
	put_pad(b, begin + PRSTATUS_SIZE);
}

/* The flags are bits 8 to 23 of the descriptor's second half (Intel SDM volume 3, figure 3-8). */
static void put_segment(struct bytes_out *b, const struct kvm_segment *s)
{
	uint32_t flags = (uint32_t)s->type << 8 | (uint32_t)s->s << 12 | (uint32_t)s->dpl << 13 |
			 (uint32_t)s->present << 15 | (uint32_t)s->avl << 20 |
			 (uint32_t)s->l << 21 | (uint32_t)s->db << 22 | (uint32_t)s->g << 23;

	put_le(b, s->selector, 4);
	put_le(b, s->limit, 4);
	put_le(b, flags, 4);
	put_le(b, 0, 4);
	put_le(b, s->base, 8);
}

static void put_table(struct bytes_out *b, const struct kvm_dtable *t)
{
	put_segment(b, &(struct kvm_segment){ .base = t->base, .limit = t->limit });
}

/* crash(8) finds by IDT and CR3 where KASLR has put the kernel. */
static void put_qemu(struct bytes_out *b, const struct vcpu_state *cpu)
{
	const struct kvm_regs *r = &cpu->regs;
	const struct kvm_sregs *s = &cpu->sregs;
	const uint64_t values[] = {
		r->rax, r->rbx, r->rcx, r->rdx, r->rsi, r->rdi, r->rsp, r->rbp, r->r8,
		r->r9,	r->r10, r->r11, r->r12, r->r13, r->r14, r->r15, r->rip, r->rflags,
	};
	const struct kvm_segment *const segments[] = {
		&s->cs, &s->ds, &s->es, &s->fs, &s->gs, &s->ss, &s->ldt, &s->tr,
	};
	const uint64_t control[] = { s->cr0, 0, s->cr2, s->cr3, s->cr4 };

	put_note(b, "QEMU", 0, QEMU_SIZE);
	put_le(b, 1, 4); /* version */
	put_le(b, QEMU_SIZE, 4);
	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		put_le(b, values[i], 8);
	for (size_t i = 0; i < ARRAY_SIZE(segments); i++)
		put_segment(b, segments[i]);
	put_table(b, &s->gdt);
	put_table(b, &s->idt);
	for (size_t i = 0; i < ARRAY_SIZE(control); i++)
		put_le(b, control[i], 8);
}

static uint64_t notes_offset(const struct core_file *f)
{
	return sizeof(Elf64_Ehdr) + (1 + f->nr_loads) * sizeof(Elf64_Phdr);
}

static uint64_t notes_size(const struct core_file *f)
{
	return f->core->nr_cpus * NOTES_SIZE;
}

static void put_notes_header(struct bytes_out *b, const struct core_file *f)
{
	put_le(b, PT_NOTE, 4);
	put_le(b, 0, 4);
	put_le(b, notes_offset(f), 8);
	put_le(b, 0, 8);
	put_le(b, 0, 8);
	put_le(b, notes_size(f), 8);
	put_le(b, notes_size(f), 8);
	put_le(b, 0, 8);
}

/* Decides what lies where. */
static int core_lay_out(struct core_file *f, struct err *err)
{
	const struct ram *ram = f->core->ram;

	f->nr_loads = each_load(f, NULL, NULL);
	if (f->nr_loads + 1 >= PN_XNUM)
		return err_set(err, E2BIG,
			       "a core file cannot say that memory repeats itself %" PRIu64
			       " times: use a larger --fold",
			       f->nr_loads);
	f->memory = align_up(notes_offset(f) + notes_size(f), PAGE);
	f->size = f->memory + ram->fold;
	for (size_t i = 0; i < ram->nr_blocks && !ram->fold; i++)
		f->size += align_up(span_size(ram->blocks[i].gpa), PAGE);
	return 0;
}

/* --- writing --- */

static int write_failed(const struct core_file *f, int code, struct err *err)
{
	if (code == EFBIG)
		return err_set(err, code,
			       "the core of the guest is a file of %" PRIu64
			       " MiB, which is more than the file system of %s or this process' "
			       "limit (ulimit -f, LimitFSIZE=) allows",
			       f->size / MIB, f->path);
	return err_sys(err, code, "cannot write the core of the guest to %s", f->path);
}

static int core_put(const struct core_file *f, const uint8_t *from, uint64_t len, uint64_t offset,
		    struct err *err)
{
	while (len) {
		ssize_t n = pwrite(f->fd, from, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return write_failed(f, n < 0 ? errno : EIO, err);
		from += n;
		len -= (uint64_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

static bool core_is_zero(const uint8_t *at, uint64_t len)
{
	return !*at && !memcmp(at, at + 1, len - 1);
}

/*
 * Writes the pages of the chunk that hold something. Memory that is allocated is often empty, as
 * most of a large page is.
 */
static int put_chunk(const struct core_file *f, uint64_t len, uint64_t offset, struct err *err)
{
	int ret = 0;

	for (uint64_t at = 0, end; ret == 0 && at < len; at = end) {
		bool empty = core_is_zero(f->chunk + at, min_u64(PAGE, len - at));

		end = at;
		do
			end += min_u64(PAGE, len - end);
		while (end < len &&
		       empty == core_is_zero(f->chunk + end, min_u64(PAGE, len - end)));
		if (!empty)
			ret = core_put(f, f->chunk + at, end - at, offset + at, err);
	}
	return ret;
}

static int write_block(struct core_file *f, const struct ram_block *b, uint64_t offset,
		       struct err *err)
{
	const struct core *core = f->core;
	uint64_t size = span_size(b->gpa), at = 0;

	while (at < size) {
		struct span run;
		uint64_t len;
		int ret = ram_reader_find(&f->reader, b, at, &run, err);

		if (ret < 0)
			return ret;
		if (core->stop && core->stop(core->to))
			return err_set(err, EINTR,
				       "the core of the guest was not written to %s: "
				       "that was interrupted",
				       f->path);
		at = run.base;
		len = min_u64(span_size(run), CHUNK);
		ret = len ? ram_reader_copy(&f->reader, b, at, f->chunk, len, err) : 0;
		if (ret == 0)
			ret = put_chunk(f, len, offset + at, err);
		if (ret < 0)
			return ret;
		at += len;
	}
	return 0;
}

static int write_memory(struct core_file *f, struct err *err)
{
	const struct ram *ram = f->core->ram;
	uint64_t offset = f->memory;
	int ret = ram_reader_open(&f->reader, ram, err);

	if (ret < 0)
		return ret;
	if (ram->fold)
		ret = write_block(f, &(struct ram_block){ .gpa = { 0, ram->fold } }, offset, err);
	for (size_t i = 0; ret == 0 && i < ram->nr_blocks && !ram->fold; i++) {
		ret = write_block(f, &ram->blocks[i], offset, err);
		offset += align_up(span_size(ram->blocks[i].gpa), PAGE);
	}
	ram_reader_close(&f->reader);
	return ret;
}

static int write_headers(const struct core_file *f, struct err *err)
{
	const struct core *core = f->core;
	struct bytes_out b = { .cap = notes_offset(f) + notes_size(f) };
	int ret;

	b.data = malloc(b.cap);
	if (!b.data)
		return err_sys(err, ENOMEM, "cannot write the headers of the guest's core");
	put_elf_header(&b, 1 + f->nr_loads);
	put_notes_header(&b, f);
	each_load(f, put_load, &b);
	for (unsigned i = 0; i < core->nr_cpus; i++)
		put_prstatus(&b, &core->cpus[i], i);
	for (unsigned i = 0; i < core->nr_cpus; i++)
		put_qemu(&b, &core->cpus[i]);
	assert(b.len == b.cap);
	ret = core_put(f, b.data, b.len, 0, err);
	free(b.data);
	return ret;
}

static int core_fill(struct core_file *f, struct err *err)
{
	int ret = core_lay_out(f, err);

	if (ret < 0)
		return ret;
	/* The length comes first, because a file system that allows less says so at once. */
	if (ftruncate(f->fd, (off_t)f->size) < 0)
		return write_failed(f, errno, err);
	ret = write_memory(f, err);
	return ret < 0 ? ret : write_headers(f, err);
}

int core_write(const struct core *core, const char *path, struct err *err)
{
	struct core_file *f = malloc(sizeof(*f));
	int ret;

	if (!f)
		return err_sys(err, ENOMEM, "cannot write the core of the guest to %s", path);
	f->core = core;
	f->path = path;
	/* Guest memory holds secrets. A file that is there already is somebody's. */
	f->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (f->fd < 0) {
		ret = err_sys(err, errno, "cannot create %s for the core of the guest", path);
		free(f);
		return ret;
	}
	ret = core_fill(f, err);
	/* NFS says only now that its disk is full. */
	if (close(f->fd) < 0 && ret == 0)
		ret = write_failed(f, errno, err);
	if (ret < 0)
		unlink(path);
	free(f);
	return ret;
}
