#include "vmm/backends/line.h"

#include "vmm/host/terminal.h"
#include "vmm/host/thread.h"
#include "vmm/host/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define BUFFER	   (1024u * 1024)
#define HIGH_WATER (64u * 1024) /* bytes: while more are unread, the UART holds its transmitter */
#define CHUNK	   4096		/* PIPE_BUF: after POLLOUT, a write of this much does not block */

/* Seconds: at the end, a reader that reads nothing for this long is not waited for. */
#define DRAIN_TIMEOUT	    5
#define SHORT_DRAIN_TIMEOUT 1 /* of a line whose short_drain is set */

#define CTRL_A 1

/* --- input --- */

static void say_keys(void)
{
	static const char text[] = "\r\nCtrl-A X  quit (the guest is not asked)\r\n"
				   "Ctrl-A A  send Ctrl-A to the guest\r\n"
				   "Ctrl-A H  this help\r\n";

	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
}

/*
 * Removes the console's own keys from the input and acts on them. Returns how many bytes are left
 * for the guest.
 */
static size_t filter_keys(struct console *c, uint8_t *data, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (!c->escape && data[i] == CTRL_A) {
			c->escape = true;
			continue;
		}
		if (!c->escape) {
			data[kept++] = data[i];
			continue;
		}
		c->escape = false;
		if (data[i] == 'x' || data[i] == 'X')
			c->user.quit ? c->user.quit(c->user.to) : (void)0;
		else if (data[i] == 'h' || data[i] == 'H')
			say_keys();
		else if (data[i] == 'a' || data[i] == 'A' || data[i] == CTRL_A)
			data[kept++] = CTRL_A;
	}
	return kept;
}

static void input_ready(void *to, short revents);

/*
 * Watches the input for bytes while there is room for them. A terminal is always watched, so that
 * the console's own keys work however busy the guest is; a socket and a pseudo-terminal are watched
 * at least for POLLHUP, which poll(2) always reports.
 */
static void watch_input(struct console *c)
{
	bool bytes = !c->input_ended && (c->tty || !c->nr_held);

	loop_forget(c->loop, c->in);
	if (c->in >= 0 && (bytes || c->kind == SERIAL_UNIX || c->kind == SERIAL_PTY))
		loop_watch(c->loop, c->in, bytes ? POLLIN : 0, input_ready, c, NULL);
}

static void pass_input(struct console *c)
{
	size_t taken = c->nr_held;

	if (c->user.input)
		taken = c->user.input(c->user.to, c->held, c->nr_held);
	c->nr_held -= taken;
	memmove(c->held, c->held + taken, c->nr_held);
}

/*
 * Called when the reader has disconnected. A socket's descriptor is closed once the writer no
 * longer uses it.
 */
static void reader_left(struct console *c)
{
	loop_forget(c->loop, c->in);
	pthread_mutex_lock(&c->lock);
	c->absent = true;
	pthread_cond_signal(&c->wake); /* wakes the writer, which tells a waiting UART */
	if (c->kind == SERIAL_UNIX) {
		shutdown(c->in, SHUT_RDWR);
		while (c->busy)
			pthread_cond_wait(&c->idle, &c->lock);
		close(c->in);
		c->in = c->out = -1;
	}
	pthread_mutex_unlock(&c->lock);
}

static void input_over(struct console *c, short revents)
{
	/*
	 * A pseudo-terminal whose other end was closed returns EIO; a socket, POLLHUP. Without
	 * POLLHUP the peer only stopped sending, and still reads.
	 */
	if (c->kind == SERIAL_PTY || (c->kind == SERIAL_UNIX && (revents & (POLLHUP | POLLERR)))) {
		reader_left(c);
		return;
	}
	c->input_ended = true;
	watch_input(c);
}

/*
 * Input that does not fit into `held` is lost, which happens only to text typed ahead of a guest
 * that does not read.
 */
