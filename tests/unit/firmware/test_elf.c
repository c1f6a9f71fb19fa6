/* ELF parsing: a valid file of each protocol, then each field broken in turn. */
#include "firmware/elf.h"
#include "tests/kernel_files.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define VIRT UINT64_C(0xffffffff80000000)

static void assert_refused(const uint8_t *file, size_t len, const char *word)
{
	struct elf elf;
	struct err err = { "" };

	assert_int_equal(elf_parse(&elf, file, len, &err), -ENOEXEC);
	if (!strstr(err.text, word))
		fail_msg("\"%s\" does not say \"%s\"", err.text, word);
}

static void test_linux64(void **state)
{
	uint8_t file[ELF_SIZE];
	struct elf elf;

	(void)state;
	elf_make(file);
	/* An empty segment, and one of zeroes only. */
	elf_put_phdr(file, 1, (struct elf_phdr){ 1, 0, 0, 5 * MIB, 0, 0, 0 });
	elf_put_phdr(file, 2, (struct elf_phdr){ 1, 0, 0, 6 * MIB, 0, 64, 0 });
	assert_int_equal(elf_parse(&elf, file, sizeof(file), NULL), 0);
	assert_false(elf.pvh);
	assert_int_equal(elf.entry, MIB + 16);
	assert_int_equal(elf.nr_segments, 2);
	assert_int_equal(elf.segments[0].offset, ELF_CONTENTS);
	assert_int_equal(elf.segments[0].file_size, 256);
	assert_int_equal(elf.segments[0].gpa, MIB);
	assert_int_equal(elf.segments[0].mem_size, 4096);
	assert_int_equal(elf.segments[1].gpa, 6 * MIB);
}

static void test_virtual_entry(void **state)
{
	uint8_t file[ELF_SIZE];
	struct elf elf;

	(void)state;
	elf_make(file);
	elf_put_phdr(file, 0,
		     (struct elf_phdr){ 1, ELF_CONTENTS, VIRT + MIB, MIB, 256, 4096, 4096 });
	store_le(file + 24, VIRT + MIB + 32, 8);
	assert_int_equal(elf_parse(&elf, file, sizeof(file), NULL), 0);
	assert_int_equal(elf.entry, MIB + 32);
}

/* Linux: the per-CPU segment has virtual address 0, and its range holds the physical e_entry. */
static void test_physical_entry_comes_first(void **state)
{
	uint8_t file[ELF_SIZE];
	struct elf elf;

	(void)state;
	elf_make(file);
	elf_put_phdr(file, 0, (struct elf_phdr){ 1, ELF_CONTENTS, MIB, 4 * MIB, 256, 256, 0 });
	elf_put_phdr(file, 1, (struct elf_phdr){ 1, ELF_CONTENTS, VIRT, MIB, 256, 256, 0 });
	assert_int_equal(elf_parse(&elf, file, sizeof(file), NULL), 0);
	assert_int_equal(elf.entry, MIB + 16);
}

static void test_pvh_note(void **state)
{
	uint8_t file[ELF_SIZE];
	struct elf elf;

	(void)state;
	for (unsigned desc_size = 4; desc_size <= 8; desc_size += 4) {
		elf_make(file);
		elf_put_pvh_note(file, 1, MIB + 64, desc_size);
		assert_int_equal(elf_parse(&elf, file, sizeof(file), NULL), 0);
		assert_true(elf.pvh);
		assert_int_equal(elf.entry, MIB + 64);
	}
}

