/* depmod's texts: orders of loading, and what is refused in them. */
#include "vmm/base/units.h"
#include "vmm/test/module_index.h"

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
static struct module_list list;

/* An index in the folder "/m"; NULL: there is no such file. */
static struct module_index make_index(const char *dep, const char *builtin, const char *softdep,
				      const char *alias)
{
	const char *texts[MODULE_TEXTS] = { dep, builtin, softdep, alias };
	struct module_index x = { .folder = "/m" };

	for (enum module_text t = 0; t < MODULE_TEXTS; t++) {
		x.texts[t].data = texts[t];
		x.texts[t].len = texts[t] ? strlen(texts[t]) : 0;
	}
	err.text[0] = 0;
	memset(&list, 0, sizeof(list));
	return x;
}

static enum module_where add(const struct module_index *x, const char *name)
{
	enum module_where where = MODULE_NOWHERE;

	if (module_index_check(x, &err) || module_list_add(&list, x, name, &where, &err))
		fail_msg("%s", err.text);
	assert_int_equal(list.nr_open, 0);
	return where;
}

/* Asserts that the list has these names, in this order: "a b c". */
static void assert_order(const char *names)
{
	char all[4096] = "";

	for (unsigned i = 0; i < list.n; i++)
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%.*s", i ? " " : "",
			 (int)list.files[i].name_len, list.files[i].name);
	assert_string_equal(all, names);
}

/* Asserts that `name` is refused, by the check or by the search, with `word` in the sentence. */
static void assert_refused(const struct module_index *x, const char *name, int code,
			   const char *word)
{
	enum module_where where;
	int ret = module_index_check(x, &err);

	if (!ret)
		ret = module_list_add(&list, x, name, &where, &err);
	assert_int_equal(ret, -code);
	if (!strstr(err.text, word))
		fail_msg("\"%s\" does not say \"%s\"", err.text, word);
}

#define EXT4                                                        \
	"k/fs/ext4/ext4.ko.xz: k/crc16.ko k/mbcache.ko k/jbd2.ko\n" \
	"k/crc16.ko:\n"                                             \
	"k/mbcache.ko:\n"                                           \
	"k/jbd2.ko:\n"                                              \
	"k/crc32c-intel.ko:\n"                                      \
	"k/crc32c_generic.ko: k/hash.ko\n"                          \
	"k/hash.ko:\n"

static void test_order(void **state)
{
	struct module_index x = make_index(EXT4, "k/virtio.ko\n", NULL, NULL);

	(void)state;
	assert_int_equal(add(&x, "ext4"), MODULE_IN_FILE);
	assert_order("jbd2 mbcache crc16 ext4");
	assert_memory_equal(list.files[3].path, "k/fs/ext4/ext4.ko.xz", 20);
	assert_int_equal(list.files[3].path_len, 20);
	/* Nothing comes twice, and nothing comes for what the kernel has or has not. */
	assert_int_equal(add(&x, "mbcache"), MODULE_IN_FILE);
	assert_int_equal(add(&x, "virtio"), MODULE_IN_KERNEL);
	assert_int_equal(add(&x, "ext3"), MODULE_NOWHERE);
	assert_int_equal(add(&x, "ext"), MODULE_NOWHERE);
	assert_int_equal(add(&x, ""), MODULE_NOWHERE);
	assert_order("jbd2 mbcache crc16 ext4");
	assert_int_equal(add(&x, "crc32c_generic"), MODULE_IN_FILE);
	assert_order("jbd2 mbcache crc16 ext4 hash crc32c_generic");
}

static void test_dashes(void **state)
{
	struct module_index x =
		make_index("k/a-b_c.ko: k/d_e.ko\nk/d-e.ko:\n", "k/f-g.ko\n", NULL, NULL);

	(void)state;
	assert_int_equal(add(&x, "a_b-c"), MODULE_IN_FILE);
	assert_int_equal(add(&x, "f_g"), MODULE_IN_KERNEL);
	assert_order("d-e a-b_c");
}

/* A list that depmod did not write need not name what a dependency itself needs. */
static void test_needs_of_needs(void **state)
{
	struct module_index x = make_index("a.ko: b.ko\nb.ko: c.ko\nc.ko:\n", NULL, NULL, NULL);

	(void)state;
	add(&x, "a");
	assert_order("c b a");
}

