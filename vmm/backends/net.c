#include "vmm/backends/net.h"

#include "vmm/base/span.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define LENGTH 4 /* bytes before each frame of a stream */
/*
 * passt drops frames that its socket has no room for, and TCP is slow to recover from the loss. The
 * socket holds some 400 KiB, but a guest's TCP window may let passt send 6 MiB, so frames wait in
 * this buffer.
 */
#define STREAM_MAX (8u << 20)
#define TELL_MS	   100	 /* that passt may need to end after its socket */
#define DRAIN_MAX  4096u /* frames: four times the queue of an interface (txqueuelen) */

/* Sends the rest of a stream's last frame. False: some of it is still left. */
static bool push_out(struct net_pair *pair)
{
	while (pair->out_at < pair->out_end) {
		ssize_t n = send(pair->fd, pair->out + pair->out_at, pair->out_end - pair->out_at,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return false;
		if (n < 0) { /* the peer is gone, which the reading side reports */
			pair->out_at = pair->out_end;
			break;
		}
		pair->out_at += (size_t)n;
	}
	return true;
}

/* Reads all that arrived, as far as there is room. */
static void net_drain(struct net_pair *pair)
{
	while (!pair->gone && (pair->in_at || pair->in_end < STREAM_MAX)) {
		ssize_t n;

		if (pair->in_end > STREAM_MAX / 2 && pair->in_at) {
			memmove(pair->in, pair->in + pair->in_at, pair->in_end - pair->in_at);
			pair->in_end -= pair->in_at;
			pair->in_at = 0;
		}
		n = recv(pair->fd, pair->in + pair->in_end, STREAM_MAX - pair->in_end,
			 MSG_DONTWAIT);
		if (n > 0)
			pair->in_end += (size_t)n;
		else if (n == 0)
			pair->gone = -EPIPE;
		else if (errno == EAGAIN)
			return;
		else if (errno != EINTR)
			pair->gone = -errno;
	}
}

static void want(void *port, bool frames, bool room)
{
	struct net_pair *pair = port;

	if (pair->stream) {
		room |= !push_out(pair);
		if (!frames) /* else the device is about to read them */
			net_drain(pair);
		/* A stream that ended is read once more, which reports the error. */
		if (!pair->gone)
			frames = pair->in_at || pair->in_end < STREAM_MAX;
	}
	/* Cannot fail, because the loop had a place for this descriptor before. */
	(void)loop_want(pair->loop, pair->fd, (short)((frames ? POLLIN : 0) | (room ? POLLOUT : 0)),
			pair->ready, pair->to);
}

/* --- tap: Documentation/networking/tuntap.rst --- */

static int tap_send(void *port, const struct iovec *parts, unsigned n, size_t len)
{
	struct net_pair *pair = port;

	(void)len;
	return writev(pair->fd, parts, (int)n) < 0 ? -errno : 0;
}

static ssize_t tap_receive(void *port, uint8_t *to, size_t cap)
{
	struct net_pair *pair = port;
	ssize_t n = read(pair->fd, to, cap);

	return n < 0 ? -errno : n < (ssize_t)NET_HEADER ? -EIO : n;
}

static void tap_offloads(void *port, uint64_t features)
{
	struct net_pair *pair = port;
	unsigned flags = 0;

	if (features & VIRTIO_BIT(NET_F_GUEST_CSUM))
		flags |= TUN_F_CSUM;
	if (features & VIRTIO_BIT(NET_F_GUEST_TSO4))
		flags |= TUN_F_TSO4;
	if (features & VIRTIO_BIT(NET_F_GUEST_TSO6))
		flags |= TUN_F_TSO6;
	if (features & VIRTIO_BIT(NET_F_GUEST_ECN))
		flags |= TUN_F_TSO_ECN;
	/*
	 * The interface supports all offloads that were offered. If the call fails all the same,
	 * the offloads of the previous driver must not stay.
	 */
	if (ioctl(pair->fd, TUNSETOFFLOAD, flags) < 0)
		(void)ioctl(pair->fd, TUNSETOFFLOAD, 0);
}

/*
 * Drops the frames that wait, because they are made for the previous driver's offloads: of several
 * segments or without a checksum. Frames that arrive once offloads are off suit any driver;
 * DRAIN_MAX limits how many of them are dropped as well.
 */
static void tap_reset(void *port)
{
	const struct net_pair *pair = port;
	uint8_t start[64]; /* of a frame; read() drops the rest */

	(void)ioctl(pair->fd, TUNSETOFFLOAD, 0);
	for (unsigned i = 0; i < DRAIN_MAX; i++)
		if (read(pair->fd, start, sizeof(start)) < 0)
			break;
}

/* The interface delivers frames to attached queues only. */
static int tap_attach(void *port, bool on)
{
	const struct net_pair *pair = port;
	struct ifreq ifr = { .ifr_flags = on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

	return ioctl(pair->fd, TUNSETQUEUE, &ifr) < 0 ? -errno : 0;
}

static const struct net_port_ops tap_ops = {
	.send = tap_send,
	.receive = tap_receive,
	.want = want,
	.offloads = tap_offloads,
	.reset = tap_reset,
	.attach = tap_attach,
};

/* Opens vhost-net for the pair. The first pair decides for all: the kernel serves all or none. */
static int open_vhost(const struct net *net, struct net_pair *pair, const char *what,
		      enum net_vhost vhost, struct err *err)
{
	int ret;

	if (pair != net->pairs)
		vhost = net_in_kernel(net) ? NET_VHOST_ON : NET_VHOST_OFF;
	ret = vhost == NET_VHOST_OFF ? 0 : vhost_open(&pair->vhost, "/dev/vhost-net", err);

	if (ret < 0 && vhost == NET_VHOST_ON)
		return err_prefix(err, ret, "--net %s: ", what);
	return 0;
}

/* Sets the header of virtio 1, which has the number of buffers, and non-blocking mode. */
static int set_up_tap(const struct net *net, struct net_pair *pair, const char *what,
		      enum net_vhost vhost, struct err *err)
{
	int size = NET_HEADER;

	if (ioctl(pair->fd, TUNSETVNETHDRSZ, &size) < 0)
		return err_sys(err, errno,
			       "--net %s: the tap interface takes no headers of virtio 1", what);
	if (fcntl(pair->fd, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(err, errno,
			       "--net %s: the tap interface cannot be made non-blocking", what);
	return open_vhost(net, pair, what, vhost, err);
}

/*
 * Opens a socket that reports changes of interfaces. Without it the removal of the interface goes
 * unnoticed; all else works.
 */
static int watch_links(void)
{
	const struct sockaddr_nl links = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd >= 0 && bind(fd, (const struct sockaddr *)&links, sizeof(links)) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

bool net_is_gone(const struct net *net)
{
	struct pollfd tap = { net->pairs[0].fd, 0, 0 };
	char news[4096];

	while (recv(net->links, news, sizeof(news), MSG_TRUNC) >= 0)
		;
	return poll(&tap, 1, 0) == 1 && (tap.revents & POLLERR);
}

/*
 * Detaches all pairs but the first, which is the only one that the guest uses until it asks for
 * more.
 */
static int net_finish(struct net *net, const char *what, struct err *err)
{
	for (unsigned i = 1; i < net->nr_pairs; i++)
		if (tap_attach(&net->pairs[i], false) < 0)
			return err_sys(err, errno,
				       "--net %s: the tap interface has one queue; make it with "
				       "IFF_MULTI_QUEUE, or give the adapter one queue",
				       what);
	if (net_in_kernel(net))
		net->links = watch_links();
	return 0;
}

static int tap_refused(int code, const char *what, const char *name, unsigned queues,
		       struct err *err)
{
	if (code == EPERM)
		return err_set(
			err, EPERM,
			"--net %s: the tap interface does not exist, or belongs to another "
			"user; as root: ip tuntap add %.15s mode tap %suser %u (after ip link del "
			"%.15s, if it exists)",
			what, name, queues > 1 ? "multi_queue " : "", (unsigned)geteuid(), name);
	if (code == EBUSY)
		return err_set(err, EBUSY,
			       "--net %s: another process uses the tap interface; end that "
			       "process, or use another interface",
			       what);
	if (code == E2BIG)
		return err_set(err, E2BIG,
			       "--net %s: the tap interface has no %u queues left; use fewer, or "
			       "another interface",
			       what, queues);
	if (code == EINVAL)
		return err_set(err, EINVAL,
			       "--net %s: the interface of that name is no tap interface, or %s",
			       what,
			       queues > 1 ? "has one queue (it needs multi_queue)"
					  : "has several queues (use queues=N)");
	return err_sys(err, code, "--net %s: the tap interface cannot be attached", what);
}

static int net_open_queue(struct net_pair *pair, const char *what, const char *name,
			  unsigned queues, struct err *err)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };

	if (queues > 1)
		ifr.ifr_flags |= IFF_MULTI_QUEUE;
	pair->fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (pair->fd < 0)
		return err_sys(err, errno, "--net %s: /dev/net/tun cannot be opened", what);
	memcpy(ifr.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
	if (ioctl(pair->fd, TUNSETIFF, &ifr) < 0)
		return tap_refused(errno, what, name, queues, err);
	return 0;
}

static int new_pairs(struct net *net, unsigned n, struct err *err)
{
	*net = (struct net)NET_EMPTY;
	net->pairs = calloc(n, sizeof(*net->pairs));
	if (!net->pairs)
		return err_sys(err, ENOMEM, "--net: out of memory for %u pairs of queues", n);
	net->nr_pairs = n;
	for (unsigned i = 0; i < n; i++)
		net->pairs[i] = (struct net_pair){ .fd = -1, .vhost = VHOST_EMPTY };
	return 0;
}

int net_open_tap(struct net *net, const char *name, unsigned queues, enum net_vhost vhost,
		 struct err *err)
{
	char what[IFNAMSIZ + 8];
	int ret = new_pairs(net, queues, err);

	if (ret < 0)
		goto fail;
	snprintf(what, sizeof(what), "tap=%.15s", name);
	for (unsigned i = 0; i < queues; i++) {
		ret = net_open_queue(&net->pairs[i], what, name, queues, err);
		if (ret < 0)
			goto fail;
		ret = set_up_tap(net, &net->pairs[i], what, vhost, err);
		if (ret < 0)
			goto fail;
	}
	ret = net_finish(net, what, err);
	if (ret < 0)
		goto fail;
	return 0;

fail:
	net_close(net);
	return ret;
}

/*
 * Checks a descriptor that another program opened. It may be of any kind, and a tap accepts the
 * size of a header even without headers, so that frames of another layout would be garbage on the
 * wire. macvtap answers these calls as well. `name` is the interface of the first descriptor.
 */
static int check_fd(int fd, const char *what, char *name, struct err *err)
{
	struct ifreq ifr = { 0 };

	if (ioctl(fd, TUNGETIFF, &ifr) < 0)
		return err_set(err, EINVAL,
			       "--net %s: the descriptor is not attached to a tap interface; "
			       "attach it with TUNSETIFF, or use tap=NAME",
			       what);
	if (!(ifr.ifr_flags & IFF_TAP))
		return err_set(err, EINVAL,
			       "--net %s: the descriptor is of a tun interface, whose packets are "
			       "no Ethernet frames; open it with IFF_TAP",
			       what);
	if (!(ifr.ifr_flags & IFF_NO_PI))
		return err_set(err, EINVAL,
			       "--net %s: the tap interface puts packet information before each "
			       "frame; open it with IFF_NO_PI",
			       what);
	if (!(ifr.ifr_flags & IFF_VNET_HDR))
		return err_set(err, EINVAL,
			       "--net %s: the tap interface's frames have no virtio headers; open "
			       "it with IFF_VNET_HDR",
			       what);
	if (!*name)
		memcpy(name, ifr.ifr_name, IFNAMSIZ);
	if (strncmp(name, ifr.ifr_name, IFNAMSIZ) != 0)
		return err_set(err, EINVAL,
			       "--net %s: the descriptor is of interface %.15s, and the first one "
			       "of %.15s; give each interface a --net of its own",
			       what, ifr.ifr_name, name);
	return 0;
}

int net_open_fds(struct net *net, const int *fds, unsigned n, enum net_vhost vhost, struct err *err)
{
	char what[16], name[IFNAMSIZ] = "";
	int ret = new_pairs(net, n, err);

	if (ret < 0)
		goto fail;
	for (unsigned i = 0; i < n; i++) {
		snprintf(what, sizeof(what), "fd=%d", fds[i]);
		if (fcntl(fds[i], F_SETFD, FD_CLOEXEC) < 0) {
			ret = err_set(err, EINVAL, "--net %s: no such descriptor is open", what);
			goto fail;
		}
		net->pairs[i].fd = fds[i];
		ret = check_fd(fds[i], what, name, err);
		if (ret < 0)
			goto fail;
		ret = set_up_tap(net, &net->pairs[i], what, vhost, err);
		if (ret < 0)
			goto fail;
	}
	ret = net_finish(net, what, err);
	if (ret < 0)
		goto fail;
	return 0;

fail:
	net_close(net);
	return ret;
}

/* --- vhost-net: one for each pair --- */

static void server_stop(void *server, unsigned n)
{
	const struct net *net = server;

	for (unsigned i = 0; i < n / 2; i++)
		(void)vhost_net_run(&net->pairs[i].vhost, -1, NULL);
}

static int server_start(void *server, const struct guest_ram *ram,
			const struct served_queue *queues, unsigned n, uint64_t features,
			struct err *err)
{
	struct net *net = server;
	int ret;

	for (unsigned i = 0; i < n / 2; i++) {
		struct net_pair *pair = &net->pairs[i];

		if (!queues[2 * i].size || !queues[2 * i + 1].size)
			continue;
		ret = vhost_set_up(&pair->vhost, ram, &queues[2 * i], 2, features, err);
		if (ret < 0)
			goto fail;
		ret = vhost_net_run(&pair->vhost, pair->fd, err);
		if (ret < 0)
			goto fail;
	}
	return 0;

fail:
	server_stop(server, n);
	return ret;
}

const struct server_ops net_server_ops = { server_start, server_stop, NULL };

/* --- passt: frames on a stream, their length first, in network order --- */

static int stream_send(void *port, const struct iovec *parts, unsigned n, size_t len)
{
	struct net_pair *pair = port;
	uint32_t length = htonl((uint32_t)(len - NET_HEADER));
	size_t skip = NET_HEADER, at = LENGTH;

	if (!push_out(pair))
		return -EAGAIN;
	memcpy(pair->out, &length, LENGTH);
	for (unsigned i = 0; i < n; i++) {
		size_t now = min_u64(skip, parts[i].iov_len);

		memcpy(pair->out + at, (const uint8_t *)parts[i].iov_base + now,
		       parts[i].iov_len - now);
		at += parts[i].iov_len - now;
		skip -= now;
	}
	pair->out_at = 0;
	pair->out_end = at;
	(void)push_out(pair);
	return 0;
}

/*
 * Returns the length of the next frame if all of it has arrived; 0: not yet; negative: the length
 * is invalid.
 */
static ssize_t next_frame(const struct net_pair *pair)
{
	size_t there = pair->in_end - pair->in_at;
	uint32_t length;

	if (there < LENGTH)
		return 0;
	memcpy(&length, pair->in + pair->in_at, LENGTH);
	length = ntohl(length);
	if (!length || length > NET_FRAME_MAX - NET_HEADER)
		return -EPROTO;
	return there - LENGTH < length ? 0 : (ssize_t)length;
}

static ssize_t stream_receive(void *port, uint8_t *to, size_t cap)
{
	struct net_pair *pair = port;
	ssize_t length;

	length = next_frame(pair);
	if (length == 0) {
		net_drain(pair);
		length = next_frame(pair);
	}
	if (length == 0)
		return pair->gone ? pair->gone : -EAGAIN;
	if (length < 0 || (size_t)length > cap - NET_HEADER)
		return -EPROTO;
	memset(to, 0, NET_HEADER);
	memcpy(to + NET_HEADER, pair->in + pair->in_at + LENGTH, (size_t)length);
	pair->in_at += LENGTH + (size_t)length;
	return NET_HEADER + length;
}

static void stream_offloads(void *port, uint64_t features)
{
	(void)port;
	(void)features; /* none were offered */
}

static void stream_reset(void *port)
{
	(void)port; /* frames are complete and have checksums, so they suit the next driver */
}

static const struct net_port_ops stream_ops = {
	.send = stream_send,
	.receive = stream_receive,
	.want = want,
	.offloads = stream_offloads,
	.reset = stream_reset,
	.attach = NULL, /* there is one pair */
};

static int start_passt(struct program *passt, int socket, struct err *err)
{
	static const char *const argv[] = { "passt",	 "--foreground", "--quiet",
					    "--one-off", "--fd",	 "3",
					    NULL };
	char path[PROGRAM_PATH];
	const struct program_spec spec = { .what = "--net user",
					   .path = path,
					   .argv = argv,
					   .fds = { socket },
					   .nr_fds = 1,
					   .signal = SIGTERM };

	if (!program_find("passt", NULL, path))
		return err_set(err, ENOENT,
			       "--net user: there is no passt; install it (package "
			       "passt), or use tap=NAME");
	return program_start(passt, &spec, err);
}

/* Makes the socket's buffer as large as the host allows (net.core.wmem_max). */
static void hold_more(int fd)
{
	static const int bytes = 16 << 20;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

/* passt serves the other end of the pair's socket, which stays the caller's. */
static int open_stream(struct net *net, int other_end, struct err *err)
{
	struct net_pair *pair = &net->pairs[0];

	pair->stream = true;
	pair->in = malloc(STREAM_MAX);
	pair->out = malloc(LENGTH + NET_FRAME_MAX);
	if (!pair->in || !pair->out)
		return err_sys(err, ENOMEM, "--net user: out of memory for frames");
	return start_passt(&net->passt, other_end, err);
}

int net_open_user(struct net *net, struct err *err)
{
	int ends[2], ret = new_pairs(net, 1, err);

	if (ret < 0)
		goto fail;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		ret = err_sys(err, errno, "--net user: cannot make a socket");
		goto fail;
	}
	for (unsigned i = 0; i < 2; i++)
		hold_more(ends[i]);
	net->pairs[0].fd = ends[0];
	ret = open_stream(net, ends[1], err);
	close(ends[1]);
	if (ret < 0)
		goto fail;
	return 0;

fail:
	net_close(net);
	return ret;
}

bool net_tell(const struct net *net, struct err *err)
{
	return program_tell(&net->passt, TELL_MS, err);
}

void net_default_mac(const char *name, uint8_t mac[6])
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
	char id[64] = "";
	int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, id, sizeof(id));

	if (fd >= 0)
		close(fd);
	for (ssize_t i = 0; i < n; i++)
		hash = (hash ^ (uint8_t)id[i]) * UINT64_C(0x100000001b3);
	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
	for (unsigned i = 0; i < 6; i++)
		mac[i] = (uint8_t)(hash >> 8 * i);
	mac[0] = (mac[0] & 0xfc) | 2; /* locally administered, one station */
}

void net_close(struct net *net)
{
	for (unsigned i = 0; i < net->nr_pairs; i++) {
		struct net_pair *pair = &net->pairs[i];

		vhost_close(&pair->vhost);
		if (pair->fd >= 0)
			close(pair->fd);
		free(pair->in);
		free(pair->out);
	}
	if (net->links >= 0)
		close(net->links);
	program_end(&net->passt);
	free(net->pairs);
	*net = (struct net)NET_EMPTY;
}

/* --- the adapter's side --- */

bool net_in_kernel(const struct net *net)
{
	return net->nr_pairs && net->pairs[0].vhost.fd >= 0;
}

struct net_port net_port_of(struct net_pair *pair)
{
	struct net_port port = { .ops = pair->stream ? &stream_ops : &tap_ops, .to = pair };

	if (!pair->stream)
		port.features =
			NET_OFFLOADS & ~(VIRTIO_BIT(NET_F_GUEST_UFO) | VIRTIO_BIT(NET_F_HOST_UFO));
	return port;
}

void net_serve(struct net_pair *pair, struct loop *loop, void (*ready)(void *to, short revents),
	       void *to)
{
	pair->loop = loop;
	pair->ready = ready;
	pair->to = to;
}
