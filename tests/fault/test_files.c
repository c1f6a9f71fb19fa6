/*
 * Images, guest RAM and the event loop when the host refuses.
 */
#include "tests/fault/wrap.h"
#include "vmm/host/image.h"
#include "vmm/host/loop.h"
#include "vmm/host/ram.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct err err;

/* --- images --- */

#define CONTENT "a kernel, if you squint"

static char path[] = "/tmp/straddle-fake-XXXXXX";

static int make_file(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	if (fd < 0 || write(fd, CONTENT, sizeof(CONTENT)) != sizeof(CONTENT))
		return -1;
	return close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static int image_attempt(void *to, struct err *e)
{
	struct image image;
	char content[sizeof(CONTENT)] = "";
	int ret;

	(void)to;
	ret = image_open(&image, "--kernel", path, e);
	if (ret < 0)
		return ret;
	ret = image_read(&image, 0, content, sizeof(content), e);
	if (ret == 0)
		assert_string_equal(content, CONTENT);
	image_close(&image);
	return ret;
}

static void test_image(void **state)
{
	static const struct wrap_harmless retried[] = {
		{ { .name = "pread" }, EINTR, "tried again" }, { { 0 }, 0, NULL }
	};

	(void)state;
	wrap_sweep(image_attempt, NULL, EIO, NULL);
	wrap_sweep(image_attempt, NULL, ENOMEM, NULL);
	wrap_sweep(image_attempt, NULL, EINTR, retried);
}

static void test_image_sentences(void **state)
{
	struct image image;

	(void)state;
	wrap_fail_at(1, EACCES);
	assert_int_equal(image_open(&image, "--initrd", path, &err), -EACCES);
	wrap_assert_says(&err, "--initrd /tmp/straddle-fake-");
	wrap_assert_says(&err, "Permission denied");
	wrap_fail_named("mmap", 1, ENODEV);
	assert_int_equal(image_open(&image, "--kernel", path, &err), -ENODEV);
	wrap_assert_says(&err, "cannot be mapped");
	wrap_reset();
	assert_int_equal(image_open(&image, "--kernel", "/tmp", &err), -EINVAL);
	wrap_assert_says(&err, "a directory");
}

static void test_image_in_pieces(void **state)
{
	(void)state;
	wrap_short_reads(5);
	assert_int_equal(image_attempt(NULL, &err), 0);
}

/* The path of a pipe's reading end, whose writer has written CONTENT and gone. */
static const char *full_pipe(int *fd)
{
	static char name[32];
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], CONTENT, sizeof(CONTENT)), sizeof(CONTENT));
	close(ends[1]);
	*fd = ends[0];
	snprintf(name, sizeof(name), "/dev/fd/%d", ends[0]);
	return name;
}

static int pipe_attempt(void *to, struct err *e)
{
	struct image image;
	char content[sizeof(CONTENT)] = "";
	int fd, ret;

	(void)to;
	ret = image_open(&image, "--kernel", full_pipe(&fd), e);
	close(fd);
	if (ret < 0)
		return ret;
	assert_int_equal(image.len, sizeof(CONTENT));
	assert_memory_equal(image.data, CONTENT, sizeof(CONTENT));
	/* A reset reads it again. */
	for (unsigned i = 0; ret == 0 && i < 2; i++) {
		ret = image_read(&image, 0, content, sizeof(content), e);
		if (ret == 0)
			assert_string_equal(content, CONTENT);
	}
	image_close(&image);
	return ret;
}

static void test_image_of_a_pipe(void **state)
{
	static const struct wrap_harmless retried[] = {
		{ { .name = "pread" }, EINTR, "tried again" },
		{ { .name = "read" }, EINTR, "tried again" },
		{ { 0 }, 0, NULL },
	};

	(void)state;
	wrap_sweep(pipe_attempt, NULL, EIO, NULL);
	wrap_sweep(pipe_attempt, NULL, EINTR, retried);
}

/* A named pipe whose writer comes after us. */
static void *write_later(void *to)
{
	int fd = open(to, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, CONTENT, sizeof(CONTENT)), sizeof(CONTENT));
	close(fd);
	return NULL;
}

