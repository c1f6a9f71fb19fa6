#include "vmm/backends/disk_internal.h"

#include "vmm/host/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

/* --- one step --- */

static int result_of(ssize_t ret)
{
	return ret < 0 ? -errno : (int)ret;
}

static int take_step(struct disk_queue *q, struct block_request *r)
{
	struct disk_step s = disk_next_step(q, r);
	uint64_t range[2] = { s.offset, s.len };

	switch (s.call) {
	case DISK_READ:
		return result_of(preadv2(s.fd, s.parts, (int)s.nr_parts, (off_t)s.offset, 0));
	case DISK_WRITE:
		return result_of(
			pwritev2(s.fd, s.parts, (int)s.nr_parts, (off_t)s.offset, s.flags));
	case DISK_SYNC:
		return result_of(fdatasync(s.fd));
	case DISK_ALLOCATE:
		return result_of(fallocate(s.fd, s.flags, (off_t)s.offset, (off_t)s.len));
	case DISK_DISCARD: /* by d->fd, which has claimed the device: see file_claim() */
		return result_of(ioctl(q->disk->fd, BLKDISCARD, range));
	case DISK_COPY:
		return disk_overlay_copy(&q->disk->overlay, q->fd, r);
	}
	return -ENOSYS;
}

/* --- the threads --- */

void disk_threads_tell(struct disk_queue *q, struct block_request *r)
{
	uint64_t one = 1;

	r->next = __atomic_load_n(&q->ended, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&q->ended, &r->next, r, true, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED))
		;
	/* A full counter is no error, because the eventfd is readable then. */
	(void)!write(q->completed, &one, sizeof(one));
}

/* Waits for the next request, with the lock held. NULL: the disk is closed. */
static struct block_request *next(struct disk_threads *t)
{
	struct block_request *r;

	t->nr_idle++;
	while (!t->first && !t->stop)
		pthread_cond_wait(&t->wake, &t->lock);
	t->nr_idle--;
	r = t->first;
	if (!r)
		return NULL;
	t->first = r->next;
	t->nr_waiting--;
	return r;
}

static void *disk_threads_serve(void *arg)
{
	struct disk *d = arg;
	struct disk_threads *t = &d->threads;
	struct block_request *r;

	thread_name("disk");
	pthread_mutex_lock(&t->lock);
	while ((r = next(t))) {
		struct disk_queue *q = r->queue;

		pthread_mutex_unlock(&t->lock);
		r->result = take_step(q, r);
		disk_threads_tell(q, r);
		pthread_mutex_lock(&t->lock);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

/* Starts one more thread, with the lock held. */
static int add_thread(struct disk *d)
{
	struct disk_threads *t = &d->threads;
	int code = thread_start(&t->threads[t->nr], THREAD_STORAGE, NULL, disk_threads_serve, d);

	t->nr += !code;
	return code;
}

int disk_threads_start(struct disk *d, struct err *err)
{
	struct disk_threads *t = &d->threads;
	int code = 0;

	pthread_mutex_lock(&t->lock);
	if (!t->nr)
		code = add_thread(d);
	pthread_mutex_unlock(&t->lock);
	return code ? err_sys(err, code, "cannot start a disk's thread") : 0;
}

void disk_threads_stop(struct disk *d)
{
	struct disk_threads *t = &d->threads;

	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_cond_broadcast(&t->wake);
	pthread_mutex_unlock(&t->lock);
	for (unsigned i = 0; i < t->nr; i++)
		pthread_join(t->threads[i], NULL);
	t->nr = 0;
}

void disk_threads_take(struct disk_queue *q, struct block_request *r)
{
	struct disk_threads *t = &q->disk->threads;
	bool alone;

	pthread_mutex_lock(&t->lock);
	if (!t->first)
		t->last = &t->first;
	r->next = NULL;
	*t->last = r;
	t->last = &r->next;
	/*
	 * Start one more thread if none is idle; if that fails, a busy thread serves the request
	 * later.
	 */
	if (++t->nr_waiting > t->nr_idle && t->nr < DISK_THREADS_MAX)
		(void)add_thread(q->disk);
	alone = !t->nr;
	if (alone) {
		t->first = NULL;
		t->nr_waiting = 0;
	}
	pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
	if (!alone)
		return;
	r->result = take_step(q, r); /* without threads, on the queue's own thread, more slowly */
	disk_threads_tell(q, r);
}

/* --- a queue that threads serve --- */

static void disk_threads_flush(void *queue)
{
	disk_take_ended(queue);
}

static bool disk_threads_poll(void *queue, bool (*more)(void *to), void *to)
{
	(void)queue;
	(void)more;
	(void)to;
	return false;
}

const struct block_queue_ops disk_threads_ops = { disk_submit, disk_threads_flush,
						  disk_threads_poll, disk_drain };
