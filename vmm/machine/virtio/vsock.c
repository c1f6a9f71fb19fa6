/*
 * Sockets between guest and host: the kernel serves them (vhost-vsock), or a thread of this
 * process, for Unix sockets of the host.
 */
#include "devices/virtio_vsock.h"
#include "vmm/backends/vhost.h"
#include "vmm/backends/vsock.h"
#include "vmm/machine/virtio/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>

struct vsock_backend {
	uint32_t cid;
	struct vhost kernel; /* either this is open */
	struct vsock bridge; /* or this */
};

static struct vsock_backend *vsock_backend_of(const struct virtio_slot *s)
{
	return s->backend->own;
}

/* --- the host's side --- */

static unsigned vsock_count(const struct config *c)
{
	return c->vsock_cid != 0;
}

static int vsock_backend_open(struct virtio_backend *b, const struct config *c,
			      const struct plan *plan, struct err *err)
{
	struct vsock_backend *own = virtio_backend_own(b, sizeof(*own), err);
	char why[sizeof(err->text)];
	uint32_t cid = c->vsock_cid;
	int ret;

	(void)plan;
	if (!own)
		return -ENOMEM;
	*own = (struct vsock_backend){ cid, VHOST_EMPTY, VSOCK_EMPTY };
	if (c->vsock_socket) {
		ret = vsock_open(&own->bridge, c->vsock_socket, err);
		if (ret < 0)
			return err_prefix(err, ret, "--vsock cid=%u,", cid);
	}
	if (c->vsock_port) {
		int fd = fcntl(c->vsock_fd, F_DUPFD_CLOEXEC, 0);

		return fd < 0 ? err_sys(err, errno, "cannot duplicate a socket")
			      : vsock_give(&own->bridge, c->vsock_port, fd, err);
	}
	if (c->vsock_socket)
		return 0;
	ret = vhost_open(&own->kernel, "/dev/vhost-vsock", err);
	if (ret < 0) {
		snprintf(why, sizeof(why), "%s", err->text);
		return err_set(err, -ret, "--vsock cid=%u: %s; use socket=PATH to do without it",
			       cid, why);
	}
	ret = vhost_vsock_set_cid(&own->kernel, cid, err);
	return ret < 0 ? err_prefix(err, ret, "--vsock cid=%u: ", cid) : 0;
}

static void vsock_backend_close(struct virtio_backend *b)
{
	struct vsock_backend *own = b->own;

	vhost_close(&own->kernel);
	vsock_close(&own->bridge);
}

static int vsock_backend_listen(struct virtio_backend *b, struct guest_memory *m, struct err *err)
{
	struct vsock_backend *own = b->own;

	return vsock_is_open(&own->bridge) ? 0 : vhost_listen(&own->kernel, m, err);
}

/* --- the device --- */

static int vsock_create(struct virtio_slot *s, struct err *err)
{
	struct vsock_backend *own = vsock_backend_of(s);
	const struct server server = { &vhost_vsock_ops, &own->kernel, own->kernel.features };
	const struct vsock_port port = vsock_port_of(&own->bridge);
	struct virtio_vsock *vsock = virtio_slot_own(s, sizeof(*vsock), err);

	if (!vsock)
		return -ENOMEM;
	s->dev = &vsock->dev;
	if (vsock_is_open(&own->bridge))
		return virtio_vsock_init_port(vsock, own->cid, &port, err);
	virtio_vsock_init(vsock, own->cid, &server);
	return 0;
}

static void vsock_destroy(struct virtio_slot *s)
{
	virtio_vsock_destroy(s->own);
}

/* --- on their thread --- */

static int socket_called(void *to, uint32_t port, unsigned caller)
{
	struct virtio_slot *s = to;

	return virtio_vsock_call(s->own, port, caller);
}

static void socket_event(void *to, unsigned id)
{
	struct virtio_slot *s = to;

	virtio_vsock_event(s->own, id);
}

static int vsock_device_serve(struct virtio_slot *s, struct err *err)
{
	struct vsock *bridge = &vsock_backend_of(s)->bridge;
	const struct vsock_user user = { socket_called, socket_event, s };

	if (!vsock_is_open(bridge))
		return loop_watch(s->loop, s->error, POLLIN, virtio_serve_ring_failed, s, err);
	vsock_serve(bridge, &user);
	return virtio_serve_alone(s, bridge->set, vsock_ready, bridge, err);
}

static const struct virtio_kind_ops vsock_ops = {
	.close = vsock_backend_close,
	.listen = vsock_backend_listen,
	.create = vsock_create,
	.serve = vsock_device_serve,
	.destroy = vsock_destroy,
};

const struct virtio_kind virtio_kind_vsock = {
	.kind = DEVICE_VSOCK,
	.count = vsock_count,
	.open = vsock_backend_open,
	.ops = &vsock_ops,
};
