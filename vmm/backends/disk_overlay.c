#include "vmm/backends/disk_overlay.h"

#include "vmm/base/span.h"
#include "vmm/host/temp_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* --- maps of bits --- */

#define WORD 64u /* bits */

static uint64_t map_word(const uint64_t *map, uint64_t bit)
{
	return __atomic_load_n(&map[bit / WORD], __ATOMIC_ACQUIRE);
}

static bool map_has(const uint64_t *map, uint64_t bit)
{
	return map_word(map, bit) >> (bit % WORD) & 1;
}

/* The number of bits from `first` on, `n` at most, that are `on` one after the other. */
static uint64_t map_same(const uint64_t *map, uint64_t first, uint64_t n, bool on)
{
	uint64_t i = first;

	while (i - first < n) {
		uint64_t word = map_word(map, i);
		uint64_t others = (on ? ~word : word) >> (i % WORD);

		if (others) {
			i += (unsigned)__builtin_ctzll(others);
			break;
		}
		i += WORD - i % WORD;
	}
	return min_u64(i - first, n);
}

static void map_set(uint64_t *map, uint64_t first, uint64_t end, bool on)
{
	while (first < end) {
		uint64_t n = min_u64(end - first, WORD - first % WORD);
		uint64_t mask = (n < WORD ? (UINT64_C(1) << n) - 1 : ~UINT64_C(0))
				<< (first % WORD);

		if (on)
			__atomic_fetch_or(&map[first / WORD], mask, __ATOMIC_RELEASE);
		else
			__atomic_fetch_and(&map[first / WORD], ~mask, __ATOMIC_RELEASE);
		first += n;
	}
}

/* --- opening --- */

int disk_overlay_open(struct disk_overlay *o, const char *path, uint64_t size, struct err *err)
{
	size_t one = align_up(size, (uint64_t)DISK_CLUSTER * WORD) / DISK_CLUSTER / 8;
	const char *folder = temp_file_folder();
	char what[512];
	void *at;

	snprintf(what, sizeof(what), "--disk %s,private=on", path);
	*o = (struct disk_overlay){ .fd = -1, .size = size };
	snprintf(o->in_folder, sizeof(o->in_folder), " in %s", folder);
	pthread_mutex_init(&o->lock, NULL);
	o->fd = temp_file_open(folder, what, err);
	if (o->fd < 0)
		return o->fd;
	if (ftruncate(o->fd, (off_t)size) < 0)
		return err_sys(err, errno,
			       "%s: a temporary file%s cannot have the size of the image%s", what,
			       o->in_folder,
			       errno == EFBIG ? " (ulimit -f and the file system say how large "
						"files may be)"
					      : "");
	at = mmap(NULL, 2 * one, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED)
		return err_sys(err, errno, "%s: there is no memory for its map", what);
	/* A huge page would be allocated where one bit is set. Without the advice it works, too. */
	(void)madvise(at, 2 * one, MADV_NOHUGEPAGE);
	o->map_size = 2 * one;
	o->written = at;
	o->claimed = o->written + one / sizeof(*o->written);
	return 0;
}

void disk_overlay_close(struct disk_overlay *o)
{
	if (o->written)
		munmap(o->written, o->map_size);
	if (o->fd >= 0)
		close(o->fd);
	*o = (struct disk_overlay){ .fd = -1 };
}

/* --- planning a step --- */

static uint64_t clusters(uint64_t bytes)
{
	return bytes / DISK_CLUSTER + (bytes % DISK_CLUSTER != 0);
}

static uint64_t overlay_place(const struct block_request *r)
{
	return r->offset + r->moved;
}

static bool claims(const struct block_step *s)
{
	return s->claim_from < s->claim_to;
}

/* A read: up to where the other file begins. */
static void plan_read(const struct disk_overlay *o, struct block_request *r)
{
	uint64_t at = overlay_place(r), end = r->offset + r->len;
	uint64_t first = at / DISK_CLUSTER, n = clusters(end) - first;
	bool written = map_has(o->written, first);

	/* At least 1, because a write can have set the bit since it was read. */
	n = max_u64(1, map_same(o->written, first, n, written));
	r->step.how = written ? BLOCK_STEP_PRIVATE : BLOCK_STEP_IMAGE;
	r->step.len = min_u64(end, (first + n) * DISK_CLUSTER) - at;
}

/*
 * A write, a discard or zeroes, in the temporary file: up to a cluster of which a part is the
 * image's. That one alone is copied, or is left as it is by a discard.
 */
static void plan_write(const struct disk_overlay *o, struct block_request *r)
{
	uint64_t at = overlay_place(r), end = r->offset + r->len;
	uint64_t first = at / DISK_CLUSTER;
	/* The clusters of `whole` to `last` are written as a whole, the last of the disk as well
	 * if it is a short one. */
	uint64_t whole = clusters(at);
	uint64_t last = end == o->size ? clusters(end) : end / DISK_CLUSTER;
	bool in_part = first < whole || first >= last;
	struct block_step *s = &r->step;

	s->how = BLOCK_STEP_PRIVATE;
	if ((in_part || s->is_short) && !map_has(o->written, first)) {
		s->len = min_u64(end, (first + 1) * DISK_CLUSTER) - at;
		if (in_part && r->op == BLOCK_DISCARD) {
			s->how = BLOCK_STEP_NOTHING;
			return;
		}
		s->how = BLOCK_STEP_COPY;
		s->claim_from = first;
		s->claim_to = first + 1;
		return;
	}
	if (last > first && last * DISK_CLUSTER < end && !map_has(o->written, last))
		end = last * DISK_CLUSTER;
	s->len = end - at;
	if (whole < last)
		whole += map_same(o->written, whole, last - whole, true);
	if (whole >= last)
		return;
	s->claim_from = whole;
	s->claim_to = last;
}

