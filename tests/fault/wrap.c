#include "tests/fault/wrap.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define LIMIT_S 600 /* for one test; under a sanitizer, on a KVM that emulates, most take 1 */

/* What the test asked for. Only the counting thread touches these. */
static __thread bool counting;
static const char *only; /* NULL: every call counts */
static unsigned calls, fail_at;
static int fail_code;
static bool fail_later; /* and all after it */
static struct wrap_call failed;

static wrap_ioctl_fn *ioctl_answer;
static wrap_madvise_fn *madvise_answer;
static wrap_mbind_fn *mbind_answer;
static const char *redirect_from, *redirect_to;
static const char *fail_path;
static int fail_path_code;
static size_t short_reads;
static unsigned submits_refused;
static void (*on_submitted)(struct io_uring *ring, unsigned n);
static void (*stat_change)(struct stat *st);
static void (*instead_of_sleep)(void);
static bool small_memfd;
static __thread bool answering; /* the calls are those of the test itself */

/* What is held; any thread. */
static uint64_t mapped;
static int64_t blocks;

/* --- which call fails --- */

static void pick(const char *name, unsigned n, int code)
{
	only = name;
	calls = 0;
	fail_at = n;
	fail_code = code;
	fail_later = false;
	failed = (struct wrap_call){ 0 };
	counting = true;
}

void wrap_count(void)
{
	pick(NULL, 0, 0);
}

void wrap_fail_at(unsigned n, int code)
{
	pick(NULL, n, code);
}

void wrap_fail_named(const char *name, unsigned n, int code)
{
	pick(name, n, code);
}

void wrap_fail_from(const char *name, unsigned n, int code)
{
	pick(name, n, code);
	fail_later = true;
}

void wrap_fail_path(const char *end, int code)
{
	fail_path = end;
	fail_path_code = code;
}

unsigned wrap_calls(void)
{
	return calls;
}

struct wrap_call wrap_failed(void)
{
	return failed;
}

void wrap_ioctl(wrap_ioctl_fn *answer)
{
	ioctl_answer = answer;
}

void wrap_mbind(wrap_mbind_fn *answer)
{
	mbind_answer = answer;
}

void wrap_madvise(wrap_madvise_fn *answer)
{
	madvise_answer = answer;
}

void wrap_redirect(const char *from, const char *to)
{
	redirect_from = from;
	redirect_to = to;
}

void wrap_refuse_submits(unsigned n)
{
	submits_refused = n;
}

void wrap_submit(void (*submitted)(struct io_uring *ring, unsigned n))
{
	on_submitted = submitted;
}

void wrap_stat(void (*change)(struct stat *st))
{
	stat_change = change;
}

void wrap_sleep(void (*instead)(void))
{
	instead_of_sleep = instead;
}

void wrap_short_reads(size_t most)
{
	short_reads = most;
}

void wrap_small_memfd(bool small)
{
	small_memfd = small;
}

void wrap_reset(void)
{
	pick(NULL, 0, 0);
	counting = false;
	wrap_ioctl(NULL);
	wrap_madvise(NULL);
	wrap_mbind(NULL);
	wrap_redirect(NULL, NULL);
	wrap_fail_path(NULL, 0);
	wrap_short_reads(0);
	wrap_stat(NULL);
	wrap_sleep(NULL);
	wrap_submit(NULL);
	wrap_refuse_submits(0);
	wrap_small_memfd(false);
}

/* Counts a call; true if it is the one to fail, with errno set. */
static bool fails_as(struct wrap_call call)
{
	if (!counting || answering || (only && strcmp(only, call.name)))
		return false;
	calls++;
	if (calls != fail_at && !(fail_later && calls > fail_at))
		return false;
	failed = call;
	errno = fail_code;
	return true;
}

static bool fails(const char *name)
{
	return fails_as((struct wrap_call){ .name = name });
}

/* --- the calls --- */

