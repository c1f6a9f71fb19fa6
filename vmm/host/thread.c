#include "vmm/host/thread.h"

#include "vmm/base/span.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

/*
 * The roles whose system calls other threads interrupt with SIGRTMIN: vcpu_kick(), console_close().
 */
static const bool is_kicked[THREAD_ROLES] = { [THREAD_VCPU] = true, [THREAD_LINE] = true };

void thread_name(const char *name)
{
	(void)prctl(PR_SET_NAME, name);
}

#define NICE_MAX 19

/* Of Linux a nice value is a thread's own (setpriority(2)), 0 means the caller. */
void thread_yields(void)
{
	int nice;

	errno = 0;
	nice = getpriority(PRIO_PROCESS, 0);
	if (errno == 0)
		(void)setpriority(PRIO_PROCESS, 0, nice + 10 < NICE_MAX ? nice + 10 : NICE_MAX);
}

int thread_start(pthread_t *thread, enum thread_role role, const pthread_attr_t *attr,
		 void *(*start)(void *), void *arg)
{
	/*
	 * Signals that a thread's own instructions raise stay unblocked: blocked, they would end
	 * the process without the handler that restores the terminal.
	 */
	static const int own[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS };
	sigset_t all, was;
	int code;

	sigfillset(&all);
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		sigdelset(&all, own[i]);
	if (is_kicked[role])
		sigdelset(&all, SIGRTMIN);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	code = pthread_create(thread, attr, start, arg);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	return code;
}

uint64_t thread_cpu_time(pthread_t thread)
{
	struct timespec time;
	clockid_t clock;

	if (pthread_getcpuclockid(thread, &clock) || clock_gettime(clock, &time) < 0)
		return 0;
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void *thread_serve(void *arg)
{
	struct worker *w = arg;
	struct err err;

	thread_name(w->name);
	/* poll(2) fails only for lack of memory; the device is then served no more. */
	(void)loop_run(&w->loop, &err);
	return NULL;
}

int worker_create(struct worker *w, const char *name, struct err *err)
{
	*w = (struct worker)WORKER_EMPTY;
	w->name = name;
	return loop_create(&w->loop, err);
}

int worker_start(struct worker *w, struct err *err)
{
	int code = thread_start(&w->thread, THREAD_QUEUE, NULL, thread_serve, w);

	if (code)
		return err_sys(err, code, "cannot start a device's thread");
	w->running = true;
	return 0;
}

void worker_stop(struct worker *w)
{
	if (!w->running)
		return;
	loop_stop(&w->loop);
	pthread_join(w->thread, NULL);
	w->running = false;
	loop_rearm(&w->loop);
}

void worker_destroy(struct worker *w)
{
	worker_stop(w);
	loop_destroy(&w->loop);
}
