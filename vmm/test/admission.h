/*
 * Which case of straddle test may start now: memory, huge pages, CPUs and what only one case can
 * have are counted, so that cases that run at a time do not take each other's.
 *
 * No system calls. A case that needs more than there is starts when nothing else uses any of that:
 * a guest of 1.5 TiB that touches little of it runs alone on a small host.
 */
#ifndef TEST_ADMISSION_H
#define TEST_ADMISSION_H

#include "vmm/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum admission_kind {
	ADMISSION_MEMORY,  /* bytes in pages of 4 KiB */
	ADMISSION_HUGE_2M, /* bytes in huge pages */
	ADMISSION_HUGE_1G,
	ADMISSION_CPUS,
	ADMISSION_KINDS,
};

/* What a case takes while it runs. */
struct admission_need {
	uint64_t amounts[ADMISSION_KINDS];
	char **names; /* what one case at a time can have: devices, files that it writes */
	unsigned nr_names;
};

enum admission_answer {
	ADMISSION_NOW,
	ADMISSION_WAITS_FOR_END, /* of another case: enough of them run */
	ADMISSION_WAITS_FOR_NAME,
	ADMISSION_WAITS_FOR, /* + enum admission_kind */
};

struct admission {
	uint64_t total[ADMISSION_KINDS], used[ADMISSION_KINDS];
	unsigned slots, running; /* cases at a time */
	const char **held;	 /* names; borrowed from the needs */
	size_t nr_held, held_cap;
};

/* A case that waits. */
struct admission_waiter {
	const struct admission_need *need; /* NULL: it does not wait (any more) */
	unsigned passed;		   /* how often another one was let past it */
};

void admission_init(struct admission *a, const uint64_t total[ADMISSION_KINDS], unsigned slots);
enum admission_answer admission_ask(const struct admission *a, const struct admission_need *need);
/* A case starts. Its need must live until admission_give(). -ENOMEM. */
int admission_take(struct admission *a, const struct admission_need *need, struct err *err);
void admission_give(struct admission *a, const struct admission_need *need);
/*
 * Returns the first of the waiters, which are sorted by admission_compare(), that may start now, or
 * -1. Smaller ones go past a large one that does not fit yet, but not without end.
 */
ptrdiff_t admission_next(const struct admission *a, struct admission_waiter *waiters, size_t n);
/* Largest first: as qsort() wants it. */
int admission_compare(const struct admission_need *a, const struct admission_need *b);
/* "memory", "a case to end": to follow "waits for". */
const char *admission_word(enum admission_answer answer);
void admission_free(struct admission *a);

#endif
