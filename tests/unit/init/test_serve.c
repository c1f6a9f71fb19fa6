/*
 * The run of a command over the channel, with this test as the host: on a socket as vsock has it,
 * and on a terminal as a serial line has it. Init's side is a process of its own.
 */
#include "init/serve.h"
#include "init/builtins.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define LIMIT_MS    60000
#define STREAM_MAX  (4u << 20)
#define BROKEN	    2 /* how init's process ends if the channel broke */
#define INPUT_CHUNK 1500
#define PIPE	    65536 /* what one holds: pipe(7) */

static struct serve serve;
static struct wire wire;

/* The host's side, and what it has seen. */
static struct {
	int fd;
	pid_t init;
	uint8_t data[2 * CHANNEL_FRAME_MAX];
	size_t len;
	bool begun;
	uint32_t window, in_flight;
	const uint8_t *input; /* what is left of it */
	size_t input_len;
	size_t left_at_output; /* of it, when the first output came */
	bool input_ended;
	uint32_t chunk;	  /* input bytes in a frame */
	const char *gate; /* a file that is made when all input is taken, or NULL */
	/* from init */
	unsigned hellos, starteds, ends[2];
	char steps[200], fault[1024];
	uint8_t streams[2][STREAM_MAX];
	size_t lens[2], largest;
	bool over, exited;
	struct channel_exit exit;
} host;

/* --- init's side --- */

static void __attribute__((noreturn)) be_init(const char *text, size_t len)
{
	struct err err = { "" };
	struct spec spec;
	bool told = false;
	int ret;

	if (spec_parse(&spec, text, len, &err) < 0 || wire_hello(&wire, &err) < 0)
		_exit(1);
	serve.wire = &wire;
	serve.others = 0;
	ret = wire_step(&wire, &err, "is %s", "tested");
	if (ret == 0)
		ret = serve_command(&serve, &spec, &told, &err);
	if (ret < 0 && told)
		_exit(BROKEN);
	if (ret < 0 && wire_last(&wire, CHANNEL_FAULT, err.text, (uint32_t)strlen(err.text), &err))
		_exit(BROKEN);
	_exit(0);
}

/* A terminal, whose slave is init's serial line. */
static void open_terminal(void)
{
	struct err err = { "" };

	host.fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	assert_true(host.fd >= 0);
	assert_int_equal(grantpt(host.fd), 0);
	assert_int_equal(unlockpt(host.fd), 0);
	assert_int_equal(wire_open_serial(&wire, ptsname(host.fd) + strlen("/dev/"), &err), 0);
	assert_true(wire.serial);
}

static void open_socket(void)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	host.fd = fds[0];
	assert_int_equal(fcntl(host.fd, F_SETFL, O_NONBLOCK), 0);
	wire_open_fd(&wire, fds[1], false);
}

static void start(bool terminal, const char *text, size_t len)
{
	const char *gate = host.gate;

	memset(&host, 0, offsetof(__typeof__(host), streams));
	host.gate = gate;
	host.lens[0] = host.lens[1] = host.largest = 0;
	host.over = host.exited = false;
	host.chunk = INPUT_CHUNK;
	if (terminal)
		open_terminal();
	else
		open_socket();
	host.init = fork();
	assert_true(host.init >= 0);
	if (!host.init) {
		close(host.fd);
		be_init(text, len);
	}
	close(wire.fd);
}

/* --- the host --- */

static void send_frame(enum channel_type type, const uint8_t *payload, uint32_t len)
{
	uint8_t frame[CHANNEL_HEADER + 70000];
	size_t at = 0;

	channel_header(frame, type, payload, len);
	memcpy(frame + CHANNEL_HEADER, payload, len);
	host.in_flight += len;
	while (at < CHANNEL_HEADER + len) {
		ssize_t n = write(host.fd, frame + at, CHANNEL_HEADER + len - at);
		struct pollfd p = { host.fd, POLLOUT, 0 };

		if (n < 0) {
			if (errno == EPIPE) /* init has given up */
				return;
			assert_int_equal(errno, EAGAIN);
			assert_true(poll(&p, 1, LIMIT_MS) > 0);
		} else {
			at += (size_t)n;
		}
	}
}

static void take_stream(unsigned i, const struct channel_frame *f)
{
	assert_int_equal(host.ends[i], 0);
	assert_int_equal(host.starteds, 1);
	assert_true(host.lens[i] + f->len <= STREAM_MAX);
	if (!host.lens[0] && !host.lens[1] && f->len)
		host.left_at_output = host.input_len;
	memcpy(host.streams[i] + host.lens[i], f->payload, f->len);
	host.lens[i] += f->len;
	host.largest = f->len > host.largest ? f->len : host.largest;
	host.ends[i] += !f->len;
}

