#include "vmm/base/pieces.h"

#define PIECE_MAX  (256 * MIB)
#define PIECE_MIN  (2 * MIB) /* a transparent huge page */
#define PER_THREAD 4	     /* so that threads that began together end together */

uint64_t pieces_size(uint64_t total, unsigned threads, uint64_t page)
{
	uint64_t least = max_u64(page, PIECE_MIN), size = max_u64(least, PIECE_MAX);

	while (size > least && total / size < (uint64_t)threads * PER_THREAD)
		size /= 2;
	return size;
}

static uint64_t count_in(struct span area, uint64_t size)
{
	/* By subtraction, because an area may end at 2^64 - 1. */
	return (area.end - 1) / size - area.base / size + 1;
}

uint64_t pieces_count(const struct span *areas, size_t n, uint64_t size)
{
	uint64_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += count_in(areas[i], size);
	return count;
}

void pieces_init(struct pieces *p, const struct span *areas, size_t n, uint64_t size, uint8_t *done)
{
	*p = (struct pieces){
		.areas = areas,
		.nr_areas = n,
		.size = size,
		.n = pieces_count(areas, n, size),
		.done = done,
	};
	for (size_t i = 0; i < n; i++)
		p->total += span_size(areas[i]);
}

/* The piece that is the i-th of an area. */
static struct span piece_at(const struct pieces *p, struct span area, uint64_t i)
{
	uint64_t base = (area.base / p->size + i) * p->size;
	uint64_t end = p->size > UINT64_MAX - base ? UINT64_MAX : base + p->size;

	return span_common(area, (struct span){ base, end });
}

bool pieces_claim(struct pieces *p, uint64_t *number, struct span *at)
{
	uint64_t i = __atomic_fetch_add(&p->next, 1, __ATOMIC_RELAXED);

	*number = i;
	for (size_t area = 0; area < p->nr_areas; area++) {
		uint64_t n = count_in(p->areas[area], p->size);

		if (i < n) {
			*at = piece_at(p, p->areas[area], i);
			return true;
		}
		i -= n;
	}
	return false;
}

void pieces_note(struct pieces *p, uint64_t bytes)
{
	__atomic_fetch_add(&p->noted, bytes, __ATOMIC_RELAXED);
}

void pieces_finish(struct pieces *p, uint64_t number)
{
	__atomic_store_n(&p->done[number], 1, __ATOMIC_RELEASE);
}

bool pieces_are_done(const struct pieces *p, struct span at)
{
	uint64_t first = 0;

	for (size_t area = 0; area < p->nr_areas; area++) {
		struct span part = span_common(p->areas[area], at);
		uint64_t skipped = first - p->areas[area].base / p->size;

		for (uint64_t i = part.base / p->size;
		     !span_empty(part) && i <= (part.end - 1) / p->size; i++)
			if (!__atomic_load_n(&p->done[skipped + i], __ATOMIC_ACQUIRE))
				return false;
		first += count_in(p->areas[area], p->size);
	}
	return true;
}

uint64_t pieces_noted(const struct pieces *p)
{
	return __atomic_load_n(&p->noted, __ATOMIC_RELAXED);
}

struct pieces_progress pieces_progress(uint64_t bytes, uint64_t total, double seconds)
{
	struct pieces_progress progress = {
		.gib = (double)bytes / GIB,
		.total = (double)total / GIB,
	};

	if (seconds > 0)
		progress.rate = progress.gib / seconds;
	if (progress.rate > 0)
		progress.left = (progress.total - progress.gib) / progress.rate;
	return progress;
}