/* Others' notes before it, of sizes that need padding. */
static void test_pvh_note_among_others(void **state)
{
	uint8_t file[ELF_SIZE];
	uint8_t *note = file + 800;
	struct elf elf;

	(void)state;
	elf_make(file);
	elf_put_pvh_note(file, 1, MIB + 64, 4);
	store_le(note, 6, 4);
	store_le(note + 4, 1, 4);
	store_le(note + 8, 257, 4);
	memcpy(note + 12, "Linux", 6);
	memcpy(note + 12 + 8 + 4, file + ELF_SIZE - 64, 20);
	elf_put_phdr(file, 1, (struct elf_phdr){ .type = 4, .offset = 800, .file_size = 44 });
	assert_int_equal(elf_parse(&elf, file, sizeof(file), NULL), 0);
	assert_true(elf.pvh);

	/* A note that ends early, or another owner's number 18, is no PVH note. */
	elf_put_phdr(file, 1, (struct elf_phdr){ .type = 4, .offset = 800, .file_size = 43 });
	assert_int_equal(elf_parse(&elf, file, sizeof(file), NULL), 0);
	assert_false(elf.pvh);
	memcpy(note + 24 + 12, "GNU", 4);
	elf_put_phdr(file, 1, (struct elf_phdr){ .type = 4, .offset = 800, .file_size = 44 });
	assert_int_equal(elf_parse(&elf, file, sizeof(file), NULL), 0);
	assert_false(elf.pvh);
}

/*
 * Two notes, a build id of 20 bytes and the one looked for, in a segment whose alignment is 8:
 * packed at multiples of 4, as linkers have done, and of 8, as it says.
 */
static void test_pvh_note_in_segment_of_alignment_8(void **state)
{
	uint8_t file[ELF_SIZE];
	uint8_t *note = file + 800;
	struct elf elf;

	(void)state;
	for (unsigned align = 4; align <= 8; align += 4) {
		unsigned second = (unsigned)align_up(16 + 20, align);

		elf_make(file);
		store_le(note, 4, 4);
		store_le(note + 4, 20, 4);
		store_le(note + 8, 3, 4);
		memcpy(note + 12, "GNU", 4);
		store_le(note + second, 4, 4);
		store_le(note + second + 4, 4, 4);
		store_le(note + second + 8, 18, 4);
		memcpy(note + second + 12, "Xen", 4);
		store_le(note + second + 16, MIB + 64, 4);
		elf_put_phdr(
			file, 1,
			(struct elf_phdr){
				.type = 4, .offset = 800, .file_size = second + 20, .align = 8 });
		assert_int_equal(elf_parse(&elf, file, sizeof(file), NULL), 0);
		assert_true(elf.pvh);
		assert_int_equal(elf.entry, MIB + 64);
	}
}

/* FreeBSD names a dynamic linker that does not exist; programs name one and have no PVH note. */
static void test_pvh_note_beside_interpreter(void **state)
{
	uint8_t file[ELF_SIZE];
	struct elf elf;

	(void)state;
	for (int after = 0; after < 2; after++) {
		elf_make(file);
		elf_put_phdr(file, after ? 2 : 1, (struct elf_phdr){ .type = 3 });
		if (!after)
			assert_refused(file, sizeof(file), "a program, not a kernel");
		elf_put_pvh_note(file, after ? 1 : 2, MIB + 64, 4);
		assert_int_equal(elf_parse(&elf, file, sizeof(file), NULL), 0);
		assert_true(elf.pvh);
	}
}

static void test_multiboot_is_named(void **state)
{
	uint8_t file[ELF_SIZE];
	struct elf elf;

	(void)state;
	for (int wide = 0; wide < 2; wide++) {
		if (wide)
			elf_make(file);
		else
			elf32_make(file);
		store_le(file + ELF_CONTENTS + 8, 0x1badb002, 4);
		store_le(file + ELF_CONTENTS + 12, 3, 4);
		assert_int_equal(elf_parse(&elf, file, sizeof(file), NULL), 0); /* by chance */
		store_le(file + ELF_CONTENTS + 16, UINT32_MAX - 0x1badb002 - 2, 4);
		assert_refused(file, sizeof(file), "Multiboot");
		assert_refused(file, sizeof(file), "PVH");
		elf_put_pvh_note(file, 1, MIB + 64, 4);
		assert_int_equal(elf_parse(&elf, file, sizeof(file), NULL), 0);
	}
}

