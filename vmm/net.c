#include "vmm/net.h"

#include "vmm/span.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FEATURE(name) (UINT64_C(1) << VIRTIO_NET_F_##name)
#define LENGTH	      4 /* bytes before each frame of a stream */
/*
 * passt drops what its socket does not take, and is slow to make up for it. The socket takes some
 * 400 KiB, but a guest's TCP may let passt send it 6 MiB: they wait here.
 */
#define STREAM_MAX (8u << 20)
#define PASST_FD   3

/* A stream's last frame, as far as it is not gone; false: it still is not. */
static bool push_out(struct net *net)
{
	while (net->out_at < net->out_end) {
		ssize_t n = send(net->fd, net->out + net->out_at, net->out_end - net->out_at,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return false;
		if (n < 0) { /* gone; the reading side says so */
			net->out_at = net->out_end;
			break;
		}
		net->out_at += (size_t)n;
	}
	return true;
}

/* Takes all that came, as far as there is room. */
static void drain(struct net *net)
{
	while (!net->gone && (net->in_at || net->in_end < STREAM_MAX)) {
		ssize_t n;

		if (net->in_end > STREAM_MAX / 2 && net->in_at) {
			memmove(net->in, net->in + net->in_at, net->in_end - net->in_at);
			net->in_end -= net->in_at;
			net->in_at = 0;
		}
		n = recv(net->fd, net->in + net->in_end, STREAM_MAX - net->in_end, MSG_DONTWAIT);
		if (n > 0)
			net->in_end += (size_t)n;
		else if (n == 0)
			net->gone = -EPIPE;
		else if (errno == EAGAIN)
			return;
		else if (errno != EINTR)
			net->gone = -errno;
	}
}

static void want(void *port, bool frames, bool room)
{
	struct net *net = port;

	if (net->stream) {
		room |= !push_out(net);
		if (!frames) /* else they are about to be taken */
			drain(net);
		frames = !net->gone && (net->in_at || net->in_end < STREAM_MAX);
	}
	/* There is a place for every descriptor that the loop had before. */
	(void)loop_want(net->loop, net->fd, (short)((frames ? POLLIN : 0) | (room ? POLLOUT : 0)),
			net->ready, net->to);
}

/* --- tap: Documentation/networking/tuntap.rst --- */

static int tap_send(void *port, const struct iovec *parts, unsigned n, size_t len)
{
	struct net *net = port;

	(void)len;
	return writev(net->fd, parts, (int)n) < 0 ? -errno : 0;
}

static ssize_t tap_receive(void *port, uint8_t *to, size_t cap)
{
	struct net *net = port;
	ssize_t n = read(net->fd, to, cap);

	return n < 0 ? -errno : n < (ssize_t)NET_HEADER ? -EIO : n;
}

static void tap_offloads(void *port, uint64_t features)
{
	struct net *net = port;
	unsigned flags = 0;

	if (features & FEATURE(GUEST_CSUM))
		flags |= TUN_F_CSUM;
	if (features & FEATURE(GUEST_TSO4))
		flags |= TUN_F_TSO4;
	if (features & FEATURE(GUEST_TSO6))
		flags |= TUN_F_TSO6;
	if (features & FEATURE(GUEST_ECN))
		flags |= TUN_F_TSO_ECN;
	(void)ioctl(net->fd, TUNSETOFFLOAD, flags); /* what was offered it can do */
}

static const struct net_port_ops tap_ops = { tap_send, tap_receive, want, tap_offloads };

static int open_vhost(struct net *net, const char *name, enum net_vhost vhost, struct err *err)
{
	int ret = vhost == NET_VHOST_OFF ? 0 : vhost_open(&net->vhost, "/dev/vhost-net", err);

	if (ret < 0 && vhost == NET_VHOST_ON)
		return err_prefix(err, ret, "--net %s: ", name);
	return 0;
}

/* Headers as virtio 1 has them, with the number of buffers. */
static int set_up_tap(struct net *net, const char *name, enum net_vhost vhost, struct err *err)
{
	int size = NET_HEADER;

	if (ioctl(net->fd, TUNSETVNETHDRSZ, &size) < 0)
		return err_sys(err, errno,
			       "--net %s: it takes no frames with headers (IFF_VNET_HDR)", name);
	if (fcntl(net->fd, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(err, errno, "--net %s: it cannot be made non-blocking", name);
	return open_vhost(net, name, vhost, err);
}

int net_open_tap(struct net *net, const char *name, enum net_vhost vhost, struct err *err)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	char what[IFNAMSIZ + 8];
	int ret;

	*net = (struct net)NET_EMPTY;
	snprintf(what, sizeof(what), "tap=%.15s", name);
	net->fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (net->fd < 0)
		return err_sys(err, errno, "--net %s: /dev/net/tun cannot be opened", what);
	memcpy(ifr.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
	ret = ioctl(net->fd, TUNSETIFF, &ifr) < 0 ? -errno : 0;
	if (ret == -EPERM)
		err_set(err, EPERM,
			"--net %s: it is not yours; as root: ip tuntap add %.15s mode tap user %u",
			what, name, (unsigned)geteuid());
	else if (ret == -EBUSY)
		err_set(err, EBUSY, "--net %s: another process has it", what);
	else if (ret == -EINVAL)
		err_set(err, EINVAL,
			"--net %s: there is an interface of that name that is no tap "
			"(or has several queues)",
			what);
	else if (ret < 0)
		err_sys(err, -ret, "--net %s: it cannot be attached", what);
	if (ret == 0)
		ret = set_up_tap(net, what, vhost, err);
	if (ret < 0)
		net_close(net);
	return ret;
}

int net_open_fd(struct net *net, int fd, enum net_vhost vhost, struct err *err)
{
	char what[16];
	int ret;

	*net = (struct net)NET_EMPTY;
	snprintf(what, sizeof(what), "fd=%d", fd);
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return err_set(err, EINVAL, "--net %s: no such descriptor is open", what);
	net->fd = fd;
	ret = set_up_tap(net, what, vhost, err);
	if (ret < 0)
		net_close(net);
	return ret;
}

/* --- vhost-net --- */

static int server_start(void *port, const struct guest_ram *ram, const struct served_queue *queues,
			unsigned n, uint64_t features, struct err *err)
{
	struct net *net = port;
	int ret = vhost_set_up(&net->vhost, ram, queues, n, features, err);

	return ret < 0 ? ret : vhost_net_run(&net->vhost, net->fd, err);
}

static void server_stop(void *port, unsigned n)
{
	struct net *net = port;

	(void)n;
	(void)vhost_net_run(&net->vhost, -1, NULL);
}

static const struct server_ops server_ops = { server_start, server_stop, NULL };

/* --- passt: frames on a stream, their length first, in network order --- */

static int stream_send(void *port, const struct iovec *parts, unsigned n, size_t len)
{
	struct net *net = port;
	uint32_t length = htonl((uint32_t)(len - NET_HEADER));
	size_t skip = NET_HEADER, at = LENGTH;

	if (!push_out(net))
		return -EAGAIN;
	memcpy(net->out, &length, LENGTH);
	for (unsigned i = 0; i < n; i++) {
		size_t now = min_u64(skip, parts[i].iov_len);

		memcpy(net->out + at, (const uint8_t *)parts[i].iov_base + now,
		       parts[i].iov_len - now);
		at += parts[i].iov_len - now;
		skip -= now;
	}
	net->out_at = 0;
	net->out_end = at;
	(void)push_out(net);
	return 0;
}

/* The length of the frame that is next, if it is there whole; 0: not yet; negative: nonsense. */
static ssize_t next_frame(const struct net *net)
{
	size_t there = net->in_end - net->in_at;
	uint32_t length;

	if (there < LENGTH)
		return 0;
	memcpy(&length, net->in + net->in_at, LENGTH);
	length = ntohl(length);
	if (!length || length > NET_FRAME_MAX - NET_HEADER)
		return -EPROTO;
	return there - LENGTH < length ? 0 : (ssize_t)length;
}

static ssize_t stream_receive(void *port, uint8_t *to, size_t cap)
{
	struct net *net = port;
	ssize_t length;

	length = next_frame(net);
	if (length == 0) {
		drain(net);
		length = next_frame(net);
	}
	if (length == 0)
		return net->gone ? net->gone : -EAGAIN;
	if (length < 0 || (size_t)length > cap - NET_HEADER)
		return -EPROTO;
	memset(to, 0, NET_HEADER);
	memcpy(to + NET_HEADER, net->in + net->in_at + LENGTH, (size_t)length);
	net->in_at += LENGTH + (size_t)length;
	return NET_HEADER + length;
}

static void stream_offloads(void *port, uint64_t features)
{
	(void)port;
	(void)features; /* none were offered */
}

static const struct net_port_ops stream_ops = { stream_send, stream_receive, want,
						stream_offloads };

/* In the child: only what may be called after fork in a process of several threads. */
static void exec_passt(int socket, int report)
{
	char *const argv[] = { "passt", "--foreground", "--quiet", "--one-off", "--fd", "3", NULL };
	int code;

	setpgid(0, 0); /* the terminal's signals are not for it */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	report = fcntl(report, F_DUPFD_CLOEXEC, PASST_FD + 1);
	if (socket == PASST_FD ? fcntl(socket, F_SETFD, 0) == 0 : dup2(socket, PASST_FD) >= 0)
		execvp(argv[0], argv);
	code = errno;
	(void)!write(report, &code, sizeof(code));
	_exit(127);
}

/* Waits until passt runs, or cannot. */
static int start_passt(int socket, struct err *err)
{
	int report[2], code = 0;
	pid_t child;

	if (pipe2(report, O_CLOEXEC) < 0)
		return err_sys(err, errno, "--net user: cannot make a pipe");
	child = fork();
	if (child == 0)
		exec_passt(socket, report[1]);
	if (child < 0)
		code = errno;
	close(report[1]);
	if (child > 0 && read(report[0], &code, sizeof(code)) == sizeof(code))
		waitpid(child, NULL, 0);
	close(report[0]);
	if (code == ENOENT)
		return err_set(err, ENOENT,
			       "--net user: there is no passt; install it (package "
			       "passt), or use tap=NAME");
	return code ? err_sys(err, code, "--net user: passt does not start") : 0;
}

int net_open_user(struct net *net, struct err *err)
{
	int pair[2], ret = 0;

	*net = (struct net)NET_EMPTY;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, errno, "--net user: cannot make a socket");
	for (unsigned i = 0; i < 2; i++)
		(void)setsockopt(pair[i], SOL_SOCKET, SO_SNDBUFFORCE, &(int){ 16 << 20 },
				 sizeof(int));
	net->fd = pair[0];
	net->stream = true;
	net->in = malloc(STREAM_MAX);
	net->out = malloc(LENGTH + NET_FRAME_MAX);
	if (!net->in || !net->out)
		ret = err_sys(err, ENOMEM, "--net user: cannot hold frames");
	if (ret == 0)
		ret = start_passt(pair[1], err);
	close(pair[1]);
	if (ret < 0)
		net_close(net);
	return ret;
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
	vhost_close(&net->vhost);
	if (net->fd >= 0)
		close(net->fd);
	free(net->in);
	free(net->out);
	*net = (struct net)NET_EMPTY;
}

/* --- the adapter's side --- */

void net_serve(struct net *net, struct loop *loop, void (*ready)(void *to, short revents), void *to,
	       struct net_port *port)
{
	net->loop = loop;
	net->ready = ready;
	net->to = to;
	*port = (struct net_port){ .ops = net->stream ? &stream_ops : &tap_ops, .to = net };
	if (net->vhost.fd >= 0)
		port->server = (struct server){ &server_ops, net, net->vhost.features };
	if (!net->stream)
		port->features = FEATURE(CSUM) | FEATURE(GUEST_CSUM) | FEATURE(HOST_TSO4) |
				 FEATURE(HOST_TSO6) | FEATURE(HOST_ECN) | FEATURE(GUEST_TSO4) |
				 FEATURE(GUEST_TSO6) | FEATURE(GUEST_ECN);
}