static void input_ready(void *to, short revents)
{
	struct console *c = to;
	uint8_t data[sizeof(c->held)];
	ssize_t n;

	if (c->nr_held && !c->tty) {
		if (revents &
		    (POLLHUP | POLLERR)) /* the descriptor was watched for the hangup only */
			input_over(c, revents);
		return;
	}
	/*
	 * Only the user's terminal is checked, because the foreground process of a pseudo-terminal
	 * belongs to its reader and is never in this process's group.
	 */
	if (c->tty && !terminal_is_ours(c->in)) {
		loop_forget(c->loop, c->in); /* until SIGCONT */
		return;
	}
	n = read(c->in, data, sizeof(data));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		input_over(c, revents);
		return;
	}
	if (c->tty)
		n = (ssize_t)filter_keys(c, data, (size_t)n);
	if ((size_t)n > sizeof(c->held) - c->nr_held)
		n = (ssize_t)(sizeof(c->held) - c->nr_held);
	memcpy(c->held + c->nr_held, data, (size_t)n);
	c->nr_held += (size_t)n;
	if (c->nr_held)
		pass_input(c);
	watch_input(c);
}

static void reader_came(struct console *c)
{
	pthread_mutex_lock(&c->lock);
	c->absent = false;
	c->readers++;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
	c->input_ended = false;
	watch_input(c);
}

static void resume_ready(void *to, short revents)
{
	struct console *c = to;
	uint64_t count;

	(void)revents;
	if (read(c->resume, &count, sizeof(count)) < 0 || !c->nr_held)
		return;
	pass_input(c);
	watch_input(c);
}

void console_resume(struct console *c)
{
	uint64_t one = 1;

	(void)!write(c->resume, &one, sizeof(one));
}

void console_suspend(struct console *c)
{
	if (c->tty)
		terminal_restore(c->in);
}

void console_continue(struct console *c)
{
	if (c->tty) {
		terminal_raw(c->in);
		watch_input(c);
	}
}

static void line_client_ready(void *to, short revents)
{
	struct console *c = to;
	int fd = accept4(c->arrival, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)revents;
	if (fd < 0)
		return;
	if (!c->absent) {
		close(fd); /* one reader at a time */
		return;
	}
	if (c->in >= 0)
		reader_left(c); /* the writer saw the old reader leave before the loop did */
	c->in = c->out = fd;
	reader_came(c);
}

/* Called when inotify reports that a program opened the pseudo-terminal. */
static void opened_ready(void *to, short revents)
{
	struct console *c = to;
	char event[sizeof(struct inotify_event) + NAME_MAX + 1];

	(void)revents;
	if (read(c->arrival, event, sizeof(event)) > 0)
		reader_came(c);
}

/* --- output --- */

static void line_broken(struct console *c, int code)
{
	const char *what = c->kind == SERIAL_FILE ? c->path : "standard output";

	err_sys(&c->error, code, "the guest's %s output cannot be written to %s", c->name, what);
	c->broken = true;
	c->len = 0;
	loop_stop(c->loop);
}

/*
 * Removes the older half, up to the end of a line, of a file that is too long; all of it if the
 * file cannot be read. Runs on the writer's thread.
 */
static void limit_file(struct console *c, size_t written)
{
	off_t from, to = 0;
	char data[CHUNK];
	const char *line;
	ssize_t n;

	c->size += written;
	if (c->size <= c->limit)
		return;
	from = (off_t)(c->size - c->limit / 2);
	n = pread(c->back, data, sizeof(data), from);
	line = n > 0 ? memchr(data, '\n', (size_t)n) : NULL;
	from += line ? line + 1 - data : 0;
	while ((n = pread(c->back, data, sizeof(data), from)) > 0 &&
	       pwrite(c->out, data, (size_t)n, to) == n) {
		from += n;
		to += n;
	}
	if (ftruncate(c->out, to) < 0 || lseek(c->out, to, SEEK_SET) < 0)
		return; /* try again after the next write */
	c->size = (uint64_t)to;
	c->cut = true;
}