/* The first parts that have the bytes of the step; the last of them is made shorter for now. */
static void cut_parts(struct block_request *r)
{
	struct block_step *s = &r->step;
	uint64_t left = s->len;
	unsigned i = 0;

	s->nr_parts = r->nr_parts;
	if (s->len == r->len - r->moved)
		return;
	while (left > r->parts[i].iov_len)
		left -= r->parts[i++].iov_len;
	s->nr_parts = i + 1;
	s->cut = &r->parts[i];
	s->uncut = r->parts[i].iov_len;
	r->parts[i].iov_len = left;
}

static void plan(const struct disk_overlay *o, struct block_request *r)
{
	r->step = (struct block_step){ .is_short = r->step.is_short };
	if (r->op == BLOCK_READ)
		plan_read(o, r);
	else
		plan_write(o, r);
}

bool disk_overlay_plan(struct disk_overlay *o, struct block_request *r)
{
	struct block_step *s = &r->step;

	plan(o, r);
	/* Most requests claim nothing and go without the lock. */
	if (claims(s)) {
		pthread_mutex_lock(&o->lock);
		plan(o, r); /* again, because bits can have been set meanwhile */
		s->waits = claims(s) &&
			   map_same(o->claimed, s->claim_from, s->claim_to - s->claim_from, false) <
				   s->claim_to - s->claim_from;
		if (s->waits) {
			s->claim_from = s->claim_to = 0;
			r->next = o->waiting;
			o->waiting = r;
		} else {
			map_set(o->claimed, s->claim_from, s->claim_to, true);
		}
		pthread_mutex_unlock(&o->lock);
	}
	if (s->waits)
		return false;
	if (r->nr_parts && !r->bounce && s->how != BLOCK_STEP_COPY)
		cut_parts(r);
	return true;
}

/* --- copying --- */

/* Returns 0, or a negative errno. */
static int read_all(int fd, uint8_t *to, size_t len, uint64_t at)
{
	while (len) {
		ssize_t n = pread(fd, to, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) /* 0: the image is shorter now */
			return n < 0 ? -errno : -EIO;
		to += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static int write_all(int fd, const uint8_t *from, size_t len, uint64_t at)
{
	while (len) {
		ssize_t n = pwrite(fd, from, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		from += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* The first `len` bytes of the parts, which have at least as many. */
static void gather(const struct block_request *r, uint8_t *to, size_t len)
{
	for (unsigned i = 0; len; i++) {
		size_t n = min_u64(len, r->parts[i].iov_len);

		memcpy(to, r->parts[i].iov_base, n);
		to += n;
		len -= n;
	}
}

int disk_overlay_copy(const struct disk_overlay *o, int image, const struct block_request *r)
{
	_Alignas(DISK_CLUSTER) uint8_t cluster[DISK_CLUSTER]; /* `image` can have O_DIRECT */
	uint64_t at = overlay_place(r), base = at - at % DISK_CLUSTER;
	size_t len = min_u64(DISK_CLUSTER, o->size - base);
	int ret = 0;

	if (r->step.len < len)
		ret = read_all(image, cluster, len, base);
	if (ret < 0)
		return ret;
	if (r->op == BLOCK_WRITE)
		gather(r, cluster + (at - base), r->step.len);
	else
		memset(cluster + (at - base), 0, r->step.len);
	ret = write_all(o->fd, cluster, len, base);
	return ret < 0 ? ret : (int)r->step.len;
}

/* --- the end of a step --- */

int disk_overlay_end(struct disk_overlay *o, struct block_request *r, int result,
		     struct block_request **awake)
{
	struct block_step *s = &r->step;
	uint64_t at = overlay_place(r), done, from = s->claim_from, to = s->claim_to;
	bool all;

	*awake = NULL;
	if (s->cut)
		s->cut->iov_len = s->uncut;
	s->cut = NULL;
	if (!claims(s))
		return result;
	/* Space was changed by fallocate(2), which returns 0. */
	all = result == 0 && r->op != BLOCK_WRITE && !r->bounce;
	done = at + (result < 0 ? 0 : all ? s->len : (uint64_t)result);
	/* The clusters before `from` have all their data. */
	if (done >= at + s->len)
		from = to;
	else if (done / DISK_CLUSTER > from)
		from = min_u64(to, done / DISK_CLUSTER);
	pthread_mutex_lock(&o->lock);
	map_set(o->written, s->claim_from, from, true);
	map_set(o->claimed, s->claim_from, to, false);
	*awake = o->waiting;
	o->waiting = NULL;
	pthread_mutex_unlock(&o->lock);
	s->claim_from = s->claim_to = 0;
	if (result <= 0 || from == to || done <= from * DISK_CLUSTER) {
		s->is_short &= result <= 0;
		return result;
	}
	/*
	 * A short write ended inside a cluster, whose other bytes are the image's until it is
	 * written again, as a whole. If not even one cluster was written, it is assembled in a
	 * buffer and written until an error says why that fails.
	 */
	s->is_short = from * DISK_CLUSTER == at;
	return s->is_short ? -EAGAIN : (int)(from * DISK_CLUSTER - at);
}
