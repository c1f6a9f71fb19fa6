/*
 * Calls to the host that fail when a test wants them to.
 *
 * The linker sends every call that straddle's objects make to a function of wrap.txt here
 * (ld --wrap); the C library's own calls are not touched. A call passes through unless it was
 * picked to fail. Only calls of the thread that picks are counted, so that counts repeat.
 *
 * wrap_sweep() is the invariant that every constructor keeps: whichever call fails, it says so and
 * leaves nothing behind.
 */
#ifndef TESTS_FAKE_WRAP_H
#define TESTS_FAKE_WRAP_H

#include "vmm/base/err.h"

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* A call: `request` and `arg` are set for ioctl(2) only. */
struct wrap_call {
	const char *name;
	unsigned long request;
	uintptr_t arg;
};

/* Starts counting; none fails. */
void wrap_count(void);
/* Starts counting; the nth call from here (from 1) fails with the errno `code`, once. */
void wrap_fail_at(unsigned n, int code);
/* As wrap_fail_at(), but only calls of this name count. */
void wrap_fail_named(const char *name, unsigned n, int code);
/* As wrap_fail_named(), and all later ones of this name, too. */
void wrap_fail_from(const char *name, unsigned n, int code);
/* Every open(2) of a path that ends with `end`, which outlives the test, fails with `code`. */
void wrap_fail_path(const char *end, int code);
/* Calls counted since. */
unsigned wrap_calls(void);
/* The call that failed; its name is NULL if none did. */
struct wrap_call wrap_failed(void);

/*
 * Answers ioctl(2) in the kernel's place, on any thread. Returns false to let the call through;
 * else *ret is the result, and errno is set if that is -1.
 */
typedef bool wrap_ioctl_fn(int fd, unsigned long request, void *arg, int *ret);
void wrap_ioctl(wrap_ioctl_fn *answer);
/* The same for mbind(2), which is called by its number. */
typedef bool wrap_mbind_fn(void *at, uint64_t len, int mode, const unsigned long *nodes, int *ret);
void wrap_mbind(wrap_mbind_fn *answer);
/* The same for madvise(2). */
typedef bool wrap_madvise_fn(void *at, size_t len, int advice, int *ret);
void wrap_madvise(wrap_madvise_fn *answer);
/* Opening `from`, or what begins as it does if it ends with a *, opens `to`; both outlive the test.
 */
void wrap_redirect(const char *from, const char *to);
/* The next `n` calls of io_uring_submit(3) submit nothing: EAGAIN. */
void wrap_refuse_submits(unsigned n);
/* Called with what io_uring_submit(3) submitted, if that is anything; NULL: nothing is. */
void wrap_submit(void (*submitted)(struct io_uring *ring, unsigned n));
/* Changes what fstat(2) says; NULL: nothing. */
void wrap_stat(void (*change)(struct stat *st));
/* usleep(3) calls this and does not sleep; NULL: it sleeps. */
void wrap_sleep(void (*instead)(void));
/* pread(2) gives at most so many bytes at once; 0: all. */
void wrap_short_reads(size_t most);

/* memfd_create(2) makes files of small pages, whatever it is asked for: not every host has others.
 */
void wrap_small_memfd(bool small);

/* Forgets all of the above. */
void wrap_reset(void);

/* What straddle holds of the host. */
struct wrap_held {
	unsigned fds;	 /* open descriptors of this process */
	uint64_t mapped; /* bytes that mmap gave and munmap has not taken back */
	int64_t blocks;	 /* of malloc, calloc and realloc, not freed */
};
struct wrap_held wrap_held(void);
/* Fails the test unless all that was taken since `before` was given back. */
void wrap_assert_released(struct wrap_held before, const char *what);

/* A failure that does no harm, and why: the attempt succeeds in spite of it. */
struct wrap_harmless {
	struct wrap_call call; /* arg 0: any */
	int code;	       /* 0: any */
	const char *why;
};

/*
 * Runs `attempt`, which makes something and, if it can, unmakes it, once for every call it makes,
 * with that call failing with the errno `code`. Each time it must return a negative value with a
 * sentence of one line, hold nothing afterwards, and succeed at the next try. The list of harmless
 * failures ends with an entry without a name.
 */
void wrap_sweep(int (*attempt)(void *to, struct err *err), void *to, int code,
		const struct wrap_harmless *harmless);
/* The sentence is one line, and says all of the words. */
void wrap_assert_says(const struct err *err, const char *words);

/* cmocka's setup: forgets everything, and ends a test that hangs. */
int wrap_setup(void **state);

#endif
