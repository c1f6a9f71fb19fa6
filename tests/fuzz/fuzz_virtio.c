/*
 * A hostile guest at a virtio device of each kind (the last byte of the input says which): its
 * registers, its configuration space, its rings. Holds at every step: what devices hand on lies in
 * RAM, and within the disk, and adds up; every disk request that was taken ends.
 */
#include "devices/virtio_balloon.h"
#include "devices/virtio_blk.h"
#include "devices/virtio_clock.h"
#include "devices/virtio_console.h"
#include "devices/virtio_net.h"
#include "devices/virtio_pci.h"
#include "devices/virtio_pmem.h"
#include "devices/virtio_remote.h"
#include "devices/virtio_rng.h"
#include "devices/virtio_vsock.h"
#include "vmm/base/platform.h"
#include "vmm/base/bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#define MEMORY	  0x8000
#define DISK_SIZE 0x10000
#define QUEUES	  5	 /* at most */
#define RINGS	  0x0000 /* as set_up() places them, one queue after the other */
#define RING_STEP 0x400

static uint8_t memory[MEMORY] __attribute__((aligned(4096)));
static const struct ram_block block = { { 0, MEMORY }, memory, -1, 0 };
static const struct guest_ram ram = { &block, 1 };

static struct virtio_pci pci;
static struct virtio_device *dev;
static struct virtio_blk blk;
static struct virtio_net net;
static struct virtio_pmem pmem;
static struct virtio_console console;
static struct virtio_balloon balloon;
static struct virtio_rng rng;
static struct virtio_clock wall;
static struct virtio_vsock vsock;
static struct virtio_remote remote;
static struct device *trap;
static unsigned submitted, doorbells, routes, events;
static bool served;

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void must_be_ram(const void *at, size_t len)
{
	must((const uint8_t *)at >= memory && len <= MEMORY &&
	     (size_t)((const uint8_t *)at - memory) <= MEMORY - len);
}

/* --- the disk --- */

static void submit(void *queue, struct block_request *r)
{
	uint64_t len = 0;

	(void)queue;
	must(r->op == BLOCK_FLUSH || (r->offset <= DISK_SIZE && r->len <= DISK_SIZE - r->offset));
	for (unsigned i = 0; i < r->nr_parts; i++) {
		must_be_ram(r->parts[i].iov_base, r->parts[i].iov_len);
		if (r->op == BLOCK_READ)
			memset(r->parts[i].iov_base, 0x5a, r->parts[i].iov_len);
		len += r->parts[i].iov_len;
	}
	must(!r->nr_parts || len == r->len);
	submitted++;
	r->done(r, submitted % 5 ? 0 : -5);
}

static void flush(void *queue)
{
	(void)queue;
}

static bool look_out(void *queue, bool (*more)(void *to), void *to)
{
	(void)queue;
	return more(to);
}

static void drain(void *queue, bool on)
{
	(void)queue;
	(void)on;
}

static const struct block_queue_ops disk_ops = { submit, flush, look_out, drain };

/* --- what is behind the others --- */

static int port_send(void *port, const struct iovec *parts, unsigned n, size_t len)
{
	(void)port;
	for (unsigned i = 0; i < n; i++) {
		must_be_ram(parts[i].iov_base, parts[i].iov_len);
		len -= parts[i].iov_len;
	}
	must(!len);
	return ++events % 7 ? 0 : -EAGAIN;
}

static ssize_t port_receive(void *port, uint8_t *to, size_t cap)
{
	size_t len = NET_HEADER + (++events * 977u) % (cap - NET_HEADER);

	(void)port;
	if (events % 3)
		return -EAGAIN;
	memset(to, 0, len);
	return (ssize_t)len;
}

static void port_want(void *port, bool frames, bool room)
{
	(void)port;
	(void)frames;
	(void)room;
}

static void port_offloads(void *port, uint64_t features)
{
	(void)port;
	(void)features;
}

static void port_reset(void *port)
{
	(void)port;
}