static void test_soft(void **state)
{
	struct module_index x = make_index(EXT4, NULL,
					   "# by depmod\n"
					   "softdep cifs aes\n"
					   "softdep ext4 pre: crypto-crc32c nowhere post: hash\n"
					   "softdep jbd2 pre: crypto_crc32c\n",
					   "alias crypto-crc32c crc32c_intel\n"
					   "alias crypto-crc32 hash\n"
					   "alias crypto-crc32c crc32c_generic\n"
					   "alias pci:v*d* hash\n"
					   "alias crypto-crc32c gone\n");

	(void)state;
	assert_int_equal(add(&x, "ext4"), MODULE_IN_FILE);
	assert_order("crc32c-intel hash crc32c_generic jbd2 mbcache crc16 ext4");
	x = make_index(EXT4, NULL, "softdep jbd2 pre: crc32c-intel\n", NULL);
	assert_int_equal(add(&x, "ext4"), MODULE_IN_FILE);
	assert_order("crc32c-intel jbd2 mbcache crc16 ext4");
}

static void test_alias_is_wanted(void **state)
{
	struct module_index x = make_index("a.ko:\n", "b.ko\n", NULL,
					   "alias both b\nalias both a\nalias in b\nalias out c\n");

	(void)state;
	assert_int_equal(add(&x, "in"), MODULE_IN_KERNEL);
	assert_int_equal(add(&x, "out"), MODULE_NOWHERE);
	assert_int_equal(add(&x, "both"), MODULE_IN_FILE);
	assert_order("a");
}

static void test_circles(void **state)
{
	struct module_index x =
		make_index("a.ko: b.ko\nb.ko: c.ko\nc.ko: a.ko\n", NULL, NULL, NULL);

	(void)state;
	assert_refused(&x, "a", ELOOP, "module a needs itself");
	x = make_index("a.ko: a.ko\n", NULL, NULL, NULL);
	assert_refused(&x, "a", ELOOP, "module a needs itself");
	/* Soft ones are opened, whichever end is asked for. */
	x = make_index("a.ko:\nb.ko:\n", NULL, "softdep a pre: b\nsoftdep b pre: a\n", NULL);
	add(&x, "a");
	assert_order("b a");
	x = make_index("a.ko:\n", NULL, "softdep a pre: a\n", NULL);
	add(&x, "a");
	assert_order("a");
	/* b and c cannot be loaded before a, but d can. */
	x = make_index("a.ko:\nb.ko: c.ko\nc.ko: a.ko d.ko\nd.ko:\n", NULL, "softdep a pre: b d\n",
		       NULL);
	add(&x, "a");
	assert_order("d a");
	add(&x, "b");
	assert_order("d a c b");
}

static void test_absolute_paths(void **state)
{
	struct module_index x = make_index("/m/k/a.ko: /m/k/b.ko\n/m/k/b.ko:\n", NULL, NULL, NULL);

	(void)state;
	add(&x, "a");
	assert_order("b a");
	assert_int_equal(list.files[1].path_len, 6);
	assert_memory_equal(list.files[1].path, "k/a.ko", 6);
}

static void test_paths_out_of_the_folder(void **state)
{
	static const char *const paths[] = { "/etc/a.ko",    "/mm/a.ko",  "/m/../a.ko", "../a.ko",
					     "k/../../a.ko", "k/../a.ko", "/m//a.ko",	"/a.ko" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		char dep[64];
		struct module_index x;

		snprintf(dep, sizeof(dep), "%s:\n", paths[i]);
		x = make_index(dep, NULL, NULL, NULL);
		assert_refused(&x, "a", EINVAL, paths[i]);
		assert_non_null(strstr(err.text, "does not lie"));
	}
}

static void test_names_that_are_none(void **state)
{
	struct module_index x = make_index("k/a\033[1m.ko:\n", NULL, NULL, NULL);

	(void)state;
	assert_refused(&x, "a\033[1m", EINVAL, "no path of a kernel module");
	assert_null(strchr(err.text, '\033'));
	x = make_index("k/.ko:\n", NULL, NULL, NULL);
	assert_refused(&x, "", EINVAL, "no path of a kernel module");
}

