#include "vmm/backends/backend.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

static_assert(VHOST_AUTO == (int)NET_VHOST_AUTO && VHOST_ON == (int)NET_VHOST_ON &&
		      VHOST_OFF == (int)NET_VHOST_OFF,
	      "the model and the host do not see each other");

static int open_user(struct backend *b, const char *option, const char *path, unsigned queues,
		     struct err *err)
{
	static const struct vhost_user_kind kinds[VIRTIO_KINDS] = {
		[VIRTIO_DISK] = { .features = VHOST_USER_BLK_FEATURES, .config = 60 },
		[VIRTIO_NET] = { .features = VHOST_USER_NET_FEATURES, .state = VHOST_USER_FRAMES },
		[VIRTIO_FS] = { .state = VHOST_USER_SESSION },
	};

	return vhost_user_open(&b->user, option, path, &kinds[b->kind], queues, err);
}

/*
 * A queue for each CPU, unless the user says: none waits for another's lock, and each is
 * interrupted for what it asked for.
 */
static int open_disk(struct backend *b, const struct config_disk *d, unsigned cpus, struct err *err)
{
	const struct disk_options options = {
		.readonly = d->readonly,
		.direct = d->direct,
		.discard = d->discard,
		.raw = d->raw,
		.fail_when_full = d->fail_when_full,
		.queues = d->queues ? d->queues : (unsigned)min_u64(cpus, CONFIG_DISK_QUEUES_MAX),
	};

	b->wanted_disk = d;
	if (d->vhost_user)
		return open_user(b, "--disk vhost-user=", d->vhost_user, d->queues ? d->queues : 1,
				 err);
	return disk_open(&b->disk, d->path, &options, err);
}

static int open_net(struct backend *b, const struct config_net *n, unsigned i, struct err *err)
{
	const char *where = n->kind == NET_TAP ? n->tap : n->vhost_user;
	char name[128];

	snprintf(name, sizeof(name), "%u %s", i, where ? where : "net");
	if (n->has_mac)
		memcpy(b->mac, n->mac, sizeof(n->mac));
	else
		net_default_mac(name, b->mac);
	switch (n->kind) {
	case NET_USER:
		return net_open_user(&b->net, err);
	case NET_TAP:
		return net_open_tap(&b->net, n->tap, n->queues, (enum net_vhost)n->vhost, err);
	case NET_FD:
		return net_open_fds(&b->net, n->fds, n->queues, (enum net_vhost)n->vhost, err);
	case NET_VHOST_USER:
		return open_user(b, "--net vhost-user=", n->vhost_user, 2, err);
	}
	return 0;
}

static int open_fs(struct backend *b, const struct config_fs *f, struct err *err)
{
	b->wanted_fs = f;
	return open_user(b, "--fs socket=", f->socket, 2, err);
}

static int open_vsock(struct backend *b, uint32_t cid, const char *socket, struct err *err)
{
	char why[sizeof(err->text)];
	int ret;

	b->cid = cid;
	if (socket) {
		ret = vsock_open(&b->bridge, socket, err);
		return ret < 0 ? err_prefix(err, ret, "--vsock cid=%u,", cid) : 0;
	}
	ret = vhost_open(&b->vsock, "/dev/vhost-vsock", err);
	if (ret < 0) {
		snprintf(why, sizeof(why), "%s", err->text);
		return err_set(err, -ret, "--vsock cid=%u: %s; use socket=PATH to do without it",
			       cid, why);
	}
	ret = vhost_vsock_set_cid(&b->vsock, cid, err);
	return ret < 0 ? err_prefix(err, ret, "--vsock cid=%u: ", cid) : 0;
}

static int open_backend(struct backend *b, const struct config *c, const struct plan *plan,
			struct plan_virtio v, struct err *err)
{
	*b = (struct backend){
		.kind = v.kind,
		.user = VHOST_USER_EMPTY,
		.disk = DISK_EMPTY,
		.net = NET_EMPTY,
		.vsock = VHOST_EMPTY,
		.pmem = PMEM_EMPTY,
		.bridge = VSOCK_EMPTY,
	};
	switch (v.kind) {
	case VIRTIO_DISK:
		return open_disk(b, &c->disks[v.index], plan->cpus, err);
	case VIRTIO_NET:
		return open_net(b, &c->nets[v.index], v.index, err);
	case VIRTIO_FS:
		return open_fs(b, &c->fs[v.index], err);
	case VIRTIO_PMEM:
		return pmem_open(&b->pmem, c->pmem[v.index].path, c->pmem[v.index].private,
				 plan_pmem(plan, v.index), err);
	case VIRTIO_VSOCK:
		return open_vsock(b, c->vsock_cid, c->vsock_socket, err);
	case VIRTIO_BALLOON:
		b->size = c->balloon;
		break;
	case VIRTIO_CONSOLE:
	case VIRTIO_RNG:
	case VIRTIO_KINDS:
		break;
	}
	return 0;
}

