#include "vmm/machine/virtio/serve.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* --- events; on the thread that serves the queue --- */

static void kick_ready(void *to, short revents)
{
	struct virtio_slot_queue *q = to;

	(void)revents;
	virtio_kicked(q->slot->dev, q->index);
}

static void disk_ready(void *to, short revents)
{
	struct virtio_slot_queue *q = to;

	(void)revents;
	virtio_blk_reap(&q->slot->blk, q->index, disk_reap);
}

static void tell_user(const struct virtio_slot *s, const char *what)
{
	char line[sizeof(struct err) + 64];

	snprintf(line, sizeof(line), "%s: %s", s->name, what);
	s->env->say(s->env->to, line);
}

/* Wakes the main loop so long from now. */
static void wake(const struct virtio_slot *s, time_t seconds, long ns)
{
	const struct itimerspec when = { .it_value = { seconds, ns } };

	(void)timerfd_settime(s->timer, 0, &when, NULL);
}

void machine_serve_wake(const struct virtio_slot *s)
{
	wake(s, 0, 1);
}

static bool woken(const struct virtio_slot *s)
{
	uint64_t count;

	return read(s->timer, &count, sizeof(count)) == sizeof(count);
}

static void port_lost(const struct virtio_slot_queue *q)
{
	const struct net_pair *pair = &q->slot->backend->net.pairs[q->index / 2];

	loop_forget(pair->loop, pair->fd);
	machine_serve_wake(q->slot); /* the main loop goes on: net_gone */
}

static void net_ready(void *to, short revents)
{
	const struct virtio_slot_queue *q = to;

	(void)revents;
	if (!virtio_net_serve(&q->slot->net, q->index / 2))
		port_lost(q);
}

static void net_kicked(void *to, short revents)
{
	struct virtio_slot_queue *q = to;

	kick_ready(to, revents);
	if (q->index / 2 < q->slot->net.nr_pairs && virtio_net_is_dead(&q->slot->net, q->index / 2))
		port_lost(q);
}

static void net_gone(void *to, short revents)
{
	struct virtio_slot *s = to;

	(void)revents;
	(void)woken(s);
	if (s->gone) /* each pair says so */
		return;
	s->gone = true;
	virtio_net_link_down(&s->net);
	tell_user(s, "what it was connected to is gone; the guest has no link any more");
}

/* The kernel serves it: nobody else sees it go. */
static void links_changed(void *to, short revents)
{
	struct virtio_slot *s = to;
	const struct net *net = &s->backend->net;

	if (!net_is_gone(net))
		return;
	loop_forget(s->loop, net->links);
	net_gone(s, revents);
}

/* --- a process that serves a device goes, and comes back; on a thread that waits for it --- */

#define HANGUP 0 /* poll(2) tells it in any case; answers are waited for elsewhere */

static struct loop *user_loop(const struct virtio_slot *s)
{
	return &s->workers[0].loop;
}

/* A network has no link while nobody serves it: routes, bonds and DHCP of the guest depend on it.
 */
static void tell_link(struct virtio_slot *s, bool up)
{
	if (s->backend->kind == VIRTIO_NET)
		virtio_remote_link(&s->remote, up);
}

/* Looks for the process: soon, then some seconds after each look. */
static void look_for_user(struct virtio_slot *s)
{
	s->retry = 1;
	wake(s, 0, 100000000);
}

static void user_gone(void *to, short revents)
{
	struct virtio_slot *s = to;
	struct vhost_user *user = &s->backend->user;

	(void)revents;
	loop_forget(user_loop(s), user->wire.fd);
	vhost_user_lost(user);
	tell_link(s, false);
	tell_user(s, "the program that serves it is gone; it waits for it to come back");
	look_for_user(s);
}

static void user_is_back(struct virtio_slot *s)
{
	bool goes_on;

	(void)loop_watch(user_loop(s), s->backend->user.wire.fd, HANGUP, user_gone, s);
	goes_on = virtio_server_back(s->dev);
	tell_link(s, true);
	if (goes_on)
		tell_user(s, "the program that serves it is back");
	else
		tell_user(s,
			  "the program that serves it is back, but what it was doing is lost: the "
			  "guest must reset the device");
}

static void user_looked_for(void *to, short revents)
{
	struct virtio_slot *s = to;
	struct err err;
	int ret;

	(void)revents;
	if (!woken(s))
		return;
	ret = vhost_user_reconnect(&s->backend->user, &err);
	if (ret == 0) {
		user_is_back(s);
	} else if (ret == -EINVAL) {
		tell_user(s, err.text);
	} else { /* not yet */
		s->retry = vhost_user_retry(s->retry, ret);
		wake(s, s->retry, 0);
	}
}

static void ring_failed(void *to, short revents)
{
	const struct virtio_slot *s = to;

	(void)revents;
	virtio_server_failed(s->dev);
}