static int port_attach(void *port, bool on)
{
	(void)port;
	(void)on;
	return ++events % 5 ? 0 : -EIO;
}

static const struct net_port_ops port_ops = { port_send,     port_receive, port_want,
					      port_offloads, port_reset,   port_attach };

static bool pmem_flushed(void *to)
{
	(void)to;
	return ++events % 2;
}

static const struct pmem_host pmem_host = { pmem_flushed, NULL };

static void line_put(void *to, uint8_t byte)
{
	(void)to;
	(void)byte;
}

static bool line_ready(void *to)
{
	(void)to;
	return ++events % 50;
}

static void line_resume(void *to)
{
	(void)to;
}

static void ram_discarded(void *to, void *at, size_t len)
{
	(void)to;
	must_be_ram(at, len);
}

static void numbers_came(void *to, const uint64_t *numbers)
{
	(void)to;
	(void)numbers;
}

static int server_start(void *server, const struct guest_ram *of, const struct served_queue *queues,
			unsigned n, uint64_t features, struct err *err)
{
	(void)server;
	(void)features;
	must(!served && of == &ram);
	for (unsigned i = 0; i < n; i++) {
		if (!queues[i].size)
			continue;
		must_be_ram(queues[i].desc, 16 * queues[i].size);
		must_be_ram(queues[i].driver, 6 + 2 * queues[i].size);
		must_be_ram(queues[i].device, 6 + 8 * queues[i].size);
	}
	if (++events % 4 == 0)
		return err_set(err, events % 8 ? EIO : ENOTCONN, "it does not start");
	served = true;
	return 0;
}

static void server_stop(void *server, unsigned n)
{
	(void)server;
	(void)n;
	served = false;
}

static enum server_state server_is;

static enum server_state server_state(void *server)
{
	(void)server;
	return server_is;
}

static const struct server_ops server_ops = { server_start, server_stop, server_state };

/* --- the machine --- */

static int env_claim(void *to, bool io, struct span at, struct device *bar, struct err *err)
{
	(void)to;
	(void)io;
	(void)err;
	must(!trap && span_size(at) == VIRTIO_BAR_SIZE);
	trap = bar;
	return 0;
}

static void env_unclaim(void *to, bool io, struct span at)
{
	(void)to;
	(void)io;
	(void)at;
	must(trap);
	trap = NULL;
}

static int env_route(void *to, struct msi_route *list, size_t n, struct err *err)
{
	(void)to;
	(void)err;
	for (size_t i = 0; i < n; i++)
		if (list[i].handle < 0)
			list[i].handle = (int)routes++;
	return 0;
}

static void env_unroute(void *to, int handle, int fd)
{
	(void)to;
	(void)handle;
	(void)fd;
	routes--;
}

static int env_doorbell(void *to, uint64_t at, int fd, struct err *err)
{
	(void)to;
	(void)at;
	(void)fd;
	(void)err;
	doorbells++;
	return 0;
}

static void env_undoorbell(void *to, uint64_t at, int fd)
{
	(void)to;
	(void)at;
	(void)fd;
	doorbells--;
}

static void env_say(void *to, const char *sentence)
{
	(void)to;
	must(*sentence && !strchr(sentence, '\n'));
}

static const struct pci_env env = {
	.claim = env_claim,
	.unclaim = env_unclaim,
	.route = env_route,
	.unroute = env_unroute,
	.doorbell = env_doorbell,
	.undoorbell = env_undoorbell,
	.say = env_say,
	.fail = env_say,
};

/* --- what a driver does first, so that inputs get further --- */

static void bar_write(uint64_t offset, unsigned size, uint64_t value)
{
	if (trap)
		trap->ops->write(trap, offset, size, value);
}