static void take(const struct channel_frame *f)
{
	assert_false(host.over);
	assert_int_equal(f->type == CHANNEL_HELLO, !host.hellos);
	switch (f->type) {
	case CHANNEL_HELLO:
		host.hellos++;
		assert_int_equal(channel_get32(f->payload), CHANNEL_VERSION);
		host.window = channel_get32(f->payload + 4);
		assert_true(f->len > 8);
		break;
	case CHANNEL_STEP:
		memcpy(host.steps, f->payload, f->len);
		host.steps[f->len] = '\0';
		break;
	case CHANNEL_STARTED:
		host.starteds++;
		break;
	case CHANNEL_OUT:
	case CHANNEL_ERR:
		take_stream(f->type == CHANNEL_ERR, f);
		break;
	case CHANNEL_TAKEN:
		assert_int_equal(f->len, 4);
		assert_true(channel_get32(f->payload) <= host.in_flight);
		host.in_flight -= channel_get32(f->payload);
		break;
	case CHANNEL_EXIT:
		assert_true(channel_exit_get(&host.exit, f));
		assert_int_equal(host.exit.out, host.lens[0]);
		assert_int_equal(host.exit.err, host.lens[1]);
		assert_int_equal(host.ends[0], 1);
		assert_int_equal(host.ends[1], 1);
		host.exited = host.over = true;
		break;
	case CHANNEL_FAULT:
		memcpy(host.fault, f->payload, f->len);
		host.fault[f->len] = '\0';
		host.over = true;
		break;
	default:
		fail_msg("a frame of type %u", f->type);
	}
}

/* Sends input while the window is open, and its end once. */
static void feed(void)
{
	while (host.hellos && !host.input_ended && host.in_flight < host.window) {
		size_t n = host.input_len < host.chunk ? host.input_len : host.chunk;

		n = n < host.window - host.in_flight ? n : host.window - host.in_flight;
		send_frame(CHANNEL_IN, host.input, (uint32_t)n);
		host.input += n;
		host.input_len -= n;
		host.input_ended = !n;
	}
}

/* Reads once what there is. False: init has closed the channel. */
static bool hear(void)
{
	struct pollfd p = { host.fd, POLLIN, 0 };
	ssize_t n;

	assert_true(poll(&p, 1, LIMIT_MS) > 0);
	n = read(host.fd, host.data + host.len, sizeof(host.data) - host.len);
	if (n <= 0)
		return false;
	host.len += (size_t)n;
	for (;;) {
		struct channel_frame f;
		size_t used;
		enum channel_result result =
			channel_parse(host.data, host.len, host.begun, &f, &used);

		assert_int_not_equal(result, CHANNEL_BROKEN);
		if (result == CHANNEL_FRAME)
			take(&f);
		host.begun |= result == CHANNEL_FRAME;
		host.len -= used;
		memmove(host.data, host.data + used, host.len);
		if (result == CHANNEL_MORE)
			return true;
	}
}

