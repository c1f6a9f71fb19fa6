/*
 * Who serves the queues of a virtio device: threads of its own (disks: one a queue, networks: one a
 * pair, and others whose work takes its time), the main loop, the kernel, or another process, which
 * may go and come back: a thread looks for it.
 *
 * A part of the machine, in a file of its own: machine/virtio/slot.c makes the slots.
 */
#ifndef MACHINE_VIRTIO_SERVE_H
#define MACHINE_VIRTIO_SERVE_H

#include "vmm/machine/virtio/slot.h"

/* The device is plugged, and has its eventfds. What was begun at an error is the slot's to take
 * back. */
int machine_serve(struct virtio_slot *s, struct err *err);
/* Something is there for the main loop to take: it looks. Any thread; for slots that have a timer.
 */
void machine_serve_wake(const struct virtio_slot *s);

#endif