static void set_up(unsigned flags)
{
	uint64_t own = flags >> 3 & 1 ? dev->features & 0xffffff : 0;
	uint64_t features = own | VIRTIO_BIT(F_VERSION_1) |
			    (flags & 1 ? VIRTIO_BIT(F_RING_PACKED) : 0) |
			    (flags & 2 ? VIRTIO_BIT(RING_F_INDIRECT_DESC) : 0) |
			    (flags & 4 ? VIRTIO_BIT(RING_F_EVENT_IDX) : 0);

	pci.fn.ops->write(&pci.fn, 4, 2, 6);
	bar_write(0x14, 1, 0);
	bar_write(0x14, 1, 3);
	for (unsigned half = 0; half < 2; half++) {
		bar_write(0x08, 4, half);
		bar_write(0x0c, 4, (uint32_t)(features >> 32 * half));
	}
	bar_write(0x14, 1, 11);
	for (unsigned i = 0; i < dev->nr_queues; i++) {
		bar_write(0x16, 2, i);
		bar_write(0x18, 2, 8);
		bar_write(0x20, 8, RINGS + i * RING_STEP);
		bar_write(0x28, 8, RINGS + i * RING_STEP + 0x100);
		bar_write(0x30, 8, RINGS + i * RING_STEP + 0x200);
		bar_write(0x1c, 2, 1);
	}
	bar_write(0x14, 1, 15);
}

/* Something that does not come from the guest. */
static void from_outside(unsigned what)
{
	if (dev == &net.dev) {
		(void)virtio_net_serve(&net, what % net.nr_pairs);
		if (what == 255)
			virtio_net_link_down(&net);
	} else if (dev == &console.dev) {
		(void)virtio_console_input(&console, memory, what);
		virtio_console_room(&console);
		virtio_console_resize(&console, (uint16_t)what, 25);
	} else if (dev == &balloon.dev) {
		(void)virtio_balloon_ask(&balloon);
		virtio_balloon_set(&balloon, what * 4096u);
	} else if (dev == &blk.dev) {
		(void)virtio_blk_resize(&blk, DISK_SIZE);
	} else if (dev->server.ops) {
		server_is = (enum server_state)(what % 3);
		if (server_is != SERVER_RUNS)
			served = false;
		(void)virtio_server_back(dev);
		if (what & 0x80) {
			(void)!eventfd_write(dev->server_error, 1);
			virtio_server_failed(dev);
		}
		if (dev->ops->type == 1)
			virtio_remote_link(&remote, what & 1);
	}
}

static void one_step(struct bytes_in *in)
{
	static const uint8_t sizes[] = { 1, 2, 4, 8 };
	unsigned what = (unsigned)get_le(in, 1), size = sizes[what >> 3 & 3], at, n;

	switch (what & 7) {
	case 0:
		at = (unsigned)get_le(in, 2) % VIRTIO_BAR_SIZE & ~(size - 1);
		bar_write(at, size, get_le(in, size));
		break;
	case 1:
		at = (unsigned)get_le(in, 2) % VIRTIO_BAR_SIZE & ~(size - 1);
		if (trap)
			trap->ops->read(trap, at, size);
		break;
	case 2:
		size = size == 8 ? 4 : size;
		at = (unsigned)get_le(in, 1) & ~(size - 1);
		pci.fn.ops->write(&pci.fn, at, size, (uint32_t)get_le(in, size));
		break;
	case 3:
		size = size == 8 ? 4 : size;
		pci.fn.ops->read(&pci.fn, (unsigned)get_le(in, 1) & ~(size - 1), size);
		break;
	case 4:
		at = (unsigned)get_le(in, 2) % MEMORY;
		n = (unsigned)min_u64(get_le(in, 1), MEMORY - at);
		n = (unsigned)min_u64(n, in->len - in->at);
		if (n && !in->failed)
			memcpy(memory + at, get_mem(in, n), n);
		break;
	case 5:
		if (what & 0x20)
			from_outside(what);
		else if (dev->nr_queues > (what >> 3 & 3) && !dev->server.ops)
			virtio_kicked(dev, what >> 3 & 3);
		break;
	case 6:
		set_up(what >> 3);
		break;
	case 7:
		pci.fn.ops->reset(&pci.fn);
		break;
	}
	for (unsigned i = 0; i < QUEUES; i++)
		must(!blk.queues[i].blk || blk.queues[i].nr_free == VIRTIO_BLK_QUEUE_SIZE);
}

