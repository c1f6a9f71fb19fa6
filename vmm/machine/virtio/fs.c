/*
 * Shared folders: virtiofsd, or another program, has them (remote.h).
 */
#include "vmm/machine/virtio/remote.h"

static unsigned fs_count(const struct config *c)
{
	return c->nr_fs;
}

static int fs_open(struct virtio_backend *b, const struct config *c, const struct plan *plan,
		   struct err *err)
{
	static const struct vhost_user_kind remote = { .state = VHOST_USER_SESSION };
	const struct config_fs *f = &c->fs[b->index];
	struct virtio_remote_backend *own;
	int ret = virtio_remote_open(b, "--fs socket=", f->socket, &remote, 2, err);

	(void)plan;
	own = b->own;
	if (own)
		own->tag = f->tag;
	return ret;
}

const struct virtio_kind virtio_kind_fs = {
	.kind = DEVICE_FS,
	.count = fs_count,
	.open = fs_open,
};
