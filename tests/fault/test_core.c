/*
 * Core files of a guest: what is in them, what they take up, and what is left when the host
 * refuses.
 */
#include "tests/fault/wrap.h"
#include "vmm/host/ram_reader.h"
#include "vmm/vm/core.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/procfs.h>
#include <sys/resource.h>
#include <unistd.h>

static struct err err;
static char folder[] = "/tmp/straddle-core-XXXXXX";
static char path[sizeof(folder) + 16];

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/core", folder);
	signal(SIGXFSZ, SIG_IGN); /* as main() does */
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder); /* which must be empty */
}

/* --- a guest --- */

static const struct span spans[] = { { 0, 3 * MIB },
				     { 4 * GIB, 4 * GIB + 2 * MIB },
				     { TIB, TIB + MIB } };
static const struct ram_backing private = { .page_size = 4 * KIB };
static const struct ram_backing shared = { .page_size = 4 * KIB, .shared = true };
static const struct ram_backing huge = { .page_size = 2 * MIB }; /* of small ones: see wrap.h */

static struct ram ram;
static struct vcpu_state cpus[2];

static struct core core(void)
{
	return (struct core){ .ram = &ram, .cpus = cpus, .nr_cpus = ARRAY_SIZE(cpus) };
}

static void put(uint64_t gpa, const char *text)
{
	strcpy(ram_at(&ram, gpa, strlen(text) + 1), text);
}

/* The bytes at the ends of blocks, at those of pages, and over the end of a page. */
static void make_guest(const struct ram_backing *backing)
{
	wrap_small_memfd(true);
	assert_int_equal(ram_create(&ram, spans, ARRAY_SIZE(spans), backing, &err), 0);
	put(0, "first");
	put(2 * MIB - 3, "over the end of a page");
	put(3 * MIB - 5, "last");
	put(4 * GIB, "four");
	put(4 * GIB + MIB + 123, "in a page");
	put(TIB + MIB - 4, "end");
	memset(cpus, 0, sizeof(cpus));
	for (unsigned i = 0; i < ARRAY_SIZE(cpus); i++) {
		cpus[i].regs.rip = 0xffffffff81000000 + i;
		cpus[i].regs.rsp = 0xffffc90000000000 + i;
		cpus[i].regs.r15 = 0x1515;
		cpus[i].regs.rax = 0xaa00 + i;
		cpus[i].regs.rflags = 2;
		cpus[i].sregs.cs = (struct kvm_segment){ .selector = 0x10,
							 .limit = 0xffffffff,
							 .type = 11,
							 .present = 1,
							 .s = 1,
							 .l = 1,
							 .g = 1,
							 .dpl = 3 };
		cpus[i].sregs.gs.base = 0xffff888000000000 + i;
		cpus[i].sregs.gs.selector = 0x2b;
		cpus[i].sregs.idt =
			(struct kvm_dtable){ .base = 0xfffffe0000000000, .limit = 0xfff };
		cpus[i].sregs.cr0 = 0x80050033;
		cpus[i].sregs.cr2 = 0x2222;
		cpus[i].sregs.cr3 = 0x3000 + i;
		cpus[i].sregs.cr4 = 0x4444;
	}
}

/* --- reading a core --- */

static struct {
	int fd;
	struct stat st;
	Elf64_Ehdr header;
	Elf64_Phdr notes;
	Elf64_Phdr *loads;
	unsigned nr_loads;
} file;

static void get(void *to, size_t len, uint64_t offset)
{
	assert_int_equal(pread(file.fd, to, len, (off_t)offset), len);
}

