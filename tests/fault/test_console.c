/*
 * The serial line when the host refuses it, and when what it writes to fails.
 */
#include "tests/fault/wrap.h"
#include "vmm/backends/line.h"
#include "vmm/host/vcpu.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char dir[] = "/tmp/straddle-fake-XXXXXX";
static char path[sizeof(dir) + 8]; /* in it */
static struct loop loop;
static struct console console;
static struct err err;

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/line", dir);
	signal(SIGPIPE, SIG_IGN); /* as main does */
	return vcpu_init_kick(&err);
}

static int remove_dir(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static int make_loop(void **state)
{
	unlink(path);
	wrap_setup(state);
	return loop_create(&loop, &err);
}

static int unmake_loop(void **state)
{
	(void)state;
	wrap_reset();
	loop_destroy(&loop);
	return 0;
}

static void put(const char *text)
{
	while (*text)
		console_put(&console, (uint8_t)*text++);
}

static unsigned watched(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < LOOP_WATCHES; i++)
		n += loop.watches[i].fd >= 0;
	return n;
}

/* --- opening --- */

static int attempt(void *to, struct err *e)
{
	enum serial_kind kind = *(enum serial_kind *)to;
	int ret =
		console_open(&console, "serial",
			     &(struct config_line){ .kind = kind, .path = (char *)path }, &loop, e);

	if (ret == 0)
		console_close(&console);
	assert_int_equal(watched(), 0);
	if (kind == SERIAL_UNIX)
		assert_int_equal(access(path, F_OK), -1); /* removed, or never made */
	return ret;
}

static void sweep(enum serial_kind kind)
{
	wrap_sweep(attempt, &kind, ENOMEM, NULL);
	wrap_sweep(attempt, &kind, EMFILE, NULL);
}

static void test_file(void **state)
{
	(void)state;
	sweep(SERIAL_FILE);
}

static void test_pty(void **state)
{
	(void)state;
	sweep(SERIAL_PTY);
}

static void test_unix(void **state)
{
	(void)state;
	sweep(SERIAL_UNIX);
}

static void test_stdio(void **state)
{
	(void)state;
	sweep(SERIAL_STDIO);
}

/* The socket file of a straddle that was killed is replaced, or stays as it was. */
static int leftover_attempt(void *to, struct err *e)
{
	int ret;

	(void)to;
	if (access(path, F_OK) < 0)
		assert_int_equal(mknod(path, S_IFSOCK | 0600, 0), 0);
	ret = console_open(&console, "serial",
			   &(struct config_line){ .kind = SERIAL_UNIX, .path = (char *)path },
			   &loop, e);
	if (ret == 0)
		console_close(&console);
	assert_int_equal(watched(), 0);
	return ret;
}

static void test_leftover(void **state)
{
	(void)state;
	wrap_sweep(leftover_attempt, NULL, ENOMEM, NULL);
	unlink(path);
}

