/* Modules packed by the same libraries that unpack them: whole, torn, damaged and too large. */
#include "tests/packed.h"
#include "vmm/test/unpack.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct err err;

static void assert_says(const char *word)
{
	if (!strstr(err.text, word))
		fail_msg("\"%s\" does not say \"%s\"", err.text, word);
}

/* A module of `len` bytes that do not pack to nothing. */
static uint8_t *make_module(size_t len)
{
	uint8_t *module = malloc(len + 1);
	uint32_t x = 1;

	assert_non_null(module);
	for (size_t i = 0; i < len; i++) {
		x = x * 1664525 + 1013904223;
		module[i] = (uint8_t)(x >> 24 & 0x3f);
	}
	memcpy(module, "\177ELF", len < 4 ? len : 4);
	return module;
}

/* Unpacks from a buffer of its own, so that the sanitizer sees a read past the end. */
static int unpack_copy(const char *path, const uint8_t *data, size_t len, struct buffer *to)
{
	uint8_t *copy = malloc(len + !len);
	int ret;

	assert_non_null(copy);
	memcpy(copy, data, len);
	err.text[0] = 0;
	ret = unpack(path, copy, len, to, &err);
	free(copy);
	assert_true(ret == 0 || (ret < 0 && strstr(err.text, path)));
	return ret;
}

static void assert_unpacks(const char *path, const uint8_t *packed, size_t len,
			   const uint8_t *module, size_t module_len)
{
	struct buffer to = BUFFER_EMPTY;

	if (unpack_copy(path, packed, len, &to) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(to.len, module_len);
	assert_memory_equal(to.data, module, module_len);
	buffer_free(&to);
}

static void assert_refused(const char *path, const uint8_t *data, size_t len, int code)
{
	struct buffer to = BUFFER_EMPTY;

	assert_int_equal(unpack_copy(path, data, len, &to), -code);
	buffer_free(&to);
}

/* More than one chunk of output, and two archives in a row, which all three programs can write. */
static void test_whole(void **state)
{
	static const size_t sizes[] = { 4, 5, 3000, 256 * KIB, 700001 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint8_t *module = make_module(sizes[i]);

		assert_unpacks("m.ko", module, sizes[i], module, sizes[i]);
		for (enum packing p = 0; p < PACKINGS; p++) {
			size_t half = sizes[i] / 2, len, more;
			uint8_t *packed = pack(p, module, sizes[i], &len);

			assert_unpacks(packed_name[p], packed, len, module, sizes[i]);
			free(packed);
			packed = pack(p, module, half, &len);
			packed = pack_append(p, packed, len, module + half, sizes[i] - half, &more);
			assert_unpacks(packed_name[p], packed, more, module, sizes[i]);
			free(packed);
		}
		free(module);
	}
}

/* Every end but the last is refused, and none of them with half a module as a success. */
static void test_torn(void **state)
{
	uint8_t *module = make_module(500);

	(void)state;
	for (enum packing p = 0; p < PACKINGS; p++) {
		size_t len;
		uint8_t *packed = pack(p, module, 500, &len);

		for (size_t n = 0; n < len; n++)
			assert_refused(packed_name[p], packed, n, EINVAL);
		assert_says("ends too early");
		/* Noise behind the end is no archive. */
		packed = realloc(packed, len + 40);
		assert_non_null(packed);
		memset(packed + len, 0x55, 40);
		assert_refused(packed_name[p], packed, len + 40, EINVAL);
		free(packed);
	}
	free(module);
}

/* Whatever byte is wrong, the result is a sentence or a whole module. */
static void test_damaged(void **state)
{
	uint8_t *module = make_module(300);

	(void)state;
	for (enum packing p = 0; p < PACKINGS; p++) {
		size_t len, refused = 0;
		uint8_t *packed = pack(p, module, 300, &len);

		for (size_t n = 0; n < len; n++) {
			struct buffer to = BUFFER_EMPTY;

			packed[n] ^= 0x14;
			refused += unpack_copy(packed_name[p], packed, len, &to) < 0;
			packed[n] ^= 0x14;
			buffer_free(&to);
		}
		/* gzip's name, time and system are not covered by its check sum. */
		assert_true(refused > len - 12);
		packed[len / 2] ^= 0xff;
		assert_refused(packed_name[p], packed, len, EINVAL);
		assert_says("damaged");
		free(packed);
	}
	free(module);
}

static void test_no_module(void **state)
{
	(void)state;
	assert_refused("m.ko", (const uint8_t *)"#!/bin/sh", 9, EINVAL);
	assert_says("ELF");
	assert_refused("m.ko", (const uint8_t *)"\177EL", 3, EINVAL);
	assert_refused("m.ko.lz4", (const uint8_t *)"\177ELF", 4, EINVAL);
	assert_says(".ko.zst");
	assert_refused(".ko", (const uint8_t *)"\177ELF", 4, EINVAL);
	for (enum packing p = 0; p < PACKINGS; p++) {
		size_t len;
		uint8_t *packed = pack(p, (const uint8_t *)"root:x:0:0", 10, &len);

		assert_refused(packed_name[p], packed, len, EINVAL);
		assert_says("ELF");
		free(packed);
	}
}

/* A small file that unpacks to a large one. The limit is common to all, so one stands for them. */
static void test_too_large(void **state)
{
	uint8_t *module = calloc(1, UNPACK_MAX + 1), *packed;
	size_t len;

	(void)state;
	assert_non_null(module);
	memcpy(module, "\177ELF", 4);
	assert_refused("m.ko", module, UNPACK_MAX + 1, EFBIG);
	assert_says("64 MiB");
	packed = pack(PACK_ZST, module, UNPACK_MAX, &len);
	assert_unpacks("m.ko.zst", packed, len, module, UNPACK_MAX);
	free(packed);
	packed = pack(PACK_ZST, module, UNPACK_MAX + 1, &len);
	assert_true(len < 64 * KIB);
	assert_refused("m.ko.zst", packed, len, EFBIG);
	assert_says("64 MiB");
	free(packed);
	free(module);
}

/* A header that asks for more memory than any module needs. */
static void test_memory(void **state)
{
	uint8_t *module = make_module(100);
	size_t len;
	uint8_t *packed = pack_xz_dictionary(module, 100, 1024 * MIB, &len);
	/* RFC 8878, section 3.1.1: the window of this frame is 2^31 bytes. */
	static const uint8_t window[] = { 0x28, 0xb5, 0x2f, 0xfd, 0, 21 << 3, 1, 0, 0 };

	(void)state;
	assert_refused("m.ko.xz", packed, len, ENOMEM);
	assert_says("128 MiB");
	free(packed);
	assert_refused("m.ko.zst", window, sizeof(window), ENOMEM);
	free(module);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),	  cmocka_unit_test(test_torn),
		cmocka_unit_test(test_damaged),	  cmocka_unit_test(test_no_module),
		cmocka_unit_test(test_too_large), cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
