/*
 * Half-open address ranges. Everything that has a start and an end in straddle is one of these.
 *
 * Tests are by subtraction, never by `a + b < c`: an end of 2^64 cannot be written and a sum could
 * wrap, a difference of two ordered numbers cannot.
 */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include "vmm/base/units.h"

/* The bytes base <= x < end. base == end is the empty span; base > end never occurs. */
struct span {
	uint64_t base;
	uint64_t end;
};

static inline uint64_t span_size(struct span s)
{
	return s.end - s.base;
}

static inline bool span_empty(struct span s)
{
	return s.base >= s.end;
}

static inline bool span_overlaps(struct span a, struct span b)
{
	return a.base < b.end && b.base < a.end;
}

/* True if the `len` bytes at `at` all lie in `s`; an empty range never does. */
static inline bool span_holds(struct span s, uint64_t at, uint64_t len)
{
	return len && at >= s.base && at < s.end && len <= s.end - at;
}

/* The bytes that both have; empty (base == end) if there are none. */
static inline struct span span_common(struct span a, struct span b)
{
	uint64_t base = a.base > b.base ? a.base : b.base;
	uint64_t end = a.end < b.end ? a.end : b.end;

	return (struct span){ base, end > base ? end : base };
}

#endif
