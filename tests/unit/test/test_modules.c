/* Folders of modules, made in a temporary directory: what the archive has, and what is refused. */
#include "tests/packed.h"
#include "vmm/test/modules.h"
#include "vmm/base/units.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static struct err err;
static char folder[64];

static const char *path_of(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static void write_file(const char *name, const void *data, size_t len)
{
	FILE *f = fopen(path_of(name), "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void write_text(const char *name, const char *text)
{
	write_file(name, text, strlen(text));
}

static const char *const files[] = { "k/plain.ko",	"k/x.ko.xz",	   "k/z.ko.zst",
				     "k/g.ko.gz",	"k/bad.ko.xz",	   "k/text.ko",
				     "k/pipe.ko",	"k/device.ko",	   "modules.dep",
				     "modules.builtin", "modules.softdep", "modules.alias" };

static int make_folder(void **state)
{
	static const struct {
		enum packing packing;
		const char *name, *content;
	} packed[] = {
		{ PACK_XZ, "k/x.ko.xz", "\177ELF x" },
		{ PACK_ZST, "k/z.ko.zst", "\177ELF zst" },
		{ PACK_GZ, "k/g.ko.gz", "\177ELF g" },
	};

	(void)state;
	strcpy(folder, "/tmp/straddle-modules-XXXXXX");
	if (!mkdtemp(folder) || mkdir(path_of("k"), 0700) || mkfifo(path_of("k/pipe.ko"), 0600) ||
	    symlink("/dev/zero", path_of("k/device.ko")))
		return -1;
	write_text("k/plain.ko", "\177ELF plain");
	write_text("k/text.ko", "root:x:0:0\n");
	for (size_t i = 0; i < ARRAY_SIZE(packed); i++) {
		size_t len;
		uint8_t *data = pack(packed[i].packing, (const uint8_t *)packed[i].content,
				     strlen(packed[i].content), &len);

		write_file(packed[i].name, data, len);
		if (packed[i].packing == PACK_XZ)
			write_file("k/bad.ko.xz", data, len - 1);
		free(data);
	}
	write_text("modules.dep", "k/plain.ko: k/x.ko.xz k/z.ko.zst\n"
				  "k/x.ko.xz: k/z.ko.zst\n"
				  "k/z.ko.zst:\n"
				  "k/g.ko.gz:\n"
				  "k/bad.ko.xz:\n"
				  "k/text.ko:\n"
				  "k/pipe.ko:\n"
				  "k/device.ko:\n"
				  "k/gone.ko:\n");
	write_text("modules.builtin", "k/ext4.ko\n");
	write_text("modules.softdep", "softdep x pre: crypto-g\n");
	write_text("modules.alias", "alias crypto-g g\n");
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		unlink(path_of(files[i]));
	rmdir(path_of("k"));
	return rmdir(folder);
}

/* Asserts that the archive has a regular file of that path and these contents. */
static void assert_has(const struct cpio *c, const char *path, const char *content)
{
	const uint8_t *at = memmem(c->out.data, c->out.len, path, strlen(path) + 1);
	size_t offset;

	if (!at)
		fail_msg("the archive has no %s", path);
	offset = (size_t)(at - c->out.data) + strlen(path) + 1;
	offset = (offset + 3) & ~(size_t)3;
	assert_true(offset + strlen(content) <= c->out.len);
	assert_memory_equal(c->out.data + offset, content, strlen(content));
	assert_memory_equal(at - 110 + 14, "00008180", 8);
}

static void test_pack(void **state)
{
	struct module_wanted wanted[] = { { .name = "plain" },
					  { .name = "ext4" },
					  { .name = "no" } };
	struct cpio c = CPIO_EMPTY;
	struct modules m;
	char with_slashes[80];

	(void)state;
	snprintf(with_slashes, sizeof(with_slashes), "%s///", folder);
	if (modules_pack(&m, &c, with_slashes, wanted, ARRAY_SIZE(wanted), &err))
		fail_msg("%s", err.text);
	assert_int_equal(wanted[0].where, MODULE_IN_FILE);
	assert_int_equal(wanted[1].where, MODULE_IN_KERNEL);
	assert_int_equal(wanted[2].where, MODULE_NOWHERE);
	assert_true(m.knows_built_in);
	assert_int_equal(m.n, 4);
	assert_string_equal(m.paths[0], "/straddle/modules/000-z.ko");
	assert_string_equal(m.paths[1], "/straddle/modules/001-g.ko");
	assert_string_equal(m.paths[2], "/straddle/modules/002-x.ko");
	assert_string_equal(m.paths[3], "/straddle/modules/003-plain.ko");
	assert_has(&c, "straddle/modules/000-z.ko", "\177ELF zst");
	assert_has(&c, "straddle/modules/001-g.ko", "\177ELF g");
	assert_has(&c, "straddle/modules/002-x.ko", "\177ELF x");
	assert_has(&c, "straddle/modules/003-plain.ko", "\177ELF plain");
	/* Linux makes no directory of its own accord. */
	assert_memory_equal(c.out.data + 110, "straddle\0", 9);
	assert_int_equal(cpio_end(&c, &err), 0);
	modules_free(&m);
	cpio_free(&c);
}

/* Folders without modules.builtin, soft dependencies and aliases; a kernel that needs nothing. */
static void test_only_modules_dep(void **state)
{
	struct module_wanted wanted[] = { { .name = "x" }, { .name = "ext4" } };
	struct cpio c = CPIO_EMPTY;
	struct modules m;

	(void)state;
	unlink(path_of("modules.builtin"));
	unlink(path_of("modules.softdep"));
	unlink(path_of("modules.alias"));
	assert_int_equal(modules_pack(&m, &c, folder, wanted, 2, &err), 0);
	assert_int_equal(m.n, 2);
	assert_false(m.knows_built_in);
	assert_int_equal(wanted[1].where, MODULE_NOWHERE);
	modules_free(&m);
	cpio_free(&c);
	assert_int_equal(modules_pack(&m, &c, folder, wanted + 1, 1, &err), 0);
	assert_int_equal(m.n, 0);
	assert_null(m.paths);
	assert_int_equal(c.out.len, 0);
}

static void assert_refused(const char *in, const char *name, int code, const char *word)
{
	struct module_wanted wanted = { .name = name };
	struct cpio c = CPIO_EMPTY;
	struct modules m;

	err.text[0] = 0;
	assert_int_equal(modules_pack(&m, &c, in, &wanted, 1, &err), -code);
	if (!strstr(err.text, word))
		fail_msg("\"%s\" does not say \"%s\"", err.text, word);
	assert_null(m.paths);
	cpio_free(&c);
}

static void test_files_that_are_no_modules(void **state)
{
	(void)state;
	assert_refused(folder, "bad", EINVAL, "k/bad.ko.xz ends too early");
	assert_refused(folder, "text", EINVAL, "k/text.ko is no kernel module");
	assert_refused(folder, "pipe", EINVAL, "k/pipe.ko is no regular file");
	assert_refused(folder, "device", EINVAL, "k/device.ko is no regular file");
	assert_refused(folder, "gone", ENOENT, "k/gone.ko, which modules.dep names");
	assert_int_equal(truncate(path_of("k/plain.ko"), 64 * (off_t)MIB + 1), 0);
	assert_refused(folder, "plain", EFBIG, "k/plain.ko is larger than 64 MiB");
}

static void test_folders_that_are_none(void **state)
{
	char *path = test_malloc(5000);

	(void)state;
	memset(path, '/', 5000);
	memset(path + 1, 'p', 4990);
	path[4999] = 0;
	assert_refused(path, "x", ENAMETOOLONG, "no path of a folder");
	test_free(path);
	assert_refused("", "x", ENAMETOOLONG, "no path of a folder");
	assert_refused(path_of("k"), "x", ENOENT, "k/modules.dep: name the folder");
	assert_refused(path_of("k/text.ko"), "x", ENOTDIR, "Not a directory");
	assert_int_equal(truncate(path_of("modules.dep"), 100), 0);
	assert_refused(folder, "x", EINVAL, "modules.dep ends in the middle of a line");
	assert_int_equal(truncate(path_of("modules.dep"), 16 * (off_t)MIB + 1), 0);
	assert_refused(folder, "x", EFBIG, "modules.dep is larger than 16 MiB");
	write_text("modules.dep", "../x.ko:\n");
	assert_refused(folder, "x", EINVAL, "'../x.ko', which does not lie in that folder");
	unlink(path_of("modules.dep"));
	assert_int_equal(mkdir(path_of("modules.dep"), 0700), 0);
	assert_refused(folder, "x", EINVAL, "modules.dep is no regular file");
	rmdir(path_of("modules.dep"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pack, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_only_modules_dep, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_files_that_are_no_modules, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(test_folders_that_are_none, make_folder,
						remove_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
