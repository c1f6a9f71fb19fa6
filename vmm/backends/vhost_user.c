#include "vmm/backends/vhost_user.h"

#include "vmm/base/bytes.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define NO_FD 0x100u /* in SET_VRING_CALL, _ERR: there is none */

/*
 * Seconds within which a program must have given all answers to what belongs together. TIMEOUT is
 * for one that is started with us, or has rings; RECONNECT_TIMEOUT for one that came back, because
 * that is soon asked again.
 */
#define TIMEOUT		  10
#define RECONNECT_TIMEOUT 3

#define RETRY_MAX 10 /* seconds */

/* --- connecting --- */

/* What a program says of itself. */
struct greeting {
	uint64_t features; /* of those that we know */
	uint64_t regions;  /* of guest memory, at most */
	uint8_t config[VHOST_USER_CONFIG_MAX];
};

static int settle_protocol(struct wire *w, struct err *err)
{
	uint64_t offered = 0;
	int ret = wire_ask_number(w, WIRE_GET_PROTOCOL_FEATURES, &offered, err);

	if (ret < 0)
		return ret;
	offered &= WIRE_MQ | WIRE_REPLY_ACK | WIRE_CONFIG | WIRE_INFLIGHT | WIRE_SLOTS;
	ret = wire_tell_number(w, WIRE_SET_PROTOCOL_FEATURES, offered, err);
	w->protocol = offered; /* nothing is acknowledged before it is settled */
	return ret;
}

static int check_queues(const struct vhost_user *v, const struct wire *w, struct err *err)
{
	/* Those of network adapters are counted in pairs. */
	bool pairs = v->kind->state == VHOST_USER_FRAMES;
	unsigned needed = pairs ? v->nr_queues / 2 : v->nr_queues;
	uint64_t most = 0;
	int ret;

	if (!(w->protocol & WIRE_MQ))
		return 0; /* as many as the kind of device has */
	ret = wire_ask_number(w, WIRE_GET_QUEUE_NUM, &most, err);
	if (ret < 0)
		return ret;
	if (most < needed)
		return err_set(
			err, EINVAL,
			"%s%s: the program at this socket serves %u %s, and this device needs "
			"%u; start the program with more",
			v->wire.option, v->wire.path, (unsigned)most,
			pairs ? "pairs of queues" : "queues", needed);
	return 0;
}

static int get_config(const struct vhost_user *v, const struct wire *w, uint8_t *config,
		      struct err *err)
{
	struct wire_message m = wire_request(WIRE_GET_CONFIG);
	unsigned n = v->kind->config;
	int ret;

	if (!n)
		return 0;
	if (!(w->protocol & WIRE_CONFIG))
		return err_set(err, EINVAL,
			       "%s%s: the program at this socket does not tell what device it "
			       "serves; start a program for this kind of device",
			       w->option, w->path);
	wire_add(&m, 0, 4); /* offset */
	wire_add(&m, n, 4);
	wire_add(&m, 0, 4); /* flags */
	m.size += n;
	ret = wire_ask(w, &m, m.size, NULL, err);
	if (ret < 0)
		return ret;
	memcpy(config, wire_payload(&m) + 12, n);
	return 0;
}

/* One message lists so many; a program of several slots is told one at a time. */
static int get_regions(const struct wire *w, uint64_t *most, struct err *err)
{
	uint64_t slots = 0;
	int ret = 0;

	if (w->protocol & WIRE_SLOTS)
		ret = wire_ask_number(w, WIRE_GET_MAX_MEM_SLOTS, &slots, err);
	*most = slots > WIRE_REGIONS_MAX ? slots : WIRE_REGIONS_MAX;
	return ret;
}

/* From nothing to a device that is known. If it fails the wire is closed. */
static int greet(const struct vhost_user *v, struct wire *w, time_t timeout, struct greeting *g,
		 struct err *err)
{
	struct wire_message owner = wire_request(WIRE_SET_OWNER);
	uint64_t offered = 0;
	int ret = wire_connect(w, timeout, err);

