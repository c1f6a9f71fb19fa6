/*
 * Who serves the queues of a virtio device: threads of its own, or the main loop. For the
 * operations `serve` and `stop` of a kind.
 *
 * What was begun when one of these fails is undone with the slot.
 */
#ifndef MACHINE_VIRTIO_SERVE_H
#define MACHINE_VIRTIO_SERVE_H

#include "vmm/machine/virtio/slot.h"

typedef void virtio_ready(void *to, short revents);

/* Makes so many threads, s->workers, each with a loop. They run from worker_start() on. */
int virtio_serve_workers(struct virtio_slot *s, unsigned n, struct err *err);
/* Has a loop take the kicks of queue `i`. */
int virtio_serve_queue(struct virtio_slot *s, struct loop *loop, unsigned i, struct err *err);
/* All queues, on the main loop: enough for devices that do little. */
int virtio_serve_here(struct virtio_slot *s, struct err *err);
/* All queues, on one thread, for a device whose work takes its time; and a descriptor, if there is
 * one (or -1). */
int virtio_serve_alone(struct virtio_slot *s, int fd, virtio_ready *ready, void *to,
		       struct err *err);
/* The ready function of a queue's kick; `to` is a struct virtio_slot_queue. */
void virtio_serve_kicked(void *to, short revents);
/* The ready function of s->error; `to` is the slot. */
void virtio_serve_ring_failed(void *to, short revents);

/* The timer by which `loop` is woken for the slot. */
int virtio_serve_timer(struct virtio_slot *s, struct loop *loop, virtio_ready *ready,
		       struct err *err);
/* Wakes it so long from now. Any thread. */
void virtio_serve_wake(const struct virtio_slot *s, time_t seconds, long ns);
/* Soon: there is something to take. */
#define VIRTIO_SERVE_NOW 0, 1
/* In its ready function: whether it did wake it. */
bool virtio_serve_woken(const struct virtio_slot *s);

/* Ends the threads. Safe half-way, and more than once. */
void virtio_serve_end_workers(struct virtio_slot *s);
/* Ends the threads and has the main loop forget the queues. */
void virtio_serve_end(struct virtio_slot *s);

#endif
