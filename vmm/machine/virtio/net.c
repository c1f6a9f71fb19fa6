/*
 * Network adapters: tap interfaces and passt, a thread for each pair of queues; tap interfaces that
 * the kernel serves (vhost-net); or those that another program serves (remote.h).
 */
#include "devices/virtio_net.h"
#include "vmm/backends/net.h"
#include "vmm/machine/virtio/remote.h"
#include "vmm/machine/virtio/serve.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

static_assert(VHOST_AUTO == (int)NET_VHOST_AUTO && VHOST_ON == (int)NET_VHOST_ON &&
		      VHOST_OFF == (int)NET_VHOST_OFF,
	      "the configuration and the host do not see each other");

struct net_backend {
	struct net net;
	uint8_t mac[6];
};

/* Of a slot. */
struct net_device {
	struct virtio_net net;
	bool gone; /* the tap interface or socket is gone, and the user was told */
};

static struct net *net_of_slot(const struct virtio_slot *s)
{
	struct net_backend *own = s->backend->own;

	return &own->net;
}

static struct virtio_net *adapter_of(const struct virtio_slot *s)
{
	struct net_device *d = s->own;

	return &d->net;
}

/* --- what it is connected to --- */

static unsigned net_count(const struct config *c)
{
	return c->nr_nets;
}

static void choose_mac(const struct config_net *n, unsigned index, uint8_t mac[6])
{
	const char *where = n->kind == NET_TAP ? n->tap : n->vhost_user;
	char name[128];

	snprintf(name, sizeof(name), "%u %s", index, where ? where : "net");
	if (n->has_mac)
		memcpy(mac, n->mac, sizeof(n->mac));
	else
		net_default_mac(name, mac);
}

static int open_remote(struct virtio_backend *b, const struct config_net *n, struct err *err)
{
	static const struct vhost_user_kind remote = { .features = VHOST_USER_NET_FEATURES,
						       .state = VHOST_USER_FRAMES };
	int ret = virtio_remote_open(b, "--net vhost-user=", n->vhost_user, &remote, 2, err);
	struct virtio_remote_backend *own = b->own;

	if (own)
		choose_mac(n, b->index, own->mac);
	return ret;
}

static int net_backend_open(struct virtio_backend *b, const struct config *c,
			    const struct plan *plan, struct err *err)
{
	const struct config_net *n = &c->nets[b->index];
	struct net_backend *own;

	(void)plan;
	if (n->kind == NET_VHOST_USER)
		return open_remote(b, n, err);
	own = virtio_backend_own(b, sizeof(*own), err);
	if (!own)
		return -ENOMEM;
	own->net = (struct net)NET_EMPTY;
	choose_mac(n, b->index, own->mac);
	if (n->kind == NET_USER)
		return net_open_user(&own->net, err);
	if (n->kind == NET_TAP)
		return net_open_tap(&own->net, n->tap, n->queues, (enum net_vhost)n->vhost, err);
	return net_open_fds(&own->net, n->fds, n->queues, (enum net_vhost)n->vhost, err);
}

static void net_backend_close(struct virtio_backend *b)
{
	struct net_backend *own = b->own;

	net_close(&own->net);
}

static int net_backend_listen(struct virtio_backend *b, struct guest_memory *m, struct err *err)
{
	struct net_backend *own = b->own;
	struct net *net = &own->net;
	int ret = 0;

	for (unsigned i = 0; ret == 0 && net_in_kernel(net) && i < net->nr_pairs; i++)
		ret = vhost_listen(&net->pairs[i].vhost, m, err);
	return ret;
}

/* --- the adapter --- */

static int net_create(struct virtio_slot *s, struct err *err)
{
	struct net_backend *own = s->backend->own;
	struct net *net = &own->net;
	const struct server kernel = { &net_server_ops, net, net->pairs[0].vhost.features };
	struct net_device *d = virtio_slot_own(s, sizeof(*d), err);
	struct net_port ports[VIRTIO_NET_PAIRS_MAX];

	if (!d)
		return -ENOMEM;
	s->dev = &d->net.dev;
	for (unsigned i = 0; i < net->nr_pairs; i++)
		ports[i] = net_port_of(&net->pairs[i]);
	return virtio_net_init(&d->net, ports, net->nr_pairs, net_in_kernel(net) ? &kernel : NULL,
			       own->mac, err);
}

static void net_destroy(struct virtio_slot *s)
{
	virtio_net_destroy(adapter_of(s));
}

/* The tap interface or socket of the adapter is gone. On the main loop, once. */
static void net_gone(void *to, short revents)
{
	struct virtio_slot *s = to;
	struct net_device *d = s->own;
	struct err why;

	(void)revents;
	(void)virtio_serve_woken(s);
	if (d->gone) /* each pair says so */
		return;
	d->gone = true;
	virtio_net_link_down(&d->net);
	if (net_tell(net_of_slot(s), &why))
		virtio_slot_say(s, why.text);
	virtio_slot_say(s, "its tap interface or socket is gone; the guest has no link any more");
}

