/*
 * How --root of a folder finds a virtiofsd, which program it takes it for, and how it starts it;
 * the programs here are scripts.
 */
#include "tests/fault/wrap.h"
#include "vmm/base/span.h"
#include "vmm/test/root.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct err err;
static char folder[64];

#define OF_RUST	  "--shared-dir <SHARED_DIR>"
#define OF_QEMU	  "-o source=PATH"
#define READ_ONLY "--readonly"
#define NO_ATIME  "--preserve-noatime"

/* A script that has these options, and, when it is to serve, does that. */
static void make_program(const char *options, const char *serves)
{
	char path[96];
	FILE *file;

	snprintf(path, sizeof(path), "%s/virtiofsd", folder);
	file = fopen(path, "we");
	assert_non_null(file);
	fprintf(file,
		"#!/bin/sh\n[ \"$1\" != --help ] || { echo 'usage: %s'; exit; }\n"
		"cd %s || exit 9\n%s\n",
		options, folder, serves);
	fclose(file);
	assert_int_equal(chmod(path, 0755), 0);
}

static int setup(void **state)
{
	strcpy(folder, "/tmp/straddle-test-XXXXXX");
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chmod(folder, 0755), 0);
	setenv("PATH", folder, 1);
	return wrap_setup(state);
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	setenv("PATH", "/usr/bin:/bin", 1);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static void free_config(struct config *c)
{
	for (unsigned i = 0; i < c->nr_fs; i++) {
		free(c->fs[i].socket);
		free(c->fs[i].tag);
	}
}

/* Opens the folder; what the program says as it ends is in err. */
static void open_root(struct test_root *root, const char *what)
{
	struct config c = { .test.root = (char *)what };

	*root = (struct test_root){ .folder = "" };
	if (test_root_open(root, &c, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(c.nr_fs, 1);
	assert_string_equal(test_root_spec(&c, root), "root=fs:" TEST_ROOT_TAG);
	assert_int_equal(access(c.fs[0].socket, F_OK), 0);
	test_root_connected(root);
	assert_int_equal(access(c.fs[0].socket, F_OK), -1);
	free_config(&c);
}

static void test_options(void **state)
{
	static const struct {
		const char *options, *says;
	} cases[] = {
		{ OF_RUST " " READ_ONLY " " NO_ATIME " --no-announce-submounts",
		  "--fd=3 --shared-dir=/usr --sandbox=chroot --cache=auto --rlimit-nofile=0 "
		  "--log-level=error --readonly --no-announce-submounts," },
		{ OF_RUST, "--log-level=error," },
		{ OF_QEMU, "--fd=3 -o source=/usr -o sandbox=chroot -o cache=auto" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned before = wrap_held().fds;
		struct test_root root;

		make_program(cases[i].options, "echo \"$*,\"; exit 4");
		open_root(&root, "/usr");
		assert_true(test_root_tell(&root, &err));
		wrap_assert_says(&err, "virtiofsd ended with status 4; its last words: --fd=3");
		wrap_assert_says(&err, cases[i].says);
		test_root_close(&root);
		test_root_close(&root);
		assert_int_equal(wrap_held().fds, before);
	}
}

/* Whether this kernel, and the container that this may be, can make mounts read-only. */
static bool can_forbid(void)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit((getuid() && unshare(CLONE_NEWUSER) < 0) || unshare(CLONE_NEWNS) < 0 ||
		      mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0 ||
		      syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &attr, sizeof(attr)) <
			      0);
	waitpid(pid, &status, 0);
	return status == 0;
}

/* Whatever the guest does, nothing here is written to. */
static void test_nothing_is_written(void **state)
{
	struct test_root root;

	(void)state;
	if (!can_forbid())
		skip();
	make_program(OF_QEMU, "(: >new) 2>/dev/null && echo written || echo refused; exit 4");
	open_root(&root, "/usr");
	assert_true(test_root_tell(&root, &err));
	wrap_assert_says(&err, "words: refused");
	test_root_close(&root);
}

static void test_refusals(void **state)
{
	unsigned before = wrap_held().fds;
	struct config c = { .test.root = (char *)"/usr" };
	struct test_root root = { .folder = "" };

	(void)state;
	make_program("kitchen sink", "exit 0");
	assert_int_equal(test_root_open(&root, &c, &err), -ENOEXEC);
	wrap_assert_says(&err, "--help says 'usage: kitchen sink");
	test_root_close(&root);
	free_config(&c);
	c = (struct config){ .test.root = (char *)"/none/of/this" };
	assert_int_equal(test_root_open(&root, &c, &err), -EINVAL);
	wrap_assert_says(&err, "there is no such folder or image");
	test_root_close(&root);
	assert_int_equal(wrap_held().fds, before);
}

/* As a user without rights, where there may be no user namespaces: a child's status. */
static void as_user(void (*look)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		if (getuid() == 0 &&
		    (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0))
			_exit(1);
		look();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
}

/* It is root there, or, where that is not allowed, is told so. */
static void look_at_rights(void)
{
	struct test_root root;

	open_root(&root, "/usr");
	if (!test_root_tell(&root, &err) ||
	    (!strstr(err.text, "words: 0 --fd=3 --shared-dir=/usr --sandbox=chroot") &&
	     !strstr(err.text, "words: 65534 --fd=3 --shared-dir=/usr --sandbox=none"))) {
		print_message("%s\n", err.text);
		_exit(2);
	}
	if (root.read_only)
		_exit(3);
	test_root_close(&root);
}

static void test_user(void **state)
{
	(void)state;
	make_program(OF_RUST " " READ_ONLY " " NO_ATIME, "echo $(/usr/bin/id -u) $*; exit 4");
	as_user(look_at_rights);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_options, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing_is_written, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_user, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
