#include "vmm/machine_virtio.h"

#include "vmm/platform.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

_Static_assert(VIRTIO_BAR_SIZE == VIRTIO_PCI_BAR_SIZE, "the plan has the room that devices take");
_Static_assert(DISK_QUEUES_MAX == VIRTIO_BLK_QUEUES_MAX, "every queue of a disk has one below");

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

static void net_ready(void *to, short revents)
{
	struct virtio_slot *s = to;
	char line[128];

	(void)revents;
	if (virtio_net_serve(&s->net))
		return;
	loop_forget(s->port->loop, s->port->fd);
	snprintf(line, sizeof(line), "%s: what it was connected to is gone; it gets no more frames",
		 s->name);
	s->env->say(s->env->to, line);
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

static int watch(struct loop *loop, int fd, void (*ready)(void *to, short revents), void *to,
		 struct err *err)
{
	if (loop_watch(loop, fd, POLLIN, ready, to) < 0)
		return err_set(err, ENOSPC, "too many descriptors in the event loop");
	return 0;
}

/* A thread for each queue of a disk. */
static int serve_disk(struct virtio_slot *s, struct disk *disk, struct err *err)
{
	unsigned n = s->dev->nr_queues;
	int ret = 0;

	s->workers = calloc(n, sizeof(*s->workers));
	if (!s->workers)
		return err_sys(err, ENOMEM, "cannot hold the threads of a disk");
	for (unsigned i = 0; ret == 0 && i < n; i++) {
		struct worker *w = &s->workers[i];

		ret = worker_create(w, err);
		if (ret < 0)
			break;
		s->nr_workers++;
		ret = watch(&w->loop, s->kicks[i], kick_ready, &s->queues[i], err);
		if (ret == 0)
			ret = watch(&w->loop, disk->queues[i].completed, disk_ready, &s->queues[i],
				    err);
		if (ret == 0)
			ret = worker_start(w, err);
	}
	return ret;
}

/* A thread for an adapter. */
static int serve_net(struct virtio_slot *s, struct err *err)
{
	int ret = 0;

	s->workers = calloc(1, sizeof(*s->workers));
	if (!s->workers)
		return err_sys(err, ENOMEM, "cannot hold the thread of a network adapter");
	ret = worker_create(s->workers, err);
	if (ret < 0)
		return ret;
	s->nr_workers = 1;
	/* The kernel has the kicks, if it serves the queues. */
	for (unsigned i = 0; ret == 0 && s->port->vhost.fd < 0 && i < s->dev->nr_queues; i++)
		ret = watch(&s->workers->loop, s->kicks[i], kick_ready, &s->queues[i], err);
	s->port->loop = &s->workers->loop;
	return ret < 0 ? ret : worker_start(s->workers, err);
}

/* The main loop is enough for devices that do little. */
static int serve_here(struct virtio_slot *s, struct loop *loop, struct err *err)
{
	int ret = 0;

	s->loop = loop;
	for (unsigned i = 0; ret == 0 && i < s->dev->nr_queues; i++)
		ret = watch(loop, s->kicks[i], kick_ready, &s->queues[i], err);
	return ret;
}

static int init_disk(struct virtio_slot *s, struct disk *disk, const struct config_disk *wanted,
		     struct err *err)
{
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

static int init_net(struct virtio_slot *s, struct net *net, const uint8_t mac[6], struct err *err)
{
	struct net_port port;

	s->port = net;
	s->dev = &s->net.dev;
	net_serve(net, NULL, net_ready, s, &port); /* its loop comes with its thread */
	return virtio_net_init(&s->net, &port, mac, err);
}

static void init_vsock(struct virtio_slot *s, struct vhost *vhost, uint32_t cid)
{
	const struct server server = { &vhost_vsock_ops, vhost, vhost->features };

	s->dev = &s->vsock.dev;
	virtio_vsock_init(&s->vsock, cid, &server);
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
	m->slots[m->nr_slots++] = s;
	return s;
}

/* Number `i` of the machine's: disks, network adapters, then the rest. */
static int create_slot(struct machine_virtio *m, const struct machine_virtio_parts *parts,
		       unsigned i, struct err *err)
{
	const struct machine_virtio_devices *d = parts->devices;
	const struct plan_pci *fn = &parts->plan->pci[parts->first + i];
	struct disk *disk = i < d->nr_disks ? &d->disks[i] : NULL;
	unsigned net = i - d->nr_disks; /* if it is one */
	struct virtio_slot *s = new_slot(m, err);
	int ret = 0;

	if (!s)
		return -ENOMEM;
	s->env = &parts->pci->env;
	s->name = fn->name;
	if (disk) {
		ret = init_disk(s, disk, &d->wanted[i], err);
	} else if (net < d->nr_nets) {
		ret = init_net(s, &d->nets[net], d->macs[net], err);
	} else if (d->rng && net == d->nr_nets) {
		s->dev = &s->rng.dev;
		virtio_rng_init(&s->rng);
	} else {
		init_vsock(s, d->vsock, d->vsock_cid);
	}
	if (ret == 0)
		ret = make_eventfds(s, err);
	if (ret < 0)
		return ret;
	virtio_pci_plug(&s->pci, s->dev, &m->ram, &parts->pci->env, s->kicks, s->vectors,
			fn->bars[0].at);
	if (disk)
		ret = serve_disk(s, disk, err);
	else if (s->port)
		ret = serve_net(s, err);
	else if (s->dev != &s->vsock.dev) /* which the kernel serves */
		ret = serve_here(s, parts->loop, err);
	if (ret == 0)
		parts->pci->host.root.slots[fn->slot] = &s->pci.fn;
	return ret < 0 ? err_prefix(err, ret, "%s: ", fn->name) : 0;
}

static void destroy_slot(struct virtio_slot *s)
{
	/* Workers end what is in flight, so they go after. */
	virtio_pci_unplug(&s->pci);
	for (unsigned i = 0; i < s->nr_workers; i++)
		worker_destroy(&s->workers[i]);
	free(s->workers);
	for (unsigned i = 0; s->loop && i < s->dev->nr_queues; i++)
		loop_forget(s->loop, s->kicks[i]);
	virtio_blk_destroy(&s->blk);
	virtio_net_destroy(&s->net);
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
	const struct machine_virtio_devices *d = parts->devices;
	unsigned n = d->nr_disks + d->nr_nets + d->rng + !!d->vsock;
	int ret = 0;

	*m = (struct machine_virtio)MACHINE_VIRTIO_EMPTY;
	if (!n)
		return 0;
	m->ram = (struct guest_ram){ parts->ram->blocks, parts->ram->nr_blocks };
	m->slots = calloc(n, sizeof(*m->slots));
	if (!m->slots)
		return err_sys(err, ENOMEM, "cannot hold %u virtio devices", n);
	for (unsigned i = 0; ret == 0 && i < n; i++)
		ret = create_slot(m, parts, i, err);
	if (ret < 0)
		machine_virtio_destroy(m);
	return ret;
}

void machine_virtio_destroy(struct machine_virtio *m)
{
	for (unsigned i = 0; i < m->nr_slots; i++)
		destroy_slot(m->slots[i]);
	free(m->slots);
	*m = (struct machine_virtio)MACHINE_VIRTIO_EMPTY;
}