static uint64_t wall_time(void)
{
	return 1;
}

static void make_device(unsigned kind)
{
	static const uint8_t mac[6] = { 0x52, 0x54 };
	static const uint8_t config[60];
	const struct virtio_blk_disk disk = {
		.size = DISK_SIZE,
		.block_size = 512,
		.zeroes = true,
		.discard_max = DISK_SIZE,
		.nr_queues = 2,
		.ops = &disk_ops,
	};
	const struct net_port port = { .ops = &port_ops, .features = NET_OFFLOADS };
	const struct net_port ports[] = { port, port };
	const struct console_port line = { line_put, line_ready, line_resume, NULL };
	const struct balloon_host host = { ram_discarded, numbers_came, NULL };
	const struct server server = {
		&server_ops, NULL, VIRTIO_BIT(RING_F_INDIRECT_DESC) | VIRTIO_BIT(RING_F_EVENT_IDX)
	};
	struct err err;

	switch (kind) {
	case 0:
		must(virtio_net_init(&net, ports, 1, NULL, mac, &err) == 0);
		dev = &net.dev;
		break;
	case 7:
		must(virtio_net_init(&net, ports, 2, NULL, mac, &err) == 0);
		dev = &net.dev;
		break;
	case 9:
		virtio_pmem_init(&pmem, &pmem_host, (struct span){ 0, 0x200000 });
		dev = &pmem.dev;
		break;
	case 8:
		must(virtio_net_init(&net, ports, 2, &server, mac, &err) == 0);
		dev = &net.dev;
		break;
	case 1:
		virtio_console_init(&console, &line, 80, 24);
		dev = &console.dev;
		break;
	case 2:
		virtio_balloon_init(&balloon, &host, 0);
		dev = &balloon.dev;
		break;
	case 3:
		virtio_rng_init(&rng);
		dev = &rng.dev;
		break;
	case 11:
		virtio_clock_init(&wall, wall_time);
		dev = &wall.dev;
		break;
	case 4:
		virtio_vsock_init(&vsock, 3, &server);
		dev = &vsock.dev;
		break;
	case 5:
		virtio_remote_blk(&remote, 0x7676, config, 2, &server);
		dev = &remote.dev;
		break;
	case 10:
		virtio_remote_net(&remote, 0xff83, mac, &server);
		dev = &remote.dev;
		break;
	case 6:
		virtio_remote_fs(&remote, "tag", &server);
		dev = &remote.dev;
		break;
	default:
		must(virtio_blk_init(&blk, &disk, &err) == 0);
		dev = &blk.dev;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int kicks[QUEUES], vectors[QUEUES + 1], error;
	struct bytes_in in = { .data = data, .len = size };
	uint64_t count;

	for (unsigned i = 0; !vectors[0] && i < QUEUES; i++)
		kicks[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	for (unsigned i = 0; !vectors[QUEUES] && i <= QUEUES; i++)
		vectors[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (!error)
		error = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	memset(memory, 0, sizeof(memory));
	submitted = events = 0;
	served = false;
	make_device(size ? data[size - 1] % 16 : 0);
	dev->server_error = error;
	virtio_pci_plug(&pci, dev, &ram, &env, kicks, vectors, UINT64_C(0x100000000));
	while (!in.failed && in.at < in.len)
		one_step(&in);
	virtio_pci_unplug(&pci);
	must(!trap && !doorbells && !routes && !served);
	if (dev == &blk.dev)
		virtio_blk_destroy(&blk);
	else if (dev == &net.dev)
		virtio_net_destroy(&net);
	for (unsigned i = 0; i <= QUEUES; i++) {
		(void)!eventfd_read(vectors[i], &count);
		(void)!eventfd_read(kicks[i % QUEUES], &count);
	}
	(void)!eventfd_read(error, &count);
	return 0;
}