/* Writes the core and reads its headers; every reader's demands are met. */
static void write_core(void)
{
	struct wrap_held before = wrap_held();
	const struct core c = core();

	if (core_write(&c, path, &err) < 0)
		fail_msg("%s", err.text);
	wrap_assert_released(before, "core_write");
	file.fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fstat(file.fd, &file.st), 0);
	unlink(path);
	assert_int_equal(file.st.st_mode & 0777, 0600);
	get(&file.header, sizeof(file.header), 0);
	assert_memory_equal(file.header.e_ident, "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0", EI_NIDENT);
	assert_int_equal(file.header.e_type, ET_CORE);
	assert_int_equal(file.header.e_machine, EM_X86_64);
	assert_int_equal(file.header.e_version, EV_CURRENT);
	assert_int_equal(file.header.e_ehsize, sizeof(Elf64_Ehdr));
	assert_int_equal(file.header.e_phentsize, sizeof(Elf64_Phdr));
	assert_int_equal(file.header.e_shnum, 0);
	file.nr_loads = file.header.e_phnum - 1u;
	file.loads = calloc(file.nr_loads, sizeof(*file.loads));
	get(&file.notes, sizeof(file.notes), file.header.e_phoff);
	get(file.loads, file.nr_loads * sizeof(*file.loads),
	    file.header.e_phoff + sizeof(file.notes));
	assert_int_equal(file.notes.p_type, PT_NOTE);
	assert_true(file.notes.p_offset >=
		    file.header.e_phoff + file.header.e_phnum * sizeof(Elf64_Phdr));
	for (unsigned i = 0; i < file.nr_loads; i++) {
		const Elf64_Phdr *load = &file.loads[i];

		assert_int_equal(load->p_type, PT_LOAD);
		assert_int_equal(load->p_vaddr, load->p_paddr);
		assert_int_equal(load->p_filesz, load->p_memsz);
		assert_int_equal(load->p_align, 0);
		assert_int_equal(load->p_offset % 4096, 0);
		assert_true(load->p_offset >= file.notes.p_offset + file.notes.p_filesz);
		assert_true(load->p_offset + load->p_filesz <= (uint64_t)file.st.st_size);
	}
}

static void close_core(void)
{
	free(file.loads);
	close(file.fd);
}

/* The bytes of each load are those of RAM at its address. */
static void check_memory(void)
{
	uint8_t *bytes = malloc(3 * MIB);

	for (unsigned i = 0; i < file.nr_loads; i++) {
		const Elf64_Phdr *load = &file.loads[i];

		assert_true(load->p_filesz <= 3 * MIB);
		get(bytes, load->p_filesz, load->p_offset);
		assert_memory_equal(bytes, ram_at(&ram, load->p_paddr, load->p_memsz),
				    load->p_memsz);
	}
	free(bytes);
}

static void test_contents(void **state)
{
	static const struct ram_backing *const backings[] = { &private, &shared, &huge };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(backings); i++) {
		make_guest(backings[i]);
		write_core();
		assert_int_equal(file.nr_loads, ARRAY_SIZE(spans));
		for (unsigned n = 0; n < file.nr_loads; n++) {
			assert_int_equal(file.loads[n].p_paddr, spans[n].base);
			assert_int_equal(file.loads[n].p_memsz, span_size(spans[n]));
		}
		check_memory();
		/* 6 pages of 6 MiB, and the headers */
		assert_true(file.st.st_size > 6 * (off_t)MIB);
		assert_true(file.st.st_blocks * 512 < 64 * (off_t)KIB);
		close_core();
		ram_destroy(&ram);
	}
}

/* The note at *at, and behind it. */
static const void *next_note(const uint8_t *notes, size_t *at, const char *name, uint32_t type,
			     uint32_t size)
{
	const Elf64_Nhdr *n = (const void *)(notes + *at);
	const void *content = notes + *at + sizeof(*n) + 8;

	assert_true(*at + sizeof(*n) + 8 + size <= file.notes.p_filesz);
	assert_int_equal(n->n_namesz, 5);
	assert_string_equal((const char *)(n + 1), name);
	assert_int_equal(n->n_type, type);
	assert_int_equal(n->n_descsz, size);
	*at += sizeof(*n) + 8 + size;
	return content;
}

