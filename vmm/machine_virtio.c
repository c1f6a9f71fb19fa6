#include "vmm/machine_virtio.h"

#include "vmm/platform.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

_Static_assert(VIRTIO_BAR_SIZE == VIRTIO_PCI_BAR_SIZE, "the plan has the room that devices take");
_Static_assert(DISK_QUEUES_MAX == VIRTIO_BLK_QUEUES_MAX, "every queue of a disk has one below");
_Static_assert(CONFIG_NET_QUEUES_MAX == VIRTIO_NET_PAIRS_MAX, "every pair of an adapter, too");

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

/* Wakes the main loop `ns` from now, and then each `again` seconds: 0: not again. */
static void wake(const struct virtio_slot *s, long ns, time_t again)
{
	const struct itimerspec when = { { again, 0 }, { 0, ns } };

	(void)timerfd_settime(s->timer, 0, &when, NULL);
}

static bool woken(const struct virtio_slot *s)
{
	uint64_t count;

	return read(s->timer, &count, sizeof(count)) == sizeof(count);
}

static void net_ready(void *to, short revents)
{
	const struct virtio_slot_queue *q = to;
	const struct net_pair *pair = &q->slot->backend->net.pairs[q->index / 2];

	(void)revents;
	if (virtio_net_serve(&q->slot->net, q->index / 2))
		return;
	loop_forget(pair->loop, pair->fd);
	wake(q->slot, 1, 0); /* the main loop goes on: net_gone */
}