int backends_open(struct backends *b, const struct config *c, const struct plan *plan,
		  struct err *err)
{
	unsigned n = plan_nr_virtio(c);
	int ret = 0;

	*b = (struct backends)BACKENDS_EMPTY;
	if (!n)
		return 0;
	b->list = calloc(n, sizeof(*b->list));
	if (!b->list)
		return err_sys(err, ENOMEM, "cannot hold what is behind %u devices", n);
	while (ret == 0 && b->n < n) {
		ret = open_backend(&b->list[b->n], c, plan, plan_virtio_at(c, b->n), err);
		b->n++;
	}
	if (ret < 0)
		backends_close(b);
	return ret;
}

void backends_remark(const struct backends *b, void (*say)(void *to, const char *sentence),
		     void *to)
{
	bool said = false;
	struct err err;

	for (unsigned i = 0; i < b->n; i++) {
		const struct disk *d = &b->list[i].disk;

		if (d->fd >= 0 && disk_lacks_discard(d, &err))
			say(to, err.text);
		if (d->fd >= 0 && !said && disk_lacks_ring(d, &err)) {
			say(to, err.text);
			said = true; /* of all disks */
		}
	}
}

static void memory_changed(void *to, short revents)
{
	struct backends *b = to;
	char event[sizeof(struct inotify_event) + NAME_MAX + 1];

	(void)revents;
	if (read(b->watch, event, sizeof(event)) > 0)
		b->changed(b->to);
}

/* One inotify for all: a user may have 128 at a time. */
void backends_watch_memory(struct backends *b, struct loop *loop, void (*changed)(void *to),
			   void *to)
{
	unsigned n = 0;

	b->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	for (unsigned i = 0; b->watch >= 0 && i < b->n; i++)
		if (b->list[i].pmem.fd >= 0)
			n += pmem_watch(&b->list[i].pmem, b->watch);
	b->loop = loop;
	b->changed = changed;
	b->to = to;
	if (b->watch >= 0 && (!n || loop_watch(loop, b->watch, POLLIN, memory_changed, b) < 0)) {
		close(b->watch);
		b->watch = -1;
	}
}

bool backends_have_storage(const struct backends *b)
{
	for (unsigned i = 0; i < b->n; i++)
		if (b->list[i].disk.fd >= 0 || b->list[i].pmem.fd >= 0)
			return true;
	return false;
}

/* Of one of them. */
static unsigned busy(const struct backend *b, const char **option, const char **path)
{
	if (b->disk.fd >= 0) {
		*option = "--disk";
		*path = b->disk.path;
		return disk_busy(&b->disk);
	}
	*option = "--pmem";
	*path = b->pmem.path;
	return b->pmem.fd >= 0 && __atomic_load_n(&b->pmem.is_flushing, __ATOMIC_RELAXED);
}

unsigned backends_busy(const struct backends *b, unsigned seconds, struct err *err)
{
	const char *option, *path;
	unsigned all = 0;
	size_t len = 0;

	for (unsigned i = 0; i < b->n; i++) {
		unsigned n = busy(&b->list[i], &option, &path);

		all += n;
		if (n && len < sizeof(err->text))
			len += (size_t)snprintf(err->text + len, sizeof(err->text) - len,
						"%s%s %s (%u)", len ? ", " : "", option, path, n);
	}
	if (all)
		err_prefix(
			err, 0,
			"requests to storage have not ended for %u s; straddle ends without them, "
			"and what the guest wrote of late may be lost: ",
			seconds);
	return all;
}

size_t backends_memory(const struct backends *b, struct ram_block *out, size_t cap)
{
	size_t n = 0;

	for (unsigned i = 0; i < b->n; i++) {
		const struct pmem *p = &b->list[i].pmem;

		if (!p->hva)
			continue;
		if (n < cap)
			out[n] = (struct ram_block){ p->gpa, p->hva, p->private ? -1 : p->fd, 0 };
		n++;
	}
	return n;
}

int backends_check_memory(const struct backends *b, const struct guest_ram *ram, struct err *err)
{
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < b->n; i++)
		if (b->list[i].user.kind)
			ret = vhost_user_check_memory(&b->list[i].user, ram, err);
	return ret;
}

void backends_set_console(struct backends *b, struct console *console)
{
	for (unsigned i = 0; i < b->n; i++)
		if (b->list[i].kind == VIRTIO_CONSOLE)
			b->list[i].console = console;
}

void backends_close(struct backends *b)
{
	if (b->watch >= 0) {
		loop_forget(b->loop, b->watch);
		close(b->watch);
	}
	for (unsigned i = 0; i < b->n; i++) {
		vhost_user_close(&b->list[i].user);
		disk_close(&b->list[i].disk);
		net_close(&b->list[i].net);
		vhost_close(&b->list[i].vsock);
		pmem_close(&b->list[i].pmem);
		vsock_close(&b->list[i].bridge);
	}
	free(b->list);
	*b = (struct backends)BACKENDS_EMPTY;
}