/* Writes one chunk with the lock released. Returns with it held. */
static void write_chunk(struct console *c)
{
	size_t n = c->len < CHUNK ? c->len : CHUNK;
	struct pollfd p = { c->out, POLLOUT, 0 };
	uint64_t lost = c->lost;
	unsigned readers = c->readers;
	uint8_t chunk[CHUNK];
	ssize_t written;
	size_t gone;
	int ready, code;

	n = n < BUFFER - c->head ? n : BUFFER - c->head;
	memcpy(chunk, c->ring + c->head, n);
	c->busy = true;
	pthread_mutex_unlock(&c->lock);
	/* The wait is limited, because the signal to give up may come before it begins. */
	ready = poll(&p, 1, 1000);
	written = ready > 0 ? write(p.fd, chunk, n) : -1;
	code = ready ? errno : EAGAIN;
	if (written > 0 && c->limit)
		limit_file(c, (size_t)written);
	pthread_mutex_lock(&c->lock);
	c->busy = false;
	pthread_cond_broadcast(&c->idle);

	if (written < 0 && (code == EAGAIN || code == EINTR))
		return;
	if (written < 0 && (c->kind == SERIAL_UNIX || c->kind == SERIAL_PTY)) {
		/*
		 * The loop notices it by its own read, and closes the descriptor. If another reader
		 * connected meanwhile, it was the previous one that left.
		 */
		if (c->readers == readers)
			c->absent = true;
		return;
	}
	if (written < 0) {
		line_broken(c, code);
		return;
	}
	/*
	 * If the ring overran meanwhile, it dropped its oldest bytes, which are the ones just
	 * written, so they do not count as lost.
	 */
	n = (size_t)written;
	gone = c->lost - lost < n ? (size_t)(c->lost - lost) : n;
	c->lost -= gone;
	n -= gone;
	c->head = (c->head + n) % BUFFER;
	c->len -= n;
	if (!c->len)
		c->head = 0; /* so that the ring uses few pages */
}

/*
 * Tells a UART that waits to go on, because there is room, or no reader. Called with the lock held,
 * which is released meanwhile, because the UART calls console_ready() under its own lock.
 */
static void tell_room(struct console *c)
{
	struct console_user user = c->user;

	if (!c->starved || !user.room || !(c->absent || c->broken || c->len < HIGH_WATER / 2))
		return;
	c->starved = false;
	c->calling = true;
	pthread_mutex_unlock(&c->lock);
	user.room(user.to);
	pthread_mutex_lock(&c->lock);
	c->calling = false;
	pthread_cond_broadcast(&c->idle);
}

