#include "vmm/machine/virtio/kinds.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

extern const struct virtio_kind virtio_kind_disk, virtio_kind_net, virtio_kind_fs, virtio_kind_pmem,
	virtio_kind_console, virtio_kind_rng, virtio_kind_balloon, virtio_kind_vsock,
	virtio_kind_clock;

static const struct virtio_kind *const kinds[] = {
	&virtio_kind_disk,    &virtio_kind_net,	    &virtio_kind_fs,
	&virtio_kind_pmem,    &virtio_kind_console, &virtio_kind_rng,
	&virtio_kind_balloon, &virtio_kind_vsock,   &virtio_kind_clock,
};

void virtio_count(const struct config *c, struct device_counts *counts)
{
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
		counts->of[kinds[i]->kind] = kinds[i]->count(c);
}

static const struct virtio_kind *find_kind(enum device_kind kind)
{
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i]->kind == kind)
			return kinds[i];
	return NULL;
}

/* --- open, close --- */

void *virtio_backend_own(struct virtio_backend *b, size_t size, struct err *err)
{
	b->own = calloc(1, size);
	if (!b->own)
		err_sys(err, ENOMEM, "out of memory for the backend of the device %s",
			device_kind_name(b->kind->kind));
	return b->own;
}

static int open_backend(struct virtio_backend *b, const struct virtio_kind *kind, unsigned index,
			const struct config *c, const struct plan *plan, struct err *err)
{
	*b = (struct virtio_backend){ .kind = kind, .ops = kind->ops, .index = index };
	return kind->open ? kind->open(b, c, plan, err) : 0;
}

int virtio_open(struct virtio_backends *b, const struct config *c, const struct plan *plan,
		struct err *err)
{
	int ret = 0;

	*b = (struct virtio_backends)VIRTIO_BACKENDS_EMPTY;
	b->list = calloc(plan->nr_pci + 1, sizeof(*b->list));
	if (!b->list)
		return err_sys(err, ENOMEM, "out of memory for the backends of %u devices",
			       plan->nr_pci);
	for (unsigned i = 0; ret == 0 && i < plan->nr_pci; i++) {
		const struct virtio_kind *kind = find_kind(plan->pci[i].kind);

		if (kind)
			ret = open_backend(&b->list[b->n++], kind, plan->pci[i].index, c, plan,
					   err);
	}
	if (ret < 0)
		virtio_close(b);
	return ret;
}

void virtio_close(struct virtio_backends *b)
{
	if (b->watch >= 0) {
		loop_forget(b->loop, b->watch);
		close(b->watch);
	}
	for (unsigned i = 0; i < b->n; i++) {
		if (b->list[i].own && b->list[i].ops->close)
			b->list[i].ops->close(&b->list[i]);
		free(b->list[i].own);
	}
	free(b->list);
	*b = (struct virtio_backends)VIRTIO_BACKENDS_EMPTY;
}

struct virtio_backend *virtio_backend_of(const struct virtio_backends *b, const struct plan_pci *fn)
{
	for (unsigned i = 0; i < b->n; i++)
		if (b->list[i].kind->kind == fn->kind && b->list[i].index == fn->index)
			return &b->list[i];
	return NULL;
}

/* --- what is asked of all --- */

static bool is_among(const struct virtio_backend *list, unsigned n,
		     const struct virtio_kind_ops *ops)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i].ops == ops)
			return true;
	return false;
}

void virtio_remark(const struct virtio_backends *b, void (*say)(void *to, const char *sentence),
		   void *to)
{
	for (unsigned i = 0; i < b->n; i++) {
		const struct virtio_kind_ops *ops = b->list[i].ops;
		bool told = false;

		if (!ops->remark || is_among(b->list, i, ops))
			continue;
		for (unsigned j = i; j < b->n; j++)
			if (b->list[j].ops == ops)
				ops->remark(&b->list[j], &told, say, to);
	}
}

static void virtio_kinds_memory_changed(void *to, short revents)
{
	struct virtio_backends *b = to;
	char event[sizeof(struct inotify_event) + NAME_MAX + 1];

	(void)revents;
	if (read(b->watch, event, sizeof(event)) > 0)
		b->changed(b->to);
}

/* One inotify for all: a user may have 128 at a time. */
void virtio_watch_memory(struct virtio_backends *b, struct loop *loop, void (*changed)(void *to),
			 void *to)
{
	unsigned n = 0;

	b->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	for (unsigned i = 0; b->watch >= 0 && i < b->n; i++)
		if (b->list[i].ops->watch_memory)
			n += b->list[i].ops->watch_memory(&b->list[i], b->watch);
	b->loop = loop;
	b->changed = changed;
	b->to = to;
	if (b->watch >= 0 &&
	    (!n || loop_watch(loop, b->watch, POLLIN, virtio_kinds_memory_changed, b, NULL) < 0)) {
		close(b->watch);
		b->watch = -1;
	}
}

bool virtio_has_storage(const struct virtio_backends *b)
{
	for (unsigned i = 0; i < b->n; i++)
		if (b->list[i].ops->busy)
			return true;
	return false;
}

unsigned virtio_busy(const struct virtio_backends *b, unsigned seconds, struct err *err)
{
	const char *option, *path;
	unsigned all = 0;
	size_t len = 0;

	for (unsigned i = 0; i < b->n; i++) {
		const struct virtio_backend *one = &b->list[i];
		unsigned n = one->ops->busy ? one->ops->busy(one, &option, &path) : 0;

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

size_t virtio_memory(const struct virtio_backends *b, struct ram_block *out, size_t cap)
{
	size_t n = 0;

	for (unsigned i = 0; i < b->n; i++) {
		if (!b->list[i].ops->memory)
			continue;
		if (n < cap)
			b->list[i].ops->memory(&b->list[i], &out[n]);
		n++;
	}
	return n;
}

int virtio_listen(const struct virtio_backends *b, struct guest_memory *m, struct err *err)
{
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < b->n; i++)
		if (b->list[i].ops->listen)
			ret = b->list[i].ops->listen(&b->list[i], m, err);
	return ret;
}
