#include "vmm/vhost_user.h"

#include "vmm/bytes.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Requests and features: vhost-user.rst, "Front-end message types" and "Protocol features". */
enum {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	GET_VRING_BASE = 11,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	GET_QUEUE_NUM = 17,
	SET_VRING_ENABLE = 18,
	GET_CONFIG = 24,
	GET_INFLIGHT_FD = 31,
	SET_INFLIGHT_FD = 32,
};

#define F_INDIRECT_DESC (UINT64_C(1) << 28)
#define F_EVENT_IDX	(UINT64_C(1) << 29)
#define F_PROTOCOL	(UINT64_C(1) << 30)
#define F_VERSION_1	(UINT64_C(1) << 32)

#define PROTOCOL_MQ	   (UINT64_C(1) << 0)
#define PROTOCOL_REPLY_ACK (UINT64_C(1) << 3)
#define PROTOCOL_CONFIG	   (UINT64_C(1) << 9)
#define PROTOCOL_INFLIGHT  (UINT64_C(1) << 12)

#define VERSION	   1u
#define REPLY	   4u
#define NEED_REPLY 8u
#define NO_FD	   0x100u /* in SET_VRING_CALL: there is none */

#define HEADER	    12 /* request, flags, size of what follows */
#define REGIONS_MAX VHOST_USER_REGIONS_MAX
#define PAYLOAD_MAX (12 + VHOST_USER_CONFIG_MAX)
/*
 * For all answers to what belongs together, in seconds: at first, and from one that came back, for
 * which the main loop waits.
 */
#define PATIENCE      10
#define PATIENCE_BACK 3

struct message {
	uint32_t request;
	uint8_t bytes[HEADER + PAYLOAD_MAX];
	size_t size; /* of the payload, after HEADER */
	int fds[REGIONS_MAX];
	unsigned nr_fds;
};

static uint8_t *payload(struct message *m)
{
	return m->bytes + HEADER;
}

static struct message request(uint32_t what)
{
	return (struct message){ .request = what };
}

static void add(struct message *m, uint64_t value, unsigned size)
{
	store_le(payload(m) + m->size, value, size);
	m->size += size;
}

/* --- messages --- */

/*
 * A socket that fails is a process that went; the loop sees that, too, and says so. One that does
 * not answer is hung up on, which is the same.
 */
static int broken(const struct vhost_user *v, struct err *err)
{
	if (errno == EAGAIN)
		return err_set(err, ENOTCONN, "%s%s: it does not answer", v->option, v->path);
	return err_set(err, ENOTCONN, "%s%s: it closed the connection", v->option, v->path);
}

static int send_message(const struct vhost_user *v, struct message *m, uint32_t flags,
			struct err *err)
{
	char control[CMSG_SPACE(sizeof(m->fds))] = { 0 };
	struct iovec part = { m->bytes, HEADER + m->size };
	struct msghdr h = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t n;

	if (m->nr_fds) {
		struct cmsghdr *c;

		h.msg_control = control;
		h.msg_controllen = CMSG_SPACE(m->nr_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(m->nr_fds * sizeof(int));
		memcpy(CMSG_DATA(c), m->fds, m->nr_fds * sizeof(int));
	}
	store_le(m->bytes, m->request, 4);
	store_le(m->bytes + 4, VERSION | flags, 4);
	store_le(m->bytes + 8, m->size, 4);
	n = sendmsg(v->fd, &h, MSG_NOSIGNAL);
	if (n == (ssize_t)part.iov_len)
		return 0;
	errno = n >= 0 ? EPIPE : errno;
	return broken(v, err);
}

/* The first is put into *fd, if it is wanted. The others are closed. */
static void take_fds(const struct cmsghdr *c, int *fd)
{
	size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < n; i++) {
		int came;

		memcpy(&came, CMSG_DATA(c) + i * sizeof(int), sizeof(came));
		if (fd && *fd < 0)
			*fd = came;
		else
			close(came);
	}
}

/* From now on answers are awaited for so long. */
static void be_patient(struct vhost_user *v)
{
	clock_gettime(CLOCK_MONOTONIC, &v->until);
	v->until.tv_sec += v->patience;
}

static int ms_left(const struct vhost_user *v)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int)((v->until.tv_sec - now.tv_sec) * 1000 +
		     (v->until.tv_nsec - now.tv_nsec) / 1000000);
}

