#include "vmm/test/admission.h"

#include "vmm/base/span.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PASSED_MAX 16 /* cases that are let past one that waits */

void admission_init(struct admission *a, const uint64_t total[ADMISSION_KINDS], unsigned slots)
{
	*a = (struct admission){ .slots = slots };
	memcpy(a->total, total, sizeof(a->total));
}

static bool is_held(const struct admission *a, const char *name)
{
	for (size_t i = 0; i < a->nr_held; i++)
		if (!strcmp(a->held[i], name))
			return true;
	return false;
}

/* What is counted of a need: no more than there is. */
static uint64_t counted(const struct admission *a, const struct admission_need *need,
			enum admission_kind k)
{
	return min_u64(need->amounts[k], a->total[k]);
}

enum admission_answer admission_ask(const struct admission *a, const struct admission_need *need)
{
	if (a->running >= a->slots)
		return ADMISSION_WAITS_FOR_END;
	for (unsigned i = 0; i < need->nr_names; i++)
		if (is_held(a, need->names[i]))
			return ADMISSION_WAITS_FOR_NAME;
	for (enum admission_kind k = 0; k < ADMISSION_KINDS; k++)
		if (counted(a, need, k) > a->total[k] - a->used[k])
			return ADMISSION_WAITS_FOR + k;
	return ADMISSION_NOW;
}

int admission_take(struct admission *a, const struct admission_need *need, struct err *err)
{
	if (a->nr_held + need->nr_names > a->held_cap) {
		size_t cap = 2 * (a->nr_held + need->nr_names);
		const char **held = realloc(a->held, cap * sizeof(*held));

		if (!held)
			return err_sys(err, ENOMEM, "out of memory for the cases");
		a->held = held;
		a->held_cap = cap;
	}
	for (unsigned i = 0; i < need->nr_names; i++)
		a->held[a->nr_held++] = need->names[i];
	for (enum admission_kind k = 0; k < ADMISSION_KINDS; k++)
		a->used[k] += counted(a, need, k);
	a->running++;
	return 0;
}

void admission_give(struct admission *a, const struct admission_need *need)
{
	for (unsigned i = 0; i < need->nr_names; i++)
		for (size_t j = 0; j < a->nr_held; j++)
			if (a->held[j] == need->names[i]) {
				a->held[j] = a->held[--a->nr_held];
				break;
			}
	for (enum admission_kind k = 0; k < ADMISSION_KINDS; k++)
		a->used[k] -= counted(a, need, k);
	a->running--;
}

ptrdiff_t admission_next(const struct admission *a, struct admission_waiter *waiters, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		enum admission_answer answer;

		if (!waiters[i].need)
			continue;
		answer = admission_ask(a, waiters[i].need);
		if (answer == ADMISSION_NOW) {
			for (size_t j = 0; j < i; j++)
				waiters[j].passed += waiters[j].need != NULL;
			return (ptrdiff_t)i;
		}
		if (answer == ADMISSION_WAITS_FOR_END)
			return -1;
		/* Who waits for a name waits for one case, which smaller ones do not hinder. */
		if (answer >= ADMISSION_WAITS_FOR && waiters[i].passed >= PASSED_MAX)
			return -1;
	}
	return -1;
}

static uint64_t all_memory(const struct admission_need *need)
{
	return need->amounts[ADMISSION_MEMORY] + need->amounts[ADMISSION_HUGE_2M] +
	       need->amounts[ADMISSION_HUGE_1G];
}

int admission_compare(const struct admission_need *a, const struct admission_need *b)
{
	uint64_t of_a = all_memory(a), of_b = all_memory(b);

	if (of_a == of_b) {
		of_a = a->amounts[ADMISSION_CPUS];
		of_b = b->amounts[ADMISSION_CPUS];
	}
	return of_a == of_b ? 0 : of_a > of_b ? -1 : 1;
}

const char *admission_word(enum admission_answer answer)
{
	static const char *const words[] = {
		[ADMISSION_NOW] = "nothing",
		[ADMISSION_WAITS_FOR_END] = "a case to end",
		[ADMISSION_WAITS_FOR_NAME] = "a device or file in use",
		[ADMISSION_WAITS_FOR + ADMISSION_MEMORY] = "memory",
		[ADMISSION_WAITS_FOR + ADMISSION_HUGE_2M] = "huge pages of 2M",
		[ADMISSION_WAITS_FOR + ADMISSION_HUGE_1G] = "huge pages of 1G",
		[ADMISSION_WAITS_FOR + ADMISSION_CPUS] = "CPUs",
	};

	return words[answer];
}

void admission_free(struct admission *a)
{
	free(a->held);
	*a = (struct admission){ 0 };
}