static void *writer(void *arg)
{
	struct console *c = arg;

	thread_name(c->name);
	pthread_mutex_lock(&c->lock);
	for (;;) {
		tell_room(c);
		if (!c->len || c->absent)
			pthread_cond_signal(&c->drained);
		if (c->closing && (!c->len || c->absent))
			break;
		if (!c->len || c->absent)
			pthread_cond_wait(&c->wake, &c->lock);
		else
			write_chunk(c);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* Counts a byte of the guest and feeds it to the search for a panic, with the lock held. */
static void note(struct console *c, uint8_t byte)
{
	uint64_t one = 1;

	c->printed++;
	if (panic_line_feed(&c->panic, byte) && c->panic_event >= 0)
		(void)!write(c->panic_event, &one, sizeof(one));
}

static void buffer(struct console *c, uint8_t byte)
{
	if (c->len == BUFFER) {
		c->head = (c->head + 1) % BUFFER;
		c->len--;
		c->lost++;
	}
	c->ring[(c->head + c->len) % BUFFER] = byte;
	if (c->len++ == 0)
		pthread_cond_signal(&c->wake);
}

void console_put(struct console *c, uint8_t byte)
{
	pthread_mutex_lock(&c->lock);
	note(c, byte);
	if (c->kind != SERIAL_NONE && !c->broken)
		buffer(c, byte);
	pthread_mutex_unlock(&c->lock);
}

void console_new_guest(struct console *c, int panic_event)
{
	pthread_mutex_lock(&c->lock);
	c->printed = 0;
	c->panic = (struct panic_line){ 0 };
	c->panic_event = panic_event;
	pthread_mutex_unlock(&c->lock);
}

void console_forget_panic(struct console *c)
{
	pthread_mutex_lock(&c->lock);
	c->panic = (struct panic_line){ 0 };
	pthread_mutex_unlock(&c->lock);
}

uint64_t console_printed(struct console *c, struct panic_line *panic)
{
	uint64_t printed;

	pthread_mutex_lock(&c->lock);
	printed = c->printed;
	*panic = c->panic;
	pthread_mutex_unlock(&c->lock);
	return printed;
}

size_t console_unwritten(struct console *c)
{
	size_t len;

	pthread_mutex_lock(&c->lock);
	len = c->broken ? 0 : c->len;
	pthread_mutex_unlock(&c->lock);
	return len;
}

bool console_ready(struct console *c)
{
	bool ready;

	if (c->kind == SERIAL_NONE)
		return true;
	pthread_mutex_lock(&c->lock);
	ready = c->len < HIGH_WATER || c->broken || c->absent;
	c->starved = !ready;
	pthread_mutex_unlock(&c->lock);
	return ready;
}

/* --- opening and closing --- */

/* O_NONBLOCK: opening a FIFO must not wait for its reader, nor a serial port for its carrier. */
static int line_open_file(struct console *c, struct err *err)
{
	struct stat st;
	int flags;

	c->own_fds = true;
	c->out = open(c->path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
	if (c->out < 0 && errno == ENXIO && stat(c->path, &st) == 0 && S_ISFIFO(st.st_mode))
		return err_set(err, ENXIO,
			       "--%s file:%s is a pipe that nobody reads; start its reader first",
			       c->name, c->path);
	if (c->out < 0 || fstat(c->out, &st) < 0)
		return err_sys(err, errno, "--%s file:%s cannot be opened", c->name, c->path);
	if (S_ISREG(st.st_mode) && c->limit)
		c->back = open(c->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	else
		c->limit = 0;
	flags = fcntl(c->out, F_GETFL);
	(void)fcntl(c->out, F_SETFL, flags & ~O_NONBLOCK);
	return 0;
}

static int open_pty(struct console *c, struct err *err)
{
	struct termios raw;
	int slave;

	c->own_fds = true;
	c->in = c->out = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (c->in < 0 || grantpt(c->in) < 0 || unlockpt(c->in) < 0)
		return err_sys(err, errno, "--%s pty: no pseudo-terminal to be had", c->name);
	slave = open(ptsname(c->in), O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return err_sys(err, errno, "--%s pty: %s cannot be opened", c->name,
			       ptsname(c->in));
	if (tcgetattr(slave, &raw) == 0) {
		cfmakeraw(&raw);
		tcsetattr(slave, TCSANOW, &raw);
	}
	c->arrival = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (c->arrival < 0 || inotify_add_watch(c->arrival, ptsname(c->in), IN_OPEN) < 0) {
		int code = errno;

		close(slave);
		return err_sys(err, code, "--%s pty: %s cannot be watched", c->name,
			       ptsname(c->in));
	}
	close(slave);
	c->absent = true;
	return 0;
}

static int open_unix(struct console *c, struct err *err)
{
	char what[32];

	snprintf(what, sizeof(what), "--%s unix:", c->name);
	c->own_fds = true;
	c->absent = true;
	return unix_socket_listen(what, c->path, &c->arrival, err);
}

static int open_line(struct console *c, const struct config_line *line, struct err *err)
{
	switch (c->kind) {
	case SERIAL_STDIO:
		c->in = STDIN_FILENO;
		c->out = STDOUT_FILENO;
		return 0;
	case SERIAL_FD:
		c->in = c->out = line->fd;
		return 0;
	case SERIAL_FILE:
		return line_open_file(c, err);
	case SERIAL_PTY:
		return open_pty(c, err);
	case SERIAL_UNIX:
		return open_unix(c, err);
	case SERIAL_NONE:
		break;
	}
	return 0;
}

int console_open(struct console *c, const char *name, const struct config_line *line,
		 struct loop *loop, struct err *err)
{
	enum serial_kind kind = line->kind;
	int ret;

	*c = (struct console){
		.name = name,
		.kind = kind,
		.path = line->path,
		.limit = line->limit,
		.back = -1,
		.loop = loop,
		.in = -1,
		.out = -1,
		.arrival = -1,
		.resume = -1,
		.panic_event = -1,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.wake = PTHREAD_COND_INITIALIZER,
		.drained = PTHREAD_COND_INITIALIZER,
		.idle = PTHREAD_COND_INITIALIZER,
	};
	if (kind == SERIAL_NONE)
		return 0;
	ret = open_line(c, line, err);
	if (ret < 0)
		goto fail;
	c->resume = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->ring = malloc(BUFFER);
	if (c->resume < 0 || !c->ring) {
		ret = err_sys(err, errno, "cannot set up the %s line", c->name);
		goto fail;
	}
	ret = -thread_start(&c->writer, THREAD_LINE, NULL, writer, c);
	if (ret < 0) {
		err_sys(err, -ret, "cannot start the writer of the %s line", c->name);
		goto fail;
	}
	c->has_writer = true;
	loop_watch(loop, c->resume, POLLIN, resume_ready, c, NULL);
	if (c->arrival >= 0)
		loop_watch(loop, c->arrival, POLLIN,
			   kind == SERIAL_UNIX ? line_client_ready : opened_ready, c, NULL);
	c->tty = kind == SERIAL_STDIO && isatty(c->in);
	if (c->tty)
		terminal_raw(c->in);
	if (kind == SERIAL_STDIO || kind == SERIAL_FD)
		watch_input(c);
	return 0;
fail:
	console_close(c);
	return ret;
}

void console_attach(struct console *c, const struct console_user *user)
{
	pthread_mutex_lock(&c->lock);
	while (c->calling)
		pthread_cond_wait(&c->idle, &c->lock);
	c->user = user ? *user : (struct console_user){ 0 };
	c->starved = false;
	pthread_mutex_unlock(&c->lock);
	if (!user)
		return;
	/*
	 * Truncated here and not when the file is opened, so that a guest that fails to start
	 * leaves the old contents. Fails on a FIFO, which is ignored.
	 */
	if (c->kind == SERIAL_FILE && !c->begun)
		(void)!ftruncate(c->out, 0);
	c->begun = true;
	if (c->nr_held)
		console_resume(c); /* deliver what was typed before a reset */
}

void console_size(const struct console *c, unsigned *columns, unsigned *rows)
{
	struct winsize size;
	bool known =
		c->in >= 0 && ioctl(c->in, TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_row;

	*columns = known ? size.ws_col : 80;
	*rows = known ? size.ws_row : 24;
}

const char *console_pty(const struct console *c)
{
	return c->kind == SERIAL_PTY ? ptsname(c->in) : NULL;
}

int console_error(struct console *c, struct err *err)
{
	int ret = 0;

	pthread_mutex_lock(&c->lock);
	if (c->broken) {
		ret = -EIO;
		*err = c->error;
	}
	pthread_mutex_unlock(&c->lock);
	return ret;
}

/* Waits until all is written, or the reader has read nothing for DRAIN_TIMEOUT. */
static void line_drain(struct console *c)
{
	struct timespec until;
	size_t before;

	pthread_mutex_lock(&c->lock);
	c->closing = true;
	pthread_cond_signal(&c->wake);
	do {
		before = c->len;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += c->short_drain ? SHORT_DRAIN_TIMEOUT : DRAIN_TIMEOUT;
		while (c->len && !c->absent && !c->broken &&
		       pthread_cond_timedwait(&c->drained, &c->lock, &until) == 0)
			;
	} while (c->len && c->len < before && !c->absent && !c->short_drain);
	c->lost += c->len;
	c->len = 0;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
	pthread_kill(c->writer, SIGRTMIN); /* interrupts a write or poll that blocks */
	pthread_join(c->writer, NULL);
}

void console_close(struct console *c)
{
	if (c->has_writer)
		line_drain(c);
	if (c->tty)
		terminal_restore(c->in);
	if (c->loop) {
		loop_forget(c->loop, c->in);
		loop_forget(c->loop, c->arrival);
		loop_forget(c->loop, c->resume);
	}
	if (c->own_fds && c->in >= 0 && c->in != c->out)
		close(c->in);
	if (c->own_fds && c->out >= 0)
		close(c->out);
	if (c->back >= 0)
		close(c->back);
	if (c->arrival >= 0)
		close(c->arrival);
	if (c->arrival >= 0 && c->kind == SERIAL_UNIX)
		unlink(c->path);
	if (c->resume >= 0)
		close(c->resume);
	free(c->ring);
	c->ring = NULL;
	c->has_writer = c->own_fds = c->tty = false;
	c->in = c->out = c->back = c->arrival = c->resume = -1;
}
