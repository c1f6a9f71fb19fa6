/* Releases: found in both kinds of kernels, never past their end, and never a path. */
#include "firmware/release.h"
#include "tests/kernel_files.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define TEXT_AT 0x390 /* behind the setup header, in the setup code */

/* A bzImage whose kernel_version points to `text`, without a NUL if `len` does not count it. */
static void make_bzimage(uint8_t *file, const char *text, size_t len)
{
	bz_make(file);
	store_le(file + SETUP_KERNEL_VERSION, TEXT_AT - 0x200, 2);
	memcpy(file + TEXT_AT, text, len);
}

static void assert_release(const uint8_t *file, size_t len, const char *release)
{
	char out[RELEASE_SIZE] = "old";

	assert_int_equal(boot_kernel_release(file, len, out, sizeof(out)), release ? 0 : -ENOENT);
	assert_string_equal(out, release ? release : "");
}

static void test_bzimage(void **state)
{
	static const char *const none[] = { "",		 " 6.1",	  "../../etc",
					    "6.1/../..", "Memtest86+ v6", "6.1\n",
					    "6.1\x80" };
	char longest[RELEASE_SIZE + 1] = "";
	uint8_t file[BZ_SIZE];

	(void)state;
	make_bzimage(file, "6.1.0-56-amd64 (debian@x) #1 SMP", 33);
	assert_release(file, sizeof(file), "6.1.0-56-amd64");
	make_bzimage(file, "7.3.4+deb13~rc1_x", 18);
	assert_release(file, sizeof(file), "7.3.4+deb13~rc1_x");
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		make_bzimage(file, none[i], strlen(none[i]) + 1);
		assert_release(file, sizeof(file), NULL);
	}
	memset(longest, '6', RELEASE_SIZE - 1);
	make_bzimage(file, longest, sizeof(longest));
	assert_release(file, sizeof(file), longest);
	longest[RELEASE_SIZE - 1] = '6';
	make_bzimage(file, longest, sizeof(longest) - 1);
	file[TEXT_AT + RELEASE_SIZE] = 0;
	assert_release(file, sizeof(file), NULL);
	bz_make(file); /* the field is 0 */
	assert_release(file, sizeof(file), NULL);
	store_le(file + SETUP_KERNEL_VERSION, 0xffff, 2);
	assert_release(file, sizeof(file), NULL);
}

static void test_elf(void **state)
{
	uint8_t file[ELF_SIZE];

	(void)state;
	elf_make(file);
	assert_release(file, sizeof(file), NULL);
	memcpy(file + 600, "Linux version %s", 17);
	assert_release(file, sizeof(file), NULL);
	memcpy(file + 700, "LiLinux version 6.12.117 (gcc) #1", 34);
	assert_release(file, sizeof(file), "6.12.117");
}

static void test_others(void **state)
{
	uint8_t file[ELF_SIZE] = "Linux version 6.1 ";

	(void)state;
	assert_release(file, sizeof(file), NULL);
	assert_release(file, 0, NULL);
}

/* Buffers of their own, so that the sanitizer sees a read past the end. */
static void test_truncations(void **state)
{
	static const char banner[] = "\177ELFLinux version 6.1 ";
	uint8_t file[BZ_SIZE];

	(void)state;
	make_bzimage(file, "6.1", 4);
	for (size_t len = 1; len < TEXT_AT + 8; len++) {
		uint8_t *copy = test_malloc(len);

		memcpy(copy, file, len);
		assert_release(copy, len, len < TEXT_AT + 4 ? NULL : "6.1");
		test_free(copy);
	}
	for (size_t len = 1; len < sizeof(banner); len++) {
		uint8_t *copy = test_malloc(len);

		memcpy(copy, banner, len);
		assert_release(copy, len, len < sizeof(banner) - 1 ? NULL : "6.1");
		test_free(copy);
	}
}

static void test_room(void **state)
{
	uint8_t file[BZ_SIZE];
	char out[4];

	(void)state;
	make_bzimage(file, "6.1 x", 6);
	assert_int_equal(boot_kernel_release(file, sizeof(file), out, 4), 0);
	assert_string_equal(out, "6.1");
	assert_int_equal(boot_kernel_release(file, sizeof(file), out, 3), -ENOENT);
	assert_int_equal(boot_kernel_release(file, sizeof(file), out, 0), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bzimage),	    cmocka_unit_test(test_elf),
		cmocka_unit_test(test_others),	    cmocka_unit_test(test_room),
		cmocka_unit_test(test_truncations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
