#include "init/serve.h"
#include "init/builtins.h"
#include "init/clock.h"
#include "init/command.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct run {
	struct serve *s;
	struct command command;
	uint64_t counts[2];
	unsigned turn;	 /* the stream that is read first */
	int status;	 /* of waitpid(), valid when the command has ended */
	bool ended;	 /* the command has */
	bool killed;	 /* those who held its pipes */
	uint64_t linger; /* when they are killed, then when they are given up */
};

/* --- the command's end --- */

/* Reaps whoever has ended: as process 1, orphans of the command, too. */
static void reap(struct run *r)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != r->command.pid)
			continue;
		r->status = status;
		r->ended = true;
		r->linger = clock_ms() + SERVE_LINGER_MS;
	}
}

static void close_out(struct run *r, unsigned stream)
{
	close(r->command.outs[stream]);
	r->command.outs[stream] = -1;
}

static bool outs_closed(const struct run *r)
{
	return r->command.outs[0] < 0 && r->command.outs[1] < 0;
}

/* Daemons that the command left behind would hold its pipes for ever. */
static void end_lingerers(struct run *r)
{
	if (!r->ended || outs_closed(r) || clock_left(r->linger))
		return;
	if (!r->killed) {
		(void)kill(r->s->others ? r->s->others : -r->command.pid, SIGKILL);
		r->killed = true;
		r->linger = clock_ms() + SERVE_STUCK_MS;
		return;
	}
	for (unsigned i = 0; i < 2; i++) {
		struct pollfd p = { r->command.outs[i], POLLIN, 0 };

		if (p.fd >= 0 && poll(&p, 1, 0) == 0 && wire_idle(r->s->wire)) {
			close_out(r, i);
			wire_queue(r->s->wire, i ? CHANNEL_ERR : CHANNEL_OUT, "", 0);
		}
	}
	r->linger = clock_ms() + SERVE_STUCK_MS;
}

/* --- standard input --- */

static void close_in(struct run *r)
{
	if (r->command.in >= 0)
		close(r->command.in);
	r->command.in = -1;
	input_discard(&r->s->input);
}

/* Gives the command what its pipe takes. */
static void give_input(struct run *r)
{
	struct input *in = &r->s->input;
	const uint8_t *data;
	uint32_t len;

	while (r->command.in >= 0 && (len = input_peek(in, &data))) {
		ssize_t n = write(r->command.in, data, len);

		if (n > 0)
			input_took(in, (uint32_t)n);
		else if (errno == EAGAIN || errno == EINTR)
			return;
		else
			close_in(r); /* EPIPE: the command has closed it */
	}
	if (in->ended)
		close_in(r);
}

static int take_input(struct run *r, struct err *err)
{
	struct channel_frame frame;
	int ret;

	while ((ret = wire_next(r->s->wire, &frame, err)) > 0) {
		if (frame.type != CHANNEL_IN)
			return err_set(err, EBADMSG, "the host sent a frame of type %u",
				       (unsigned)frame.type);
		if (!frame.len)
			r->s->input.ended = true;
		if (!input_put(&r->s->input, frame.payload, frame.len))
			return err_set(err, EBADMSG, "the host sent more input than it may");
	}
	return ret;
}

/* --- output --- */

/* Sends what is in one of the pipes, or its end. False: nothing is there yet. */
static bool send_stream(struct run *r, unsigned stream)
{
	struct wire *w = r->s->wire;
	ssize_t n;

	if (r->command.outs[stream] < 0)
		return false;
	n = read(r->command.outs[stream], wire_room(w), w->payload);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		close_out(r, stream);
		n = 0;
	}
	r->counts[stream] += (uint64_t)n;
	wire_commit(w, stream ? CHANNEL_ERR : CHANNEL_OUT, (uint32_t)n);
	return true;
}

/*
 * Sends, and queues the next frames when those before are written: what opens the window, and one
 * of a stream. One only, because a command that never stops to write must not keep the loop here.
 */
static int send_next(struct run *r, struct err *err)
{
	struct wire *w = r->s->wire;
	uint8_t payload[4];
	uint32_t taken;
	int ret = wire_flush(w, err);

	if (ret < 0 || !wire_idle(w))
		return ret;
	if ((taken = input_tell(&r->s->input))) {
		channel_put32(payload, taken);
		wire_queue(w, CHANNEL_TAKEN, payload, sizeof(payload));
	}
	if (send_stream(r, r->turn))
		r->turn = !r->turn;
	else
		(void)send_stream(r, !r->turn);
	return wire_flush(w, err);
}

