/*
 * A child that has given up its rights, as virtiofsd has when a user starts it, and opens the file
 * of another user as virtiofsd does.
 */
#include "tests/fault/wrap.h"
#include "vmm/test/daemon_calls.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILE_OF_ROOT "/etc/passwd"

static struct err err;

/* What the child found. */
struct found {
	int filter, groups; /* errnos */
	int again;	    /* errno of opening its descriptor again, and what it got */
	int flags, cloexec;
	char first[5];
	int by_path; /* errno of opening a path */
	int number;  /* errno of opening no descriptor */
};

static void look(struct found *f)
{
	int proc = open("/proc/self/fd", O_PATH | O_CLOEXEC);
	int file = open(FILE_OF_ROOT, O_PATH | O_CLOEXEC), fd;
	char name[16];

	f->groups = setgroups(0, NULL) < 0 ? errno : 0;
	snprintf(name, sizeof(name), "%d", file);
	fd = openat(proc, name, O_RDONLY | O_NOATIME | O_CLOEXEC);
	f->again = fd < 0 ? errno : 0;
	f->flags = fcntl(fd, F_GETFL);
	f->cloexec = fcntl(fd, F_GETFD);
	(void)!read(fd, f->first, sizeof(f->first) - 1);
	f->by_path =
		openat(AT_FDCWD, FILE_OF_ROOT, O_RDONLY | O_NOATIME | O_CLOEXEC) < 0 ? errno : 0;
	f->number = openat(proc, "777", O_RDONLY | O_NOATIME | O_CLOEXEC) < 0 ? errno : 0;
}

static void child(int socket, int to, bool filtered)
{
	struct found f = { .filter = -1 };

	if (getuid() == 0 &&
	    (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0))
		_exit(1);
	f.filter = daemon_calls_filter(filtered ? socket : -1);
	if (f.filter == 0)
		look(&f);
	(void)!write(to, &f, sizeof(f));
	_exit(0);
}

/* Returns what daemon_calls_serve() did. */
static int run_child(struct found *f, bool filtered)
{
	struct daemon_calls c = { .serving = false };
	int sockets[2], pipes[2], ret;
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	/* The filter's listener is there before the first call that needs it, as it is by exec. */
	pid = fork();
	if (pid == 0)
		child(sockets[1], pipes[1], filtered);
	close(pipes[1]);
	close(sockets[1]);
	if (filtered) { /* wait for it */
		char byte;

		(void)!recv(sockets[0], &byte, 1, MSG_PEEK);
	}
	ret = daemon_calls_serve(&c, sockets[0], &err);
	assert_int_equal(read(pipes[0], f, sizeof(*f)), sizeof(*f));
	waitpid(pid, NULL, 0);
	usleep(20000); /* the thread sees that the child is gone */
	daemon_calls_end(&c);
	daemon_calls_end(&c);
	close(pipes[0]);
	close(sockets[0]);
	return ret;
}

static void test_noatime(void **state)
{
	struct wrap_held before = wrap_held();
	struct found f;
	int ret = run_child(&f, true);

	(void)state;
	if (ret == -EOPNOTSUPP) {
		print_message("this kernel gives no descriptors by seccomp\n");
		skip();
	}
	assert_int_equal(ret, 0);
	assert_int_equal(f.filter, 0);
	assert_int_equal(f.groups, 0);
	assert_int_equal(f.again, 0);
	assert_int_equal(f.flags & (O_ACCMODE | O_NOATIME), O_RDONLY);
	assert_int_equal(f.cloexec, FD_CLOEXEC);
	assert_string_equal(f.first, "root");
	assert_int_equal(f.by_path, EPERM); /* as it would be without */
	assert_int_equal(f.number, ENOENT);
	wrap_assert_released(before, "calls");
}

/* Without a listener the kernel's own answer stays. */
static void test_groups_alone(void **state)
{
	struct wrap_held before = wrap_held();
	struct found f;

	(void)state;
	assert_int_equal(run_child(&f, false), -EOPNOTSUPP);
	assert_int_equal(f.filter, 0);
	assert_int_equal(f.groups, 0);
	assert_int_equal(f.again, EPERM);
	wrap_assert_released(before, "no calls");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_noatime, wrap_setup),
		cmocka_unit_test_setup(test_groups_alone, wrap_setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
