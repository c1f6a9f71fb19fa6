/*
 * --cpu-affinity: on which CPUs of the host vCPUs run.
 *
 * Setters of the table in config/options.c, under its rules. Other monitors write vCPU@CPUs for "on
 * any of these"; "one on one" has a sign of its own, because a range of as many CPUs can mean both.
 */
#include "vmm/config/internal.h"

#include <errno.h>
#include <string.h>

/* Reads a list; in order. -EINVAL and a sentence. */
static int parse_list(const char *text, unsigned below, uint16_t *out, unsigned cap, unsigned *n,
		      struct err *err)
{
	struct words words;
	char *word, *rest;
	int ret = words_init(&words, text, err);

	*n = 0;
	while (ret == 0 && (word = words_next(&words, &rest))) {
		unsigned first, last;

		if (rest)
			return err_set(err, EINVAL, "'%s=%s' is no list of CPUs, such as 0-3,64-67",
				       SHOWN(word), SHOWN(rest));
		ret = config_parse_cpu_range(word, below, &first, &last, err);
		for (; ret == 0 && first <= last; first++) {
			if (*n == cap)
				return err_set(err, EINVAL,
					       "there can be at most %u CPUs in a list", cap);
			out[(*n)++] = (uint16_t)first;
		}
	}
	return ret;
}

static int add_affinity(struct config *c, unsigned cpu, struct config_affinity affinity,
			struct err *err)
{
	if (c->affinity[cpu].list)
		return err_set(err, EINVAL, "vCPU %u is there twice; keep one", cpu);
	c->affinity[cpu] = affinity;
	return 0;
}

static int set_affinity(struct config *c, const char *guest, const char *host, bool one_on_one,
			struct err *err)
{
	uint16_t cpus[CPUS_MAX], on[CONFIG_HOST_CPUS];
	unsigned n, nr_on;
	int ret = parse_list(guest, CPUS_MAX, cpus, ARRAY_SIZE(cpus), &n, err);

	if (ret < 0)
		return ret;
	ret = parse_list(host, CONFIG_HOST_CPUS, on, ARRAY_SIZE(on), &nr_on, err);
	if (ret < 0)
		return ret;
	if (one_on_one && n != nr_on)
		return err_set(
			err, EINVAL,
			"%u vCPUs cannot be on %u CPUs one on one; use %s@%s for each of them "
			"on any of these",
			n, nr_on, SHOWN(guest), SHOWN(host));
	if (!one_on_one && c->nr_cpu_lists == CONFIG_CPU_LISTS_MAX)
		return err_set(err, EINVAL, "there can be at most %u such lists",
			       CONFIG_CPU_LISTS_MAX);
	if (!one_on_one) {
		ret = config_set_text(&c->cpu_lists[c->nr_cpu_lists], host, err);
		c->nr_cpu_lists += ret == 0;
	}
	for (unsigned i = 0; ret == 0 && i < n; i++) {
		struct config_affinity one = { CONFIG_ONE_CPU, on[one_on_one ? i : 0] };
		struct config_affinity any = { (uint16_t)c->nr_cpu_lists, 0 };

		ret = add_affinity(c, cpus[i], one_on_one ? one : any, err);
	}
	return ret;
}

int config_set_cpu_affinity(struct config *c, const char *value, struct err *err)
{
	size_t len = strcspn(value, "@=");
	char guest[WORDS_MAX];

	if (!strcmp(value, "auto")) {
		c->affinity_auto = true;
		return 0;
	}
	if (!value[len] || len >= sizeof(guest))
		return err_set(
			err, EINVAL,
			"use VCPUS@CPUS, such as 0-3@8-11 (each of vCPUs 0 to 3 on any of CPUs "
			"8 to 11), VCPUS=CPUS (one on one), or auto");
	memcpy(guest, value, len);
	guest[len] = '\0';
	c->has_affinity = true;
	return set_affinity(c, guest, value + len + 1, value[len] == '=', err);
}

/* With a plan file the number of CPUs and the nodes are not known yet: vmm/vm/affinity.c. */
int config_check_affinity(const struct config *c, struct err *err)
{
	if (c->affinity_auto && c->has_affinity)
		return err_set(
			err, EINVAL,
			"--cpu-affinity auto and lists of CPUs exclude each other; keep one");
	if (c->plan_file)
		return 0;
	if (c->affinity_auto && !config_binds_ram(c))
		return err_set(
			err, EINVAL,
			"--cpu-affinity auto follows nodes that are bound to the host's, and "
			"none is; add host=N to --numa, or use VCPUS@CPUS");
	for (unsigned cpu = c->cpus; cpu < CPUS_MAX; cpu++)
		if (c->affinity[cpu].list)
			return err_set(err, EINVAL,
				       "--cpu-affinity has vCPU %u, but there are %u, 0 to %u; use "
				       "more --cpus or a smaller range",
				       cpu, c->cpus, c->cpus - 1);
	return 0;
}
