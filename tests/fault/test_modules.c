/*
 * A folder of modules when the host refuses: a call that fails leaves nothing behind, and the
 * sentence names the file.
 */
#include "tests/fault/wrap.h"
#include "tests/packed.h"
#include "vmm/test/modules.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static char folder[] = "/tmp/straddle-fake-XXXXXX";
static struct err err;

static const char *const names[] = { "m.ko.gz", "m.ko.xz", "m.ko.zst", "modules.dep" };

static int write_file(const char *name, const void *data, size_t len)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	return !f || fwrite(data, 1, len, f) != len || fclose(f) ? -1 : 0;
}

static int make_folder(void **state)
{
	static const char dep[] = "m.ko.gz:\n";

	(void)state;
	if (!mkdtemp(folder) || write_file("modules.dep", dep, sizeof(dep) - 1))
		return -1;
	for (enum packing p = 0; p < PACKINGS; p++) {
		size_t len;
		uint8_t *data = pack(p, (const uint8_t *)"\177ELF module", 11, &len);
		int ret = write_file(packed_name[p], data, len);

		free(data);
		if (ret)
			return ret;
	}
	return 0;
}

static int remove_folder(void **state)
{
	char path[128];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		unlink(path);
	}
	return rmdir(folder);
}

static int attempt(void *to, struct err *e)
{
	struct module_wanted wanted = { .name = "m" };
	struct cpio archive = CPIO_EMPTY;
	struct modules m;
	int ret = modules_pack(&m, &archive, folder, &wanted, 1, e);

	(void)to;
	if (!ret)
		ret = cpio_end(&archive, e);
	if (!ret) {
		assert_int_equal(m.n, 1);
		assert_non_null(memmem(archive.out.data, archive.out.len, "\177ELF module", 11));
	}
	modules_free(&m);
	cpio_free(&archive);
	return ret;
}

static void test_sweep(void **state)
{
	static const struct wrap_harmless retried[] = {
		{ { .name = "read" }, EINTR, "tried again" },
		{ { 0 }, 0, NULL },
	};

	(void)state;
	for (enum packing p = 0; p < PACKINGS; p++) {
		char dep[32];

		snprintf(dep, sizeof(dep), "%s:\n", packed_name[p]);
		assert_int_equal(write_file("modules.dep", dep, strlen(dep)), 0);
		wrap_sweep(attempt, NULL, EIO, NULL);
		wrap_sweep(attempt, NULL, ENOMEM, NULL);
		wrap_sweep(attempt, NULL, EINTR, retried);
	}
}

static void test_sentences(void **state)
{
	(void)state;
	wrap_fail_path("modules.dep", EACCES);
	assert_int_equal(attempt(NULL, &err), -EACCES);
	wrap_assert_says(&err, "modules.dep cannot be opened: Permission denied");
	wrap_reset();
	/* A text that may be missing is not taken for missing because it cannot be read. */
	wrap_fail_path("modules.softdep", EACCES);
	assert_int_equal(attempt(NULL, &err), -EACCES);
	wrap_assert_says(&err, "modules.softdep cannot be opened: Permission denied");
	wrap_reset();
	wrap_fail_named("read", 1, EIO);
	assert_int_equal(attempt(NULL, &err), -EIO);
	wrap_assert_says(&err, "modules.dep cannot be read: Input/output error");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_sweep, wrap_setup),
		cmocka_unit_test_setup(test_sentences, wrap_setup),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