/* Returns how init's process ended. */
static int finish(void)
{
	int status;

	assert_int_equal(waitpid(host.init, &status, 0), host.init);
	close(host.fd);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void run(bool terminal, const char *text, size_t len, const void *input, size_t input_len)
{
	start(terminal, text, len);
	host.input = input;
	host.input_len = input_len;
	host.input_ended = !input;
	while (!host.over) {
		feed();
		if (host.gate && host.input_ended && !host.in_flight)
			close(open(host.gate, O_CREAT | O_CLOEXEC, 0600));
		assert_true(hear());
	}
	send_frame(CHANNEL_DONE, (const uint8_t *)"", 0);
	assert_int_equal(finish(), 0);
}
#define RUN(terminal, text, input, len) run(terminal, text, sizeof(text), input, len)

#define SAID(i, text)                                                     \
	do {                                                              \
		assert_int_equal(host.lens[i], strlen(text));             \
		assert_memory_equal(host.streams[i], text, strlen(text)); \
	} while (0)

/* --- what is tested --- */

static void test_streams(void **state)
{
	(void)state;
	RUN(false, "arg=sh\0arg=-c\0arg=echo a; echo b >&2; exit 7", NULL, 0);
	assert_true(host.exited);
	assert_false(host.exit.signalled);
	assert_int_equal(host.exit.value, 7);
	SAID(0, "a\n");
	SAID(1, "b\n");
	assert_string_equal(host.steps, "is tested");
	assert_int_equal(host.window, WIRE_WINDOW_VSOCK);
	RUN(false, "arg=sh\0arg=-c\0arg=kill -9 $$", NULL, 0);
	assert_true(host.exit.signalled);
	assert_int_equal(host.exit.value, 9);
}

/* Its directory, its environment and nothing else's, its standard input, default signals. */
static void test_surroundings(void **state)
{
	(void)state;
	assert_int_equal(setenv("STRAY", "1", 1), 0);
	RUN(false,
	    "dir=/tmp\0env=A=1 2\0env=HOME=/h\0arg=sh\0arg=-c\0arg=pwd; env | grep -vE "
	    "'^(_|PWD|SHLVL|OLDPWD)=' | sort; cat; kill -PIPE $$",
	    NULL, 0);
	SAID(0, "/tmp\nA=1 2\nHOME=/h\nLOGNAME=root\n"
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
		"SHELL=/bin/sh\nTERM=dumb\nUSER=root\n");
	assert_true(host.exit.signalled);
	assert_int_equal(host.exit.value, 13);
}

static void test_faults(void **state)
{
	(void)state;
	RUN(false, "arg=/no/such/program", NULL, 0);
	assert_string_equal(host.fault,
			    "cannot execute /no/such/program: No such file or directory");
	assert_int_equal(host.starteds, 0);
	RUN(false, "arg=no-such-program", NULL, 0);
	assert_string_equal(host.fault,
			    "cannot execute no-such-program: No such file or directory");
	RUN(false, "arg=/etc", NULL, 0);
	assert_string_equal(host.fault, "cannot execute /etc: Permission denied");
	RUN(false, "dir=/no/such\0arg=sh", NULL, 0);
	assert_string_equal(host.fault,
			    "cannot change to the directory /no/such: No such file or directory");
	RUN(false, "arg=@nonsense", NULL, 0);
	assert_non_null(strstr(host.fault, "'@nonsense' is not a built-in command"));
}

static void test_missing_interpreter(void **state)
{
	static const char script[] = "#!/no/such/interpreter\n";
	char path[] = "/tmp/test_serve.XXXXXX", text[64];
	int fd = mkstemp(path), len;

	(void)state;
	assert_int_equal(write(fd, script, sizeof(script) - 1), sizeof(script) - 1);
	assert_int_equal(fchmod(fd, 0755), 0);
	close(fd);
	len = snprintf(text, sizeof(text), "arg=%s", path) + 1;
	run(false, text, (size_t)len, NULL, 0);
	unlink(path);
	assert_non_null(strstr(host.fault, "interpreter"));
}

/* Many times the window in both directions, every byte value among them. */
static void check_cat(bool terminal, size_t size)
{
	uint8_t *bytes = malloc(size);
	uint64_t x = 0;

	for (size_t i = 0; i < size; i++)
		bytes[i] = builtin_random(&x);
	RUN(terminal, "stdin=on\0arg=@cat", bytes, size);
	assert_int_equal(host.exit.value, 0);
	assert_int_equal(host.lens[0], size);
	assert_memory_equal(host.streams[0], bytes, size);
	assert_true(host.window < size);
	free(bytes);
}

static void test_cat(void **state)
{
	(void)state;
	check_cat(false, 1 << 20);
	assert_true(host.largest > 4096);
}

static void test_cat_serial(void **state)
{
	(void)state;
	check_cat(true, 128 << 10);
	assert_int_equal(host.window, WIRE_WINDOW_SERIAL);
	assert_true(host.largest <= 4096);
}

static void test_bytes(void **state)
{
	uint64_t x = 0;

	(void)state;
	RUN(true, "arg=@bytes\0arg=100001", NULL, 0);
	assert_int_equal(host.lens[0], 100001);
	for (size_t i = 0; i < host.lens[0]; i++)
		assert_int_equal(host.streams[0][i], builtin_random(&x));
}

/* Both streams get through while each has more than a pipe holds. */
static void test_fairness(void **state)
{
	(void)state;
	RUN(false,
	    "arg=sh\0arg=-c\0arg=head -c 2000000 /dev/zero & head -c 1000000 /dev/zero >&2; wait",
	    NULL, 0);
	assert_int_equal(host.lens[0], 2000000);
	assert_int_equal(host.lens[1], 1000000);
}

/* A command that closes its input, or has none, takes all of it, so the host is never stuck. */
static void test_closed_input(void **state)
{
	static uint8_t bytes[1 << 20];
	char dir[] = "/tmp/test_serve.XXXXXX", gate[64], text[256];
	int len;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(gate, sizeof(gate), "%s/gate", dir);
	host.gate = gate;
	for (unsigned with = 0; with < 2; with++) {
		len = snprintf(text, sizeof(text),
			       "arg=sh%carg=-c%carg=%swhile ! [ -e %s ]; do "
			       "sleep 0.1; done; exit 3%c%s",
			       0, 0, with ? "exec <&-; " : "", gate, 0, with ? "stdin=on" : "");
		run(false, text, (size_t)len + with, bytes, sizeof(bytes));
		assert_int_equal(host.exit.value, 3);
		assert_int_equal(host.input_len, 0);
		assert_int_equal(unlink(gate), 0);
	}
	host.gate = NULL;
	rmdir(dir);
	RUN(false, "arg=cat", bytes, sizeof(bytes)); /* no stdin=on: /dev/null */
	assert_int_equal(host.lens[0], 0);
	assert_int_equal(host.exit.value, 0);
}

/* The window stays closed while a command that has its input open reads none. */
static void test_window(void **state)
{
	static uint8_t bytes[1 << 20];

	(void)state;
	RUN(false, "stdin=on\0arg=sh\0arg=-c\0arg=sleep 0.5; echo; sleep 0.2; exit 5", bytes,
	    sizeof(bytes));
	assert_int_equal(host.exit.value, 5);
	assert_true(host.left_at_output >= sizeof(bytes) - host.window - PIPE);
	assert_true(host.left_at_output <= sizeof(bytes) - host.window);
}

/* What a command leaves behind may write for a moment, and is killed then. */
static void test_lingerers(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	RUN(false, "arg=sh\0arg=-c\0arg=(sleep 0.2; echo late) & exit 6", NULL, 0);
	assert_int_equal(host.exit.value, 6);
	SAID(0, "late\n");
	RUN(false, "arg=sh\0arg=-c\0arg=sleep 60 & echo $!; exit 8", NULL, 0);
	assert_int_equal(host.exit.value, 8);
	host.streams[0][host.lens[0]] = '\0';
	pid = atoi((const char *)host.streams[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid); /* an orphan's parent is this process */
	assert_int_equal(WTERMSIG(status), SIGKILL);
	RUN(false, "arg=sh\0arg=-c\0arg=while :; do echo y; done & exit 9", NULL, 0);
	assert_int_equal(host.exit.value, 9);
	assert_true(host.lens[0] > 0);
}

/* Starts a command that reads nothing. Returns its process when it runs. */
static pid_t start_sleeper(void)
{
	static const char text[] = "stdin=on\0arg=sh\0arg=-c\0arg=echo $$; exec sleep 60";

	start(false, text, sizeof(text));
	while (!host.lens[0])
		assert_true(hear());
	host.streams[0][host.lens[0]] = '\0';
	return atoi((const char *)host.streams[0]);
}

/* Init gives up; the command, which the guest's end would end, is ended here. */
static void check_broken(pid_t sleeper)
{
	while (hear())
		;
	assert_int_equal(finish(), BROKEN);
	assert_int_equal(kill(sleeper, SIGKILL), 0);
	assert_int_equal(waitpid(sleeper, NULL, 0), sleeper);
}

static void test_broken(void **state)
{
	static const uint8_t junk[] = "junk that is no frame";
	static uint8_t bytes[60000];
	pid_t sleeper;

	(void)state;
	sleeper = start_sleeper();
	send_frame(CHANNEL_IN, (const uint8_t *)"x", 1);
	assert_int_equal(write(host.fd, junk, sizeof(junk)), sizeof(junk));
	check_broken(sleeper);

	sleeper = start_sleeper(); /* more than the window and a pipe take */
	for (unsigned i = 0; i < 8; i++)
		send_frame(CHANNEL_IN, bytes, sizeof(bytes));
	check_broken(sleeper);

	sleeper = start_sleeper();
	assert_int_equal(shutdown(host.fd, SHUT_RDWR), 0);
	check_broken(sleeper);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams),	     cmocka_unit_test(test_surroundings),
		cmocka_unit_test(test_faults),	     cmocka_unit_test(test_missing_interpreter),
		cmocka_unit_test(test_cat),	     cmocka_unit_test(test_cat_serial),
		cmocka_unit_test(test_bytes),	     cmocka_unit_test(test_fairness),
		cmocka_unit_test(test_closed_input), cmocka_unit_test(test_window),
		cmocka_unit_test(test_lingerers),    cmocka_unit_test(test_broken),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
