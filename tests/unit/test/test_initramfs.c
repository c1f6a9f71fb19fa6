/* The archive that init comes in: what is in it, in which order, and what init is told. */
#include "vmm/test/init.h"
#include "vmm/test/initramfs.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static struct test_initramfs initramfs;
static struct err err;
static const char *archive;
static size_t len;

static void make(struct config *c, const char *root, bool input)
{
	struct stat st;

	initramfs = (struct test_initramfs)TEST_INITRAMFS_EMPTY;
	assert_int_equal(test_initramfs_make(&initramfs, c, root, input, input, &err), 0);
	assert_int_equal(stat(initramfs.path, &st), 0);
	len = (size_t)st.st_size;
	archive = mmap(NULL, len, PROT_READ, MAP_PRIVATE, initramfs.fd, 0);
	assert_true(archive != MAP_FAILED);
}

static void drop(void)
{
	munmap((void *)archive, len);
	test_initramfs_close(&initramfs);
}

static size_t hex(const char *field)
{
	char text[9] = "";

	memcpy(text, field, 8);
	return strtoul(text, NULL, 16);
}

/* The data of a file of the archive (newc: cpio(5)), or NULL; *size is its length. */
static const char *find(const char *name, size_t *size)
{
	for (size_t at = 0; at + 110 < len;) {
		const char *h = archive + at;
		size_t name_len = hex(h + 94), data = (at + 110 + name_len + 3) & ~(size_t)3;

		*size = hex(h + 54);
		if (!strcmp(h + 110, name))
			return archive + data;
		at = (data + *size + 3) & ~(size_t)3;
	}
	return NULL;
}

static void test_words(void **state)
{
	static char *const command[] = { (char *)"sh", (char *)"-c", (char *)"exit 7" };
	static const char expected[] =
		"port=29556\0serial=ttyS1\0root=fs:x\0layer=off\0stdin=on\0arg=sh\0"
		"arg=-c\0arg=exit 7";
	struct config c = CONFIG_EMPTY;
	const char *spec;
	size_t size;

	(void)state;
	c.kernel = (char *)"/dev/null";
	c.command = command;
	c.nr_command = 3;
	c.vsock_port = 29556;
	make(&c, "root=fs:x", true);
	spec = find("straddle/spec", &size);
	assert_non_null(spec);
	assert_int_equal(size, sizeof(expected));
	assert_memory_equal(spec, expected, sizeof(expected));
	drop();
}

static void test_init(void **state)
{
	struct config c = CONFIG_EMPTY;
	const char *init;
	size_t size;

	(void)state;
	c.kernel = (char *)"/dev/null";
	make(&c, "root=none", false);
	init = find("init", &size);
	assert_non_null(init);
	assert_int_equal(size, init_elf_size);
	assert_memory_equal(init, init_elf, size);
	assert_non_null(find("TRAILER!!!", &size));
	drop();
}

/* A folder that the user names must be one of modules. */
static void test_no_modules(void **state)
{
	struct config c = CONFIG_EMPTY;

	(void)state;
	c.kernel = (char *)"/dev/null";
	c.test.modules = (char *)"/no/such/folder";
	initramfs = (struct test_initramfs)TEST_INITRAMFS_EMPTY;
	assert_true(test_initramfs_make(&initramfs, &c, "root=none", false, false, &err) < 0);
	assert_non_null(strstr(err.text, "/no/such/folder"));
	assert_int_equal(initramfs.fd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_init),
		cmocka_unit_test(test_no_modules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