	if (ret < 0)
		goto fail;
	ret = wire_ask_number(w, WIRE_GET_FEATURES, &offered, err);
	if (ret < 0)
		goto fail;
	ret = wire_tell(w, &owner, err);
	if (ret < 0)
		goto fail;
	if (offered & WIRE_F_PROTOCOL) {
		ret = settle_protocol(w, err);
		if (ret < 0)
			goto fail;
	}
	if (!(offered & VIRTIO_BIT(F_VERSION_1))) {
		ret = err_set(err, EINVAL,
			      "%s%s: the program at this socket serves no device of virtio 1; use "
			      "one that offers VIRTIO_F_VERSION_1",
			      w->option, w->path);
		goto fail;
	}
	ret = check_queues(v, w, err);
	if (ret < 0)
		goto fail;
	ret = get_regions(w, &g->regions, err);
	if (ret < 0)
		goto fail;
	ret = get_config(v, w, g->config, err);
	if (ret < 0)
		goto fail;
	g->features = offered &
		      (v->kind->features | VIRTIO_BIT(RING_F_INDIRECT_DESC) |
		       VIRTIO_BIT(RING_F_EVENT_IDX) | WIRE_F_PROTOCOL | VIRTIO_BIT(F_VERSION_1));
	return 0;

fail:
	wire_close(w);
	return ret;
}

int vhost_user_open(struct vhost_user *v, const char *option, const char *path,
		    const struct vhost_user_kind *kind, unsigned nr_queues, struct err *err)
{
	struct greeting g = { 0 };
	int ret;

	*v = (struct vhost_user)VHOST_USER_EMPTY;
	v->kind = kind;
	v->nr_queues = nr_queues;
	v->wire.option = option;
	v->wire.path = path;
	v->wire.cancel = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (v->wire.cancel < 0) {
		ret = err_sys(err, errno, "%s%s: cannot make an eventfd", option, path);
		goto fail;
	}
	ret = greet(v, &v->wire, TIMEOUT, &g, err);
	if (ret < 0)
		goto fail;
	v->features = g.features;
	v->regions_max = g.regions;
	memcpy(v->config, g.config, sizeof(v->config));
	return 0;

fail:
	vhost_user_close(v);
	return ret;
}

void vhost_user_close(struct vhost_user *v)
{
	wire_close(&v->wire);
	if (v->wire.cancel >= 0)
		close(v->wire.cancel);
	if (v->inflight >= 0)
		close(v->inflight);
	*v = (struct vhost_user)VHOST_USER_EMPTY;
}

void vhost_user_cancel_waits(const struct vhost_user *v, bool cancel)
{
	uint64_t count = 1;

	if (cancel)
		(void)!write(v->wire.cancel, &count, sizeof(count)); /* full is readable, too */
	else
		(void)!read(v->wire.cancel, &count, sizeof(count));
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
	wire_close(&v->wire);
	pthread_mutex_unlock(&v->lock);
}

unsigned vhost_user_retry(unsigned last, int ret)
{
	if (ret != -ENOTCONN && ret != -EPROTO)
		return 1;
	return last * 2 < RETRY_MAX ? last * 2 : RETRY_MAX;
}

/* Whether a driver that knows the one that went could not go on with this one. */
static bool is_other(const struct vhost_user *v, const struct greeting *g)
{
	return (v->features & ~g->features) || g->regions < v->regions ||
	       memcmp(g->config, v->config, v->kind->config) != 0;
}

/* With a wire of its own: who starts and stops the rings meanwhile does not wait for the answers.
 */
int vhost_user_reconnect(struct vhost_user *v, struct err *err)
{
	struct wire w = {
		.fd = -1,
		.cancel = v->wire.cancel,
		.option = v->wire.option,
		.path = v->wire.path,
	};
	struct greeting g = { 0 };
	int ret = greet(v, &w, RECONNECT_TIMEOUT, &g, err);

	if (ret < 0)
		return ret;
	w.timeout = TIMEOUT;
	pthread_mutex_lock(&v->lock);
	if (is_other(v, &g)) {
		wire_close(&w);
		ret = err_set(err, EINVAL,
			      "%s%s: the program at this socket came back with another device; "
			      "start straddle anew to use that",
			      w.option, w.path);
	} else {
		v->wire = w;
		v->regions_max = g.regions;
		v->told = VHOST_USER_TOLD_NOTHING;
	}
	pthread_mutex_unlock(&v->lock);
	return ret;
}