static void test_elf32(void **state)
{
	uint8_t file[ELF_SIZE];
	struct elf elf;

	(void)state;
	elf32_make(file);
	elf_put_phdr(file, 1,
		     (struct elf_phdr){ 1, 520, UINT32_C(0xc0400000), 4 * MIB, 16, 32, 4096 });
	assert_int_equal(elf_parse(&elf, file, sizeof(file), NULL), 0);
	assert_false(elf.wide);
	assert_false(elf.pvh);
	assert_int_equal(elf.entry, MIB + 16);
	assert_int_equal(elf.nr_segments, 2);
	assert_int_equal(elf.segments[1].offset, 520);
	assert_int_equal(elf.segments[1].gpa, 4 * MIB);
	assert_int_equal(elf.segments[1].file_size, 16);
	assert_int_equal(elf.segments[1].mem_size, 32);
	store_le(file + 24, UINT32_C(0xc0400008), 4); /* a virtual entry */
	assert_int_equal(elf_parse(&elf, file, sizeof(file), NULL), 0);
	assert_int_equal(elf.entry, 4 * MIB + 8);

	elf_put_pvh_note(file, 2, MIB + 64, 4);
	assert_int_equal(elf_parse(&elf, file, sizeof(file), NULL), 0);
	assert_true(elf.pvh);
	assert_int_equal(elf.entry, MIB + 64);
	assert_int_equal(elf.linux_entry, 0);
	for (size_t len = 0; len < 52; len++) {
		uint8_t *copy = test_malloc(len + !len);

		memcpy(copy, file, len);
		assert_int_equal(elf_parse(&elf, copy, len, NULL), -ENOEXEC);
		test_free(copy);
	}
}

/* Only a Linux has a second entry that we know. */
static void test_second_entry(void **state)
{
	uint8_t file[ELF_SIZE];
	struct elf elf;

	(void)state;
	elf_make(file);
	elf_put_pvh_note(file, 1, MIB + 64, 4);
	assert_int_equal(elf_parse(&elf, file, sizeof(file), NULL), 0);
	assert_int_equal(elf.linux_entry, 0);
	elf_put_linux_note(file, 2);
	assert_int_equal(elf_parse(&elf, file, sizeof(file), NULL), 0);
	assert_true(elf.pvh);
	assert_int_equal(elf.linux_entry, MIB + 16);
	store_le(file + 24, 5 * MIB, 8); /* nowhere: no reason not to use the first */
	assert_int_equal(elf_parse(&elf, file, sizeof(file), NULL), 0);
	assert_int_equal(elf.linux_entry, 0);
}

static void test_every_truncation_is_refused(void **state)
{
	uint8_t file[ELF_SIZE];
	struct elf elf;

	(void)state;
	elf_make(file);
	elf_put_phdr(
		file, 0,
		(struct elf_phdr){ 1, ELF_CONTENTS, MIB, MIB, ELF_SIZE - ELF_CONTENTS, 4096, 0 });
	elf_put_pvh_note(file, 1, MIB + 64, 4);
	for (size_t len = 0; len < sizeof(file); len++) {
		uint8_t *copy = test_malloc(len + !len);

		memcpy(copy, file, len);
		assert_int_equal(elf_parse(&elf, copy, len, NULL), -ENOEXEC);
		test_free(copy);
	}
	assert_refused(file, 63, "truncated");
	assert_refused(file, ELF_PHDR(2) - 1, "program headers");
	assert_refused(file, ELF_SIZE - 1, "truncated");
}

