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

static void test_every_truncation_is_refused(void **state)
{
	uint8_t file[BZ_SIZE];
	struct bzimage bz;
	struct err err;

	(void)state;
	bz_make(file);
	for (size_t len = 0; len < sizeof(file); len++) {
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
	assert_refused(file, BZ_SIZE - 1, "truncated");
}

static void test_other_files_are_named(void **state)
{
	static const struct {
		size_t at;
		const char *bytes, *word;
	} cases[] = {
		{ 0, "\x1f\x8b\x08", "gzip" },
		{ 0, "070701", "cpio" },
		{ 0, "MZ", "EFI" },
		{ 0x38, "ARM\x64", "ARM64" },
		{ 0, "\3757zXZ", "xz" },
		{ 0, "\x28\xb5\x2f\xfd", "zstd" },
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
		{ SETUP_VERSION, 2, 0x020b, "protocol 2.11" },
		{ SETUP_XLOADFLAGS, 2, SETUP_XLF_ABOVE_4G, "32-bit" },
		{ SETUP_LOADFLAGS, 1, 0, "zImage" },
		{ SETUP_JUMP, 2, 0x6ae9, "header ends" },
		{ SETUP_JUMP, 2, 0x65eb, "header ends" },
		{ SETUP_JUMP, 2, 0x80eb, "header ends" },
		{ SETUP_SYSSIZE, 4, 0, "syssize" },
		{ SETUP_SYSSIZE, 4, 32, "syssize" },
		{ SETUP_SYSSIZE, 4, UINT32_MAX, "truncated" },
		{ SETUP_SECTS, 1, 255, "truncated" },
		{ SETUP_INIT_SIZE, 4, 4095, "init_size" },
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
		cmocka_unit_test(test_every_truncation_is_refused),
		cmocka_unit_test(test_other_files_are_named),
		cmocka_unit_test(test_unusable_kernels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
