/*
 * SIGBUS: real ones of files that were cut short, and those of memory errors, which this process
 * sends itself as the kernel would.
 */
#include "tests/fault/wrap.h"
#include "vmm/host/fault.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGES 4
#define SIZE  (PAGES * 4 * KIB)

static struct err err;
static uint8_t *mapped;
static int file;

static int map(void **state)
{
	wrap_setup(state);
	file = memfd_create("file", MFD_CLOEXEC);
	if (file < 0 || ftruncate(file, SIZE) < 0)
		return -1;
	mapped = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	return mapped == MAP_FAILED ? -1 : 0;
}

static int unmap(void **state)
{
	(void)state;
	fault_unlist(mapped);
	munmap(mapped, SIZE);
	close(file);
	return 0;
}

static void list(const char *option, bool is_guest, bool huge)
{
	fault_list(&(struct fault_range){
		.at = mapped,
		.len = SIZE,
		.is_guest = is_guest,
		.huge = huge,
		.gpa = is_guest ? 4 * GIB : 0,
		.option = option,
		.path = option ? "/srv/file" : NULL,
		.fd = option ? file : -1,
	});
}

/* As the kernel sends it to the thread that touched `at`. */
static void send_error(int code, const void *at)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_signo = SIGBUS;
	info.si_code = code;
	info.si_addr = (void *)(uintptr_t)at;
	info.si_addr_lsb = 12;
	assert_int_equal(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGBUS, &info), 0);
}

static void touch(void)
{
	((volatile uint8_t *)mapped)[4 * KIB + 5] = 1;
}
static void touch_cut(void)
{
	if (ftruncate(file, 0) == 0)
		touch();
}
static void meet_error(void)
{
	send_error(BUS_MCEERR_AR, mapped + 4 * KIB);
}
static void meet_foreign_error(void)
{
	send_error(BUS_MCEERR_AR, (void *)(uintptr_t)0x123000);
}
static void be_killed(void)
{
	raise(SIGBUS);
}

/* Runs it in a child; returns its wait status and what it said. */
static int child(void (*what)(void), char *said, size_t cap)
{
	int out[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(out), 0);
	pid = fork();
	if (pid == 0) {
		dup2(out[1], STDERR_FILENO);
		what();
		_exit(99);
	}
	close(out[1]);
	n = read(out[0], said, cap - 1);
	said[n > 0 ? n : 0] = '\0';
	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void expect_end(void (*what)(void), const char *words)
{
	char said[512];
	int status = child(what, said, sizeof(said));

	if (!WIFEXITED(status) || WEXITSTATUS(status) != 1 || !strstr(said, words) ||
	    strncmp(said, "straddle: ", 10))
		fail_msg("status %#x, said: %s\nwanted: %s", status, said, words);
}

static void test_missing(void **state)
{
	(void)state;
	assert_int_equal(fault_init(&err), 0); /* here: cmocka has handlers of its own */
	expect_end(touch_cut, "a file that was mapped was cut short (SIGBUS at 0x");
	assert_int_equal(ftruncate(file, SIZE), 0);
	list("--kernel", false, false);
	expect_end(touch_cut, "--kernel /srv/file: was cut short, or its storage failed");
	fault_unlist(mapped);
	assert_int_equal(ftruncate(file, SIZE), 0);
	list("--pmem", true, false);
	expect_end(touch_cut, "--pmem /srv/file, guest address 0x100001005: was cut short");
	fault_unlist(mapped);
	assert_int_equal(ftruncate(file, SIZE), 0);
	list(NULL, true, true);
	expect_end(touch_cut, "no memory left for guest address 0x100001005: no huge page is free");
}

static void test_errors(void **state)
{
	struct fault_bad bad = { 0 };

	(void)state;
	assert_int_equal(fault_init(&err), 0);
	list(NULL, true, false);
	expect_end(meet_error, "at guest address 0x100001000; straddle itself needs it");
	expect_end(meet_foreign_error, "at straddle's own memory");
	/* Where the guest runs, the error is the guest's. */
	fault_catch(&bad);
	send_error(BUS_MCEERR_AR, mapped + 8 * KIB);
	assert_int_equal(bad.hit, 1);
	assert_int_equal(bad.gpa, 4 * GIB + 8 * KIB);
	/* But not one of our own memory. */
	expect_end(meet_foreign_error, "straddle itself needs it and cannot go on");
	bad.hit = 0;
	send_error(BUS_MCEERR_AO, mapped); /* told ahead: we go on */
	assert_int_equal(bad.hit, 0);
	fault_catch(NULL);
}

/* Bytes stay as they are; a page that is not there is an error of this call alone. */
static void test_touch(void **state)
{
	uint64_t done;

	(void)state;
	assert_int_equal(fault_init(&err), 0);
	memset(mapped, 0x5a, SIZE);
	assert_int_equal(fault_touch(mapped, SIZE, 4 * KIB, &done), 0);
	assert_int_equal(done, SIZE);
	for (size_t i = 0; i < SIZE; i++)
		assert_int_equal(mapped[i], 0x5a);
	assert_int_equal(fault_touch(mapped, 4 * KIB + 1, 2 * MIB, &done), 0);
	assert_int_equal(done, 4 * KIB + 1);
	assert_int_equal(ftruncate(file, SIZE - 4 * KIB), 0);
	for (unsigned i = 0; i < 2; i++) { /* the second signal is not blocked */
		assert_int_equal(fault_touch(mapped, SIZE, 4 * KIB, &done), -EFAULT);
		assert_int_equal(done, SIZE - 4 * KIB);
	}
	expect_end(touch_cut, "a file that was mapped was cut short");
}

static void test_killed(void **state)
{
	char said[512];
	int status;

	(void)state;
	assert_int_equal(fault_init(&err), 0);
	status = child(be_killed, said, sizeof(said));
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
	assert_string_equal(said, "");
}

static void test_explain(void **state)
{
	(void)state;
	assert_false(fault_explain(&err));
	list("--pmem", true, false);
	assert_false(fault_explain(&err));
	assert_int_equal(ftruncate(file, 4 * KIB), 0);
	assert_true(fault_explain(&err));
	wrap_assert_says(&err, "--pmem /srv/file was cut short to 4096 bytes while the guest used");
	fault_unlist(mapped);
	list(NULL, true, true);
	assert_true(fault_explain(&err));
	wrap_assert_says(&err, "no huge page left for guest RAM");
}

/* Places are used again; what does not fit is not listed. */
static void test_list(void **state)
{
	static uint8_t some[FAULT_RANGES + 8];

	(void)state;
	for (unsigned i = 0; i < sizeof(some); i++)
		fault_list(&(struct fault_range){ .at = &some[i], .len = 1, .fd = -1 });
	for (unsigned i = 0; i < sizeof(some); i++)
		fault_unlist(&some[i]);
	test_errors(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_missing, map, unmap),
		cmocka_unit_test_setup_teardown(test_errors, map, unmap),
		cmocka_unit_test_setup_teardown(test_touch, map, unmap),
		cmocka_unit_test_setup_teardown(test_killed, map, unmap),
		cmocka_unit_test_setup_teardown(test_explain, map, unmap),
		cmocka_unit_test_setup_teardown(test_list, map, unmap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
