#include "vmm/machine/virtio/remote.h"

#include "devices/virtio_remote.h"
#include "vmm/machine/virtio/serve.h"

#include <errno.h>
#include <poll.h>

#define HANGUP 0 /* poll(2) tells it in any case; answers are waited for elsewhere */

/* Of a slot. */
struct remote_device {
	struct virtio_remote remote;
	unsigned retry; /* seconds until the next look for a program that is gone */
};

static struct virtio_remote_backend *remote_backend(const struct virtio_slot *s)
{
	return s->backend->own;
}

static struct vhost_user *user_of(const struct virtio_slot *s)
{
	return &remote_backend(s)->user;
}

/* --- the program --- */

static void remote_close(struct virtio_backend *b)
{
	struct virtio_remote_backend *own = b->own;

	vhost_user_close(&own->user);
}

static int remote_listen(struct virtio_backend *b, struct guest_memory *m, struct err *err)
{
	struct virtio_remote_backend *own = b->own;

	return vhost_user_listen(&own->user, m, err);
}

/* --- the device --- */

static int remote_create(struct virtio_slot *s, struct err *err)
{
	struct virtio_remote_backend *own = remote_backend(s);
	struct vhost_user *user = &own->user;
	const struct server server = { &vhost_user_ops, user, user->features };
	uint64_t features = user->features & user->kind->features;
	struct remote_device *d = virtio_slot_own(s, sizeof(*d), err);

	if (!d)
		return -ENOMEM;
	s->dev = &d->remote.dev;
	if (s->backend->kind->kind == DEVICE_DISK)
		virtio_remote_blk(&d->remote, features, user->config, user->nr_queues, &server);
	else if (s->backend->kind->kind == DEVICE_NET)
		virtio_remote_net(&d->remote, features, own->mac, &server);
	else
		virtio_remote_fs(&d->remote, own->tag, &server);
	return 0;
}

static struct loop *user_loop(const struct virtio_slot *s)
{
	return &s->workers[0].loop;
}

/* A network has no link while nobody serves it: routes, bonds and DHCP of the guest depend on it.
 */
static void tell_link(struct virtio_slot *s, bool up)
{
	struct remote_device *d = s->own;

	if (s->backend->kind->kind == DEVICE_NET)
		virtio_remote_link(&d->remote, up);
}

/* Looks for the process at once, then some seconds after each look. */
static void start_reconnecting(struct virtio_slot *s)
{
	struct remote_device *d = s->own;

	d->retry = 1;
	virtio_serve_wake(s, 0, 100000000);
}

static void server_disconnected(void *to, short revents)
{
	struct virtio_slot *s = to;
	struct vhost_user *user = user_of(s);

	(void)revents;
	loop_forget(user_loop(s), user->wire.fd);
	vhost_user_lost(user);
	tell_link(s, false);
	virtio_slot_say(s, "the program that serves it is gone; straddle waits for it to return");
	start_reconnecting(s);
}

static void server_reconnected(struct virtio_slot *s)
{
	bool goes_on;

	(void)loop_watch(user_loop(s), user_of(s)->wire.fd, HANGUP, server_disconnected, s, NULL);
	goes_on = virtio_server_back(s->dev);
	tell_link(s, true);
	virtio_slot_say(s, goes_on ? "the program that serves it is back"
				   : "the program that serves it is back, but what it was doing is "
				     "lost: the guest must reset the device");
}

static void reconnect_timer_ready(void *to, short revents)
{
	struct virtio_slot *s = to;
	struct remote_device *d = s->own;
	struct err err;
	int ret;

	(void)revents;
	if (!virtio_serve_woken(s))
		return;
	ret = vhost_user_reconnect(user_of(s), &err);
	if (ret == 0) {
		server_reconnected(s);
	} else if (ret == -EINVAL) {
		virtio_slot_say(s, err.text);
	} else { /* not yet */
		d->retry = vhost_user_retry(d->retry, ret);
		virtio_serve_wake(s, d->retry, 0);
	}
}

/*
 * We see the process go, which may have been while there was no machine. One that is there and does
 * not answer is waited for, so this has a thread.
 */
static int remote_serve(struct virtio_slot *s, struct err *err)
{
	const struct vhost_user *user = user_of(s);
	int ret = virtio_serve_workers(s, 1, err);

	if (ret < 0)
		return ret;
	ret = virtio_serve_timer(s, user_loop(s), reconnect_timer_ready, err);
	if (ret < 0)
		return ret;
	ret = loop_watch(user_loop(s), s->error, POLLIN, virtio_serve_ring_failed, s, err);
	if (ret < 0)
		return ret;
	if (user->wire.fd >= 0) {
		ret = loop_watch(user_loop(s), user->wire.fd, HANGUP, server_disconnected, s, err);
		if (ret < 0)
			return ret;
	} else {
		tell_link(s, false);
		start_reconnecting(s);
	}
	return worker_start(&s->workers[0], err);
}

static void remote_cancel_waits(struct virtio_slot *s)
{
	vhost_user_cancel_waits(user_of(s), true);
}

/*
 * No program is looked for any more: the thread that does so also starts the device when one is
 * back. If the guest has a next life, the program is waited for when it is told to stop.
 */
static void remote_stop(struct virtio_slot *s)
{
	remote_cancel_waits(s);
	virtio_serve_end_workers(s);
	if (!s->ending)
		vhost_user_cancel_waits(user_of(s), false);
}

static int remote_resize(struct virtio_slot *s, struct err *err)
{
	return err_set(err, ENOTSUP,
		       "%s is served by another program; the guest sees another size of it when "
		       "straddle starts anew",
		       s->name);
}

static const struct virtio_kind_ops remote_ops = {
	.close = remote_close,
	.listen = remote_listen,
	.create = remote_create,
	.serve = remote_serve,
	.stop = remote_stop,
	.cancel_waits = remote_cancel_waits,
	.resize = remote_resize,
};

int virtio_remote_open(struct virtio_backend *b, const char *option, const char *path,
		       const struct vhost_user_kind *kind, unsigned queues, struct err *err)
{
	struct virtio_remote_backend *own = virtio_backend_own(b, sizeof(*own), err);

	if (!own)
		return -ENOMEM;
	own->user = (struct vhost_user)VHOST_USER_EMPTY;
	b->ops = &remote_ops;
	return vhost_user_open(&own->user, option, path, kind, queues, err);
}
