#include "vmm/machine/virtio/serve.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

int virtio_serve_workers(struct virtio_slot *s, unsigned n, struct err *err)
{
	s->workers = calloc(n, sizeof(*s->workers));
	if (!s->workers)
		return err_sys(err, ENOMEM, "out of memory for %u threads of %s", n, s->name);
	for (; s->nr_workers < n; s->nr_workers++) {
		int ret = worker_create(&s->workers[s->nr_workers], s->name, err);

		if (ret < 0)
			return ret;
	}
	return 0;
}

void virtio_serve_kicked(void *to, short revents)
{
	struct virtio_slot_queue *q = to;

	(void)revents;
	virtio_kicked(q->slot->dev, q->index);
}

void virtio_serve_ring_failed(void *to, short revents)
{
	const struct virtio_slot *s = to;

	(void)revents;
	virtio_server_failed(s->dev);
}

int virtio_serve_queue(struct virtio_slot *s, struct loop *loop, unsigned i, struct err *err)
{
	return loop_watch(loop, s->kicks[i], POLLIN, virtio_serve_kicked, &s->queues[i], err);
}

int virtio_serve_here(struct virtio_slot *s, struct err *err)
{
	int ret = 0;

	s->served_here = true;
	for (unsigned i = 0; ret == 0 && i < s->dev->nr_queues; i++)
		ret = virtio_serve_queue(s, s->loop, i, err);
	return ret;
}

int virtio_serve_alone(struct virtio_slot *s, int fd, virtio_ready *ready, void *to,
		       struct err *err)
{
	int ret = virtio_serve_workers(s, 1, err);

	if (ret < 0)
		return ret;
	for (unsigned i = 0; i < s->dev->nr_queues; i++) {
		ret = virtio_serve_queue(s, &s->workers[0].loop, i, err);
		if (ret < 0)
			return ret;
	}
	if (fd >= 0) {
		ret = loop_watch(&s->workers[0].loop, fd, POLLIN, ready, to, err);
		if (ret < 0)
			return ret;
	}
	return worker_start(&s->workers[0], err);
}

int virtio_serve_timer(struct virtio_slot *s, struct loop *loop, virtio_ready *ready,
		       struct err *err)
{
	s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (s->timer < 0)
		return err_sys(err, errno, "cannot make a timer");
	return loop_watch(loop, s->timer, POLLIN, ready, s, err);
}

void virtio_serve_wake(const struct virtio_slot *s, time_t seconds, long ns)
{
	const struct itimerspec when = { .it_value = { seconds, ns } };

	(void)timerfd_settime(s->timer, 0, &when, NULL);
}

bool virtio_serve_woken(const struct virtio_slot *s)
{
	uint64_t count;

	return read(s->timer, &count, sizeof(count)) == sizeof(count);
}

void virtio_serve_end_workers(struct virtio_slot *s)
{
	for (unsigned i = 0; i < s->nr_workers; i++)
		worker_destroy(&s->workers[i]);
	free(s->workers);
	s->workers = NULL;
	s->nr_workers = 0;
}

void virtio_serve_end(struct virtio_slot *s)
{
	virtio_serve_end_workers(s);
	for (unsigned i = 0; s->served_here && i < s->dev->nr_queues; i++)
		loop_forget(s->loop, s->kicks[i]);
}
