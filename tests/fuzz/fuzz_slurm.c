/*
 * Whatever Slurm's programs print: each line that is about a task has fields that fit, printable
 * ones, and is read as the same when it comes alone.
 */
#include "vmm/test/slurm_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void expect_text(const char *text, size_t size)
{
	size_t n = strnlen(text, size);

	must(n < size);
	for (size_t i = 0; i < n; i++)
		must(text[i] > ' ' && text[i] < 0x7f);
}

static void expect_line(const struct slurm_line *l)
{
	struct slurm_line again;
	char text[256];
	const char *p = text;

	expect_text(l->state, sizeof(l->state));
	expect_text(l->reason, sizeof(l->reason));
	expect_text(l->node, sizeof(l->node));
	must(*l->state && l->job <= UINT32_MAX);
	snprintf(text, sizeof(text), "%llu|%u|%u|%s|%s|%s\n", (unsigned long long)l->job, l->index,
		 l->priority, l->state, l->reason, l->node);
	must(slurm_text_line(&p, &again) && !*p);
	must(again.job == l->job && again.index == l->index && again.priority == l->priority);
	must(!strcmp(again.state, l->state) && !strcmp(again.reason, l->reason) &&
	     !strcmp(again.node, l->node));
	must(slurm_text_state(&again) == slurm_text_state(l));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	const char *p = text;
	struct slurm_line line;
	uint64_t job;

	must(text != NULL);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	if (slurm_text_job(text, &job))
		must(job && job <= UINT32_MAX);
	while (slurm_text_line(&p, &line)) {
		must(p > text && p <= text + size);
		expect_line(&line);
	}
	must(!*p);
	free(text);
	return 0;
}
