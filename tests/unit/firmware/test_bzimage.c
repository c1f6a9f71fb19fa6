/* bzImage parsing: a valid file, then each field broken in turn. */
#include "firmware/bzimage.h"
#include "tests/kernel_files.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Asserts that the file is refused and that the sentence has `word` in it. */
static void assert_refused(const uint8_t *file, size_t len, const char *word)
{
	struct bzimage bz;
	struct err err = { "" };

	assert_int_equal(bzimage_parse(&bz, file, len, &err), -ENOEXEC);
	if (!strstr(err.text, word))
		fail_msg("\"%s\" does not say \"%s\"", err.text, word);
}

static void test_valid(void **state)
{
	uint8_t file[BZ_SIZE];
	struct bzimage bz;
	struct err err;

	(void)state;
	bz_make(file);
	assert_int_equal(bzimage_parse(&bz, file, sizeof(file), &err), 0);
	assert_int_equal(bz.version, 0x20f);
	assert_true(bz.entry64);
	assert_int_equal(bz.code_offset, 1024);
	assert_int_equal(bz.code_size, 4096);
	assert_int_equal(bz.init_size, 8 * MIB);
	assert_int_equal(bz.pref_address, 16 * MIB);
	assert_int_equal(bz.alignment, 2 * MIB);
	assert_true(bz.relocatable);
	assert_true(bz.above_4g);
	assert_int_equal(bz.initrd_max, 0x7fffffff);
	assert_int_equal(bz.cmdline_max, 2047);
	assert_int_equal(bz.header_len, 0x202 + 0x6a - 0x1f1);
	assert_memory_equal(bz.header, file + 0x1f1, bz.header_len);
}

static void test_setup_sects_zero_is_four(void **state)
{
	uint8_t file[5 * 512 + 4096];
	struct bzimage bz;

	(void)state;
	memset(file, 0, sizeof(file));
	bz_make(file);
	file[SETUP_SECTS] = 0;
	assert_int_equal(bzimage_parse(&bz, file, sizeof(file), NULL), 0);
	assert_int_equal(bz.code_offset, 5 * 512);
}

static void test_signature_behind_code_is_ignored(void **state)
{
	uint8_t file[BZ_SIZE + 100] = { 0 };
	struct bzimage bz;

	(void)state;
	bz_make(file);
	assert_int_equal(bzimage_parse(&bz, file, sizeof(file), NULL), 0);
	assert_int_equal(bz.code_size, 4096);
}

/* syssize counts units of 16 bytes, rounded up. */
static void test_last_unit_may_be_incomplete(void **state)
{
	uint8_t file[BZ_SIZE];
	struct bzimage bz;

	(void)state;
	bz_make(file);
	for (size_t less = 1; less < 16; less++) {
		assert_int_equal(bzimage_parse(&bz, file, BZ_SIZE - less, NULL), 0);
		assert_int_equal(bz.code_size, 4096 - less);
	}
	assert_refused(file, BZ_SIZE - 16, "truncated");
}

static void test_no_syssize_is_all_there_is(void **state)
{
	uint8_t file[BZ_SIZE];
	struct bzimage bz;

	(void)state;
	bz_make(file);
	store_le(file + SETUP_SYSSIZE, 0, 4);
	assert_int_equal(bzimage_parse(&bz, file, BZ_SIZE - 7, NULL), 0);
	assert_int_equal(bz.code_size, 4096 - 7);
	assert_refused(file, BZ_CODE + 512, "truncated kernel: 512 bytes of code");
	assert_refused(file, BZ_CODE - 1, "truncated kernel: 0 bytes of code");
}

/* It needs at least the room that its code takes, whatever it says. */
static void test_room(void **state)
{
	uint8_t file[BZ_SIZE];
	struct bzimage bz;

	(void)state;
	bz_make(file);
	store_le(file + SETUP_INIT_SIZE, 0, 4);
	assert_int_equal(bzimage_parse(&bz, file, BZ_SIZE, NULL), 0);
	assert_int_equal(bz.init_size, 4096);
}

/* Nobody aligns a kernel that must lie at its one address. */
static void test_alignment_of_relocatable_ones_only(void **state)
{
	uint8_t file[BZ_SIZE];
	struct bzimage bz;

	(void)state;
	bz_make(file);
	store_le(file + SETUP_KERNEL_ALIGNMENT, 0, 4);
	assert_refused(file, BZ_SIZE, "kernel_alignment");
	file[SETUP_RELOCATABLE_KERNEL] = 0;
	assert_int_equal(bzimage_parse(&bz, file, BZ_SIZE, NULL), 0);
	assert_int_equal(bz.alignment, 1);
}

/* i386: no 64-bit entry, so the code may be shorter than the way there. */
static void test_32bit(void **state)
{
	uint8_t file[BZ_SIZE];
	struct bzimage bz;

	(void)state;
	bz_make(file);
	store_le(file + SETUP_XLOADFLAGS, SETUP_XLF_ABOVE_4G, 2);
	store_le(file + SETUP_SYSSIZE, 32, 4);
	assert_int_equal(bzimage_parse(&bz, file, BZ_SIZE, NULL), 0);
	assert_false(bz.entry64);
	assert_false(bz.above_4g);
	assert_int_equal(bz.code_size, 512);
}

