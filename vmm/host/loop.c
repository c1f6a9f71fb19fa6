#include "vmm/host/loop.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

int loop_create(struct loop *loop, struct err *err)
{
	*loop = (struct loop)LOOP_EMPTY;
	for (unsigned i = 0; i < LOOP_WATCHES; i++)
		loop->watches[i].fd = -1;
	loop->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->wake < 0)
		return err_sys(err, errno, "cannot make an eventfd");
	return 0;
}

void loop_destroy(struct loop *loop)
{
	if (loop->wake >= 0)
		close(loop->wake);
	*loop = (struct loop)LOOP_EMPTY;
}

int loop_watch(struct loop *loop, int fd, short events, void (*ready)(void *to, short revents),
	       void *to, struct err *err)
{
	for (unsigned i = 0; i < LOOP_WATCHES; i++) {
		if (loop->watches[i].fd >= 0)
			continue;
		loop->watches[i] = (struct loop_watch){ fd, events, ready, to };
		return 0;
	}
	return err_set(err, ENOSPC, "too many descriptors: an event loop watches %u at most",
		       LOOP_WATCHES);
}

int loop_want(struct loop *loop, int fd, short events, void (*ready)(void *to, short revents),
	      void *to)
{
	for (unsigned i = 0; i < LOOP_WATCHES; i++) {
		if (loop->watches[i].fd != fd)
			continue;
		loop->watches[i].events = events;
		if (!events)
			loop->watches[i].fd = -1;
		return 0;
	}
	return events ? loop_watch(loop, fd, events, ready, to, NULL) : 0;
}

void loop_forget(struct loop *loop, int fd)
{
	for (unsigned i = 0; i < LOOP_WATCHES; i++)
		if (loop->watches[i].fd == fd)
			loop->watches[i].fd = -1;
}

/* Entries up to the last one in use. */
static unsigned used(const struct loop *loop)
{
	unsigned n = LOOP_WATCHES;

	while (n && loop->watches[n - 1].fd < 0)
		n--;
	return n;
}

static void loop_serve(struct loop *loop, const struct pollfd *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct loop_watch *w = &loop->watches[i];

		/* A callback may have removed or replaced a later entry. */
		if (fds[i].revents && w->fd >= 0 && w->fd == fds[i].fd)
			w->ready(w->to, fds[i].revents);
	}
}

int loop_run(struct loop *loop, struct err *err)
{
	struct pollfd fds[LOOP_WATCHES + 1];
	uint64_t count;
	unsigned n;
	bool stop;

	/*
	 * Descriptors that are ready are served even after a stop, because a guest that does
	 * nothing but reset must not keep signals waiting.
	 */
	do {
		stop = __atomic_load_n(&loop->stop, __ATOMIC_ACQUIRE);
		n = used(loop);
		for (unsigned i = 0; i < n; i++)
			fds[i] = (struct pollfd){ loop->watches[i].fd, loop->watches[i].events, 0 };
		fds[n] = (struct pollfd){ loop->wake, POLLIN, 0 };
		if (poll(fds, n + 1, stop ? 0 : -1) >= 0)
			loop_serve(loop, fds, n);
		else if (errno != EINTR)
			return err_sys(err, errno, "poll failed");
	} while (!stop);
	/* Reset the eventfd; EAGAIN if the stop did not signal it. */
	if (read(loop->wake, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return err_sys(err, errno, "cannot read the eventfd");
	return 0;
}

void loop_stop(struct loop *loop)
{
	uint64_t one = 1;
	ssize_t n;

	__atomic_store_n(&loop->stop, true, __ATOMIC_RELEASE);
	n = write(loop->wake, &one, sizeof(one));
	(void)n; /* fails only if the counter is full, and then the loop is awake already */
}

void loop_rearm(struct loop *loop)
{
	__atomic_store_n(&loop->stop, false, __ATOMIC_RELEASE);
}
