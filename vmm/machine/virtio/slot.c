#include "vmm/machine/virtio/slot.h"

#include "vmm/base/platform.h"
#include "vmm/machine/virtio/serve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static_assert(VIRTIO_BAR_SIZE == VIRTIO_PCI_BAR_SIZE, "the plan has the room that devices take");
static_assert(DISK_QUEUES_MAX == VIRTIO_BLK_QUEUES_MAX, "every queue of a disk has one below");
static_assert(CONFIG_NET_QUEUES_MAX == VIRTIO_NET_PAIRS_MAX, "every pair of an adapter, too");

/* --- one of each kind --- */

static int init_disk(struct virtio_slot *s, struct err *err)
{
	const struct config_disk *wanted = s->backend->wanted_disk;
	struct disk *disk = &s->backend->disk;
	struct virtio_blk_disk d = {
		.size = disk->size,
		.block_size = disk->block_size,
		.readonly = disk->options.readonly,
		.zeroes = disk->options.discard,
		.physical = disk->topology.physical,
		.first = disk->topology.first,
		.min_io = disk->topology.min_io,
		.opt_io = disk->topology.opt_io,
		.discard_max = disk->topology.discard_max,
		.discard_granularity = disk->topology.discard_granularity,
		.split = wanted->split,
		.nr_queues = disk->options.queues,
		.ops = disk_queue_ops(disk),
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
		ports[i] = net_port_of(&net->pairs[i]);
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
	struct virtio_slot *s = to;

	pthread_mutex_lock(&s->numbers_lock);
	memcpy(s->numbers, numbers, sizeof(s->numbers));
	pthread_mutex_unlock(&s->numbers_lock);
	machine_serve_wake(s);
}

static void init_balloon(struct virtio_slot *s)
{
	const struct balloon_host host = { discard, stats, s };

	s->dev = &s->balloon.dev;
	virtio_balloon_init(&s->balloon, &host, s->backend->size);
}

static int init_vsock(struct virtio_slot *s, struct err *err)
{
	struct backend *b = s->backend;
	const struct server server = { &vhost_vsock_ops, &b->vsock, b->vsock.features };
	const struct vsock_port port = vsock_port_of(&b->bridge);

	s->dev = &s->vsock.dev;
	if (b->bridge.path)
		return virtio_vsock_init_port(&s->vsock, b->cid, &port, err);
	virtio_vsock_init(&s->vsock, b->cid, &server);
	return 0;
}

/* What it could not write it says once: the first time. */
static bool flush_pmem(void *to)
{
	const struct virtio_slot *s = to;
	struct err err = { "" };
	int ret = pmem_flush(&s->backend->pmem, &err);

	if (*err.text)
		s->env->say(s->env->to, err.text);
	return ret == 0;
}

static int init_device(struct virtio_slot *s, struct err *err)
{
	struct backend *b = s->backend;
	const struct pmem_host pmem = { flush_pmem, s };

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
	if (!s->dev->server.ops)
		return 0;
	s->error = s->dev->server_error = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return s->error < 0 ? err_sys(err, errno, "cannot make an eventfd") : 0;
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
	s->timer = s->error = -1;
	pthread_mutex_init(&s->numbers_lock, NULL);
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
	s->dev->name = s->name;
	virtio_pci_plug(&s->pci, s->dev, parts->guest_ram, &parts->pci->env, s->kicks, s->vectors,
			fn->bars[0].at);
	ret = machine_serve(s, err);
	if (ret == 0)
		parts->pci->host.root.slots[fn->slot] = &s->pci.fn;
	return ret < 0 ? err_prefix(err, ret, "%s: ", fn->name) : 0;
}

static void destroy_workers(struct virtio_slot *s)
{
	for (unsigned i = 0; i < s->nr_workers; i++)
		worker_destroy(&s->workers[i]);
	free(s->workers);
	s->workers = NULL;
	s->nr_workers = 0;
}

/*
 * No program is looked for any more: the thread that does so also starts the device when one is
 * back. If the guest has a next life, the program is waited for when it is told to stop.
 */
static void stop_looking(struct virtio_slot *s)
{
	vhost_user_hurry(&s->backend->user, true);
	destroy_workers(s);
	if (!s->ending)
		vhost_user_hurry(&s->backend->user, false);
}

static void destroy_slot(struct virtio_slot *s)
{
	if (s->backend && s->backend->console)
		console_attach(s->backend->console, NULL);
	if (s->backend && s->backend->user.kind)
		stop_looking(s);
	/* Other workers end what is in flight, so they go after. */
	virtio_pci_unplug(&s->pci);
	destroy_workers(s);
	for (unsigned i = 0; s->served_here && i < s->dev->nr_queues; i++)
		loop_forget(s->loop, s->kicks[i]);
	if (s->error >= 0) {
		loop_forget(s->loop, s->error);
		close(s->error);
	}
	if (s->timer >= 0) {
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
		return err_set(err, ENOTSUP,
			       "%s is served by another program; the guest sees another size of it "
			       "when straddle starts anew",
			       name);
	ret = disk_look_again(&s->backend->disk, err);
	if (ret == 0 && !virtio_blk_resize(&s->blk, s->backend->disk.size))
		ret = err_set(err, EAGAIN,
			      "the guest is resetting %s, or touches its registers; try again",
			      name);
	return ret;
}

static struct virtio_slot *find_balloon(struct machine_virtio *m)
{
	for (unsigned i = 0; i < m->nr_slots; i++)
		if (m->slots[i]->backend->kind == VIRTIO_BALLOON)
			return m->slots[i];
	return NULL;
}

struct virtio_balloon *machine_virtio_balloon(struct machine_virtio *m)
{
	struct virtio_slot *s = find_balloon(m);

	return s ? &s->balloon : NULL;
}

void machine_virtio_set_balloon(struct machine_virtio *m, uint64_t size)
{
	struct virtio_slot *s = find_balloon(m);

	s->backend->size = size;
	virtio_balloon_set(&s->balloon, size);
}

void machine_virtio_hurry(struct machine_virtio *m)
{
	for (unsigned i = 0; i < m->nr_slots; i++) {
		struct virtio_slot *s = m->slots[i];

		s->ending = true;
		if (s->backend->user.kind)
			vhost_user_hurry(&s->backend->user, true);
	}
}

void machine_virtio_destroy(struct machine_virtio *m)
{
	for (unsigned i = 0; i < m->nr_slots; i++)
		destroy_slot(m->slots[i]);
	free(m->slots);
	*m = (struct machine_virtio)MACHINE_VIRTIO_EMPTY;
}