/* Of a header that is older than a field, the field is no field. */
static void test_old_protocols(void **state)
{
	uint8_t file[BZ_SIZE];
	struct bzimage bz;

	(void)state;
	bz_make(file);
	store_le(file + SETUP_VERSION, 0x020b, 2);
	file[SETUP_JUMP + 1] = 0x264 - 0x202;
	assert_int_equal(bzimage_parse(&bz, file, BZ_SIZE, NULL), 0);
	assert_false(bz.entry64);
	assert_int_equal(bz.init_size, 8 * MIB);
	file[SETUP_JUMP + 1]--;
	assert_refused(file, BZ_SIZE, "header ends");

	store_le(file + SETUP_VERSION, 0x0206, 2);
	file[SETUP_JUMP + 1] = 0x23c - 0x202;
	file[SETUP_MIN_ALIGNMENT] = 0xff;
	assert_int_equal(bzimage_parse(&bz, file, BZ_SIZE, NULL), 0);
	assert_int_equal(bz.header_len, 0x23c - 0x1f1);
	assert_int_equal(bz.pref_address, MIB);
	assert_int_equal(bz.init_size, 4 * 4096);
	assert_int_equal(bz.alignment, 2 * MIB);
	file[SETUP_JUMP + 1]--;
	assert_refused(file, BZ_SIZE, "header ends");
}

static void test_every_truncation_is_refused(void **state)
{
	uint8_t file[BZ_SIZE];
	struct bzimage bz;
	struct err err;

	(void)state;
	bz_make(file);
	for (size_t len = 0; len <= sizeof(file) - 16; len++) {
		/* A buffer of its own, so that the sanitizer sees a read past the end. */
		uint8_t *copy = test_malloc(len + !len);

		memcpy(copy, file, len);
		err.text[0] = 0;
		assert_int_equal(bzimage_parse(&bz, copy, len, &err), -ENOEXEC);
		assert_true(err.text[0]);
		test_free(copy);
	}
	assert_refused(file, 0, "empty");
	assert_refused(file, 0x210, "truncated");
}

static void test_other_files_are_named(void **state)
{
	static const struct {
		size_t at;
		const char *bytes, *word;
	} cases[] = {
		{ 0, "\x1f\x8b\x08", "gzip archive" },
		{ 0, "\x1f\x8b\x08", "(gzip -dc FILE > vmlinux" },
		{ 0, "070701", "cpio" },
		{ 0, "MZ", "EFI" },
		{ 0, "MZ", "objcopy -O binary -j .linux FILE vmlinuz" },
		{ 0x38, "ARM\x64", "ARM64" },
		{ 0, "\3757zXZ", "xz" },
		{ 0, "\x28\xb5\x2f\xfd", "zstd -dc" },
		{ 0, "#!/bin/sh", "script" },
		{ 0, "!<arch>\n", "Debian package" },
		{ 0x1fe, "\x55\xaa", "sector" },
		{ 0, "hello", "1024 bytes" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t file[1024] = { 0 };

		memcpy(file + cases[i].at, cases[i].bytes, strlen(cases[i].bytes));
		assert_refused(file, sizeof(file), cases[i].word);
	}
}

static void test_unusable_kernels(void **state)
{
	static const struct {
		unsigned at, n;
		uint64_t value;
		const char *word;
	} cases[] = {
		{ SETUP_VERSION, 2, 0x0205, "protocol 2.05" },
		{ SETUP_LOADFLAGS, 1, 0, "zImage" },
		{ SETUP_JUMP, 2, 0x6ae9, "byte 0x200 is 0xe9" },
		{ SETUP_JUMP, 2, 0x65eb, "header ends" },
		{ SETUP_JUMP, 2, 0x80eb, "header ends" },
		{ SETUP_SYSSIZE, 4, 32, "512 bytes of code" },
		{ SETUP_SYSSIZE, 4, UINT32_MAX, "truncated" },
		{ SETUP_SECTS, 1, 255, "truncated" },
		{ SETUP_KERNEL_ALIGNMENT, 4, 0, "alignment" },
		{ SETUP_KERNEL_ALIGNMENT, 4, 3 * MIB, "alignment" },
		{ SETUP_MIN_ALIGNMENT, 1, 22, "alignment" },
		{ SETUP_MIN_ALIGNMENT, 1, 64, "alignment" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t file[BZ_SIZE];

		bz_make(file);
		store_le(file + cases[i].at, cases[i].value, cases[i].n);
		assert_refused(file, sizeof(file), cases[i].word);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_setup_sects_zero_is_four),
		cmocka_unit_test(test_signature_behind_code_is_ignored),
		cmocka_unit_test(test_last_unit_may_be_incomplete),
		cmocka_unit_test(test_no_syssize_is_all_there_is),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_alignment_of_relocatable_ones_only),
		cmocka_unit_test(test_32bit),
		cmocka_unit_test(test_old_protocols),
		cmocka_unit_test(test_every_truncation_is_refused),
		cmocka_unit_test(test_other_files_are_named),
		cmocka_unit_test(test_unusable_kernels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