/* --- served here, a thread for each pair --- */

static void port_lost(const struct virtio_slot_queue *q)
{
	const struct net_pair *pair = &net_of_slot(q->slot)->pairs[q->index / 2];

	loop_forget(pair->loop, pair->fd);
	virtio_serve_wake(q->slot, VIRTIO_SERVE_NOW); /* the main loop goes on: net_gone */
}

static void net_ready(void *to, short revents)
{
	const struct virtio_slot_queue *q = to;

	(void)revents;
	if (!virtio_net_serve(adapter_of(q->slot), q->index / 2))
		port_lost(q);
}

static void net_kicked(void *to, short revents)
{
	const struct virtio_slot_queue *q = to;
	struct virtio_net *net = adapter_of(q->slot);

	virtio_serve_kicked(to, revents);
	if (q->index / 2 < net->nr_pairs && virtio_net_is_dead(net, q->index / 2))
		port_lost(q);
}

/* The first thread has the control queue, too. */
static int serve_pairs(struct virtio_slot *s, struct net *net, struct err *err)
{
	unsigned n = net->nr_pairs;
	int ret = virtio_serve_workers(s, n, err);

	if (ret < 0)
		return ret;
	for (unsigned i = 0; i < s->dev->nr_queues; i++) {
		ret = loop_watch(&s->workers[i / 2 % n].loop, s->kicks[i], POLLIN, net_kicked,
				 &s->queues[i], err);
		if (ret < 0)
			return ret;
	}
	for (unsigned i = 0; i < n; i++) {
		net_serve(&net->pairs[i], &s->workers[i].loop, net_ready, &s->queues[2 * i]);
		ret = worker_start(&s->workers[i], err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* --- served by the kernel --- */

/* No other thread polls the interface, so this one must notice when it is gone. */
static void links_changed(void *to, short revents)
{
	struct virtio_slot *s = to;
	const struct net *net = net_of_slot(s);

	if (!net_is_gone(net))
		return;
	loop_forget(s->loop, net->links);
	net_gone(s, revents);
}

/*
 * Queue 2 is the control queue or one of the second pair's, which the kernel hears itself: watched
 * all the same, it would wake this loop for every receive buffer.
 */
static void control_kicked(void *to, short revents)
{
	struct virtio_slot_queue *q = to;
	struct virtio_slot *s = q->slot;
	short events = virtio_net_control_queue(adapter_of(s)) == 2 ? POLLIN : 0;

	virtio_serve_kicked(to, revents);
	/* loop_watch() cannot fail here, because the descriptor was watched before. */
	(void)loop_want(s->loop, s->kicks[2], events, control_kicked, &s->queues[2]);
}

/* The kernel has the pairs. The main loop has the control queue, and sees the interface go. */
static int serve_kernel(struct virtio_slot *s, const struct net *net, struct err *err)
{
	int ret;

	s->served_here = true;
	if (net->links >= 0) {
		ret = loop_watch(s->loop, net->links, POLLIN, links_changed, s, err);
		if (ret < 0)
			return ret;
	}
	ret = loop_watch(s->loop, s->error, POLLIN, virtio_serve_ring_failed, s, err);
	if (ret < 0)
		return ret;
	for (unsigned i = 2; i < s->dev->nr_queues; i++) {
		if (i != 2 && i != 2 * net->nr_pairs)
			continue;
		ret = loop_watch(s->loop, s->kicks[i], POLLIN, control_kicked, &s->queues[i], err);
		if (ret < 0)
			return ret;
	}
	if (net_is_gone(net))
		virtio_serve_wake(s, VIRTIO_SERVE_NOW); /* in the guest's last life */
	return 0;
}

static int net_device_serve(struct virtio_slot *s, struct err *err)
{
	struct net *net = net_of_slot(s);
	int ret = virtio_serve_timer(s, s->loop, net_gone, err);

	if (ret < 0)
		return ret;
	return net_in_kernel(net) ? serve_kernel(s, net, err) : serve_pairs(s, net, err);
}

static void net_forget(struct virtio_slot *s)
{
	if (net_of_slot(s)->links >= 0)
		loop_forget(s->loop, net_of_slot(s)->links);
}

static const struct virtio_kind_ops net_ops = {
	.close = net_backend_close,
	.listen = net_backend_listen,
	.create = net_create,
	.serve = net_device_serve,
	.forget = net_forget,
	.destroy = net_destroy,
};

const struct virtio_kind virtio_kind_net = {
	.kind = DEVICE_NET,
	.count = net_count,
	.open = net_backend_open,
	.ops = &net_ops,
};