/* One that does nothing but pass or fail. */
#define WRAP(type, failure, name, params, args)                       \
	type __real_##name params;                                    \
	type __wrap_##name params;                                    \
	type __wrap_##name params                                     \
	{                                                             \
		return fails(#name) ? (failure) : __real_##name args; \
	}

WRAP(int, -fail_code, io_uring_queue_init, (unsigned n, struct io_uring *ring, unsigned flags),
     (n, ring, flags))
WRAP(int, -fail_code, io_uring_register_eventfd, (struct io_uring * ring, int fd), (ring, fd))
WRAP(pid_t, -1, fork, (void), ())
WRAP(int, -1, pipe2, (int fds[2], int flags), (fds, flags))
WRAP(ssize_t, -1, read, (int fd, void *to, size_t n), (fd, to, n))
WRAP(int, -1, poll, (struct pollfd * fds, nfds_t n, int ms), (fds, n, ms))
WRAP(int, fail_code, pthread_create,
     (pthread_t * thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg),
     (thread, attr, start, arg))
WRAP(int, -1, eventfd, (unsigned count, int flags), (count, flags))
WRAP(int, -1, timerfd_create, (int clock, int flags), (clock, flags))
WRAP(int, -1, socket, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(int, -1, connect, (int fd, const struct sockaddr *to, socklen_t len), (fd, to, len))
WRAP(int, -1, bind, (int fd, const struct sockaddr *at, socklen_t len), (fd, at, len))
WRAP(int, -1, listen, (int fd, int backlog), (fd, backlog))
WRAP(int, -1, accept4, (int fd, struct sockaddr *from, socklen_t *len, int flags),
     (fd, from, len, flags))
WRAP(ssize_t, -1, sendmsg, (int fd, const struct msghdr *h, int flags), (fd, h, flags))
WRAP(ssize_t, -1, recvmsg, (int fd, struct msghdr *h, int flags), (fd, h, flags))
WRAP(int, -1, epoll_create1, (int flags), (flags))
WRAP(int, -1, epoll_ctl, (int set, int op, int fd, struct epoll_event *event), (set, op, fd, event))
WRAP(int, -1, posix_openpt, (int flags), (flags))
WRAP(int, -1, grantpt, (int fd), (fd))
WRAP(int, -1, unlockpt, (int fd), (fd))
WRAP(int, -1, inotify_init1, (int flags), (flags))
WRAP(int, -1, inotify_add_watch, (int fd, const char *path, uint32_t mask), (fd, path, mask))
WRAP(int, -1, sigaction, (int sig, const struct sigaction *act, struct sigaction *old),
     (sig, act, old))

int __real_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring)
{
	int ret;

	if (submits_refused) {
		submits_refused--;
		return -EAGAIN;
	}
	ret = fails("io_uring_submit") ? -fail_code : __real_io_uring_submit(ring);
	if (ret > 0 && on_submitted)
		on_submitted(ring, (unsigned)ret);
	return ret;
}

long __real_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	int ret;

	if (number == SYS_mbind && fails("mbind"))
		return -1;
	if (number == SYS_mbind && mbind_answer &&
	    mbind_answer((void *)a, (uint64_t)b, (int)c, (const unsigned long *)d, &ret))
		return ret;
	return __real_syscall(number, a, b, c, d, e, f);
}

int __real_mlock2(const void *at, size_t len, unsigned flags);
int __wrap_mlock2(const void *at, size_t len, unsigned flags);
int __wrap_mlock2(const void *at, size_t len, unsigned flags)
{
	return fails("mlock2") ? -1 : __real_mlock2(at, len, flags);
}

int __real_madvise(void *at, size_t len, int advice);
int __wrap_madvise(void *at, size_t len, int advice);
int __wrap_madvise(void *at, size_t len, int advice)
{
	int ret;

	if (fails("madvise"))
		return -1;
	if (madvise_answer && madvise_answer(at, len, advice, &ret))
		return ret;
	return __real_madvise(at, len, advice);
}

int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st)
{
	int ret = fails("fstat") ? -1 : __real_fstat(fd, st);

	if (ret == 0 && stat_change)
		stat_change(st);
	return ret;
}