/* As QEMU's target/i386/arch_dump.c has it. */
struct qemu_segment {
	uint32_t selector, limit, flags, pad;
	uint64_t base;
};
struct qemu_state {
	uint32_t version, size;
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, r8_to_r15[8], rip, rflags;
	struct qemu_segment cs, ds, es, fs, gs, ss, ldt, tr, gdt, idt;
	uint64_t cr[5];
};

static void test_notes(void **state)
{
	uint8_t notes[4096] __attribute__((aligned(8)));
	size_t at = 0;

	(void)state;
	make_guest(&private);
	write_core();
	assert_true(file.notes.p_filesz <= sizeof(notes));
	get(notes, file.notes.p_filesz, file.notes.p_offset);
	assert_int_equal(sizeof(prstatus_t), 336);
	for (unsigned i = 0; i < ARRAY_SIZE(cpus); i++) {
		prstatus_t s;

		memcpy(&s, next_note(notes, &at, "CORE", NT_PRSTATUS, sizeof(s)), sizeof(s));
		assert_int_equal(s.pr_pid, i + 1);
		assert_int_equal(s.pr_reg[0], 0x1515);
		assert_int_equal(s.pr_reg[10], 0xaa00 + i);		/* rax */
		assert_int_equal(s.pr_reg[16], 0xffffffff81000000 + i); /* rip */
		assert_int_equal(s.pr_reg[17], 0x10);			/* cs */
		assert_int_equal(s.pr_reg[18], 2);			/* rflags */
		assert_int_equal(s.pr_reg[19], 0xffffc90000000000 + i); /* rsp */
		assert_int_equal(s.pr_reg[22], 0xffff888000000000 + i); /* base of gs */
		assert_int_equal(s.pr_reg[26], 0x2b);			/* gs */
	}
	assert_int_equal(sizeof(struct qemu_state), 432);
	for (unsigned i = 0; i < ARRAY_SIZE(cpus); i++) {
		struct qemu_state s;

		memcpy(&s, next_note(notes, &at, "QEMU", 0, sizeof(s)), sizeof(s));
		assert_int_equal(s.version, 1);
		assert_int_equal(s.size, sizeof(s));
		assert_int_equal(s.rax, 0xaa00 + i);
		assert_int_equal(s.r8_to_r15[7], 0x1515);
		assert_int_equal(s.rip, 0xffffffff81000000 + i);
		assert_int_equal(s.cs.selector, 0x10);
		assert_int_equal(s.cs.limit, 0xffffffff);
		assert_int_equal(s.cs.flags, 0xa0fb00);
		assert_int_equal(s.gs.base, 0xffff888000000000 + i);
		assert_int_equal(s.idt.base, 0xfffffe0000000000);
		assert_int_equal(s.idt.limit, 0xfff);
		assert_int_equal(s.cr[0], 0x80050033);
		assert_int_equal(s.cr[2], 0x2222);
		assert_int_equal(s.cr[3], 0x3000 + i);
		assert_int_equal(s.cr[4], 0x4444);
	}
	assert_int_equal(at, file.notes.p_filesz);
	close_core();
	ram_destroy(&ram);
}

static uint64_t resident(const void *at, uint64_t len)
{
	unsigned char *pages = malloc(len / 4096);
	uint64_t n = 0;

	assert_int_equal(mincore((void *)at, len, pages), 0);
	for (uint64_t i = 0; i < len / 4096; i++)
		n += pages[i] & 1;
	free(pages);
	return n;
}