static void test_image_of_a_named_pipe(void **state)
{
	char name[] = "/tmp/straddle-fake-fifo-XXXXXX", fifo[64];
	struct image image;
	pthread_t writer;

	(void)state;
	assert_non_null(mkdtemp(name));
	snprintf(fifo, sizeof(fifo), "%s/fifo", name);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(pthread_create(&writer, NULL, write_later, fifo), 0);
	assert_int_equal(image_open(&image, "--config", fifo, &err), 0);
	assert_int_equal(image.len, sizeof(CONTENT));
	assert_memory_equal(image.data, CONTENT, sizeof(CONTENT));
	image_close(&image);
	assert_int_equal(pthread_join(writer, NULL), 0);
	unlink(fifo);
	rmdir(name);
}

static void test_image_of_devices(void **state)
{
	struct image image;

	(void)state;
	assert_int_equal(image_open(&image, "--config", "/dev/null", &err), 0);
	assert_int_equal(image.len, 0);
	image_close(&image);
	assert_int_equal(image_open(&image, "--config", "/dev/zero", &err), -EINVAL);
	wrap_assert_says(&err, "--config /dev/zero is a device: give a regular file or a pipe");
}

/* --- several in a row --- */

static int images_attempt(void *to, struct err *e)
{
	char *const paths[] = { path, to, path };
	struct images images;
	char got[3 * sizeof(CONTENT) + 16];
	size_t second = (sizeof(CONTENT) + 3) / 4 * 4, third = second + 4;
	int ret = images_open(&images, "--initrd", paths, 3, e);

	if (ret < 0)
		return ret;
	assert_int_equal(images.len, third + sizeof(CONTENT));
	memset(got, 0x55, sizeof(got));
	ret = images_read(&images, 0, got, (size_t)images.len, e);
	if (ret == 0) {
		assert_memory_equal(got, CONTENT, sizeof(CONTENT));
		for (size_t i = sizeof(CONTENT); i < second; i++)
			assert_int_equal(got[i], 0);
		assert_memory_equal(got + second, "x\0\0", 4);
		assert_memory_equal(got + third, CONTENT, sizeof(CONTENT));
		assert_int_equal(got[images.len], 0x55);
		/* From the middle of the first to the middle of the last. */
		ret = images_read(&images, 2, got, third, e);
	}
	if (ret == 0) {
		assert_memory_equal(got, &CONTENT[2], sizeof(CONTENT) - 2);
		assert_memory_equal(got + third - 2, CONTENT, 2);
	}
	images_close(&images);
	return ret;
}

static void test_images(void **state)
{
	static const struct wrap_harmless retried[] = {
		{ { .name = "pread" }, EINTR, "tried again" }, { { 0 }, 0, NULL }
	};
	char small[] = "/tmp/straddle-fake-XXXXXX";
	int fd = mkstemp(small);

	(void)state;
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	wrap_sweep(images_attempt, small, EIO, NULL);
	wrap_sweep(images_attempt, small, EINTR, retried);
	unlink(small);
	assert_int_equal(images_attempt(small, &err), -ENOENT);
}

static void test_no_images(void **state)
{
	struct images images;

	(void)state;
	assert_int_equal(images_open(&images, "--initrd", NULL, 0, &err), 0);
	assert_int_equal(images.len, 0);
	images_close(&images);
}

static void test_image_cut_short(void **state)
{
	char content[sizeof(CONTENT) + 1];
	struct image image;

	(void)state;
	assert_int_equal(image_open(&image, "--kernel", path, &err), 0);
	assert_int_equal(image_read(&image, 0, content, sizeof(content), &err), -EIO);
	wrap_assert_says(&err, "was cut short");
	image_close(&image);
}

/* --- RAM --- */

static const struct span spans[] = { { 0, 4 * MIB },
				     { UINT64_C(0xfcfff00000), UINT64_C(0xfd00000000) },
				     { TIB, TIB + 2 * MIB } };

static const struct ram_backing small_pages = { .page_size = 4 * KIB };
static const struct ram_backing folded = { .page_size = 4 * KIB, .fold = 2 * MIB };
static const struct ram_backing locked = { .page_size = 4 * KIB, .locked = true };

static int ram_attempt(void *to, struct err *e)
{
	const struct ram_backing *backing = to;
	struct ram ram;
	int ret = ram_create(&ram, spans, ARRAY_SIZE(spans), backing, e);

	if (ret < 0)
		return ret;
	assert_true(ram.fresh);
	for (size_t i = 0; i < ARRAY_SIZE(spans); i++) {
		uint8_t *first = ram_at(&ram, spans[i].base, span_size(spans[i]));

		assert_non_null(first);
		assert_int_equal((uintptr_t)first % GIB, spans[i].base % GIB);
		first[0] = 1;
		first[span_size(spans[i]) - 1] = 1;
	}
	assert_null(ram_at(&ram, spans[0].base, span_size(spans[0]) + 1));
	assert_null(ram_at(&ram, spans[1].end, 1));
	ram_destroy(&ram);
	return 0;
}