static void test_corrupt_headers(void **state)
{
	static const struct {
		unsigned at, n;
		uint64_t value;
		const char *word;
	} cases[] = {
		{ 0, 1, 0, "not an ELF" },
		{ 4, 1, 1, "program headers" },
		{ 4, 1, 3, "class is 3" },
		{ 5, 1, 2, "big-endian" },
		{ 16, 2, 1, "no executable" },
		{ 18, 2, 183, "e_machine 183" },
		{ 24, 8, 2 * MIB, "outside" },
		{ 24, 8, MIB + 256, "outside" },
		{ 32, 8, ELF_SIZE, "program headers" },
		{ 32, 8, UINT64_MAX, "program headers" },
		{ 54, 2, 32, "program headers" },
		{ 56, 2, 0, "nothing to load" },
		{ 56, 2, 0xffff, "program headers" },
		{ ELF_PHDR(0), 4, 7, "nothing to load" },
		{ ELF_PHDR(0) + 8, 8, ELF_SIZE - 255, "truncated" },
		{ ELF_PHDR(0) + 8, 8, UINT64_MAX - 8, "truncated" },
		{ ELF_PHDR(0) + 24, 8, UINT64_MAX - 64, "wraps" },
		{ ELF_PHDR(0) + 32, 8, UINT64_MAX, "truncated" },
		{ ELF_PHDR(0) + 40, 8, 255, "in memory" },
		{ ELF_PHDR(0) + 40, 8, UINT64_MAX, "wraps" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t file[ELF_SIZE];

		elf_make(file);
		store_le(file + cases[i].at, cases[i].value, cases[i].n);
		assert_refused(file, sizeof(file), cases[i].word);
	}
}

static void test_overlap(void **state)
{
	uint8_t file[ELF_SIZE];
	struct elf elf;

	(void)state;
	elf_make(file);
	elf_put_phdr(file, 1, (struct elf_phdr){ 1, 0, 0, MIB + 4095, 1, 1, 0 });
	assert_refused(file, sizeof(file), "overlaps");
	elf_put_phdr(file, 1, (struct elf_phdr){ 1, 0, 0, MIB + 4096, 1, 1, 0 });
	assert_int_equal(elf_parse(&elf, file, sizeof(file), NULL), 0);
}

static void test_pvh_entry_must_be_loaded(void **state)
{
	uint8_t file[ELF_SIZE];

	(void)state;
	elf_make(file);
	elf_put_pvh_note(file, 1, 2 * MIB, 4);
	assert_refused(file, sizeof(file), "PVH entry");
	elf_make(file);
	elf_put_pvh_note(file, 1, MIB, 8);
	store_le(file + ELF_SIZE - 64 + 20, 1, 4); /* 4 GiB more */
	assert_refused(file, sizeof(file), "PVH entry");
}

static void test_segment_limit(void **state)
{
	static uint8_t file[64 + 65 * 56 + 16];
	struct elf elf;

	(void)state;
	elf_make(file);
	for (unsigned i = 0; i < 65; i++)
		elf_put_phdr(file, i,
			     (struct elf_phdr){ 1, 0, 0, MIB + i * UINT64_C(4096), 32, 32, 0 });
	file[56] = 64;
	assert_int_equal(elf_parse(&elf, file, sizeof(file), NULL), 0);
	assert_int_equal(elf.nr_segments, 64);
	file[56] = 65;
	assert_refused(file, sizeof(file), "more than 64");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_linux64),
		cmocka_unit_test(test_virtual_entry),
		cmocka_unit_test(test_physical_entry_comes_first),
		cmocka_unit_test(test_pvh_note),
		cmocka_unit_test(test_pvh_note_among_others),
		cmocka_unit_test(test_pvh_note_in_segment_of_alignment_8),
		cmocka_unit_test(test_pvh_note_beside_interpreter),
		cmocka_unit_test(test_multiboot_is_named),
		cmocka_unit_test(test_elf32),
		cmocka_unit_test(test_second_entry),
		cmocka_unit_test(test_every_truncation_is_refused),
		cmocka_unit_test(test_corrupt_headers),
		cmocka_unit_test(test_overlap),
		cmocka_unit_test(test_pvh_entry_must_be_loaded),
		cmocka_unit_test(test_segment_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