/* A guest of a terabyte that has touched little leaves little, and touches no more by that. */
static void test_large(void **state)
{
	static const struct span large[] = { { 0, 3 * GIB }, { 4 * GIB, TIB } };
	static const struct ram_backing *const backings[] = { &private, &shared };
	static const uint64_t at[] = { 0, 3 * GIB - 4096, 100 * GIB, TIB - 4096 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(backings); i++) {
		uint64_t before;
		char text[4];

		assert_int_equal(ram_create(&ram, large, ARRAY_SIZE(large), backings[i], &err), 0);
		for (size_t n = 0; n < ARRAY_SIZE(at); n++)
			put(at[n], "big");
		before = resident(ram_at(&ram, 100 * GIB, GIB), GIB);
		write_core();
		assert_int_equal(resident(ram_at(&ram, 100 * GIB, GIB), GIB), before);
		assert_true(file.st.st_size > (off_t)(1000 * GIB));
		assert_true(file.st.st_blocks * 512 < 64 * (off_t)KIB);
		for (size_t n = 0; n < ARRAY_SIZE(at); n++) {
			const Elf64_Phdr *load = &file.loads[at[n] > 3 * GIB];

			get(text, sizeof(text), load->p_offset + at[n] - load->p_paddr);
			assert_string_equal(text, "big");
		}
		close_core();
		ram_destroy(&ram);
	}
}

/* RAM that repeats itself is there once. */
static void test_fold(void **state)
{
	static const struct span parts[] = { { 0, 3 * MIB },
					     { 5 * MIB, 6 * MIB },
					     { TIB, TIB + GIB } };
	static struct ram_block much = { .gpa = { 0, 200 * GIB } };
	static const struct ram_backing folded = { .page_size = 4 * KIB, .fold = 2 * MIB };
	const struct core c = core();

	(void)state;
	assert_int_equal(ram_create(&ram, parts, ARRAY_SIZE(parts), &folded, &err), 0);
	put(MIB + 5, "odd");
	put(5, "even");
	write_core();
	assert_int_equal(file.nr_loads, 2 + 1 + 512);
	assert_int_equal(file.loads[1].p_paddr, 2 * MIB);
	assert_int_equal(file.loads[1].p_memsz, MIB);
	assert_int_equal(file.loads[2].p_paddr, 5 * MIB);
	assert_int_equal(file.loads[514].p_paddr, TIB + GIB - 2 * MIB);
	check_memory();
	assert_true(file.st.st_size < 3 * (off_t)MIB);
	close_core();
	ram_destroy(&ram);

	/* More mappings than a process has by default, so they are not made. */
	ram = (struct ram){ .blocks = &much, .nr_blocks = 1, .memfd = -1, .fold = 2 * MIB };
	assert_int_equal(core_write(&c, path, &err), -E2BIG);
	wrap_assert_says(&err, "memory repeats itself 102400 times: use a larger --fold");
	assert_int_equal(access(path, F_OK), -1);
}

/* --- refusals --- */

static int attempt(void *to, struct err *e)
{
	const struct core c = core();
	int ret = core_write(&c, path, e);

	(void)to;
	/* A torn file is no better than none. */
	assert_int_equal(access(path, F_OK), ret < 0 ? -1 : 0);
	if (ret == 0)
		unlink(path);
	return ret < 0 ? -1 : 0;
}

static void test_refused(void **state)
{
	static const struct wrap_harmless again[] = {
		{ { .name = "pread" }, EINTR, "tried again" },
		{ { 0 }, 0, NULL },
	};
	static const struct ram_backing *const backings[] = { &private, &shared };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(backings); i++) {
		make_guest(backings[i]);
		wrap_sweep(attempt, NULL, ENOSPC, NULL);
		wrap_sweep(attempt, NULL, ENOMEM, NULL);
		wrap_sweep(attempt, NULL, EINTR, again);
		ram_destroy(&ram);
	}
}

static void test_disk_is_full(void **state)
{
	const struct core c = core();
	struct rlimit was, little;
	int ret;

	(void)state;
	make_guest(&private);
	for (unsigned n = 1; n <= 7; n++) { /* 6 pages and the headers */
		wrap_fail_named("pwrite", n, ENOSPC);
		assert_int_equal(core_write(&c, path, &err), -ENOSPC);
		wrap_assert_says(&err, "cannot write the core of the guest to /tmp/straddle-core-");
		wrap_assert_says(&err, "/core: No space left on device");
		assert_int_equal(access(path, F_OK), -1);
		wrap_fail_named("pwrite", n, EINTR); /* which is tried again */
		assert_int_equal(core_write(&c, path, &err), 0);
		unlink(path);
	}
	wrap_reset();

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	little = (struct rlimit){ MIB, was.rlim_max };
	setrlimit(RLIMIT_FSIZE, &little);
	ret = core_write(&c, path, &err);
	setrlimit(RLIMIT_FSIZE, &was);
	assert_int_equal(ret, -EFBIG);
	wrap_assert_says(&err, "the core of the guest is a file of 6 MiB, which is more than");
	wrap_assert_says(&err, "(ulimit -f, LimitFSIZE=)");
	assert_int_equal(access(path, F_OK), -1);
	ram_destroy(&ram);
}