static void test_ram(void **state)
{
	static const struct wrap_harmless advice[] = {
		{ { .name = "madvise" }, 0, "advice; the guest runs without it" },
		{ { 0 }, 0, NULL }
	};

	(void)state;
	wrap_sweep(ram_attempt, (void *)&small_pages, ENOMEM, advice);
	wrap_sweep(ram_attempt, (void *)&small_pages, EAGAIN, advice);
	wrap_sweep(ram_attempt, (void *)&folded, ENOMEM, advice);
	wrap_sweep(ram_attempt, (void *)&locked, ENOMEM, advice);
}

/* The same byte everywhere a fold apart, and nothing left of it after ram_clear. */
static void test_ram_folded(void **state)
{
	struct ram ram;
	uint8_t *low, *high;

	(void)state;
	assert_int_equal(ram_create(&ram, spans, ARRAY_SIZE(spans), &folded, &err), 0);
	low = ram_at(&ram, 5, 1);
	high = ram_at(&ram, TIB + 5, 1);
	*low = 42;
	assert_int_equal(*high, 42);
	assert_int_equal(*(uint8_t *)ram_at(&ram, 2 * MIB + 5, 1), 42);
	assert_int_equal(*(uint8_t *)ram_at(&ram, MIB + 5, 1), 0);
	ram_destroy(&ram);
}

static void test_ram_clear(void **state)
{
	struct ram ram;
	uint8_t *byte;

	(void)state;
	assert_int_equal(ram_create(&ram, spans, ARRAY_SIZE(spans), &small_pages, &err), 0);
	byte = ram_at(&ram, TIB + 5, 1);
	*byte = 42;
	ram.fresh = false;
	ram_clear(&ram);
	assert_int_equal(*byte, 0);
	assert_true(ram.fresh);
	ram_destroy(&ram);
}

/* Huge pages stay: what is given back is somebody else's by the time that the guest wants it. */
static void test_ram_keeps_huge_pages(void **state)
{
	const struct ram_backing huge = { .page_size = 2 * MIB };
	struct ram ram;
	uint8_t *byte;

	(void)state;
	wrap_small_memfd(true);
	assert_int_equal(ram_create(&ram, spans, ARRAY_SIZE(spans), &huge, &err), 0);
	byte = ram_at(&ram, TIB + 5, 1);
	*byte = 42;
	ram_discard(&ram, ram_at(&ram, TIB, 1), 2 * MIB);
	assert_int_equal(*byte, 42);
	ram_clear(&ram);
	assert_int_equal(*byte, 42);
	assert_false(ram.fresh);
	ram_destroy(&ram);
}

