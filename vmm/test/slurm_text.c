#include "vmm/test/slurm_text.h"

#include "vmm/base/units.h"

#include <string.h>

/* Reads a decimal number up to `max`, and moves *text behind it. */
static bool read_decimal(const char **text, uint64_t max, uint64_t *n)
{
	const char *p = *text;

	for (*n = 0; *p >= '0' && *p <= '9'; p++) {
		unsigned digit = (unsigned)(*p - '0');

		if (*n > (max - digit) / 10)
			return false;
		*n = *n * 10 + digit;
	}
	if (p == *text)
		return false;
	*text = p;
	return true;
}

bool slurm_text_job(const char *text, uint64_t *job)
{
	return read_decimal(&text, UINT32_MAX, job) && *job &&
	       (!*text || *text == '\n' || *text == ';');
}

/* Copies a field up to `end`, or up to the end of the line, and moves *text behind it. */
static bool copy_field(const char **text, char end, char *to, size_t size)
{
	const char *p = *text;
	size_t n = 0;

	for (; *p && *p != '\n' && *p != end; p++)
		if (n < size - 1)
			to[n++] = *p > ' ' && *p < 0x7f ? *p : '?';
	to[n] = '\0';
	if (end != '\n' && *p != end)
		return false;
	*text = *p == end && end != '\n' ? p + 1 : p;
	return true;
}

static bool read_task(const char *p, struct slurm_line *line)
{
	uint64_t index, priority;

	if (!read_decimal(&p, UINT32_MAX, &line->job) || *p++ != '|' ||
	    !read_decimal(&p, UINT32_MAX, &index) || *p++ != '|' ||
	    !read_decimal(&p, UINT32_MAX, &priority) || *p++ != '|')
		return false;
	line->index = (uint32_t)index;
	line->priority = (uint32_t)priority;
	return copy_field(&p, '|', line->state, sizeof(line->state)) && *line->state &&
	       copy_field(&p, '|', line->reason, sizeof(line->reason)) &&
	       copy_field(&p, '\n', line->node, sizeof(line->node));
}

bool slurm_text_line(const char **text, struct slurm_line *line)
{
	bool found = false;

	while (!found && **text) {
		const char *p = *text;

		*text += strcspn(p, "\n");
		*text += **text == '\n';
		found = read_task(p, line);
	}
	return found;
}

static bool is_one_of(const char *word, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(word, words[i]))
			return true;
	return false;
}

/* squeue(1), "JOB STATE CODES" and "JOB REASON CODES". */
enum slurm_state slurm_text_state(const struct slurm_line *line)
{
	static const char *const ended[] = { "COMPLETED",     "CANCELLED", "FAILED",   "TIMEOUT",
					     "NODE_FAIL",     "PREEMPTED", "DEADLINE", "BOOT_FAIL",
					     "OUT_OF_MEMORY", "REVOKED" };

	if (is_one_of(line->state, ended, ARRAY_SIZE(ended)))
		return SLURM_ENDED;
	if (strcmp(line->state, "PENDING") != 0)
		return SLURM_RUNS;
	/*
	 * A task that cannot be scheduled lends its reason to the next ones of its array, but only
	 * its own priority is 0 (slurmctld/job_scheduler.c).
	 */
	if (!strcmp(line->reason, "BadConstraints") && !line->priority)
		return SLURM_NEVER;
	return SLURM_WAITS;
}

bool slurm_text_is_chance(const char *state)
{
	static const char *const final[] = { "TIMEOUT", "OUT_OF_MEMORY", "DEADLINE", "CANCELLED" };

	return !is_one_of(state, final, ARRAY_SIZE(final));
}