static void test_in_use(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct wrap_held before = wrap_held();

	(void)state;
	strcpy(addr.sun_path, path);
	assert_int_equal(bind(fd, (void *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(
		console_open(&console, "serial",
			     &(struct config_line){ .kind = SERIAL_UNIX, .path = (char *)path },
			     &loop, &err),
		-EADDRINUSE);
	wrap_assert_says(&err, "something is there already");
	wrap_assert_says(&err, path);
	assert_int_equal(access(path, F_OK), 0); /* it is not ours */
	wrap_assert_released(before, "console_open");
	close(fd);
}

/* Somebody serves it and has no room for another caller: that neither waits nor takes it away. */
static void test_busy(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), callers[64];
	unsigned n = 0;
	bool full = false;

	(void)state;
	strcpy(addr.sun_path, path);
	assert_int_equal(bind(fd, (void *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 0), 0);
	while (!full && n < 64) {
		callers[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		full = connect(callers[n], (void *)&addr, sizeof(addr)) < 0 && errno == EAGAIN;
		n++;
	}
	assert_true(full);
	assert_int_equal(console_open(&console, "serial",
				      &(struct config_line){ .kind = SERIAL_UNIX, .path = path },
				      &loop, &err),
			 -EADDRINUSE);
	wrap_assert_says(&err, "something is there already");
	while (n--)
		close(callers[n]);
	close(fd);
}

/* Waiting for its reader would hear no signal. */
static void test_fifo_without_reader(void **state)
{
	const struct config_line line = { .kind = SERIAL_FILE, .path = path };

	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(console_open(&console, "serial", &line, &loop, &err), -ENXIO);
	wrap_assert_says(&err, path);
	wrap_assert_says(&err, "is a pipe that nobody reads; start its reader first");
}

/* --- writing --- */

/* Opens, writes, and waits for the line to break. Returns what console_error() then says. */
static int break_line(enum serial_kind kind, const char *where, void (*after_open)(void))
{
	int ret = console_open(&console, "serial",
			       &(struct config_line){ .kind = kind, .path = (char *)where }, &loop,
			       &err);

	if (ret < 0)
		return ret;
	if (after_open)
		after_open();
	put("lost\n");
	ret = loop_run(&loop, &err); /* until broken */
	if (ret == 0)
		ret = console_error(&console, &err);
	/* The guest goes on as if it were written. */
	put("lost, too\n");
	if (!console_ready(&console))
		ret = 0;
	console_close(&console);
	return ret;
}

static void test_written(void **state)
{
	char content[16] = "";
	FILE *file;

	(void)state;
	assert_int_equal(
		console_open(&console, "serial",
			     &(struct config_line){ .kind = SERIAL_FILE, .path = (char *)path },
			     &loop, &err),
		0);
	put("kept\n");
	console_close(&console);
	assert_int_equal(console_error(&console, &err), 0);
	assert_int_equal(console.lost, 0);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_non_null(fgets(content, sizeof(content), file));
	fclose(file);
	assert_string_equal(content, "kept\n");
}

/* Prints numbered lines into a file that may have 64 KiB. Returns its content, for free(). */
static char *print_beyond_limit(void)
{
	const struct config_line line = { .kind = SERIAL_FILE, .path = path, .limit = 64 * KIB };
	char *content = calloc(1, 128 * KIB), number[16];
	FILE *file;

	assert_non_null(content);
	assert_int_equal(console_open(&console, "serial", &line, &loop, &err), 0);
	for (unsigned i = 0; i < 30000; i++) {
		snprintf(number, sizeof(number), "%07u\n", i);
		put(number);
	}
	console_close(&console);
	assert_true(console.cut);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_true(fread(content, 1, 128 * KIB - 1, file) <= 64 * KIB);
	fclose(file);
	return content;
}

static void test_limit(void **state)
{
	char *content = print_beyond_limit(), *at = content;
	unsigned long number = strtoul(at, NULL, 10);

	(void)state;
	assert_true(strlen(content) >= 32 * KIB - 16);
	while (*at) {
		assert_int_equal(strtoul(at, NULL, 10), number++);
		assert_int_equal(at[7], '\n');
		at += 8;
	}
	assert_int_equal(number, 30000);
	free(content);
}

/* A file that may only be written, also by whom no permission stops, begins anew. */
static void test_limit_unread(void **state)
{
	char *content;

	(void)state;
	wrap_fail_named("open", 2, EACCES);
	content = print_beyond_limit();
	assert_non_null(strstr(content, "0029999\n"));
	free(content);
}

/* What the guest says counts also where nobody reads it; another guest has said nothing yet. */
static void test_words(void **state)
{
	const struct config_line line = { .kind = SERIAL_NONE };
	struct panic_line panic;
	uint64_t count = 0;
	int event = eventfd(0, EFD_NONBLOCK);

	(void)state;
	assert_int_equal(console_open(&console, "serial", &line, &loop, &err), 0);
	console_new_guest(&console, event);
	assert_int_equal(console_printed(&console, &panic), 0);
	put("[ 1.0] Kernel panic - not ");
	assert_int_equal(read(event, &count, sizeof(count)), -1);
	put("syncing: x\n");
	assert_int_equal(read(event, &count, sizeof(count)), sizeof(count));
	assert_int_equal(console_printed(&console, &panic), 37);
	assert_string_equal(panic.text, "Kernel panic - not syncing: x");
	console_forget_panic(&console);
	assert_int_equal(console_printed(&console, &panic), 37);
	assert_string_equal(panic.text, "");
	console_new_guest(&console, -1);
	put("Kernel panic - not syncing: y\n");
	assert_int_equal(read(event, &count, sizeof(count)), -1);
	assert_int_equal(console_printed(&console, &panic), 30);
	assert_string_equal(panic.text, "Kernel panic - not syncing: y");
	console_close(&console);
	close(event);
}

static void test_full_disk(void **state)
{
	struct wrap_held before = wrap_held();

	(void)state;
	assert_int_equal(break_line(SERIAL_FILE, "/dev/full", NULL), -EIO);
	wrap_assert_says(&err, "cannot be written to /dev/full");
	wrap_assert_says(&err, "No space left on device");
	wrap_assert_released(before, "console");
	/* Output of the last moment: only console_close() can learn of it. */
	assert_int_equal(console_open(&console, "serial",
				      &(struct config_line){ .kind = SERIAL_FILE,
							     .path = (char *)"/dev/full" },
				      &loop, &err),
			 0);
	put("x");
	console_close(&console);
	assert_int_equal(console_error(&console, &err), -EIO);
	wrap_assert_says(&err, "/dev/full");
}

static int fifo_reader;

static void close_reader(void)
{
	close(fifo_reader);
}

static void test_closed_fifo(void **state)
{
	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	fifo_reader = open(path, O_RDONLY | O_NONBLOCK);
	assert_true(fifo_reader >= 0);
	assert_int_equal(break_line(SERIAL_FILE, path, close_reader), -EIO);
	wrap_assert_says(&err, path);
	wrap_assert_says(&err, "Broken pipe");
}

/* Borrows standard input and output: no assertion until they are back. */
static void test_closed_stdout(void **state)
{
	int in = dup(STDIN_FILENO), out = dup(STDOUT_FILENO);
	int null = open("/dev/null", O_RDONLY);
	int p[2], ret;

	(void)state;
	assert_true(in >= 0 && out >= 0 && null >= 0 && pipe(p) == 0);
	fflush(stdout);
	dup2(null, STDIN_FILENO);
	dup2(p[1], STDOUT_FILENO);
	close(p[0]);
	close(p[1]);
	ret = break_line(SERIAL_STDIO, NULL, NULL);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	close(in);
	close(out);
	close(null);
	assert_int_equal(ret, -EIO);
	wrap_assert_says(&err, "cannot be written to standard output: Broken pipe");
}

/* --- who reads and types --- */

static struct {
	char text[64];
	size_t len;
	bool busy; /* takes nothing */
} guest;

static size_t guest_hears(void *to, const uint8_t *data, size_t n)
{
	(void)to;
	if (guest.busy)
		return 0;
	if (n > sizeof(guest.text) - 1 - guest.len)
		n = sizeof(guest.text) - 1 - guest.len;
	memcpy(guest.text + guest.len, data, n);
	guest.len += n;
	guest.text[guest.len] = '\0';
	return n;
}

/* What is ready on the loop. */
static void serve(void)
{
	loop_stop(&loop);
	assert_int_equal(loop_run(&loop, &err), 0);
	loop_rearm(&loop);
}

static bool absent(void)
{
	bool is;

	pthread_mutex_lock(&console.lock);
	is = console.absent;
	pthread_mutex_unlock(&console.lock);
	return is;
}

/* Serves the loop until it is so, or has had every opportunity. */
#define AWAIT(condition)                                          \
	do {                                                      \
		for (int i = 0; i < 10000 && !(condition); i++) { \
			serve();                                  \
			usleep(1000);                             \
		}                                                 \
		assert_true(condition);                           \
	} while (0)

static int open_reader(void)
{
	int fd = open(console_pty(&console), O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

	assert_true(fd >= 0);
	return fd;
}

/* Reads until `n` bytes came. */
static void expect_bytes(int fd, size_t n)
{
	uint8_t data[4096];
	size_t got = 0;

	for (int i = 0; i < 10000 && got < n; i++) {
		ssize_t some = read(fd, data, sizeof(data));

		if (some > 0)
			got += (size_t)some;
		else
			usleep(1000);
	}
	assert_true(got == n);
}

/* Somebody types to a guest that listens; then to one that does not, and leaves; and comes back. */
static void test_pty_is_heard(void **state)
{
	const struct console_user user = { .input = guest_hears };
	int reader;

	(void)state;
	memset(&guest, 0, sizeof(guest));
	assert_int_equal(console_open(&console, "serial",
				      &(struct config_line){ .kind = SERIAL_PTY, .path = NULL },
				      &loop, &err),
			 0);
	console_attach(&console, &user);
	assert_true(absent());

	reader = open_reader();
	AWAIT(!absent());
	assert_int_equal(write(reader, "hello", 5), 5);
	AWAIT(guest.len == 5);
	assert_string_equal(guest.text, "hello");

	guest.busy = true;
	assert_int_equal(write(reader, "!", 1), 1);
	AWAIT(console.nr_held == 1);
	close(reader);
	AWAIT(absent());
	for (unsigned i = 0; i < 128 * 1024; i++)
		console_put(&console, '.');
	assert_true(console_ready(&console)); /* nobody is waited for */

	reader = open_reader();
	AWAIT(!absent());
	expect_bytes(reader, 128 * 1024);
	guest.busy = false;
	console_resume(&console);
	AWAIT(guest.len == 6);
	assert_int_equal(write(reader, "?", 1), 1);
	AWAIT(guest.len == 7);
	assert_string_equal(guest.text, "hello!?");
	close(reader);
	AWAIT(absent());
	console_close(&console);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_loop, unmake_loop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_file),	 TEST(test_pty),
		TEST(test_unix),	 TEST(test_stdio),
		TEST(test_leftover),	 TEST(test_in_use),
		TEST(test_written),	 TEST(test_full_disk),
		TEST(test_closed_fifo),	 TEST(test_closed_stdout),
		TEST(test_pty_is_heard), TEST(test_busy),
		TEST(test_limit),	 TEST(test_limit_unread),
		TEST(test_words),	 TEST(test_fifo_without_reader),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