/* --- a console; input on the main loop, room on its writer's thread --- */

static size_t console_typed(void *to, const uint8_t *data, size_t n)
{
	struct virtio_slot *s = to;

	return virtio_console_input(&s->console, data, n);
}

static void console_has_room(void *to)
{
	struct virtio_slot *s = to;

	virtio_console_room(&s->console);
}

static void console_quit(void *to)
{
	const struct virtio_slot *s = to;

	s->parts->quit(s->parts->to);
}

/* --- the guest's numbers of its memory came from the balloon's thread; on the main loop --- */

static void numbers_came(void *to, short revents)
{
	struct virtio_slot *s = to;
	uint64_t numbers[VIRTIO_BALLOON_STATS];

	(void)revents;
	if (!woken(s))
		return;
	pthread_mutex_lock(&s->numbers_lock);
	memcpy(numbers, s->numbers, sizeof(numbers));
	pthread_mutex_unlock(&s->numbers_lock);
	s->parts->memory(s->parts->to, numbers);
}

/* --- sockets; on their thread --- */

static int socket_called(void *to, uint32_t port, unsigned caller)
{
	struct virtio_slot *s = to;

	return virtio_vsock_call(&s->vsock, port, caller);
}

static void socket_event(void *to, unsigned id)
{
	struct virtio_slot *s = to;

	virtio_vsock_event(&s->vsock, id);
}

/* --- who waits for what --- */

static int watch(struct loop *loop, int fd, short events, void (*ready)(void *to, short revents),
		 void *to, struct err *err)
{
	if (loop_watch(loop, fd, events, ready, to) < 0)
		return err_set(err, ENOSPC, "too many descriptors in the event loop");
	return 0;
}

static int make_workers(struct virtio_slot *s, unsigned n, struct err *err)
{
	int ret = 0;

	s->workers = calloc(n, sizeof(*s->workers));
	if (!s->workers)
		return err_sys(err, ENOMEM, "cannot hold %u threads", n);
	while (ret == 0 && s->nr_workers < n) {
		ret = worker_create(&s->workers[s->nr_workers], s->name, err);
		s->nr_workers += ret == 0;
	}
	return ret;
}

static int watch_queue(struct virtio_slot *s, struct loop *loop, unsigned i, struct err *err)
{
	return watch(loop, s->kicks[i], POLLIN, kick_ready, &s->queues[i], err);
}

/* The timer by which `loop` is woken. */
static int watch_timer(struct virtio_slot *s, struct loop *loop,
		       void (*ready)(void *to, short revents), struct err *err)
{
	s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (s->timer < 0)
		return err_sys(err, errno, "cannot make a timer");
	return watch(loop, s->timer, POLLIN, ready, s, err);
}

static void disk_says(void *to, const char *sentence)
{
	tell_user(to, sentence);
}

/* A thread for each queue of a disk. */
static int serve_disk(struct virtio_slot *s, struct disk *disk, struct err *err)
{
	unsigned n = s->dev->nr_queues;
	int ret = make_workers(s, n, err);

	disk_listen(disk, disk_says, s);
	for (unsigned i = 0; ret == 0 && i < n; i++) {
		struct worker *w = &s->workers[i];

		ret = watch_queue(s, &w->loop, i, err);
		if (ret == 0)
			ret = watch(&w->loop, disk->queues[i].completed, POLLIN, disk_ready,
				    &s->queues[i], err);
		if (ret == 0)
			ret = watch(&w->loop, disk->queues[i].timer, POLLIN, disk_ready,
				    &s->queues[i], err);
		if (ret == 0)
			ret = worker_start(w, err);
	}
	return ret;
}

/*
 * Queue 2 is the control queue or one of the second pair's, which the kernel hears itself: watched
 * all the same, it would wake this loop for every receive buffer.
 */
static void control_kicked(void *to, short revents)
{
	struct virtio_slot_queue *q = to;
	struct virtio_slot *s = q->slot;
	short events = virtio_net_control_queue(&s->net) == 2 ? POLLIN : 0;

	kick_ready(to, revents);
	/* There is a place for it: it was watched at first. */
	(void)loop_want(s->loop, s->kicks[2], events, control_kicked, &s->queues[2]);
}

/* The kernel has the pairs. The main loop has the control queue, and sees the interface go. */
static int serve_kernel_net(struct virtio_slot *s, const struct net *net, struct err *err)
{
	int ret = net->links < 0 ? 0 : watch(s->loop, net->links, POLLIN, links_changed, s, err);

	s->served_here = true;
	if (ret == 0)
		ret = watch(s->loop, s->error, POLLIN, ring_failed, s, err);
	for (unsigned i = 2; ret == 0 && i < s->dev->nr_queues; i++)
		if (i == 2 || i == 2 * net->nr_pairs)
			ret = watch(s->loop, s->kicks[i], POLLIN, control_kicked, &s->queues[i],
				    err);
	if (ret == 0 && net_is_gone(net))
		machine_serve_wake(s); /* in the guest's last life */
	return ret;
}