/* The longest name of a module and the longest path, and one that is longer. */
static void test_lengths(void **state)
{
	(void)state;
	for (unsigned extra = 0; extra < 2; extra++) {
		char name[MODULE_NAME_MAX + 2] = "", dep[MODULE_PATH_MAX + 16], *end;
		struct module_index by_name, by_path;

		memset(name, 'n', MODULE_NAME_MAX + extra);
		snprintf(dep, sizeof(dep), "k/%s.ko:\n", name);
		by_name = make_index(dep, NULL, NULL, NULL);
		if (extra)
			assert_refused(&by_name, name, EINVAL, "no path of a kernel module");
		else
			assert_int_equal(add(&by_name, name), MODULE_IN_FILE);
		memset(dep, 'd', sizeof(dep));
		end = dep + MODULE_PATH_MAX + extra;
		strcpy(end - strlen("/a.ko"), "/a.ko:\n");
		by_path = make_index(dep, NULL, NULL, NULL);
		if (extra)
			assert_refused(&by_path, "a", EINVAL, "no path of a kernel module");
		else
			assert_int_equal(add(&by_path, "a"), MODULE_IN_FILE);
	}
}

static void test_torn(void **state)
{
	struct module_index x = make_index("a.ko:\nb.ko: a.k", NULL, NULL, NULL);
	char *line = malloc(70000);

	(void)state;
	assert_refused(&x, "a", EINVAL, "/m/modules.dep ends in the middle of a line");
	x = make_index("a.ko:\nb.ko: a.ko c.ko\n", NULL, NULL, NULL);
	assert_refused(&x, "b", EINVAL, "no line for 'c.ko', which module b needs");
	x = make_index("a.ko:\nb.ko\n", NULL, NULL, NULL);
	assert_refused(&x, "a", EINVAL, "line 2 of /m/modules.dep has no colon");
	x = make_index("a.ko:\n", "k/b.ko\nk/", NULL, NULL);
	assert_refused(&x, "a", EINVAL, "/m/modules.builtin ends");
	x = make_index("a.ko:\n", NULL, "softdep a pre: b\n ", NULL);
	assert_refused(&x, "a", EINVAL, "/m/modules.softdep ends");
	x = make_index("a.ko:\n", NULL, NULL, "ali\nas a b\n.");
	assert_refused(&x, "a", EINVAL, "/m/modules.alias ends");
	x.texts[MODULE_TEXT_ALIAS].data = "alias\n\0\0\0\n";
	x.texts[MODULE_TEXT_ALIAS].len = 10;
	assert_refused(&x, "a", EINVAL, "/m/modules.alias has a zero byte");
	assert_non_null(line);
	memset(line, 'x', 70000);
	line[69998] = '\n';
	line[69999] = 0;
	x = make_index("a.ko:\n", NULL, NULL, line);
	assert_refused(&x, "a", EINVAL, "line 1 of /m/modules.alias is longer than 64 KiB");
	free(line);
	/* Empty: a kernel without modules. */
	x = make_index("", NULL, NULL, NULL);
	assert_int_equal(add(&x, "a"), MODULE_NOWHERE);
}

/* A chain that is as long as a list may be, and one that is longer. */
static void test_too_many(void **state)
{
	(void)state;
	for (unsigned extra = 0; extra < 2; extra++) {
		char *dep = calloc(MODULES_MAX + 2, 32), *at = dep;
		struct module_index x;

		assert_non_null(dep);
		for (unsigned i = 1; i < MODULES_MAX + extra; i++)
			at += sprintf(at, "m%u.ko: m%u.ko\n", i - 1, i);
		at += sprintf(at, "m%u.ko:\n", MODULES_MAX + extra - 1);
		x = make_index(dep, NULL, NULL, NULL);
		if (extra) {
			assert_refused(&x, "m0", E2BIG, "more than 256 modules");
		} else {
			assert_int_equal(add(&x, "m0"), MODULE_IN_FILE);
			assert_int_equal(list.n, MODULES_MAX);
		}
		free(dep);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_dashes),
		cmocka_unit_test(test_needs_of_needs),
		cmocka_unit_test(test_soft),
		cmocka_unit_test(test_alias_is_wanted),
		cmocka_unit_test(test_circles),
		cmocka_unit_test(test_absolute_paths),
		cmocka_unit_test(test_paths_out_of_the_folder),
		cmocka_unit_test(test_names_that_are_none),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_torn),
		cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
