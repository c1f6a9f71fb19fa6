/*
 * Files as memory: each is mapped into the guest; the device takes flushes, on a thread.
 */
#include "devices/virtio_pmem.h"
#include "vmm/backends/pmem.h"
#include "vmm/machine/virtio/serve.h"

#include <errno.h>

static struct pmem *pmem_of(const struct virtio_backend *b)
{
	return b->own;
}

/* --- the file --- */

static unsigned pmem_count(const struct config *c)
{
	return c->nr_pmem;
}

static int pmem_backend_open(struct virtio_backend *b, const struct config *c,
			     const struct plan *plan, struct err *err)
{
	const struct config_pmem *wanted = &c->pmem[b->index];
	struct pmem *pmem = virtio_backend_own(b, sizeof(*pmem), err);

	if (!pmem)
		return -ENOMEM;
	*pmem = (struct pmem)PMEM_EMPTY;
	return pmem_open(pmem, wanted->path, wanted->private, plan_pmem(plan, b->index), err);
}

static void pmem_backend_close(struct virtio_backend *b)
{
	pmem_close(pmem_of(b));
}

static unsigned pmem_busy(const struct virtio_backend *b, const char **option, const char **path)
{
	const struct pmem *p = pmem_of(b);

	*option = "--pmem";
	*path = p->path;
	return __atomic_load_n(&p->is_flushing, __ATOMIC_RELAXED);
}

/* Other processes may map the file, unless what is written is to stay in this one. */
static void pmem_memory(const struct virtio_backend *b, struct ram_block *out)
{
	const struct pmem *p = pmem_of(b);

	*out = (struct ram_block){ p->gpa, p->hva, p->private ? -1 : p->fd, 0 };
}

static bool pmem_watch_memory(struct virtio_backend *b, int inotify)
{
	return pmem_watch(pmem_of(b), inotify);
}

/* --- the device --- */

/* Tells the user of the first flush that failed. */
static bool pmem_flushed(void *to)
{
	const struct virtio_slot *s = to;
	struct err err = { "" };
	int ret = pmem_flush(pmem_of(s->backend), &err);

	if (*err.text)
		s->env->say(s->env->to, err.text);
	return ret == 0;
}

static int pmem_create(struct virtio_slot *s, struct err *err)
{
	const struct pmem_host host = { pmem_flushed, s };
	struct virtio_pmem *pmem = virtio_slot_own(s, sizeof(*pmem), err);

	if (!pmem)
		return -ENOMEM;
	s->dev = &pmem->dev;
	virtio_pmem_init(pmem, &host, pmem_of(s->backend)->gpa);
	return 0;
}

static int pmem_serve(struct virtio_slot *s, struct err *err)
{
	return virtio_serve_alone(s, -1, NULL, NULL, err);
}

static const struct virtio_kind_ops pmem_ops = {
	.close = pmem_backend_close,
	.busy = pmem_busy,
	.memory = pmem_memory,
	.watch_memory = pmem_watch_memory,
	.create = pmem_create,
	.serve = pmem_serve,
};

const struct virtio_kind virtio_kind_pmem = {
	.kind = DEVICE_PMEM,
	.count = pmem_count,
	.open = pmem_backend_open,
	.ops = &pmem_ops,
};