/* A thread for each pair; the first has the control queue, too. */
static int serve_net(struct virtio_slot *s, struct net *net, struct err *err)
{
	unsigned n = net->nr_pairs;
	int ret = watch_timer(s, s->loop, net_gone, err);

	if (ret == 0 && net_in_kernel(net))
		return serve_kernel_net(s, net, err);
	if (ret == 0)
		ret = make_workers(s, n, err);
	for (unsigned i = 0; ret == 0 && i < s->dev->nr_queues; i++)
		ret = watch(&s->workers[i / 2 % n].loop, s->kicks[i], POLLIN, net_kicked,
			    &s->queues[i], err);
	for (unsigned i = 0; ret == 0 && i < n; i++) {
		net_serve(&net->pairs[i], &s->workers[i].loop, net_ready, &s->queues[2 * i]);
		ret = worker_start(&s->workers[i], err);
	}
	return ret;
}

/* The main loop is enough for devices that do little. */
static int serve_here(struct virtio_slot *s, struct err *err)
{
	int ret = 0;

	s->served_here = true;
	for (unsigned i = 0; ret == 0 && i < s->dev->nr_queues; i++)
		ret = watch_queue(s, s->loop, i, err);
	return ret;
}

/* A thread for a device whose work takes its time; and for a descriptor, if there is one (or -1).
 */
static int serve_alone(struct virtio_slot *s, int fd, void (*ready)(void *to, short revents),
		       void *to, struct err *err)
{
	int ret = make_workers(s, 1, err);

	for (unsigned i = 0; ret == 0 && i < s->dev->nr_queues; i++)
		ret = watch_queue(s, &s->workers[0].loop, i, err);
	if (ret == 0 && fd >= 0)
		ret = watch(&s->workers[0].loop, fd, POLLIN, ready, to, err);
	return ret < 0 ? ret : worker_start(&s->workers[0], err);
}

static int serve_vsock(struct virtio_slot *s, struct vsock *bridge, struct err *err)
{
	const struct vsock_user user = { socket_called, socket_event, s };

	vsock_serve(bridge, &user);
	return serve_alone(s, bridge->set, vsock_ready, bridge, err);
}

/*
 * Another process has the queues; we see it go. It may have gone while there was no machine. One
 * that is there and does not answer is waited for, so this has a thread.
 */
static int serve_remote(struct virtio_slot *s, const struct vhost_user *user, struct err *err)
{
	int ret = make_workers(s, 1, err);

	if (ret == 0)
		ret = watch_timer(s, user_loop(s), user_looked_for, err);
	if (ret == 0)
		ret = watch(user_loop(s), s->error, POLLIN, ring_failed, s, err);
	if (ret == 0 && user->wire.fd >= 0) {
		ret = watch(user_loop(s), user->wire.fd, HANGUP, user_gone, s, err);
	} else if (ret == 0) {
		tell_link(s, false);
		look_for_user(s);
	}
	return ret < 0 ? ret : worker_start(&s->workers[0], err);
}

/* Giving memory back takes the host's kernel tens of milliseconds a GiB: not on the main loop. */
static int serve_balloon(struct virtio_slot *s, struct err *err)
{
	int ret = watch_timer(s, s->loop, numbers_came, err);

	return ret < 0 ? ret : serve_alone(s, -1, NULL, NULL, err);
}

static int serve_console(struct virtio_slot *s, struct err *err)
{
	const struct console_user user = { console_typed, console_has_room, console_quit, s };

	console_attach(s->backend->console, &user);
	return serve_here(s, err);
}

int machine_serve(struct virtio_slot *s, struct err *err)
{
	struct backend *b = s->backend;

	if (b->user.kind)
		return serve_remote(s, &b->user, err);
	switch (b->kind) {
	case VIRTIO_DISK:
		return serve_disk(s, &b->disk, err);
	case VIRTIO_NET:
		return serve_net(s, &b->net, err);
	case VIRTIO_PMEM:
		return serve_alone(s, -1, NULL, NULL, err);
	case VIRTIO_CONSOLE:
		return serve_console(s, err);
	case VIRTIO_BALLOON:
		return serve_balloon(s, err);
	case VIRTIO_RNG:
		return serve_here(s, err);
	case VIRTIO_VSOCK: /* if the kernel does not */
		if (b->bridge.path)
			return serve_vsock(s, &b->bridge, err);
		return watch(s->loop, s->error, POLLIN, ring_failed, s, err);
	case VIRTIO_FS:
	case VIRTIO_KINDS:
		break;
	}
	return 0;
}
