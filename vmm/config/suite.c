/* The options of straddle test that choose and run cases of files, and reports. */
#include "vmm/config/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define JOBS_MAX   128 /* fewer than LOOP_WATCHES */
#define REPEAT_MAX 1000000
#define SHARDS_MAX 100000

static int set_number(unsigned *to, uint64_t min, uint64_t max, const char *value, struct err *err)
{
	uint64_t n;
	int ret = config_parse_number(value, min, max, &n, err);

	if (ret == 0)
		*to = (unsigned)n;
	return ret;
}

int config_set_jobs(struct config *c, const char *value, struct err *err)
{
	c->suite.jobs = JOBS_MAX;
	c->suite.count_cpus = !strcmp(value, "auto");
	return c->suite.count_cpus ? 0 : set_number(&c->suite.jobs, 1, JOBS_MAX, value, err);
}

int config_set_repeat(struct config *c, const char *value, struct err *err)
{
	return set_number(&c->suite.repeat, 1, REPEAT_MAX, value, err);
}

int config_set_retry(struct config *c, const char *value, struct err *err)
{
	return set_number(&c->suite.retry, 0, REPEAT_MAX, value, err);
}

/* I/N: the I-th of N parts, from 1 on. */
int config_set_shard(struct config *c, const char *value, struct err *err)
{
	const char *slash = strchr(value, '/');
	char *first = slash ? strndup(value, (size_t)(slash - value)) : NULL;
	int ret;

	if (!slash)
		return err_set(err, EINVAL, "use I/N, such as 1/4: the first of four parts");
	if (!first)
		return err_set(err, ENOMEM, "out of memory for the value");
	ret = set_number(&c->suite.shards, 1, SHARDS_MAX, slash + 1, err);
	if (ret == 0)
		ret = set_number(&c->suite.shard, 1, c->suite.shards, first, err);
	free(first);
	return ret;
}

void config_forget_suite(struct config *c)
{
	free(c->suite.filter);
	free(c->suite.junit);
	free(c->suite.json);
	free(c->suite.ktap);
	c->suite = (struct config_suite){ 0 };
	c->nr_operands = 0;
}

int config_check_suite(const struct config *c, struct err *err)
{
	const struct config_suite *s = &c->suite;
	const struct {
		bool given;
		const char *name;
	} of_files[] = {
		{ s->jobs, "jobs" },	       { s->list, "list" },   { s->filter, "filter" },
		{ s->repeat, "repeat" },       { s->retry, "retry" }, { s->shards, "shard" },
		{ s->fail_fast, "fail-fast" }, { s->slurm, "slurm" },
	};

	if (c->nr_operands && c->nr_command)
		return err_set(err, EINVAL,
			       "'%s' is a file of cases, which have commands of their own; leave "
			       "out what follows --, or the file",
			       SHOWN(c->operands[0]));
	if (c->nr_operands && c->test.keep)
		return err_set(err, EINVAL,
			       "--keep waits with one guest, and '%s' is a file of cases; run the "
			       "case alone, or leave --keep out",
			       SHOWN(c->operands[0]));
	for (size_t i = 0; !c->nr_operands && i < ARRAY_SIZE(of_files); i++)
		if (of_files[i].given)
			return err_set(err, EINVAL,
				       "--%s is for files of cases; name one, or leave it out",
				       of_files[i].name);
	return 0;
}