/* Cannot fail. */
int __real_usleep(useconds_t us);
int __wrap_usleep(useconds_t us);
int __wrap_usleep(useconds_t us)
{
	if (!instead_of_sleep)
		return __real_usleep(us);
	instead_of_sleep();
	return 0;
}

WRAP(int, -1, ftruncate, (int fd, off_t size), (fd, size))

/*
 * Counts only when it is asked for by name, because most writes go to registers of passed-through
 * devices, where a failure is the guest's to notice.
 */
ssize_t __real_pwrite(int fd, const void *from, size_t n, off_t at);
ssize_t __wrap_pwrite(int fd, const void *from, size_t n, off_t at);
ssize_t __wrap_pwrite(int fd, const void *from, size_t n, off_t at)
{
	return only && fails("pwrite") ? -1 : __real_pwrite(fd, from, n, at);
}

int __real_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags)
{
	if (fails("memfd_create"))
		return -1;
	/* MFD_HUGETLB and, above it, the size of its pages */
	return __real_memfd_create(name, small_memfd ? flags & 0xb : flags);
}

static bool redirected(const char *path)
{
	size_t len = redirect_from ? strlen(redirect_from) : 0;

	if (len && redirect_from[len - 1] == '*')
		return !strncmp(path, redirect_from, len - 1);
	return len && !strcmp(path, redirect_from);
}

static bool is_failing(const char *path)
{
	size_t len = strlen(path), end = fail_path ? strlen(fail_path) : 0;

	return end && len >= end && !strcmp(path + len - end, fail_path);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if (flags & O_CREAT) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	if (fails("open"))
		return -1;
	if (is_failing(path)) {
		errno = fail_path_code;
		return -1;
	}
	if (redirected(path))
		path = redirect_to;
	return __real_open(path, flags, mode);
}

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;
	int ret;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (fails_as((struct wrap_call){ "ioctl", request, (uintptr_t)arg }))
		return -1;
	if (ioctl_answer) {
		bool answered;

		answering = true;
		answered = ioctl_answer(fd, request, arg, &ret);
		answering = false;
		if (answered)
			return ret;
	}
	return __real_ioctl(fd, request, arg);
}

ssize_t __real_pread(int fd, void *to, size_t n, off_t at);
ssize_t __wrap_pread(int fd, void *to, size_t n, off_t at);
ssize_t __wrap_pread(int fd, void *to, size_t n, off_t at)
{
	if (fails("pread"))
		return -1;
	return __real_pread(fd, to, short_reads && n > short_reads ? short_reads : n, at);
}

/* A fixed mapping replaces what was there: it is counted already. */
void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
	void *got = fails("mmap") ? MAP_FAILED : __real_mmap(at, len, prot, flags, fd, offset);

	if (got != MAP_FAILED && !(flags & MAP_FIXED))
		__atomic_fetch_add(&mapped, len, __ATOMIC_RELAXED);
	return got;
}

/* munmap and free do not fail here: nobody could do anything about it. */
int __real_munmap(void *at, size_t len);
int __wrap_munmap(void *at, size_t len);
int __wrap_munmap(void *at, size_t len)
{
	int ret = __real_munmap(at, len);

	if (ret == 0)
		__atomic_fetch_sub(&mapped, len, __ATOMIC_RELAXED);
	return ret;
}

static void *block(void *got)
{
	if (got)
		__atomic_fetch_add(&blocks, 1, __ATOMIC_RELAXED);
	return got;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
	return block(fails("malloc") ? NULL : __real_malloc(size));
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
	return block(fails("calloc") ? NULL : __real_calloc(n, size));
}

/* A block that grows is counted already. */
void *__real_realloc(void *at, size_t size);
void *__wrap_realloc(void *at, size_t size);
void *__wrap_realloc(void *at, size_t size)
{
	void *got = fails("realloc") ? NULL : __real_realloc(at, size);

	return at ? got : block(got);
}

