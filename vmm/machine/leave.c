#include "vmm/machine/leave.h"

#include "vmm/host/thread.h"

#include <errno.h>
#include <time.h>

#define TICK_MS 250

/* Waits for a tick, with the lock held. False: the machine has been destroyed. */
static bool leave_tick(struct machine_leave *l)
{
	struct timespec until;
	int code = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += TICK_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	while (!l->done && code != ETIMEDOUT)
		code = pthread_cond_timedwait(&l->wake, &l->lock, &until);
	return !l->done;
}

static void *leave_watch(void *arg)
{
	struct machine_leave *l = arg;
	unsigned ticks = 0, was = 0;
	struct err why = { "" };

	thread_name("leave");
	pthread_mutex_lock(&l->lock);
	while (leave_tick(l)) {
		unsigned busy = virtio_busy(l->backends, l->leaver.seconds, &why);

		/* Ticks count only while no request completes, so slow storage is waited for. */
		ticks = busy && busy == was && l->leaver.ends(l->leaver.to) ? ticks + 1 : 0;
		was = busy;
		if (ticks == l->leaver.seconds * 1000 / TICK_MS)
			l->leaver.leave(l->leaver.to, why.text);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

static void leave_init(struct machine_leave *l)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->wake, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&l->lock, NULL);
}

void machine_leave_start(struct machine_leave *l, const struct machine_leaver *leaver,
			 const struct virtio_backends *backends)
{
	if (!leaver->leave || !backends || !virtio_has_storage(backends))
		return;
	leave_init(l);
	l->leaver = *leaver;
	l->backends = backends;
	l->done = false;
	l->running = thread_start(&l->thread, THREAD_LEAVE, NULL, leave_watch, l) == 0;
}

void machine_leave_stop(struct machine_leave *l)
{
	if (!l->running)
		return;
	pthread_mutex_lock(&l->lock);
	l->done = true;
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
	pthread_join(l->thread, NULL);
	l->running = false;
}