/* Somebody's file stays as it is. */
static void test_exists(void **state)
{
	const struct core c = core();
	char content[5] = "";
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	(void)state;
	make_guest(&private);
	assert_int_equal(write(fd, "mine", 4), 4);
	assert_int_equal(core_write(&c, path, &err), -EEXIST);
	wrap_assert_says(&err, "/core for the core of the guest: File exists");
	assert_int_equal(pread(fd, content, 4, 0), 4);
	assert_string_equal(content, "mine");
	close(fd);
	unlink(path);
	ram_destroy(&ram);
}

static unsigned asked;

static bool stop_third(void *to)
{
	assert_ptr_equal(to, &asked);
	return ++asked == 3;
}

static void test_interrupted(void **state)
{
	struct core c = core();

	(void)state;
	make_guest(&private);
	c.stop = stop_third;
	c.to = &asked;
	asked = 0;
	assert_int_equal(core_write(&c, path, &err), -EINTR);
	wrap_assert_says(&err, "/core: that was interrupted");
	assert_int_equal(asked, 3);
	assert_int_equal(access(path, F_OK), -1);
	ram_destroy(&ram);
}

/* A page with a memory error is missing; the rest is there. */
static void test_bad_page(void **state)
{
	static struct ram_reader reader;
	struct span run = { 0, 0 };
	uint8_t page[4096];

	(void)state;
	make_guest(&private);
	assert_int_equal(ram_reader_open(&reader, &ram, &err), 0);
	assert_int_equal(ram_reader_find(&reader, &ram.blocks[0], 0, &run, &err), 0);
	assert_int_equal(run.base, 0);
	wrap_fail_named("pread", 1, EIO);
	assert_int_equal(ram_reader_copy(&reader, &ram.blocks[0], 0, page, sizeof(page), &err), 0);
	assert_int_equal(reader.bad, 1);
	assert_int_equal(page[0], 0);
	assert_int_equal(ram_reader_copy(&reader, &ram.blocks[0], 0, page, sizeof(page), &err), 0);
	assert_string_equal((char *)page, "first");
	for (unsigned i = 2; i < RAM_READER_BAD_MAX; i++) {
		wrap_fail_named("pread", 1, EFAULT);
		assert_int_equal(ram_reader_copy(&reader, &ram.blocks[0], 0, page, 9, &err), 0);
	}
	wrap_fail_named("pread", 1, EIO);
	assert_int_equal(ram_reader_copy(&reader, &ram.blocks[1], 4096, page, 9, &err), -EIO);
	wrap_assert_says(&err, "cannot read 64 pages of guest memory, the last at guest address "
			       "0x100001000");
	ram_reader_close(&reader);
	ram_destroy(&ram);
}

/* Bytes come in pieces. */
static void test_short_reads(void **state)
{
	(void)state;
	make_guest(&private);
	wrap_short_reads(1000);
	write_core();
	wrap_short_reads(0);
	check_memory();
	close_core();
	ram_destroy(&ram);
}

#define TEST(name) cmocka_unit_test_setup(name, wrap_setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_contents),	TEST(test_notes),	TEST(test_large),
		TEST(test_fold),	TEST(test_refused),	TEST(test_disk_is_full),
		TEST(test_exists),	TEST(test_interrupted), TEST(test_bad_page),
		TEST(test_short_reads),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
