/* Feature bits and limits of virtio on which command line, back ends and devices must agree. */
#ifndef BASE_VIRTIO_H
#define BASE_VIRTIO_H

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <stdint.h>

#define VIRTIO_BIT(name) (UINT64_C(1) << VIRTIO_##name)

#define VIRTIO_QUEUES_MAX     34 /* of one device */
#define VIRTIO_BLK_QUEUES_MAX 16
#define VIRTIO_NET_PAIRS_MAX  16 /* of queues */

/* Names, in bytes: there is a NUL only if there is room for it. */
#define VIRTIO_BLK_SERIAL 20 /* section 5.2.6 */
#define VIRTIO_FS_TAG	  36 /* section 5.11.4 */

#endif