/* Some bytes, until then; 0: it closed the connection; or -1 and errno. */
static ssize_t receive_some(const struct vhost_user *v, struct msghdr *h)
{
	struct pollfd p = { v->fd, POLLIN, 0 };
	int left;

	while ((left = ms_left(v)) > 0) {
		ssize_t n;

		(void)poll(&p, 1, left);
		n = recvmsg(v->fd, h, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
		if (n >= 0 || (errno != EAGAIN && errno != EINTR))
			return n;
	}
	errno = EAGAIN;
	return -1;
}

/* A descriptor that comes with the bytes is put into *fd, if it is wanted. */
static int receive(const struct vhost_user *v, uint8_t *to, size_t n, int *fd, struct err *err)
{
	while (n) {
		char control[CMSG_SPACE(sizeof(int))];
		struct iovec part = { to, n };
		struct msghdr h = { .msg_iov = &part,
				    .msg_iovlen = 1,
				    .msg_control = control,
				    .msg_controllen = sizeof(control) };
		ssize_t got = receive_some(v, &h);
		struct cmsghdr *c = got > 0 ? CMSG_FIRSTHDR(&h) : NULL;

		if (got <= 0) {
			errno = got ? errno : EPIPE;
			return broken(v, err);
		}
		if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			take_fds(c, fd);
		to += got;
		n -= (size_t)got;
	}
	return 0;
}

/* Sends a request and takes the answer, of `size` bytes, into the same message. */
static int ask(const struct vhost_user *v, struct message *m, size_t size, uint32_t flags, int *fd,
	       struct err *err)
{
	int ret = send_message(v, m, flags, err);

	if (ret == 0)
		ret = receive(v, m->bytes, HEADER, fd, err);
	if (ret < 0)
		return ret;
	if (load_le(m->bytes, 4) != m->request || !(load_le(m->bytes + 4, 4) & REPLY) ||
	    load_le(m->bytes + 8, 4) != size)
		return err_set(err, EPROTO, "%s%s: its answer to request %u is none", v->option,
			       v->path, m->request);
	return receive(v, payload(m), size, fd, err);
}

static int ask_number(const struct vhost_user *v, uint32_t what, uint64_t *number, struct err *err)
{
	struct message m = request(what);
	int ret = ask(v, &m, 8, 0, NULL, err);

	if (ret == 0)
		*number = load_le(payload(&m), 8);
	return ret;
}

/* What has no answer of its own is acknowledged where the process can. */
static int tell(const struct vhost_user *v, struct message *m, struct err *err)
{
	int ret;

	if (!(v->protocol & PROTOCOL_REPLY_ACK))
		return send_message(v, m, 0, err);
	ret = ask(v, m, 8, NEED_REPLY, NULL, err);
	if (ret == 0 && load_le(payload(m), 8) != 0)
		return err_set(err, EIO, "%s%s: it refuses request %u", v->option, v->path,
			       m->request);
	return ret;
}

static int tell_number(const struct vhost_user *v, uint32_t what, uint64_t number, struct err *err)
{
	struct message m = request(what);

	add(&m, number, 8);
	return tell(v, &m, err);
}

/* --- connecting --- */

static int connect_socket(struct vhost_user *v, time_t seconds, struct err *err)
{
	const struct timeval patience = { seconds, 0 };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int ret = 0;

	if (strlen(v->path) >= sizeof(addr.sun_path))
		return err_set(err, EINVAL, "%s%s: a socket's path has at most %zu bytes",
			       v->option, v->path, sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, v->path);
	v->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (v->fd < 0)
		return err_sys(err, errno, "%s%s: no socket to be had", v->option, v->path);
	setsockopt(v->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	v->patience = seconds;
	be_patient(v);
	if (connect(v->fd, (void *)&addr, sizeof(addr)) == 0)
		return 0;
	ret = -errno;
	close(v->fd);
	v->fd = -1;
	if (ret == -ECONNREFUSED || ret == -ENOENT)
		return err_set(err, -ret,
			       "%s%s: nobody serves this socket; start its program first",
			       v->option, v->path);
	return err_sys(err, -ret, "%s%s: cannot be connected to", v->option, v->path);
}

static int settle_protocol(struct vhost_user *v, struct err *err)
{
	uint64_t offered = 0;
	int ret = ask_number(v, GET_PROTOCOL_FEATURES, &offered, err);

	if (ret < 0)
		return ret;
	v->protocol = 0; /* nothing is acknowledged before it is settled */
	offered &= PROTOCOL_MQ | PROTOCOL_REPLY_ACK | PROTOCOL_CONFIG | PROTOCOL_INFLIGHT;
	ret = tell_number(v, SET_PROTOCOL_FEATURES, offered, err);
	v->protocol = offered;
	return ret;
}

static int check_queues(const struct vhost_user *v, struct err *err)
{
	uint64_t most = 0;
	int ret;

	if (!(v->protocol & PROTOCOL_MQ))
		return 0; /* as many as the kind of device has */
	ret = ask_number(v, GET_QUEUE_NUM, &most, err);
	/* Those of network adapters are counted in pairs. */
	if (ret == 0 &&
	    most < (v->kind->state == VHOST_USER_FRAMES ? v->nr_queues / 2 : v->nr_queues))
		return err_set(err, EINVAL, "%s%s: it serves %u queues, and %u are wanted",
			       v->option, v->path, (unsigned)most, v->nr_queues);
	return ret;
}

static int get_config(struct vhost_user *v, uint8_t *config, struct err *err)
{
	struct message m = request(GET_CONFIG);
	unsigned n = v->kind->config;
	int ret;

	if (!n)
		return 0;
	if (!(v->protocol & PROTOCOL_CONFIG))
		return err_set(err, EINVAL, "%s%s: it does not tell what device it serves",
			       v->option, v->path);
	add(&m, 0, 4); /* offset */
	add(&m, n, 4);
	add(&m, 0, 4); /* flags */
	m.size += n;
	ret = ask(v, &m, m.size, 0, NULL, err);
	if (ret == 0)
		memcpy(config, payload(&m) + 12, n);
	return ret;
}

/* From the connection to a device that is known. */
static int greet(struct vhost_user *v, uint64_t *features, uint8_t *config, struct err *err)
{
	struct message owner = request(SET_OWNER);
	uint64_t offered = 0;
	int ret = ask_number(v, GET_FEATURES, &offered, err);

	v->protocol = 0;
	if (ret == 0)
		ret = tell(v, &owner, err);
	if (ret == 0 && (offered & F_PROTOCOL))
		ret = settle_protocol(v, err);
	if (ret == 0 && !(offered & F_VERSION_1))
		ret = err_set(err, EINVAL, "%s%s: it serves no modern virtio device", v->option,
			      v->path);
	if (ret == 0)
		ret = check_queues(v, err);
	if (ret == 0)
		ret = get_config(v, config, err);
	*features = offered &
		    (v->kind->features | F_INDIRECT_DESC | F_EVENT_IDX | F_PROTOCOL | F_VERSION_1);
	return ret;
}

static void hang_up(struct vhost_user *v)
{
	if (v->fd >= 0)
		close(v->fd);
	v->fd = -1;
}

int vhost_user_open(struct vhost_user *v, const char *option, const char *path,
		    const struct vhost_user_kind *kind, unsigned nr_queues, struct err *err)
{
	int ret;

	*v = (struct vhost_user)VHOST_USER_EMPTY;
	v->option = option;
	v->path = path;
	v->kind = kind;
	v->nr_queues = nr_queues;
	ret = connect_socket(v, PATIENCE, err);
	if (ret == 0)
		ret = greet(v, &v->features, v->config, err);
	if (ret < 0)
		vhost_user_close(v);
	return ret;
}

void vhost_user_close(struct vhost_user *v)
{
	hang_up(v);
	if (v->inflight >= 0)
		close(v->inflight);
	*v = (struct vhost_user)VHOST_USER_EMPTY;
}

/* The index that follows the flags at the start of both areas: virtio 1.2 sections 2.7.6, 2.7.8. */
static uint16_t ring_index(const uint8_t *area)
{
	return (uint16_t)(area[2] | area[3] << 8);
}

/*
 * If all that was asked for is done, what the driver asks for from now on follows, in order, what
 * is used. Otherwise the rings do not tell what was taken, because answers may come in another
 * order.
 */
void vhost_user_lost(struct vhost_user *v)
{
	pthread_mutex_lock(&v->lock);
	v->idle = v->gone = true;
	for (unsigned i = 0; i < VHOST_USER_QUEUES_MAX; i++)
		if (v->drivers[i])
			v->idle &= ring_index(v->drivers[i]) == ring_index(v->devices[i]);
	hang_up(v);
	pthread_mutex_unlock(&v->lock);
}

int vhost_user_reconnect(struct vhost_user *v, struct err *err)
{
	uint8_t config[VHOST_USER_CONFIG_MAX];
	uint64_t features = 0;
	int ret;

	pthread_mutex_lock(&v->lock);
	ret = connect_socket(v, PATIENCE_BACK, err);
	if (ret == 0)
		ret = greet(v, &features, config, err);
	if (ret == 0 &&
	    ((v->features & ~features) || memcmp(config, v->config, v->kind->config) != 0))
		ret = err_set(err, EINVAL, "%s%s: it came back with another device", v->option,
			      v->path);
	if (ret < 0)
		hang_up(v);
	pthread_mutex_unlock(&v->lock);
	return ret;
}

static bool resumes(const struct vhost_user *v)
{
	if (!v->resume || v->idle)
		return !v->resume || v->kind->state != VHOST_USER_SESSION;
	switch (v->kind->state) {
	case VHOST_USER_REQUESTS:
		return v->inflight >= 0 && (v->protocol & PROTOCOL_INFLIGHT);
	case VHOST_USER_FRAMES:
		return true;
	case VHOST_USER_SESSION:
		break;
	}
	return false;
}

static enum server_state state(void *server)
{
	struct vhost_user *v = server;
	enum server_state is;

	pthread_mutex_lock(&v->lock);
	is = !v->gone ? SERVER_RUNS : resumes(v) ? SERVER_RESUMES : SERVER_LOST;
	pthread_mutex_unlock(&v->lock);
	return is;
}

/* --- rings --- */

static int set_memory(const struct vhost_user *v, const struct guest_ram *ram, struct err *err)
{
	struct message m = request(SET_MEM_TABLE);

	size_t n = 0;

	for (size_t i = 0; i < ram->n; i++)
		n += ram->blocks[i].fd >= 0;
	if (n > REGIONS_MAX)
		return err_set(err, E2BIG, "%s%s: guest memory has %zu spans; %u can be told",
			       v->option, v->path, n, REGIONS_MAX);
	add(&m, n, 4);
	add(&m, 0, 4);
	for (size_t i = 0; i < ram->n; i++) {
		const struct ram_block *b = &ram->blocks[i];

		if (b->fd < 0)
			continue;
		add(&m, b->gpa.base, 8);
		add(&m, span_size(b->gpa), 8);
		add(&m, (uintptr_t)b->hva, 8);
		add(&m, b->offset, 8);
		m.fds[m.nr_fds++] = b->fd;
	}
	return tell(v, &m, err);
}

static int set_state(const struct vhost_user *v, uint32_t what, unsigned i, uint32_t value,
		     struct err *err)
{
	struct message m = request(what);

	add(&m, i, 4);
	add(&m, value, 4);
	return tell(v, &m, err);
}

static int set_fd(const struct vhost_user *v, uint32_t what, unsigned i, int fd, struct err *err)
{
	struct message m = request(what);

	add(&m, i | (fd < 0 ? NO_FD : 0), 8);
	if (fd >= 0)
		m.fds[m.nr_fds++] = fd;
	return tell(v, &m, err);
}

/*
 * The process begins with the entry after those that it says are used: the first of a new ring, and
 * where it was in one that it served before.
 */
static int set_ring(const struct vhost_user *v, unsigned i, const struct served_queue *q,
		    struct err *err)
{
	struct message m = request(SET_VRING_ADDR);
	int ret = set_state(v, SET_VRING_NUM, i, q->size, err);

	add(&m, i, 4);
	add(&m, 0, 4); /* flags */
	add(&m, (uintptr_t)q->desc, 8);
	add(&m, (uintptr_t)q->device, 8);
	add(&m, (uintptr_t)q->driver, 8);
	add(&m, 0, 8); /* log */
	if (ret == 0)
		ret = set_state(v, SET_VRING_BASE, i, ring_index(q->device), err);
	if (ret == 0)
		ret = tell(v, &m, err);
	if (ret == 0)
		ret = set_fd(v, SET_VRING_CALL, i, q->call, err);
	if (ret == 0)
		ret = set_fd(v, SET_VRING_KICK, i, q->kick, err);
	return ret;
}

/*
 * Memory in which the process writes what it has taken of each ring: kept by us, so that the next
 * process knows. New for new rings.
 */
static int set_inflight(struct vhost_user *v, unsigned n, unsigned size, struct err *err)
{
	struct message m = request(GET_INFLIGHT_FD);
	int ret = 0;

	if (!(v->protocol & PROTOCOL_INFLIGHT))
		return 0;
	if (!v->resume || v->inflight < 0) {
		if (v->inflight >= 0)
			close(v->inflight);
		v->inflight = -1;
		add(&m, 0, 8); /* mmap_size, mmap_offset: the answer says */
		add(&m, 0, 8);
		add(&m, n, 2);
		add(&m, size, 2);
		ret = ask(v, &m, sizeof(v->inflight_shape), 0, &v->inflight, err);
		if (ret < 0 || v->inflight < 0)
			return ret;
		memcpy(v->inflight_shape, payload(&m), sizeof(v->inflight_shape));
	}
	m = request(SET_INFLIGHT_FD);
	memcpy(payload(&m), v->inflight_shape, sizeof(v->inflight_shape));
	m.size = sizeof(v->inflight_shape);
	m.fds[m.nr_fds++] = v->inflight;
	return tell(v, &m, err);
}

/* A driver may make each ring smaller than the device has it. */
static unsigned largest(const struct served_queue *queues, unsigned n)
{
	unsigned size = 0;

	for (unsigned i = 0; i < n; i++)
		size = queues[i].size > size ? queues[i].size : size;
	return size;
}

static int start_rings(struct vhost_user *v, const struct guest_ram *ram,
		       const struct served_queue *queues, unsigned n, uint64_t features,
		       struct err *err)
{
	int ret;

	if (v->fd < 0)
		return err_set(err, ENOTCONN, "%s%s: it is gone", v->option, v->path);
	ret = tell_number(v, SET_FEATURES, (features | F_PROTOCOL) & v->features, err);
	if (ret == 0)
		ret = set_memory(v, ram, err);
	if (ret == 0)
		ret = set_inflight(v, n, largest(queues, n), err);
	v->begun = ret == 0;
	for (unsigned i = 0; ret == 0 && i < n; i++)
		if (queues[i].size)
			ret = set_ring(v, i, &queues[i], err);
	for (unsigned i = 0; ret == 0 && (v->features & F_PROTOCOL) && i < n; i++)
		if (queues[i].size)
			ret = set_state(v, SET_VRING_ENABLE, i, 1, err);
	return ret;
}

static int start(void *server, const struct guest_ram *ram, const struct served_queue *queues,
		 unsigned n, uint64_t features, struct err *err)
{
	struct vhost_user *v = server;
	int ret;

	pthread_mutex_lock(&v->lock);
	v->begun = false;
	be_patient(v);
	ret = start_rings(v, ram, queues, n, features, err);
	v->resume = ret == 0 || ((v->resume || v->begun) && ret == -ENOTCONN);
	v->gone &= ret != 0;
	if (ret < 0 && v->fd >= 0)
		shutdown(v->fd, SHUT_RDWR); /* half started, or out of step: begin anew */
	for (unsigned i = 0; i < n; i++) {
		v->drivers[i] = queues[i].size ? queues[i].driver : NULL;
		v->devices[i] = queues[i].device;
	}
	pthread_mutex_unlock(&v->lock);
	return ret;
}

/* It answers when it is done with the ring. One that does not is given up: the loop sees it go. */
static void stop(void *server, unsigned n)
{
	struct vhost_user *v = server;
	int ret = 0;

	pthread_mutex_lock(&v->lock);
	v->resume = false;
	be_patient(v);
	for (unsigned i = 0; ret == 0 && v->fd >= 0 && i < n; i++) {
		struct message m = request(GET_VRING_BASE);

		if (!v->drivers[i])
			continue;
		add(&m, i, 4);
		add(&m, 0, 4);
		ret = ask(v, &m, 8, 0, NULL, NULL);
	}
	memset(v->drivers, 0, sizeof(v->drivers));
	if (ret < 0)
		shutdown(v->fd, SHUT_RDWR);
	pthread_mutex_unlock(&v->lock);
}

const struct server_ops vhost_user_ops = { start, stop, state };
