/* Requests of a running machine to its balloon. On the loop's thread; `s` is the balloon's slot. */
#ifndef MACHINE_VIRTIO_BALLOON_H
#define MACHINE_VIRTIO_BALLOON_H

#include "vmm/machine/virtio/slot.h"

/* Asks the guest for a balloon of `size` bytes, in this life and the next ones. */
void balloon_set(struct virtio_slot *s, uint64_t size);
/* Bytes that the guest has given. */
uint64_t balloon_actual(struct virtio_slot *s);
/* Asks the guest for its numbers, which parts->memory gets; false: its driver has none now. */
bool balloon_ask(struct virtio_slot *s);

#endif