static bool resumes(const struct vhost_user *v)
{
	if (!v->resume || v->idle)
		return !v->resume || v->kind->state != VHOST_USER_SESSION;
	switch (v->kind->state) {
	case VHOST_USER_REQUESTS:
		return v->inflight >= 0 && (v->wire.protocol & WIRE_INFLIGHT);
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

/* --- guest memory --- */

/* Those that are files, which the program can map. */
static uint64_t count_regions(const struct guest_ram *ram)
{
	uint64_t n = 0;

	for (size_t i = 0; i < ram->n; i++)
		n += ram->blocks[i].fd >= 0;
	return n;
}

/* With the lock held. */
static int check_regions(const struct vhost_user *v, uint64_t n, struct err *err)
{
	if (n <= v->regions_max)
		return 0;
	return err_set(err, E2BIG,
		       "%s%s: guest memory has %u spans, with those of --pmem; the program at this "
		       "socket can be told of %u: use fewer files or holes",
		       v->wire.option, v->wire.path, (unsigned)n, (unsigned)v->regions_max);
}

/*
 * Addresses of ours are none of the program's business: guest-physical ones stand for them in the
 * regions and in the rings.
 */
static void vhost_user_add_region(struct wire_message *m, const struct ram_block *b)
{
	wire_add(m, b->gpa.base, 8);
	wire_add(m, span_size(b->gpa), 8);
	wire_add(m, b->gpa.base, 8);
	wire_add(m, b->offset, 8);
}

static int vhost_user_set_table(struct vhost_user *v, const struct guest_ram *ram, struct err *err)
{
	struct wire_message m = wire_request(WIRE_SET_MEM_TABLE);
	int ret;

	wire_add(&m, v->regions, 4);
	wire_add(&m, 0, 4);
	for (size_t i = 0; i < ram->n; i++) {
		if (ram->blocks[i].fd < 0)
			continue;
		vhost_user_add_region(&m, &ram->blocks[i]);
		m.fds[m.nr_fds++] = ram->blocks[i].fd;
	}
	ret = wire_tell(&v->wire, &m, err);
	if (ret < 0)
		return ret;
	v->told = VHOST_USER_TOLD_TABLE;
	return 0;
}

/* The descriptor of a region that goes is not sent again, QEMU's vhost-user.rst says. */
static int tell_region(const struct vhost_user *v, uint32_t what, const struct ram_block *b,
		       struct err *err)
{
	struct wire_message m = wire_request(what);

	wire_add(&m, 0, 8);
	vhost_user_add_region(&m, b);
	if (what == WIRE_ADD_MEM_REG)
		m.fds[m.nr_fds++] = b->fd;
	return wire_tell(&v->wire, &m, err);
}

static int tell_each(struct vhost_user *v, const struct guest_ram *ram, struct err *err)
{
	for (size_t i = 0; i < ram->n; i++) {
		int ret;

		if (ram->blocks[i].fd < 0)
			continue;
		ret = tell_region(v, WIRE_ADD_MEM_REG, &ram->blocks[i], err);
		if (ret < 0)
			return ret;
	}
	v->told = VHOST_USER_TOLD_EACH;
	return 0;
}

/* A ring is about to start. */
static int vhost_user_set_memory(struct vhost_user *v, const struct guest_ram *ram, struct err *err)
{
	int ret;

	v->regions = count_regions(ram);
	ret = check_regions(v, v->regions, err);
	if (ret < 0 || v->told == VHOST_USER_TOLD_EACH)
		return ret;
	return v->regions <= WIRE_REGIONS_MAX ? vhost_user_set_table(v, ram, err)
					      : tell_each(v, ram, err);
}

static int vhost_user_check_memory(void *to, const struct guest_ram *all, struct err *err)
{
	struct vhost_user *v = to;
	int ret;

	pthread_mutex_lock(&v->lock);
	ret = check_regions(v, count_regions(all), err);
	pthread_mutex_unlock(&v->lock);
	return ret;
}

/* `what` has happened to the block. With the lock held. */
static int tell_change(struct vhost_user *v, const struct guest_ram *all, uint32_t what,
		       const struct ram_block *block, struct err *err)
{
	bool table = v->told == VHOST_USER_TOLD_TABLE && v->regions <= WIRE_REGIONS_MAX;
	uint64_t ignored;
	int ret = table ? vhost_user_set_table(v, all, err) : tell_region(v, what, block, err);

	if (ret < 0)
		return ret;
	if (!table)
		v->told = VHOST_USER_TOLD_EACH;
	if (what != WIRE_REM_MEM_REG || (v->wire.protocol & WIRE_REPLY_ACK))
		return 0;
	/* Where nothing is acknowledged, an answer to what was asked after it says that it is done.
	 */
	return wire_ask_number(&v->wire, WIRE_GET_FEATURES, &ignored, err);
}

/*
 * A program that was told of nothing yet will be told of all when a ring starts: so will one that
 * has just gone. Any other one that fails is hung up on, because it may be out of step: it begins
 * anew.
 */
static int vhost_user_change(struct vhost_user *v, const struct guest_ram *all, uint32_t what,
			     const struct ram_block *block, struct err *err)
{
	int ret = 0;

	if (block->fd < 0)
		return 0;
	pthread_mutex_lock(&v->lock);
	v->regions = count_regions(all);
	if (v->wire.fd >= 0 && v->told != VHOST_USER_TOLD_NOTHING) {
		wire_set_deadline(&v->wire);
		ret = tell_change(v, all, what, block, err);
	}
	if (ret < 0)
		wire_shut(&v->wire);
	if (ret == -ENOTCONN)
		ret = 0;
	if (ret < 0 && what == WIRE_ADD_MEM_REG)
		v->regions--; /* it stays without the block */
	pthread_mutex_unlock(&v->lock);
	return ret;
}

static int vhost_user_memory_add(void *to, const struct guest_ram *all,
				 const struct ram_block *block, struct err *err)
{
	return vhost_user_change(to, all, WIRE_ADD_MEM_REG, block, err);
}

static void vhost_user_memory_remove(void *to, const struct guest_ram *all,
				     const struct ram_block *block)
{
	struct err err;

	(void)vhost_user_change(to, all, WIRE_REM_MEM_REG, block, &err);
}

static const struct guest_memory_listener_ops vhost_user_memory_ops = {
	.rank = GUEST_MEMORY_VHOST_USER,
	.check = vhost_user_check_memory,
	.add = vhost_user_memory_add,
	.remove = vhost_user_memory_remove,
};

int vhost_user_listen(struct vhost_user *v, struct guest_memory *m, struct err *err)
{
	v->listener = (struct guest_memory_listener){ .ops = &vhost_user_memory_ops, .to = v };
	return guest_memory_listen(m, &v->listener, err);
}

/* --- rings --- */

static uint64_t guest_address(const struct guest_ram *ram, const uint8_t *at)
{
	for (size_t i = 0; i < ram->n; i++) {
		const struct ram_block *b = &ram->blocks[i];

		if (at >= b->hva && (uint64_t)(at - b->hva) < span_size(b->gpa))
			return b->gpa.base + (uint64_t)(at - b->hva);
	}
	return UINT64_MAX; /* rings lie in guest memory */
}

static int set_state(const struct vhost_user *v, uint32_t what, unsigned i, uint32_t value,
		     struct err *err)
{
	struct wire_message m = wire_request(what);

	wire_add(&m, i, 4);
	wire_add(&m, value, 4);
	return wire_tell(&v->wire, &m, err);
}

static int set_fd(const struct vhost_user *v, uint32_t what, unsigned i, int fd, struct err *err)
{
	struct wire_message m = wire_request(what);

	wire_add(&m, i | (fd < 0 ? NO_FD : 0), 8);
	if (fd >= 0)
		m.fds[m.nr_fds++] = fd;
	return wire_tell(&v->wire, &m, err);
}

/*
 * The process begins with the entry after those that it says are used: the first of a new ring, and
 * where it was in one that it served before.
 */
static int set_ring(const struct vhost_user *v, const struct guest_ram *ram, unsigned i,
		    const struct served_queue *q, struct err *err)
{
	struct wire_message m = wire_request(WIRE_SET_VRING_ADDR);
	int ret = set_state(v, WIRE_SET_VRING_NUM, i, q->size, err);

	if (ret < 0)
		return ret;
	ret = set_state(v, WIRE_SET_VRING_BASE, i, ring_index(q->device), err);
	if (ret < 0)
		return ret;
	wire_add(&m, i, 4);
	wire_add(&m, 0, 4); /* flags */
	wire_add(&m, guest_address(ram, q->desc), 8);
	wire_add(&m, guest_address(ram, q->device), 8);
	wire_add(&m, guest_address(ram, q->driver), 8);
	wire_add(&m, 0, 8); /* log */
	ret = wire_tell(&v->wire, &m, err);
	if (ret < 0)
		return ret;
	ret = set_fd(v, WIRE_SET_VRING_CALL, i, q->call, err);
	if (ret < 0)
		return ret;
	ret = set_fd(v, WIRE_SET_VRING_ERR, i, q->error, err);
	if (ret < 0)
		return ret;
	return set_fd(v, WIRE_SET_VRING_KICK, i, q->kick, err);
}

/*
 * Memory in which the process writes what it has taken of each ring: kept by us, so that the next
 * process knows. New for new rings.
 */
static int set_inflight(struct vhost_user *v, unsigned n, unsigned size, struct err *err)
{
	struct wire_message m = wire_request(WIRE_GET_INFLIGHT_FD);
	int ret = 0;

	if (!(v->wire.protocol & WIRE_INFLIGHT))
		return 0;
	if (!v->resume || v->inflight < 0) {
		if (v->inflight >= 0)
			close(v->inflight);
		v->inflight = -1;
		wire_add(&m, 0, 8); /* mmap_size, mmap_offset: the answer says */
		wire_add(&m, 0, 8);
		wire_add(&m, n, 2);
		wire_add(&m, size, 2);
		ret = wire_ask(&v->wire, &m, sizeof(v->inflight_shape), &v->inflight, err);
		if (ret < 0 || v->inflight < 0)
			return ret;
		memcpy(v->inflight_shape, wire_payload(&m), sizeof(v->inflight_shape));
	}
	m = wire_request(WIRE_SET_INFLIGHT_FD);
	memcpy(wire_payload(&m), v->inflight_shape, sizeof(v->inflight_shape));
	m.size = sizeof(v->inflight_shape);
	m.fds[m.nr_fds++] = v->inflight;
	return wire_tell(&v->wire, &m, err);
}

/* A driver may make each ring smaller than the device has it. */
static unsigned vhost_user_largest(const struct served_queue *queues, unsigned n)
{
	unsigned size = 0;

	for (unsigned i = 0; i < n; i++)
		size = queues[i].size > size ? queues[i].size : size;
	return size;
}

static int enable_rings(const struct vhost_user *v, const struct served_queue *queues, unsigned n,
			struct err *err)
{
	for (unsigned i = 0; i < n; i++) {
		int ret = queues[i].size ? set_state(v, WIRE_SET_VRING_ENABLE, i, 1, err) : 0;

		if (ret < 0)
			return ret;
	}
	return 0;
}

static int start_rings(struct vhost_user *v, const struct guest_ram *ram,
		       const struct served_queue *queues, unsigned n, uint64_t features,
		       struct err *err)
{
	int ret;

	if (v->wire.fd < 0)
		return err_set(err, ENOTCONN, "%s%s: the program at this socket is gone",
			       v->wire.option, v->wire.path);
	ret = wire_tell_number(&v->wire, WIRE_SET_FEATURES,
			       (features | WIRE_F_PROTOCOL) & v->features, err);
	if (ret < 0)
		return ret;
	ret = vhost_user_set_memory(v, ram, err);
	if (ret < 0)
		return ret;
	ret = set_inflight(v, n, vhost_user_largest(queues, n), err);
	if (ret < 0)
		return ret;
	v->begun = true;
	for (unsigned i = 0; i < n; i++) {
		ret = queues[i].size ? set_ring(v, ram, i, &queues[i], err) : 0;
		if (ret < 0)
			return ret;
	}
	return v->features & WIRE_F_PROTOCOL ? enable_rings(v, queues, n, err) : 0;
}

static int start(void *server, const struct guest_ram *ram, const struct served_queue *queues,
		 unsigned n, uint64_t features, struct err *err)
{
	struct vhost_user *v = server;
	int ret;

	pthread_mutex_lock(&v->lock);
	v->begun = false;
	wire_set_deadline(&v->wire);
	ret = start_rings(v, ram, queues, n, features, err);
	v->resume = ret == 0 || ((v->resume || v->begun) && ret == -ENOTCONN);
	v->gone &= ret != 0;
	if (ret < 0)
		wire_shut(&v->wire); /* half started, or out of step: begin anew */
	for (unsigned i = 0; i < n; i++) {
		v->drivers[i] = queues[i].size ? queues[i].driver : NULL;
		v->devices[i] = queues[i].device;
	}
	pthread_mutex_unlock(&v->lock);
	return ret;
}

/* It answers when it is done with the ring. */
static int stop_rings(const struct vhost_user *v, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct wire_message m = wire_request(WIRE_GET_VRING_BASE);
		int ret;

		if (!v->drivers[i])
			continue;
		wire_add(&m, i, 4);
		wire_add(&m, 0, 4);
		ret = wire_ask(&v->wire, &m, 8, NULL, NULL);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* A program that does not answer is given up: the loop sees it go. */
static void vhost_user_stop(void *server, unsigned n)
{
	struct vhost_user *v = server;
	int ret;

	pthread_mutex_lock(&v->lock);
	v->resume = false;
	wire_set_deadline(&v->wire);
	ret = v->wire.fd >= 0 ? stop_rings(v, n) : 0;
	memset(v->drivers, 0, sizeof(v->drivers));
	if (ret < 0)
		wire_shut(&v->wire);
	pthread_mutex_unlock(&v->lock);
}

const struct server_ops vhost_user_ops = { start, vhost_user_stop, state };