/* --- the loop --- */

/* Waits until there is something to do. SIGCHLD is blocked but here. */
static void wait_for_events(struct run *r, bool *received)
{
	struct wire *w = r->s->wire;
	const uint8_t *data;
	bool idle = wire_idle(w), lingers = r->ended && !outs_closed(r);
	struct pollfd p[4] = {
		{ w->fd, (short)(POLLIN | (idle ? 0 : POLLOUT)), 0 },
		{ input_peek(&r->s->input, &data) ? r->command.in : -1, POLLOUT, 0 },
		{ idle ? r->command.outs[0] : -1, POLLIN, 0 },
		{ idle ? r->command.outs[1] : -1, POLLIN, 0 },
	};
	struct timespec timeout = { 0 };
	sigset_t none;

	(void)sigemptyset(&none);
	if (lingers) {
		int ms = clock_left(r->linger);

		timeout.tv_sec = ms / 1000;
		timeout.tv_nsec = ms % 1000 * 1000000L + 1000000L;
	}
	*received = ppoll(p, 4, lingers ? &timeout : NULL, &none) > 0 && p[0].revents & ~POLLOUT;
}

static int run_loop(struct run *r, struct err *err)
{
	int ret = 0;

	while (ret == 0 && !(r->ended && outs_closed(r) && wire_idle(r->s->wire))) {
		bool received;

		wait_for_events(r, &received);
		reap(r);
		if (received && (ret = wire_receive(r->s->wire, err)) == 0)
			ret = take_input(r, err);
		give_input(r);
		if (ret == 0)
			ret = send_next(r, err);
		end_lingerers(r);
	}
	return ret;
}

static void on_child(int signal)
{
	(void)signal;
}

/* A handler, so that SIGCHLD interrupts ppoll(2); no default of its own does. */
static void watch_children(void)
{
	struct sigaction action = { .sa_handler = on_child };
	sigset_t child;

	(void)sigaction(SIGCHLD, &action, NULL);
	(void)sigemptyset(&child);
	(void)sigaddset(&child, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &child, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

static int tell_exit(const struct run *r, struct err *err)
{
	bool signalled = WIFSIGNALED(r->status);
	const struct channel_exit e = {
		.signalled = signalled,
		.value = (uint32_t)(signalled ? WTERMSIG(r->status) : WEXITSTATUS(r->status)),
		.out = r->counts[0],
		.err = r->counts[1],
	};
	uint8_t payload[CHANNEL_EXIT_SIZE];

	channel_exit_put(payload, &e);
	return wire_last(r->s->wire, CHANNEL_EXIT, payload, sizeof(payload), err);
}

/* After this pause the host has what was sent by vsock: nothing tells when its driver has sent it.
 */
#define SERVE_LAST_WORDS_MS 100

/* A built-in that ends the guest. */
static int end_guest(struct serve *s, const struct builtin *b, bool *told, struct err *err)
{
	int ret;

	wire_queue(s->wire, CHANNEL_STARTED, "", 0);
	ret = wire_drain(s->wire, err);
	*told = ret < 0;
	if (ret < 0)
		return ret;
	clock_sleep(SERVE_LAST_WORDS_MS);
	ret = b->run(NULL);
	return err_sys(err, -ret, "%s did not end the guest", b->word);
}

int serve_command(struct serve *s, const struct spec *spec, bool *told, struct err *err)
{
	struct run r = { .s = s };
	const struct builtin *builtin;
	int ret;

	*told = false;
	input_reset(&s->input, s->wire->window);
	watch_children();
	ret = builtin_find(spec, &builtin, err);
	if (ret < 0)
		return ret;
	if (builtin && builtin->ends)
		return end_guest(s, builtin, told, err);
	ret = command_start(&r.command, spec, builtin, err);
	if (ret < 0)
		return ret;
	*told = true;
	if (r.command.in < 0)
		input_discard(&s->input);
	wire_queue(s->wire, CHANNEL_STARTED, "", 0);
	ret = run_loop(&r, err);
	close_in(&r);
	for (unsigned i = 0; i < 2; i++)
		if (r.command.outs[i] >= 0)
			close_out(&r, i);
	return ret < 0 ? ret : tell_exit(&r, err);
}