static void net_gone(void *to, short revents)
{
	struct virtio_slot *s = to;

	(void)revents;
	(void)woken(s);
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

/* --- a process that serves a device goes, and comes back; on the main loop --- */

#define RETRY_S 1
#define HANGUP	0 /* poll(2) tells it in any case; answers are awaited elsewhere */

static void user_gone(void *to, short revents);

/* Looks for the process: soon, then each RETRY_S. */
static void look_for_user(struct virtio_slot *s)
{
	wake(s, 100000000, RETRY_S);
}

static void user_gone(void *to, short revents)
{
	struct virtio_slot *s = to;
	struct vhost_user *user = &s->backend->user;

	(void)revents;
	loop_forget(s->loop, user->fd);
	vhost_user_lost(user);
	tell_user(s, "the program that serves it is gone; it waits for it to come back");
	look_for_user(s);
}

static void user_looked_for(void *to, short revents)
{
	struct virtio_slot *s = to;
	struct vhost_user *user = &s->backend->user;
	struct err err;
	int ret;

	(void)revents;
	if (!woken(s))
		return;
	ret = vhost_user_reconnect(user, &err);
	if (ret < 0 && ret != -EINVAL)
		return; /* not yet */
	wake(s, 0, 0);
	if (ret < 0) {
		tell_user(s, err.text);
		return;
	}
	(void)loop_watch(s->loop, user->fd, HANGUP, user_gone, s);
	if (virtio_server_back(s->dev))
		tell_user(s, "the program that serves it is back");
	else
		tell_user(s,
			  "the program that serves it is back, but what it was doing is lost: the "
			  "guest must reset the device");
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

static void port_put(void *to, uint8_t byte)
{
	console_put(to, byte);
}

static bool port_ready(void *to)
{
	return console_ready(to);
}

static void port_resume(void *to)
{
	console_resume(to);
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

/* --- one slot --- */

static int make_eventfds(struct virtio_slot *s, struct err *err)
{
	unsigned n = s->dev->nr_queues;

	for (unsigned i = 0; i <= n; i++) {
		s->vectors[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (s->vectors[i] < 0)
			return err_sys(err, errno, "cannot make an eventfd");
		if (i == n)
			break;
		s->kicks[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (s->kicks[i] < 0)
			return err_sys(err, errno, "cannot make an eventfd");
		s->queues[i] = (struct virtio_slot_queue){ s, i };
	}
	return 0;
}

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

/* The timer by which the main loop is woken. */
static int watch_timer(struct virtio_slot *s, void (*ready)(void *to, short revents),
		       struct err *err)
{
	s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (s->timer < 0)
		return err_sys(err, errno, "cannot make a timer");
	return watch(s->loop, s->timer, POLLIN, ready, s, err);
}

/* A thread for each queue of a disk. */
static int serve_disk(struct virtio_slot *s, struct disk *disk, struct err *err)
{
	unsigned n = s->dev->nr_queues;
	int ret = make_workers(s, n, err);

	for (unsigned i = 0; ret == 0 && i < n; i++) {
		struct worker *w = &s->workers[i];

		ret = watch_queue(s, &w->loop, i, err);
		if (ret == 0)
			ret = watch(&w->loop, disk->queues[i].completed, POLLIN, disk_ready,
				    &s->queues[i], err);
		if (ret == 0)
			ret = worker_start(w, err);
	}
	return ret;
}

/* The kernel has the pairs. The main loop has the control queue, and sees the interface go. */
static int serve_kernel_net(struct virtio_slot *s, const struct net *net, struct err *err)
{
	int ret = net->links < 0 ? 0 : watch(s->loop, net->links, POLLIN, links_changed, s, err);

	s->served_here = true;
	for (unsigned i = 0; ret == 0 && i < s->dev->nr_queues; i++)
		if (virtio_net_may_control(&s->net, i))
			ret = watch_queue(s, s->loop, i, err);
	return ret;
}

/* A thread for each pair; the first has the control queue, too. */
static int serve_net(struct virtio_slot *s, struct net *net, struct err *err)
{
	unsigned n = net->nr_pairs;
	int ret = watch_timer(s, net_gone, err);

	if (ret == 0 && net_in_kernel(net))
		return serve_kernel_net(s, net, err);
	if (ret == 0)
		ret = make_workers(s, n, err);
	for (unsigned i = 0; ret == 0 && i < s->dev->nr_queues; i++)
		ret = watch_queue(s, &s->workers[i / 2 % n].loop, i, err);
	for (unsigned i = 0; ret == 0 && i < n; i++) {
		net->pairs[i].loop = &s->workers[i].loop;
		ret = worker_start(&s->workers[i], err);
	}
	return ret;
}

/* A thread for the guest's sockets. */
static int serve_vsock(struct virtio_slot *s, struct vsock *bridge, struct err *err)
{
	int ret = make_workers(s, 1, err);

	for (unsigned i = 0; ret == 0 && i < s->dev->nr_queues; i++)
		ret = watch_queue(s, &s->workers->loop, i, err);
	if (ret == 0)
		ret = watch(&s->workers->loop, bridge->set, POLLIN, vsock_ready, bridge, err);
	return ret < 0 ? ret : worker_start(s->workers, err);
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

/* A thread for a device whose work takes its time. */
static int serve_alone(struct virtio_slot *s, struct err *err)
{
	int ret = make_workers(s, 1, err);

	for (unsigned i = 0; ret == 0 && i < s->dev->nr_queues; i++)
		ret = watch_queue(s, &s->workers[0].loop, i, err);
	return ret < 0 ? ret : worker_start(&s->workers[0], err);
}

/* Another process has the queues; we see it go. It may have gone while there was no machine. */
static int serve_remote(struct virtio_slot *s, struct vhost_user *user, struct err *err)
{
	int ret = watch_timer(s, user_looked_for, err);

	if (ret == 0 && user->fd >= 0)
		ret = watch(s->loop, user->fd, HANGUP, user_gone, s, err);
	else if (ret == 0)
		look_for_user(s);
	return ret;
}

/* --- one of each kind --- */

static int init_disk(struct virtio_slot *s, struct err *err)
{
	const struct config_disk *wanted = s->backend->wanted_disk;
	struct disk *disk = &s->backend->disk;
	struct virtio_blk_disk d = {
		.size = disk->size,
		.block_size = disk->block_size,
		.readonly = disk->options.readonly,
		.discard = disk->options.discard,
		.split = wanted->split,
		.nr_queues = disk->options.queues,
		.ops = &disk_queue_ops,
	};

	for (unsigned i = 0; i < d.nr_queues; i++)
		d.queues[i] = &disk->queues[i];
	if (wanted->serial)
		memcpy(d.serial, wanted->serial, strnlen(wanted->serial, VIRTIO_BLK_SERIAL));
	s->dev = &s->blk.dev;
	return virtio_blk_init(&s->blk, &d, err);
}

static int init_net(struct virtio_slot *s, struct err *err)
{
	struct net *net = &s->backend->net;
	const struct server kernel = { &net_server_ops, net, net->pairs[0].vhost.features };
	struct net_port ports[VIRTIO_NET_PAIRS_MAX];

	s->dev = &s->net.dev;
	for (unsigned i = 0; i < net->nr_pairs; i++)
		net_serve(&net->pairs[i], net_ready, &s->queues[2 * i], &ports[i]);
	return virtio_net_init(&s->net, ports, net->nr_pairs, net_in_kernel(net) ? &kernel : NULL,
			       s->backend->mac, err);
}

static void init_remote(struct virtio_slot *s)
{
	struct vhost_user *user = &s->backend->user;
	const struct server server = { &vhost_user_ops, user, user->features };
	uint64_t features = user->features & user->kind->features;

	s->dev = &s->remote.dev;
	if (s->backend->kind == VIRTIO_DISK)
		virtio_remote_blk(&s->remote, features, user->config, user->nr_queues, &server);
	else if (s->backend->kind == VIRTIO_NET)
		virtio_remote_net(&s->remote, features, s->backend->mac, &server);
	else
		virtio_remote_fs(&s->remote, s->backend->wanted_fs->tag, &server);
}

static void init_console(struct virtio_slot *s)
{
	struct console *line = s->backend->console;
	const struct console_port port = { port_put, port_ready, port_resume, line };
	unsigned columns, rows;

	console_size(line, &columns, &rows);
	s->dev = &s->console.dev;
	virtio_console_init(&s->console, &port, (uint16_t)columns, (uint16_t)rows);
}

static void discard(void *to, void *at, size_t len)
{
	const struct virtio_slot *s = to;

	ram_discard(s->parts->ram, at, len);
}

static void stats(void *to, const uint64_t *numbers)
{
	const struct virtio_slot *s = to;

	s->parts->memory(s->parts->to, numbers);
}

static void init_balloon(struct virtio_slot *s)
{
	const struct balloon_host host = { discard, stats, s };

	s->dev = &s->balloon.dev;
	virtio_balloon_init(&s->balloon, &host, s->backend->size);
}

static int init_vsock(struct virtio_slot *s, struct err *err)
{
	const struct vsock_user user = { socket_called, socket_event, s };
	struct backend *b = s->backend;
	const struct server server = { &vhost_vsock_ops, &b->vsock, b->vsock.features };
	struct vsock_port port;

	s->dev = &s->vsock.dev;
	if (b->bridge.path) {
		vsock_serve(&b->bridge, &user, &port);
		return virtio_vsock_init_port(&s->vsock, b->cid, &port, err);
	}
	virtio_vsock_init(&s->vsock, b->cid, &server);
	return 0;
}

static int init_device(struct virtio_slot *s, struct err *err)
{
	struct backend *b = s->backend;
	const struct pmem_host pmem = { pmem_flush, &b->pmem };

	if (b->user.kind) {
		init_remote(s);
		return 0;
	}
	switch (b->kind) {
	case VIRTIO_DISK:
		return init_disk(s, err);
	case VIRTIO_NET:
		return init_net(s, err);
	case VIRTIO_CONSOLE:
		init_console(s);
		break;
	case VIRTIO_BALLOON:
		init_balloon(s);
		break;
	case VIRTIO_RNG:
		s->dev = &s->rng.dev;
		virtio_rng_init(&s->rng);
		break;
	case VIRTIO_PMEM:
		s->dev = &s->pmem.dev;
		virtio_pmem_init(&s->pmem, &pmem, b->pmem.gpa);
		break;
	case VIRTIO_VSOCK:
		return init_vsock(s, err);
	case VIRTIO_FS: /* is remote */
	case VIRTIO_KINDS:
		break;
	}
	return 0;
}

static int serve_console(struct virtio_slot *s, struct err *err)
{
	const struct console_user user = { console_typed, console_has_room, console_quit, s };

	console_attach(s->backend->console, &user);
	return serve_here(s, err);
}

static int serve(struct virtio_slot *s, struct err *err)
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
		return serve_alone(s, err);
	case VIRTIO_CONSOLE:
		return serve_console(s, err);
	case VIRTIO_BALLOON:
	case VIRTIO_RNG:
		return serve_here(s, err);
	case VIRTIO_VSOCK: /* if the kernel does not */
		return b->bridge.path ? serve_vsock(s, &b->bridge, err) : 0;
	case VIRTIO_FS:
	case VIRTIO_KINDS:
		break;
	}
	return 0;
}

static struct virtio_slot *new_slot(struct machine_virtio *m, struct err *err)
{
	struct virtio_slot *s = calloc(1, sizeof(*s));

	if (!s) {
		err_sys(err, ENOMEM, "cannot hold a virtio device");
		return NULL;
	}
	memset(s->kicks, -1, sizeof(s->kicks));
	memset(s->vectors, -1, sizeof(s->vectors));
	s->timer = -1;
	m->slots[m->nr_slots++] = s;
	return s;
}

static int create_slot(struct machine_virtio *m, unsigned i, struct err *err)
{
	const struct machine_virtio_parts *parts = &m->parts;
	const struct plan_pci *fn = &parts->plan->pci[parts->first + i];
	struct virtio_slot *s = new_slot(m, err);
	int ret;

	if (!s)
		return -ENOMEM;
	s->parts = parts;
	s->env = &parts->pci->env;
	s->loop = parts->loop;
	s->name = fn->name;
	s->backend = &parts->backends->list[i];
	ret = init_device(s, err);
	if (ret == 0)
		ret = make_eventfds(s, err);
	if (ret < 0)
		return ret;
	virtio_pci_plug(&s->pci, s->dev, parts->guest_ram, &parts->pci->env, s->kicks, s->vectors,
			fn->bars[0].at);
	ret = serve(s, err);
	if (ret == 0)
		parts->pci->host.root.slots[fn->slot] = &s->pci.fn;
	return ret < 0 ? err_prefix(err, ret, "%s: ", fn->name) : 0;
}

static void destroy_slot(struct virtio_slot *s)
{
	if (s->backend && s->backend->console)
		console_attach(s->backend->console, NULL);
	/* Workers end what is in flight, so they go after. */
	virtio_pci_unplug(&s->pci);
	for (unsigned i = 0; i < s->nr_workers; i++)
		worker_destroy(&s->workers[i]);
	free(s->workers);
	for (unsigned i = 0; s->served_here && i < s->dev->nr_queues; i++)
		loop_forget(s->loop, s->kicks[i]);
	if (s->timer >= 0) {
		loop_forget(s->loop, s->backend->user.fd);
		if (s->backend->net.nr_pairs)
			loop_forget(s->loop, s->backend->net.links);
		loop_forget(s->loop, s->timer);
		close(s->timer);
	}
	virtio_blk_destroy(&s->blk);
	virtio_net_destroy(&s->net);
	virtio_vsock_destroy(&s->vsock);
	for (unsigned i = 0; i < ARRAY_SIZE(s->kicks); i++)
		if (s->kicks[i] >= 0)
			close(s->kicks[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(s->vectors); i++)
		if (s->vectors[i] >= 0)
			close(s->vectors[i]);
	free(s);
}

/* --- all of them --- */

int machine_virtio_create(struct machine_virtio *m, const struct machine_virtio_parts *parts,
			  struct err *err)
{
	unsigned n = parts->backends ? parts->backends->n : 0;
	int ret = 0;

	*m = (struct machine_virtio)MACHINE_VIRTIO_EMPTY;
	if (!n)
		return 0;
	m->parts = *parts;
	m->slots = calloc(n, sizeof(*m->slots));
	if (!m->slots)
		return err_sys(err, ENOMEM, "cannot hold %u virtio devices", n);
	for (unsigned i = 0; ret == 0 && i < n; i++)
		ret = create_slot(m, i, err);
	if (ret < 0)
		machine_virtio_destroy(m);
	return ret;
}

void machine_virtio_resize(struct machine_virtio *m)
{
	for (unsigned i = 0; i < m->nr_slots; i++) {
		struct virtio_slot *s = m->slots[i];
		unsigned columns, rows;

		if (s->backend->kind != VIRTIO_CONSOLE)
			continue;
		console_size(s->backend->console, &columns, &rows);
		virtio_console_resize(&s->console, (uint16_t)columns, (uint16_t)rows);
	}
}

int machine_virtio_resize_disk(struct machine_virtio *m, const char *name, struct err *err)
{
	struct virtio_slot *s = NULL;
	int ret;

	for (unsigned i = 0; i < m->nr_slots; i++)
		if (m->slots[i]->backend->kind == VIRTIO_DISK && !strcmp(m->slots[i]->name, name))
			s = m->slots[i];
	if (!s)
		return err_set(err, ENODEV, "there is no disk %s; they are disk0 and so on", name);
	if (s->backend->user.kind)
		return err_set(err, ENOTSUP, "%s is resized by the program that serves it", name);
	ret = disk_look_again(&s->backend->disk, err);
	if (ret == 0)
		virtio_blk_resize(&s->blk, s->backend->disk.size);
	return ret;
}

struct virtio_balloon *machine_virtio_balloon(struct machine_virtio *m)
{
	for (unsigned i = 0; i < m->nr_slots; i++)
		if (m->slots[i]->backend->kind == VIRTIO_BALLOON)
			return &m->slots[i]->balloon;
	return NULL;
}

void machine_virtio_destroy(struct machine_virtio *m)
{
	for (unsigned i = 0; i < m->nr_slots; i++)
		destroy_slot(m->slots[i]);
	free(m->slots);
	*m = (struct machine_virtio)MACHINE_VIRTIO_EMPTY;
}