void __real_free(void *at);
void __wrap_free(void *at);
void __wrap_free(void *at)
{
	if (at)
		__atomic_fetch_sub(&blocks, 1, __ATOMIC_RELAXED);
	__real_free(at);
}

/* --- what is held --- */

struct wrap_held wrap_held(void)
{
	struct wrap_held held = {
		.mapped = __atomic_load_n(&mapped, __ATOMIC_RELAXED),
		.blocks = __atomic_load_n(&blocks, __ATOMIC_RELAXED),
	};
	DIR *dir = opendir("/proc/self/fd");

	assert_non_null(dir);
	while (readdir(dir))
		held.fds++;
	closedir(dir);
	held.fds -= 3; /* ".", ".." and the directory's own */
	return held;
}

void wrap_assert_released(struct wrap_held before, const char *what)
{
	struct wrap_held now = wrap_held();

	if (now.fds != before.fds)
		fail_msg("%s: %d descriptors leaked", what, (int)(now.fds - before.fds));
	if (now.mapped != before.mapped)
		fail_msg("%s: %lld mapped bytes leaked", what,
			 (long long)(now.mapped - before.mapped));
	if (now.blocks != before.blocks)
		fail_msg("%s: %lld heap blocks leaked", what,
			 (long long)(now.blocks - before.blocks));
}

/* --- the sweep --- */

static const char *why_harmless(const struct wrap_harmless *list, struct wrap_call call, int code)
{
	for (; list && list->call.name; list++)
		if (!strcmp(list->call.name, call.name) && list->call.request == call.request &&
		    (!list->call.arg || list->call.arg == call.arg) &&
		    (!list->code || list->code == code))
			return list->why;
	return NULL;
}

static void sweep_one(int (*attempt)(void *to, struct err *err), void *to, unsigned n, int code,
		      const struct wrap_harmless *harmless)
{
	struct wrap_held before = wrap_held();
	struct err err = { "" };
	struct wrap_call call;
	char what[128];
	int ret;

	wrap_fail_at(n, code);
	ret = attempt(to, &err);
	counting = false;
	call = wrap_failed();
	snprintf(what, sizeof(what), "call %u (%s %#lx %#lx) failing with \"%s\"", n,
		 call.name ? call.name : "none", call.request, (unsigned long)call.arg,
		 strerror(code));
	if (!call.name)
		fail_msg("%s: the calls do not repeat", what);
	if (why_harmless(harmless, call, code)) {
		if (ret < 0)
			fail_msg("%s is harmless (%s), but: %s", what,
				 why_harmless(harmless, call, code), err.text);
	} else {
		if (ret >= 0)
			fail_msg("%s: nobody noticed", what);
		if (!err.text[0] || strchr(err.text, '\n') || strstr(err.text, strerror(0)))
			fail_msg("%s: not a sentence: \"%s\"", what, err.text);
	}
	wrap_assert_released(before, what);
	ret = attempt(to, &err);
	if (ret < 0)
		fail_msg("after %s: %s", what, err.text);
	wrap_assert_released(before, "the attempt after it");
}

void wrap_sweep(int (*attempt)(void *to, struct err *err), void *to, int code,
		const struct wrap_harmless *harmless)
{
	struct wrap_held before = wrap_held();
	struct err err = { "" };
	unsigned n;
	int ret;

	wrap_count();
	ret = attempt(to, &err);
	counting = false;
	n = wrap_calls();
	if (ret < 0)
		fail_msg("without a failing call: %s", err.text);
	assert_int_not_equal(n, 0);
	wrap_assert_released(before, "no failing call");
	for (unsigned i = 1; i <= n; i++)
		sweep_one(attempt, to, i, code, harmless);
}

void wrap_assert_says(const struct err *err, const char *words)
{
	if (!strstr(err->text, words) || strchr(err->text, '\n'))
		fail_msg("\"%s\" does not say \"%s\" in one line", err->text, words);
}

int wrap_setup(void **state)
{
	(void)state;
	wrap_reset();
	alarm(LIMIT_S);
	return 0;
}
