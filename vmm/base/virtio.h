/*
 * What command line, back ends and devices must say alike of virtio: feature bits and limits.
 *
 * Bits have the kernel's numbers: VIRTIO_BIT(F_VERSION_1), VIRTIO_BIT(NET_F_MAC). Those of one kind
 * of device need its header, too, such as linux/virtio_net.h. Virtual I/O Device 1.2 chapters 5, 6.
 */
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
