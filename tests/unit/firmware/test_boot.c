/* Where boot_build puts things, in guests of all shapes; tests/boot_check.h has the general rules.
 */
#include "firmware/boot.h"
#include "tests/boot_check.h"
#include "tests/kernel_files.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define LOW                                     \
	{                                       \
		{ 0, LOW_RAM_END }, E820_USABLE \
	}
#define ROM                                            \
	{                                              \
		{ ACPI_BASE, ACPI_END }, E820_RESERVED \
	}
#define RAM(from, to)                     \
	{                                 \
		{ from, to }, E820_USABLE \
	}

static const struct e820_entry tiny[] = { LOW, ROM, RAM(MIB, 2 * MIB) };
static const struct e820_entry normal[] = { LOW, ROM, RAM(MIB, 256 * MIB) };
/* Usable RAM that NUMA nodes cut at 20 MiB. */
static const struct e820_entry nodes[] = { LOW, ROM, RAM(MIB, 20 * MIB), RAM(20 * MIB, 256 * MIB) };
static const struct e820_entry hole[] = { LOW,
					  ROM,
					  RAM(MIB, 20 * MIB),
					  { { 20 * MIB, 21 * MIB + 1 }, E820_RESERVED },
					  RAM(21 * MIB + 1, 64 * MIB) };
static const struct e820_entry high[] = { LOW,
					  ROM,
					  RAM(MIB, 2 * MIB),
					  RAM(0xfcf0000000, 0xfd00000000),
					  { { 0xfd00000000, TIB }, E820_RESERVED },
					  RAM(TIB, TIB + GIB) };
static const struct e820_entry large[] = { LOW, ROM, RAM(MIB, 3 * GIB), RAM(4 * GIB, 8 * GIB) };

struct fixture {
	uint8_t file[BZ_SIZE];
	size_t len;
	uint8_t scratch[BOOT_SCRATCH_SIZE];
	struct boot_kernel kernel;
	struct boot_request req;
	struct boot boot;
	struct err err;
};

static struct fixture fixture;

static struct fixture *setup(const struct e820_entry *e820, size_t n, bool elf)
{
	struct fixture *f = &fixture;

	memset(f, 0, sizeof(*f));
	memset(f->scratch, 0xee, sizeof(f->scratch));
	if (elf)
		elf_make(f->file);
	else
		bz_make(f->file);
	f->len = elf ? ELF_SIZE : BZ_SIZE;
	f->req = (struct boot_request){
		.e820 = e820,
		.nr_e820 = n,
		.kernel = &f->kernel,
		.cmdline = "console=ttyS0",
		.rsdp = ACPI_RSDP,
		.scratch = f->scratch,
		.scratch_size = sizeof(f->scratch),
	};
	return f;
}
#define SETUP(map, elf) setup(map, ARRAY_SIZE(map), elf)

static void build(struct fixture *f)
{
	const char *broken;

	assert_int_equal(boot_kernel_parse(&f->kernel, f->file, f->len, &f->err), 0);
	if (boot_build(&f->boot, &f->req, &f->err))
		fail_msg("refused: %s", f->err.text);
	broken = boot_check(&f->boot, &f->req, f->len);
	if (broken)
		fail_msg("%s", broken);
}

static void build_refused(struct fixture *f, int code, const char *word)
{
	assert_int_equal(boot_kernel_parse(&f->kernel, f->file, f->len, &f->err), 0);
	assert_int_equal(boot_build(&f->boot, &f->req, &f->err), -code);
	if (!strstr(f->err.text, word))
		fail_msg("\"%s\" does not say \"%s\"", f->err.text, word);
}

static const struct boot_place *place(const struct fixture *f, const char *what)
{
	for (unsigned i = 0; i < f->boot.nr_places; i++) {
		if (!strcmp(f->boot.places[i].what, what))
			return &f->boot.places[i];
	}
	fail_msg("no %s", what);
	return NULL;
}

static void test_bzimage_normal(void **state)
{
	struct fixture *f = SETUP(normal, false);
	const struct boot_place *p;
	const uint8_t *page;

	(void)state;
	f->req.initrd_size = 5000;
	build(f);
	p = place(f, "kernel");
	assert_int_equal(p->gpa, 16 * MIB);
	assert_int_equal(p->offset, BZ_CODE);
	assert_int_equal(p->len, 4096);
	assert_int_equal(f->boot.cpu.rip, 16 * MIB + 0x200);
	assert_string_equal(f->boot.protocol, "linux64");
	assert_int_equal(place(f, "initrd")->gpa, 256 * MIB - 8192);
	assert_int_equal(place(f, "page tables")->len, 6 * 4096);

	p = place(f, "zero page");
	assert_int_equal(f->boot.cpu.rsi, p->gpa);
	page = f->scratch + p->offset;
	assert_int_equal(load_le(page + 0x218, 4), 256 * MIB - 8192);
	assert_int_equal(load_le(page + 0x21c, 4), 5000);
	assert_int_equal(load_le(page + 0x070, 8), ACPI_RSDP);
	assert_int_equal(page[0x1e8], 3);
	p = place(f, "command line");
	assert_int_equal(load_le(page + 0x228, 4), p->gpa);
	assert_string_equal((const char *)f->scratch + p->offset, "console=ttyS0");
	p = place(f, "GDT");
	assert_int_equal(load_le(f->scratch + p->offset + 0x10, 8), 0x00af9b000000ffff);
	assert_int_equal(f->boot.cpu.gdt, p->gpa);
}

