/* Archives: each byte by hand, and what cpio(1) reads out of one. */
#include "vmm/test/cpio.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* clang-format off */
static const char expected[] =
	/* inode, mode, uid, gid, links, time, size, two devices, name's size, sum */
	"070701" "00000001" "000041ed" "00000000" "00000000" "00000002" "00000000" "00000000"
	"00000000" "00000000" "00000000" "00000000" "00000004" "00000000" "dev\0" "\0\0"
	"070701" "00000002" "000081a4" "00000000" "00000000" "00000001" "00000000" "00000005"
	"00000000" "00000000" "00000000" "00000000" "00000006" "00000000" "a/bcd\0" "hello" "\0\0\0"
	"070701" "00000003" "00002180" "00000000" "00000000" "00000001" "00000000" "00000000"
	"00000000" "00000000" "00000005" "00000001" "0000000c" "00000000" "dev/console\0" "\0\0"
	"070701" "00000000" "00000000" "00000000" "00000000" "00000001" "00000000" "00000000"
	"00000000" "00000000" "00000000" "00000000" "0000000b" "00000000" "TRAILER!!!\0" "\0\0\0";
/* clang-format on */

static void test_bytes(void **state)
{
	struct cpio c = CPIO_EMPTY;

	(void)state;
	cpio_directory(&c, "dev", 0755);
	cpio_file(&c, "a/bcd", 0644, "hello", 5);
	cpio_character_device(&c, "dev/console", 0600, 5, 1);
	assert_int_equal(cpio_end(&c, NULL), 0);
	assert_int_equal(c.out.len, sizeof(expected) - 1);
	assert_memory_equal(c.out.data, expected, sizeof(expected) - 1);
	assert_int_equal(c.out.len % 4, 0);
	cpio_free(&c);
}

/* Whatever the lengths of name and contents, the next header is aligned. */
static void test_alignment(void **state)
{
	(void)state;
	for (unsigned name = 1; name <= 8; name++) {
		for (unsigned len = 0; len <= 8; len++) {
			struct cpio c = CPIO_EMPTY;
			char path[16] = "";

			memset(path, 'n', name);
			cpio_file(&c, path, 0600, "12345678", len);
			assert_int_equal(c.out.len % 4, 0);
			assert_memory_equal(c.out.data + c.out.len - ((len + 3) & ~3u), "12345678",
					    len);
			assert_int_equal(cpio_end(&c, NULL), 0);
			assert_int_equal(c.out.len % 4, 0);
			cpio_free(&c);
		}
	}
}

/* What an entry cannot say is an error at the end, and not half an entry. */
static void test_too_large(void **state)
{
	struct cpio c = CPIO_EMPTY;
	struct err err = { "" };
	char *path = test_malloc(PATH_MAX + 1);

	(void)state;
	memset(path, 'p', PATH_MAX);
	path[PATH_MAX] = 0;
	cpio_file(&c, path + 1, 0600, NULL, 0); /* with its NUL as long as Linux allows */
	assert_int_equal(c.out.error, 0);
	cpio_file(&c, path, 0600, NULL, 0);
	cpio_file(&c, "behind", 0600, NULL, 0);
	assert_int_equal(cpio_end(&c, &err), -ENAMETOOLONG);
	assert_non_null(strstr(err.text, "initramfs"));
	assert_int_equal(c.out.len, 112 + PATH_MAX);
	cpio_free(&c);
	cpio_file(&c, "large", 0600, path, (size_t)UINT32_MAX + 1);
	assert_int_equal(cpio_end(&c, &err), -EFBIG);
	cpio_free(&c);
	test_free(path);
}

/* Runs cpio -itv on the archive; each line less its date is appended to *listing. */
static int list(const struct cpio *c, char *listing, size_t cap)
{
	char file[] = "/tmp/straddle-cpio-XXXXXX", command[128], line[256];
	int fd = mkstemp(file);
	FILE *out;

	if (fd < 0 || write(fd, c->out.data, c->out.len) != (ssize_t)c->out.len)
		return -1;
	close(fd);
	snprintf(command, sizeof(command), "TZ=UTC LC_ALL=C cpio -itvn --quiet <%s", file);
	out = popen(command, "r"); /* NOLINT(cert-env33-c) */
	while (out && fgets(line, sizeof(line), out))
		strncat(listing, line, cap - strlen(listing) - 1);
	unlink(file);
	return out ? pclose(out) : -1;
}

static void test_cpio_reads_it(void **state)
{
	struct cpio c = CPIO_EMPTY;
	char listing[4096] = "";

	(void)state;
	if (system("command -v cpio >/dev/null")) /* NOLINT(cert-env33-c) */
		skip();
	cpio_directory(&c, "dev", 0755);
	cpio_character_device(&c, "dev/console", 0600, 5, 1);
	cpio_character_device(&c, "dev/null", 0666, 1, 3);
	cpio_file(&c, "init", 0755, "#!/bin/sh\n", 10);
	assert_int_equal(cpio_end(&c, NULL), 0);
	assert_int_equal(list(&c, listing, sizeof(listing)), 0);
	assert_string_equal(listing,
			    "drwxr-xr-x   2 0        0               0 Jan  1  1970 dev\n"
			    "crw-------   1 0        0          5,   1 Jan  1  1970 dev/console\n"
			    "crw-rw-rw-   1 0        0          1,   3 Jan  1  1970 dev/null\n"
			    "-rwxr-xr-x   1 0        0              10 Jan  1  1970 init\n");
	cpio_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_alignment),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_cpio_reads_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