/* Who has the file, and means ill, changes what is in it, never where it ends. */
static void test_ram_sealed(void **state)
{
	const struct ram_backing shared = { .page_size = 4 * KIB, .shared = true };
	struct ram ram;
	uint8_t *byte;

	(void)state;
	assert_int_equal(ram_create(&ram, spans, ARRAY_SIZE(spans), &shared, &err), 0);
	assert_int_equal(ftruncate(ram.memfd, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(ram.memfd, (off_t)TIB), -1);
	assert_int_equal(fcntl(ram.memfd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	byte = ram_at(&ram, TIB + 5, 1);
	*byte = 42;
	ram_clear(&ram);
	assert_int_equal(*byte, 0);
	ram_destroy(&ram);
}

/* --- nodes of the host --- */

static struct {
	struct span at[4]; /* guest addresses */
	unsigned node[4], n;
} binds;
static struct ram *bound_ram;

static bool note_bind(void *at, uint64_t len, int mode, const unsigned long *nodes, int *ret)
{
	for (size_t i = 0; i < bound_ram->nr_blocks; i++) {
		const struct ram_block *b = &bound_ram->blocks[i];
		uint64_t offset = (uint64_t)((uint8_t *)at - b->hva);

		if (offset < span_size(b->gpa))
			binds.at[binds.n] =
				(struct span){ b->gpa.base + offset, b->gpa.base + offset + len };
	}
	assert_int_equal(mode, MPOL_BIND | MPOL_F_STATIC_NODES);
	binds.node[binds.n] = 64;
	for (unsigned i = 0; i < 1024; i++) {
		if (!(nodes[i / 64] >> i % 64 & 1))
			continue;
		assert_int_equal(binds.node[binds.n], 64); /* one node alone */
		binds.node[binds.n] = i;
	}
	binds.n++;
	*ret = 0;
	return true;
}

static void test_ram_bind(void **state)
{
	static const struct {
		int code;
		const char *says;
	} rows[] = {
		{ EINVAL, "guest RAM at 0x10000100000 cannot come from node 70 of the host: it is "
			  "not there" },
		{ ENOSYS, "this host's kernel was built without NUMA; leave host= of --numa out" },
		{ EPERM, "seccomp filter forbids it without CAP_SYS_NICE" },
		{ ENOMEM, "guest RAM at 0x10000100000 cannot be bound to node 70 of the host" },
	};
	const struct ram_bound bound[] = { { { 0, MIB }, 0 },
					   { { MIB, spans[0].end }, 3 },
					   { { TIB + MIB, spans[2].end }, 70 } };
	struct wrap_held before = wrap_held();
	struct ram ram;

	(void)state;
	bound_ram = &ram;
	wrap_mbind(note_bind);
	assert_int_equal(ram_create(&ram, spans, ARRAY_SIZE(spans), &small_pages, &err), 0);
	assert_int_equal(ram_bind(&ram, bound, 0, &err), 0);
	assert_int_equal(ram_node(&ram, 0), -1);
	assert_int_equal(ram_bind(&ram, bound, ARRAY_SIZE(bound), &err), 0);
	assert_int_equal(binds.n, ARRAY_SIZE(bound));
	for (size_t i = 0; i < ARRAY_SIZE(bound); i++) {
		assert_int_equal(binds.at[i].base, bound[i].gpa.base);
		assert_int_equal(binds.at[i].end, bound[i].gpa.end);
		assert_int_equal(binds.node[i], bound[i].node == 70 ? 70 : bound[i].node);
	}
	assert_int_equal(ram_node(&ram, MIB - 1), 0);
	assert_int_equal(ram_node(&ram, MIB), 3);
	assert_int_equal(ram_node(&ram, TIB), -1);
	assert_int_equal(ram_node(&ram, TIB + MIB), 70);
	ram_destroy(&ram);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(ram_create(&ram, spans, ARRAY_SIZE(spans), &small_pages, &err), 0);
		wrap_fail_named("mbind", 1, rows[i].code);
		assert_int_equal(ram_bind(&ram, &bound[2], 1, &err), -rows[i].code);
		wrap_assert_says(&err, rows[i].says);
		ram_destroy(&ram);
	}
	wrap_assert_released(before, "bound RAM");
}

static void test_ram_sentences(void **state)
{
	const struct ram_backing huge = { .page_size = 2 * MIB }, giant = { .page_size = GIB };
	const struct ram_backing fold = { .page_size = 2 * MIB, .fold = 512 * MIB };
	const struct span span = { 4 * GIB, 6 * GIB };
	struct wrap_held before = wrap_held();
	struct ram ram;

	(void)state;
	wrap_small_memfd(true);
	wrap_fail_named("mmap", 1, ENOMEM);
	assert_int_equal(ram_create(&ram, &span, 1, &small_pages, &err), -ENOMEM);
	wrap_assert_says(&err, "2048 MiB of address space for guest RAM at 0x100000000");
	/* The second call is the one that claims huge pages. */
	wrap_fail_named("mmap", 2, ENOMEM);
	assert_int_equal(ram_create(&ram, &span, 1, &huge, &err), -ENOMEM);
	wrap_assert_says(&err, "at 0x100000000 needs 1024 free huge pages of 2 MiB");
	wrap_assert_says(&err, "hugepages-2048kB/nr_hugepages");
	wrap_fail_named("mmap", 2, ENOMEM);
	assert_int_equal(ram_create(&ram, &span, 1, &giant, &err), -ENOMEM);
	wrap_assert_says(&err, "needs 2 free huge pages of 1024 MiB");
	wrap_assert_says(&err, "hugepages-1048576kB");
	wrap_fail_named("mmap", 2, ENOMEM);
	assert_int_equal(ram_create(&ram, &span, 1, &fold, &err), -ENOMEM);
	wrap_assert_says(&err, "needs 256 free huge pages of 2 MiB");
	/* No such pages, by CPU or by kernel */
	wrap_fail_named("memfd_create", 1, ENODEV);
	assert_int_equal(ram_create(&ram, &span, 1, &giant, &err), -ENODEV);
	wrap_assert_says(&err, "no huge pages of 1 GiB: its CPU has none (no pdpe1gb");
	wrap_assert_says(&err, "use --page-size 2M or 4K");
	wrap_fail_named("memfd_create", 1, ENOSYS);
	assert_int_equal(ram_create(&ram, &span, 1, &huge, &err), -ENOSYS);
	wrap_assert_says(&err, "no huge pages of 2 MiB");
	wrap_assert_says(&err, "use --page-size 4K");
	wrap_fail_named("memfd_create", 1, EINVAL); /* before Linux 6.3: no MFD_NOEXEC_SEAL */
	assert_int_equal(ram_create(&ram, &span, 1, &huge, &err), 0);
	ram_destroy(&ram);
	wrap_fail_named("memfd_create", 1, EMFILE);
	assert_int_equal(ram_create(&ram, &span, 1, &huge, &err), -EMFILE);
	wrap_assert_says(&err, "cannot make a file of 2048 MiB for guest RAM: ");
	wrap_assert_released(before, "RAM");
}

/* A limit on the size of files holds for the file that RAM is, too. */
static void test_ram_and_file_limit(void **state)
{
	const struct ram_backing shared = { .page_size = 4 * KIB, .shared = true };
	const struct span span = { 0, 64 * MIB };
	struct rlimit was, little;
	struct ram ram;
	int ret;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	little = (struct rlimit){ MIB, was.rlim_max };
	signal(SIGXFSZ, SIG_IGN); /* as main does */
	setrlimit(RLIMIT_FSIZE, &little);
	ret = ram_create(&ram, &span, 1, &shared, &err);
	setrlimit(RLIMIT_FSIZE, &was);
	assert_int_equal(ret, -EFBIG);
	wrap_assert_says(&err, "guest RAM is a file of 64 MiB here");
	wrap_assert_says(&err, "no file of more than 1 MiB: raise the limit (ulimit -f");
}

/* --- the loop --- */

static void stop_loop(void *to, short revents)
{
	(void)revents;
	loop_stop(to);
}

/* A descriptor that is ready at once stops it. */
static int loop_attempt(void *to, struct err *e)
{
	struct loop loop;
	int ret = loop_create(&loop, e);

	(void)to;
	if (ret < 0)
		return ret;
	assert_int_equal(loop_watch(&loop, STDERR_FILENO, POLLOUT, stop_loop, &loop, NULL), 0);
	ret = loop_run(&loop, e);
	loop_destroy(&loop);
	return ret;
}

static void test_loop(void **state)
{
	static const struct wrap_harmless poll_again[] = {
		{ { .name = "poll" }, EINTR, "tried again" }, { { 0 }, 0, NULL }
	};

	(void)state;
	wrap_sweep(loop_attempt, NULL, ENOMEM, NULL);
	wrap_sweep(loop_attempt, NULL, EMFILE, NULL);
	wrap_sweep(loop_attempt, NULL, EINTR, poll_again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_image, wrap_setup),
		cmocka_unit_test_setup(test_image_sentences, wrap_setup),
		cmocka_unit_test_setup(test_image_in_pieces, wrap_setup),
		cmocka_unit_test_setup(test_image_cut_short, wrap_setup),
		cmocka_unit_test_setup(test_image_of_a_pipe, wrap_setup),
		cmocka_unit_test_setup(test_image_of_a_named_pipe, wrap_setup),
		cmocka_unit_test_setup(test_image_of_devices, wrap_setup),
		cmocka_unit_test_setup(test_images, wrap_setup),
		cmocka_unit_test_setup(test_no_images, wrap_setup),
		cmocka_unit_test_setup(test_ram, wrap_setup),
		cmocka_unit_test_setup(test_ram_folded, wrap_setup),
		cmocka_unit_test_setup(test_ram_clear, wrap_setup),
		cmocka_unit_test_setup(test_ram_keeps_huge_pages, wrap_setup),
		cmocka_unit_test_setup(test_ram_sealed, wrap_setup),
		cmocka_unit_test_setup(test_ram_sentences, wrap_setup),
		cmocka_unit_test_setup(test_ram_bind, wrap_setup),
		cmocka_unit_test_setup(test_ram_and_file_limit, wrap_setup),
		cmocka_unit_test_setup(test_loop, wrap_setup),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
