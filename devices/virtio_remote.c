#include "devices/virtio_remote.h"

#include "devices/virtio_net.h"
#include "vmm/base/bytes.h"

#include <string.h>

#define BLK_CONFIG     60
#define BLK_NUM_QUEUES 34 /* in it */
#define NET_CONFIG     8
#define NET_STATUS     6
#define NET_LINK_UP    1
#define NET_F_MAC      (UINT64_C(1) << 5)
#define NET_F_STATUS   (UINT64_C(1) << 16)
#define FS_CONFIG      40 /* the tag, then num_request_queues */
#define QUEUE_SIZE     128

/* Every queue is served: nothing is to be handled. */
static const struct virtio_ops blk = {
	.name = "vhost-user-blk", .type = 2, .class = 0x018000, /* mass storage, other */
};
static const struct virtio_ops net = {
	.name = "vhost-user-net",
	.type = 1,
	.class = 0x020000, /* Ethernet */
	.features_good = virtio_net_features_good,
};
static const struct virtio_ops fs = {
	.name = "vhost-user-fs",
	.type = 26,
	.class = 0x018000,
};

static void virtio_remote_init(struct virtio_remote *r, const struct virtio_ops *ops,
			       uint64_t features, unsigned n, const struct server *server)
{
	uint16_t sizes[VIRTIO_QUEUES_MAX];

	for (unsigned i = 0; i < n; i++)
		sizes[i] = QUEUE_SIZE;
	virtio_init(&r->dev, ops, features, sizes, n);
	virtio_set_server(&r->dev, server, n, 0);
}

void virtio_remote_blk(struct virtio_remote *r, uint64_t features, const uint8_t *config,
		       unsigned n, const struct server *server)
{
	virtio_remote_init(r, &blk, features, n, server);
	memcpy(r->dev.state.config, config, BLK_CONFIG);
	store_le(r->dev.state.config + BLK_NUM_QUEUES, n, 2);
	r->dev.config_size = BLK_CONFIG;
}

void virtio_remote_net(struct virtio_remote *r, uint64_t features, const uint8_t mac[6],
		       const struct server *server)
{
	/* A driver may take all that is offered, and a program may offer what needs more. */
	features = virtio_net_features_closed(features);
	virtio_remote_init(r, &net, features | NET_F_MAC | NET_F_STATUS, 2, server);
	memcpy(r->dev.state.config, mac, 6);
	store_le(r->dev.state.config + NET_STATUS, NET_LINK_UP, 2);
	r->dev.config_size = NET_CONFIG;
}

void virtio_remote_link(struct virtio_remote *r, bool up)
{
	uint8_t status[2];

	store_le(status, up ? NET_LINK_UP : 0, sizeof(status));
	virtio_set_config(&r->dev, NET_STATUS, status, sizeof(status));
}

void virtio_remote_fs(struct virtio_remote *r, const char *tag, const struct server *server)
{
	virtio_remote_init(r, &fs, 0, 2, server); /* one for what must not wait, one for requests */
	memcpy(r->dev.state.config, tag, strnlen(tag, VIRTIO_REMOTE_TAG));
	store_le(r->dev.state.config + VIRTIO_REMOTE_TAG, 1, 4);
	r->dev.config_size = FS_CONFIG;
}
