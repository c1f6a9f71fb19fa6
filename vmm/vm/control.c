#include "vmm/vm/control.h"

#include "vmm/host/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- clients --- */

static void drop(struct control_client *client)
{
	loop_forget(client->control->loop, client->fd);
	close(client->fd);
	client->fd = -1;
	client->len = 0;
	client->waiting = false;
}

/* A client whose socket buffer is full is disconnected. */
static void send_line(struct control_client *client, const char *text)
{
	struct iovec parts[] = { { (char *)text, strlen(text) }, { "\n", 1 } };
	struct msghdr h = { .msg_iov = parts, .msg_iovlen = 2 };

	if (sendmsg(client->fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)(parts[0].iov_len + 1))
		drop(client);
}

static void control_client_ready(void *to, short revents);

static void client_gone(void *to, short revents)
{
	if (revents & (POLLHUP | POLLERR))
		drop(to);
}

/*
 * While a client waits for its answer only POLLHUP is polled for, which poll(2) always reports: a
 * client that has closed its sending side still gets the answer.
 */
static void listen_to(struct control_client *client)
{
	struct loop *loop = client->control->loop;

	loop_forget(loop, client->fd);
	if (client->waiting)
		(void)loop_watch(loop, client->fd, 0, client_gone, client, NULL);
	else
		(void)loop_watch(loop, client->fd, POLLIN, control_client_ready, client, NULL);
}

/* Serves whole lines until one has to wait for its answer. */
static void serve_lines(struct control_client *client)
{
	char *end;

	while (client->fd >= 0 && !client->waiting &&
	       (end = memchr(client->line, '\n', client->len))) {
		size_t used = (size_t)(end + 1 - client->line);
		char line[CONTROL_LINE_MAX];

		*end = '\0';
		memcpy(line, client->line, used);
		client->len -= used;
		memmove(client->line, client->line + used, client->len);
		client->control->command(client->control->to, client, line);
	}
	if (client->fd >= 0)
		listen_to(client);
}

static void serve_more(void *to, short revents)
{
	struct control *c = to;
	uint64_t count;

	(void)revents;
	if (read(c->more, &count, sizeof(count)) != sizeof(count))
		return;
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
		if (c->clients[i].fd >= 0)
			serve_lines(&c->clients[i]);
}

static void control_client_ready(void *to, short revents)
{
	struct control_client *client = to;
	ssize_t n;

	(void)revents;
	n = recv(client->fd, client->line + client->len, sizeof(client->line) - client->len,
		 MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) { /* disconnected, or a line that is too long */
		drop(client);
		return;
	}
	client->len += (size_t)n;
	client->used = ++client->control->events;
	serve_lines(client);
}

/*
 * Returns a free place, or frees that of the client that was silent longest; NULL: all clients wait
 * for answers.
 */
static struct control_client *find_place(struct control *c)
{
	struct control_client *oldest = NULL;

	for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
		struct control_client *client = &c->clients[i];

		if (client->fd < 0)
			return client;
		if (!client->waiting && (!oldest || client->used < oldest->used))
			oldest = client;
	}
	if (oldest)
		drop(oldest);
	return oldest;
}

static void control_refuse(int fd)
{
	static const char text[] = "{\"ok\":false,\"error\":\"busy; try again\"}\n";

	(void)send(fd, text, sizeof(text) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

static int open_spare(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/*
 * Accepts and closes a caller when no descriptor is free, because the loop would else report the
 * waiting caller again and again.
 */
static void accept_and_refuse(struct control *c)
{
	int fd;

	if (c->spare >= 0)
		close(c->spare);
	fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		control_refuse(fd);
	c->spare = open_spare();
}

static void accept_client(void *to, short revents)
{
	struct control *c = to;
	int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC);
	struct control_client *client;

	(void)revents;
	if (fd < 0 && (errno == EMFILE || errno == ENFILE))
		accept_and_refuse(c);
	if (fd < 0)
		return;
	client = find_place(c);
	if (!client || loop_watch(c->loop, fd, POLLIN, control_client_ready, client, NULL) < 0) {
		control_refuse(fd);
		return;
	}
	client->fd = fd;
	client->used = ++c->events;
}

void control_answer(struct control_client *client, const char *text)
{
	client->waiting = false;
	send_line(client, text);
}

void control_answer_waiting(struct control *c, const char *text)
{
	uint64_t one = 1;

	for (unsigned i = 0; c->path && i < CONTROL_CLIENTS; i++)
		if (c->clients[i].fd >= 0 && c->clients[i].waiting)
			control_answer(&c->clients[i], text);
	if (c->more >= 0)
		(void)!write(c->more, &one, sizeof(one));
}

/* --- the socket --- */

int control_open(struct control *c, const char *path, struct loop *loop,
		 void (*command)(void *to, struct control_client *client, char *line), void *to,
		 struct err *err)
{
	int ret;

	*c = (struct control)CONTROL_EMPTY;
	c->path = path;
	c->loop = loop;
	c->command = command;
	c->to = to;
	c->spare = open_spare();
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
		c->clients[i] = (struct control_client){ .control = c, .fd = -1 };
	c->more = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->more < 0) {
		ret = err_sys(err, errno, "cannot make an eventfd");
		goto fail;
	}
	ret = unix_socket_listen("--control ", path, &c->fd, err);
	if (ret < 0)
		goto fail;
	ret = loop_watch(loop, c->more, POLLIN, serve_more, c, err);
	if (ret < 0)
		goto fail;
	ret = loop_watch(loop, c->fd, POLLIN, accept_client, c, err);
	if (ret < 0)
		goto fail;
	return 0;

fail:
	control_close(c);
	return ret;
}

void control_close(struct control *c)
{
	for (unsigned i = 0; c->path && i < CONTROL_CLIENTS; i++)
		if (c->clients[i].fd >= 0)
			drop(&c->clients[i]);
	if (c->fd >= 0) {
		loop_forget(c->loop, c->fd);
		close(c->fd);
		unlink(c->path);
	}
	if (c->spare >= 0)
		close(c->spare);
	if (c->more >= 0) {
		loop_forget(c->loop, c->more);
		close(c->more);
	}
	*c = (struct control)CONTROL_EMPTY;
}
