#include "vmm/vm/late.h"

#include "vmm/host/thread.h"
#include "vmm/vm/ready.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* --- the thread --- */

static bool late_stops(void *to)
{
	const struct late *l = to;
	const struct passthrough *pt = l->parts.passthrough;

	return __atomic_load_n(&l->stop, __ATOMIC_ACQUIRE) ||
	       (pt && __atomic_load_n(&pt->unwanted, __ATOMIC_ACQUIRE));
}

static void late_tell(void *to, bool mapped, uint64_t bytes, uint64_t total)
{
	struct late *l = to;

	if (!late_stops(l))
		l->parts.progress(l->parts.to, mapped, bytes, total);
}

static void *late_serve(void *arg)
{
	struct late *l = arg;
	struct ready ready = { l->parts.memory, l->parts.passthrough, late_stops, late_tell, l };
	uint64_t one = 1;
	ssize_t n;

	thread_name("pin");
	thread_yields();
	l->ret = ready_wait(&ready, &l->err);
	n = write(l->done, &one, sizeof(one));
	(void)n; /* the counter cannot be full */
	return NULL;
}

/* --- its end, on the loop's thread --- */

static void late_join(struct late *l)
{
	pthread_join(l->thread, NULL);
	l->running = false;
	if (l->parts.passthrough)
		l->parts.passthrough->busy = false;
	vm_memory_settle(l->parts.memory);
}

static void late_close(struct late *l)
{
	loop_forget(l->parts.loop, l->done);
	close(l->done);
	l->done = -1;
}

static void late_done(void *to, short revents)
{
	struct late *l = to;
	const struct late_parts *parts = &l->parts;

	(void)revents;
	late_join(l);
	late_close(l);
	if (l->ret == 0 && parts->passthrough)
		passthrough_join(parts->passthrough, &parts->memory->guest);
	parts->ended(parts->to, l->ret, &l->err);
}

int late_start(struct late *l, const struct late_parts *parts, struct err *err)
{
	int ret;

	*l = (struct late){ .parts = *parts };
	l->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->done < 0)
		return err_sys(err, errno, "cannot make an eventfd");
	ret = loop_watch(parts->loop, l->done, POLLIN, late_done, l, err);
	if (ret < 0) {
		late_close(l);
		return ret;
	}
	if (parts->passthrough)
		parts->passthrough->busy = true;
	ret = thread_start(&l->thread, THREAD_PIN, NULL, late_serve, l);
	if (ret) {
		if (parts->passthrough)
			parts->passthrough->busy = false;
		late_close(l);
		return err_sys(err, ret,
			       "cannot start a thread that maps guest RAM for devices; raise the "
			       "limit of processes (ulimit -u, pids.max), or use --prefault on");
	}
	l->running = true;
	return 0;
}

void late_cancel(struct late *l)
{
	if (!l->running)
		return;
	__atomic_store_n(&l->stop, true, __ATOMIC_RELEASE);
	vm_memory_stop(l->parts.memory);
}

void late_stop(struct late *l)
{
	if (!l->running)
		return;
	late_cancel(l);
	late_join(l);
	late_close(l);
}
