/*
 * Units of memory, and arithmetic on numbers that every file may need.
 *
 * PURE.
 */
#ifndef BASE_UNITS_H
#define BASE_UNITS_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)

#define FOUR_GIB (4 * GIB)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* The struct whose member is at `member`. */
#define container_of(member, type, name) ((type *)((char *)(member)-offsetof(type, name)))

/* `align` is a power of two. Rounding up past 2^64 gives UINT64_MAX, which no span reaches. */
static inline uint64_t align_down(uint64_t x, uint64_t align)
{
	return x & ~(align - 1);
}

static inline uint64_t align_up(uint64_t x, uint64_t align)
{
	uint64_t down = align_down(x, align);

	if (down == x)
		return x;
	return down > UINT64_MAX - align ? UINT64_MAX : down + align;
}

static inline bool is_power_of_two(uint64_t x)
{
	return x && !(x & (x - 1));
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

#endif