static void test_kernel_across_nodes(void **state)
{
	struct fixture *f = SETUP(nodes, false);

	(void)state;
	build(f);
	assert_int_equal(place(f, "kernel")->gpa, 16 * MIB);
}

static void test_kernel_steps_over_hole(void **state)
{
	struct fixture *f = SETUP(hole, false);

	(void)state;
	build(f);
	assert_int_equal(place(f, "kernel")->gpa, 22 * MIB);

	f->file[SETUP_RELOCATABLE_KERNEL] = 0;
	build_refused(f, ERANGE, "exactly at 0x1000000");
	store_le(f->file + SETUP_PREF_ADDRESS, 2 * MIB, 8);
	build(f);
	assert_int_equal(place(f, "kernel")->gpa, 2 * MIB);
}

static void test_kernel_above_4g(void **state)
{
	struct fixture *f = SETUP(high, false);
	uint64_t initrd;

	(void)state;
	f->req.initrd_size = 400 * MIB;
	build(f);
	assert_int_equal(place(f, "kernel")->gpa, 0xfcf0000000);
	initrd = place(f, "initrd")->gpa;
	assert_int_equal(initrd, TIB);
	assert_int_equal(load_le(f->scratch + place(f, "zero page")->offset + 0x0c0, 4), 0x100);
	assert_int_equal(load_le(f->scratch + place(f, "zero page")->offset + 0x218, 4), 0);

	store_le(f->file + SETUP_XLOADFLAGS, SETUP_XLF_KERNEL_64, 2);
	build_refused(f, ERANGE, "needs 8192 KiB");
}

static void test_initrd_limits(void **state)
{
	struct fixture *f = SETUP(large, false);

	(void)state;
	f->req.initrd_size = 4096;
	build(f);
	assert_int_equal(place(f, "initrd")->gpa, 2 * GIB - 4096);
	f->req.initrd_size = 2 * GIB; /* more than fits below the kernel's limit */
	build(f);
	assert_int_equal(place(f, "initrd")->gpa, GIB);
	f->req.initrd_size = 3 * GIB; /* more than fits below 4 GiB */
	build(f);
	assert_int_equal(place(f, "initrd")->gpa, 4 * GIB);
	assert_int_equal(load_le(f->scratch + place(f, "zero page")->offset + 0x0c0, 4), 1);
	f->req.initrd_size = 5 * GIB;
	build_refused(f, ERANGE, "initrd of 5120 MiB");

	store_le(f->file + SETUP_XLOADFLAGS, SETUP_XLF_KERNEL_64, 2);
	f->req.initrd_size = 2 * GIB - 24 * MIB; /* exactly what is left above the kernel */
	build(f);
	assert_int_equal(place(f, "initrd")->gpa, 24 * MIB);
	f->req.initrd_size++;
	build_refused(f, ERANGE, "below 0x80000000");
	f->req.initrd_size = UINT64_MAX;
	build_refused(f, ERANGE, "initrd");
}

static void test_initrd_around_kernel(void **state)
{
	struct fixture *f = SETUP(normal, false);

	(void)state;
	store_le(f->file + SETUP_PREF_ADDRESS, 240 * MIB, 8);
	f->req.initrd_size = 9 * MIB;
	build(f);
	assert_int_equal(place(f, "initrd")->gpa, 231 * MIB);
	f->req.initrd_size = 8 * MIB;
	build(f);
	assert_int_equal(place(f, "initrd")->gpa, 248 * MIB);
}

static void test_tiny_elf(void **state)
{
	struct fixture *f = SETUP(tiny, true);

	(void)state;
	f->req.cmdline = NULL;
	f->req.initrd_size = 4096;
	build(f);
	assert_int_equal(f->boot.cpu.rip, MIB + 16);
	assert_int_equal(place(f, "initrd")->gpa, 2 * MIB - 4096);
	assert_int_equal(load_le(f->scratch + place(f, "zero page")->offset + 0x202, 4),
			 0x53726448);

	elf_put_pvh_note(f->file, 1, MIB + 64, 4);
	build(f);
	assert_int_equal(f->boot.cpu.rip, MIB + 64);
	assert_int_equal(f->boot.cpu.cr0 >> 31, 0);
	assert_int_equal(f->boot.cpu.rbx, place(f, "PVH start info")->gpa);
	assert_string_equal(f->boot.protocol, "pvh");
}

