/*
 * virtio disks: an image that this process reads and writes, a thread for each queue; or one that
 * another program serves (remote.h).
 */
#include "devices/virtio_blk.h"
#include "vmm/backends/disk.h"
#include "vmm/machine/virtio/remote.h"
#include "vmm/machine/virtio/serve.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

struct disk_backend {
	struct disk disk;
	const struct config_disk *wanted;
};

static struct disk_backend *disk_backend_of(const struct virtio_backend *b)
{
	return b->own;
}

static struct disk *disk_of(const struct virtio_slot *s)
{
	return &disk_backend_of(s->backend)->disk;
}

/* --- the image --- */

static unsigned disk_count(const struct config *c)
{
	return c->nr_disks;
}

/*
 * A queue for each CPU, unless the user says: none waits for another's lock, and each is
 * interrupted for what it asked for.
 */
static int disk_backend_open(struct virtio_backend *b, const struct config *c,
			     const struct plan *plan, struct err *err)
{
	static const struct vhost_user_kind remote = { .features = VHOST_USER_BLK_FEATURES,
						       .config = VIRTIO_BLK_CONFIG };
	const struct config_disk *d = &c->disks[b->index];
	const struct disk_options options = {
		.readonly = d->readonly,
		.is_private = d->private,
		.direct = d->direct,
		.discard = d->discard,
		.raw = d->raw,
		.fail_when_full = d->fail_when_full,
		.queues = d->queues ? d->queues
				    : (unsigned)min_u64(plan->cpus, VIRTIO_BLK_QUEUES_MAX),
	};
	struct disk_backend *own;

	if (d->vhost_user)
		return virtio_remote_open(b, "--disk vhost-user=", d->vhost_user, &remote,
					  d->queues ? d->queues : 1, err);
	own = virtio_backend_own(b, sizeof(*own), err);
	if (!own)
		return -ENOMEM;
	own->disk = (struct disk)DISK_EMPTY;
	own->wanted = d;
	return disk_open(&own->disk, d->path, &options, err);
}

static void disk_backend_close(struct virtio_backend *b)
{
	disk_close(&disk_backend_of(b)->disk);
}

static void disk_remark(const struct virtio_backend *b, bool *told,
			void (*say)(void *to, const char *sentence), void *to)
{
	const struct disk *d = &disk_backend_of(b)->disk;
	struct err err;

	if (disk_lacks_discard(d, &err))
		say(to, err.text);
	if (!*told && disk_lacks_ring(d, &err)) { /* other disks lack it for the same reason */
		say(to, err.text);
		*told = true;
	}
}

static unsigned disk_backend_busy(const struct virtio_backend *b, const char **option,
				  const char **path)
{
	const struct disk *d = &disk_backend_of(b)->disk;

	*option = "--disk";
	*path = d->path;
	return disk_busy(d);
}

/* --- the device --- */

static int disk_create(struct virtio_slot *s, struct err *err)
{
	const struct config_disk *wanted = disk_backend_of(s->backend)->wanted;
	struct disk *disk = disk_of(s);
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
	struct virtio_blk *blk = virtio_slot_own(s, sizeof(*blk), err);

	if (!blk)
		return -ENOMEM;
	for (unsigned i = 0; i < d.nr_queues; i++)
		d.queues[i] = &disk->queues[i];
	if (wanted->serial)
		memcpy(d.serial, wanted->serial, strnlen(wanted->serial, VIRTIO_BLK_SERIAL));
	s->dev = &blk->dev;
	return virtio_blk_init(blk, &d, err);
}

static void disk_destroy(struct virtio_slot *s)
{
	virtio_blk_destroy(s->own);
}

/* The ready function of a queue's completions and of its timer, on the queue's thread. */
static void disk_ready(void *to, short revents)
{
	const struct virtio_slot_queue *q = to;

	(void)revents;
	virtio_blk_reap(q->slot->own, q->index, disk_reap);
}

static void disk_says(void *to, const char *sentence)
{
	virtio_slot_say(to, sentence);
}

static int disk_serve_queue(struct virtio_slot *s, const struct disk *disk, unsigned i,
			    struct err *err)
{
	struct worker *w = &s->workers[i];
	int ret = virtio_serve_queue(s, &w->loop, i, err);

	if (ret < 0)
		return ret;
	ret = loop_watch(&w->loop, disk->queues[i].completed, POLLIN, disk_ready, &s->queues[i],
			 err);
	if (ret < 0)
		return ret;
	ret = loop_watch(&w->loop, disk->queues[i].timer, POLLIN, disk_ready, &s->queues[i], err);
	if (ret < 0)
		return ret;
	return worker_start(w, err);
}

static int disk_serve(struct virtio_slot *s, struct err *err)
{
	struct disk *disk = disk_of(s);
	unsigned n = s->dev->nr_queues;
	int ret = virtio_serve_workers(s, n, err);

	disk_listen(disk, disk_says, s);
	for (unsigned i = 0; ret == 0 && i < n; i++)
		ret = disk_serve_queue(s, disk, i, err);
	return ret;
}

static int disk_resize(struct virtio_slot *s, struct err *err)
{
	struct disk *disk = disk_of(s);
	int ret = disk_look_again(disk, err);

	if (ret == 0 && !virtio_blk_resize(s->own, disk->size))
		ret = err_set(err, EAGAIN,
			      "the guest is resetting %s, or touches its registers; try again",
			      s->name);
	return ret;
}

static const struct virtio_kind_ops disk_ops = {
	.close = disk_backend_close,
	.remark = disk_remark,
	.busy = disk_backend_busy,
	.create = disk_create,
	.serve = disk_serve,
	.destroy = disk_destroy,
	.resize = disk_resize,
};

const struct virtio_kind virtio_kind_disk = {
	.kind = DEVICE_DISK,
	.count = disk_count,
	.open = disk_backend_open,
	.ops = &disk_ops,
};