/* i386: the zero page by the 32-bit entry, no page tables, everything below 4 GiB. */
static void test_linux32(void **state)
{
	struct fixture *f = SETUP(large, false);
	const uint8_t *page;

	(void)state;
	store_le(f->file + SETUP_XLOADFLAGS, 0, 2);
	f->req.initrd_size = 4096;
	build(f);
	assert_int_equal(f->boot.cpu.rip, 16 * MIB);
	assert_string_equal(f->boot.protocol, "linux32");
	assert_int_equal(f->boot.cpu.rsi, place(f, "zero page")->gpa);
	assert_int_equal(f->boot.cpu.cr0, 0x11);
	assert_int_equal(f->boot.cpu.efer, 0);
	assert_int_equal(f->boot.cpu.code.selector, 0x10);
	assert_true(f->boot.cpu.code.db);
	page = f->scratch + place(f, "zero page")->offset;
	assert_int_equal(load_le(page + 0x070, 8), ACPI_RSDP);
	for (unsigned i = 0; i < f->boot.nr_places; i++)
		assert_string_not_equal(f->boot.places[i].what, "page tables");

	/* A low limit of the initrd is kept; there is nowhere else. */
	store_le(f->file + SETUP_INITRD_ADDR_MAX, 0x1fffffff, 4);
	build(f);
	assert_int_equal(place(f, "initrd")->gpa, 512 * MIB - 4096);
	f->req.initrd_size = 489 * MIB;
	build_refused(f, ERANGE, "below 0x20000000");

	/* And an ELF file of 32 bits. */
	f = SETUP(large, false);
	elf32_make(f->file);
	f->len = ELF_SIZE;
	build(f);
	assert_int_equal(f->boot.cpu.rip, MIB + 16);
	assert_int_equal(f->boot.cpu.cr0, 0x11);
	assert_int_equal(f->boot.cpu.rsi, place(f, "zero page")->gpa);
	f->req.initrd_size = 3 * GIB;
	build_refused(f, ERANGE, "below 0x80000000");
}

/* ELF kernels, too, take what does not fit below 2 GiB; by PVH nothing above 4 GiB. */
static void test_elf_initrd_limits(void **state)
{
	struct fixture *f = SETUP(large, true);

	(void)state;
	f->req.initrd_size = 4096;
	build(f);
	assert_int_equal(place(f, "initrd")->gpa, 2 * GIB - 4096);
	f->req.initrd_size = 2 * GIB;
	build(f);
	assert_int_equal(place(f, "initrd")->gpa, GIB);
	f->req.initrd_size = 3 * GIB;
	build(f);
	assert_int_equal(place(f, "initrd")->gpa, 4 * GIB);
	assert_int_equal(load_le(f->scratch + place(f, "zero page")->offset + 0x0c0, 4), 1);

	elf_put_pvh_note(f->file, 1, MIB + 64, 4);
	f->req.initrd_size = 2 * GIB;
	build(f);
	assert_int_equal(place(f, "initrd")->gpa, GIB);
	assert_int_equal(f->boot.cpu.rbx, place(f, "PVH start info")->gpa);
	f->req.initrd_size = 3 * GIB;
	build_refused(f, ERANGE, "below 0x100000000");
	elf_put_linux_note(f->file, 2); /* which has the other entry */
	build(f);
	assert_int_equal(f->boot.cpu.rip, MIB + 16);
	assert_int_equal(place(f, "initrd")->gpa, 4 * GIB);
}

/* Generated data makes room for a kernel in low memory. */
static void test_elf_in_low_memory(void **state)
{
	struct fixture *f = SETUP(tiny, true);

	(void)state;
	elf_put_phdr(f->file, 1, (struct elf_phdr){ 1, 0, 0, 0x8000, 64, 64 * KIB, 0 });
	elf_put_phdr(f->file, 2, (struct elf_phdr){ 1, 0, 0, 0x1a000, 64, 64, 0 });
	build(f);
	assert_int_equal(place(f, "GDT")->gpa, 0x18000);
	elf_put_phdr(f->file, 1, (struct elf_phdr){ 1, 0, 0, 0x8000, 64, 0x88000, 0 });
	elf_put_phdr(f->file, 2, (struct elf_phdr){ 1, 0, 0, 0x90000, 64, 0xf000, 0 });
	build_refused(f, ERANGE, "finds no usable RAM");
}

static void test_elf_outside_ram(void **state)
{
	struct fixture *f = SETUP(tiny, true);

	(void)state;
	elf_put_phdr(f->file, 1, (struct elf_phdr){ 1, 0, 0, MIB + 4096, 64, MIB, 0 });
	build_refused(f, ERANGE, "segment of 1024 KiB at 0x101000");
	elf_put_phdr(f->file, 1, (struct elf_phdr){ 1, 0, 0, 0xa0000, 64, 64, 0 });
	build_refused(f, ERANGE, "0xa0000");
}

static void test_cmdline_length(void **state)
{
	static char text[BOOT_CMDLINE_MAX + 2];

	(void)state;
	for (int elf = 0; elf < 2; elf++) {
		struct fixture *f = SETUP(normal, elf);

		f->req.cmdline = text;
		memset(text, 'x', 2048);
		text[2047] = 0;
		build(f);
		text[2047] = 'x';
		build_refused(f, E2BIG, "2048 bytes, but this kernel takes at most 2047");
	}
	struct fixture *f = SETUP(normal, false);

	/* A kernel that takes any length does not make us take it, too. */
	store_le(f->file + SETUP_CMDLINE_SIZE, UINT32_MAX, 4);
	f->req.cmdline = text;
	memset(text, 'x', BOOT_CMDLINE_MAX);
	build(f);
	text[BOOT_CMDLINE_MAX] = 'x';
	build_refused(f, E2BIG, "65536 bytes");
}

/* The most that can come together fits into BOOT_SCRATCH_SIZE and low memory. */
static void test_largest(void **state)
{
	static struct e820_entry map[PLAN_LIST_MAX];
	static char text[BOOT_CMDLINE_MAX + 1];
	struct fixture *f;

	(void)state;
	map[0] = (struct e820_entry)LOW;
	map[1] = (struct e820_entry)RAM(MIB, 256 * MIB);
	for (size_t i = 2; i < PLAN_LIST_MAX; i++)
		map[i] = (struct e820_entry)RAM((i + 2) * GIB, (i + 2) * GIB + MIB);
	f = SETUP(map, false);
	memset(text, 'x', BOOT_CMDLINE_MAX);
	f->req.cmdline = text;
	store_le(f->file + SETUP_CMDLINE_SIZE, UINT32_MAX, 4);
	build(f);
	assert_int_equal(load_le(f->scratch + place(f, "zero page")->offset + 0x250, 8),
			 place(f, "E820 extension")->gpa);
	f->req.scratch_size = 100 * KIB;
	build_refused(f, ENOSPC, "102400");

	f = SETUP(map, true);
	elf_put_pvh_note(f->file, 1, MIB + 64, 4);
	build_refused(f, E2BIG, "1184 entries");
	f->req.nr_e820 = 128;
	build(f);
	assert_int_equal(f->boot.cpu.rip, MIB + 64);
	/* Linux has an entry that takes more than that. */
	elf_put_linux_note(f->file, 2);
	f->req.nr_e820 = PLAN_LIST_MAX;
	build(f);
	assert_int_equal(f->boot.cpu.rip, MIB + 16);
	assert_int_equal(load_le(f->scratch + place(f, "zero page")->offset + 0x250, 8),
			 place(f, "E820 extension")->gpa);
	f->req.nr_e820 = 128;
	build(f);
	assert_int_equal(f->boot.cpu.rip, MIB + 64);
}

static void test_initrd_check(void **state)
{
	struct fixture *f = SETUP(normal, false);

	(void)state;
	assert_int_equal(boot_initrd_check(f->file, f->len, &f->err), -EINVAL);
	assert_non_null(strstr(f->err.text, "swapped"));
	assert_int_equal(boot_initrd_check(f->file, 0, &f->err), -EINVAL);
	assert_non_null(strstr(f->err.text, "empty"));
	assert_int_equal(boot_initrd_check((const uint8_t *)"#!/bin/sh", 9, &f->err), -EINVAL);
	assert_int_equal(boot_initrd_check((const uint8_t *)"070701", 6, &f->err), 0);
	assert_int_equal(boot_initrd_check((const uint8_t *)"\0\0\0\0anything", 12, &f->err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bzimage_normal),
		cmocka_unit_test(test_kernel_across_nodes),
		cmocka_unit_test(test_kernel_steps_over_hole),
		cmocka_unit_test(test_kernel_above_4g),
		cmocka_unit_test(test_initrd_limits),
		cmocka_unit_test(test_initrd_around_kernel),
		cmocka_unit_test(test_tiny_elf),
		cmocka_unit_test(test_linux32),
		cmocka_unit_test(test_elf_initrd_limits),
		cmocka_unit_test(test_elf_in_low_memory),
		cmocka_unit_test(test_elf_outside_ram),
		cmocka_unit_test(test_cmdline_length),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_initrd_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
