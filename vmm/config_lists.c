/*
 * Options whose values are lists of words: --cpus, --numa and --host.
 *
 * Setters of the table in config_options.c, under its rules.
 */
#include "vmm/config_internal.h"

#include "vmm/plan.h"

#include <errno.h>
#include <string.h>

/* --- N,key=value,key=value --- */

#define WORDS_MAX 128

struct words {
	char text[WORDS_MAX];
	char *rest; /* NULL: no word left */
};

static int words_init(struct words *w, const char *value, struct err *err)
{
	size_t len = strlen(value);

	if (len >= sizeof(w->text))
		return err_set(err, EINVAL, "the value is longer than %zu characters",
			       sizeof(w->text) - 1);
	memcpy(w->text, value, len + 1);
	w->rest = w->text;
	return 0;
}

/* The next word, up to a comma; *value is what follows its '=', or NULL. */
static char *words_next(struct words *w, char **value)
{
	char *word = strsep(&w->rest, ",");

	*value = word ? strchr(word, '=') : NULL;
	if (*value)
		*(*value)++ = '\0';
	return word;
}

struct number_word {
	const char *key;
	uint64_t min, max;
	uint64_t value;
	bool given;
};

/* Finds `key` among the `n` words and reads its number. `or_else` names the words there are. */
static int set_number_word(struct number_word *words, size_t n, const char *key, const char *value,
			   const char *or_else, struct err *err)
{
	int ret;

	for (size_t i = 0; i < n; i++) {
		struct number_word *w = &words[i];

		if (strcmp(w->key, key) != 0)
			continue;
		if (w->given)
			return err_set(err, EINVAL, "%s is given twice; keep one", key);
		if (!value)
			return err_set(err, EINVAL, "%s needs a number: %s=N", key, key);
		w->given = true;
		ret = config_parse_number(value, w->min, w->max, &w->value, err);
		return ret < 0 ? err_prefix(err, ret, "%s=%s: ", key, SHOWN(value)) : 0;
	}
	return err_set(err, EINVAL, "'%s' is unknown here; use %s", SHOWN(key), or_else);
}

/* --- --cpus and --numa --- */

/* N[,sockets=N][,cores=N][,threads=N]; what is left out stays 0 for config_check to compute. */
int config_set_cpus(struct config *c, const char *value, struct err *err)
{
	struct number_word n[] = {
		{ "cpus", 1, PLAN_CPUS_MAX, 0, false },
		{ "sockets", 1, PLAN_CPUS_MAX, 0, false },
		{ "cores", 1, PLAN_CPUS_MAX, 0, false },
		{ "threads", 1, PLAN_CPUS_MAX, 0, false },
	};
	struct words words;
	char *key, *number;
	bool first = true;
	int ret = words_init(&words, value, err);

	while (ret == 0 && (key = words_next(&words, &number))) {
		if (first && !number) {
			n[0].given = true;
			ret = config_parse_number(key, n[0].min, n[0].max, &n[0].value, err);
		} else {
			ret = set_number_word(n, ARRAY_SIZE(n), key, number,
					      "N,sockets=N,cores=N,threads=N", err);
		}
		first = false;
	}
	if (ret < 0)
		return ret;
	c->cpus = (unsigned)n[0].value;
	c->sockets = (unsigned)n[1].value;
	c->cores = (unsigned)n[2].value;
	c->threads = (unsigned)n[3].value;
	return 0;
}

/* A or A-B, both included, as the kernel writes lists of CPUs. */
static int parse_cpu_range(struct config_node *node, char *text, struct err *err)
{
	char *to = strchr(text, '-');
	uint64_t first, last;
	int ret;

	if (to)
		*to++ = '\0';
	ret = config_parse_number(text, 0, PLAN_CPUS_MAX - 1, &first, err);
	last = first;
	if (ret == 0 && to)
		ret = config_parse_number(to, 0, PLAN_CPUS_MAX - 1, &last, err);
	if (ret < 0)
		return ret;
	if (last < first)
		return err_set(err, EINVAL, "CPU %u comes after CPU %u; write the lower one first",
			       (unsigned)first, (unsigned)last);
	node->has_cpus = true;
	node->first_cpu = (unsigned)first;
	node->last_cpu = (unsigned)last;
	return 0;
}

int config_set_numa(struct config *c, const char *value, struct err *err)
{
	struct config_node node = { 0 };
	struct words words;
	char *word, *range;
	int ret = words_init(&words, value, err);

	if (ret < 0)
		return ret;
	if (c->nr_nodes == CONFIG_NODES_MAX)
		return err_set(err, EINVAL, "there can be at most %u nodes", CONFIG_NODES_MAX);
	word = words_next(&words, &range);
	if (range)
		return err_set(err, EINVAL, "the node's size comes first: SIZE,cpus=A-B");
	ret = config_parse_size(word, &node.size, err);
	if (ret == 0 && node.size == 0)
		return err_set(err, EINVAL, "a node needs memory; use at least 2M");
	while (ret == 0 && (word = words_next(&words, &range))) {
		if (strcmp(word, "cpus") != 0 || !range)
			return err_set(err, EINVAL, "'%s' is unknown here; use SIZE,cpus=A-B",
				       SHOWN(word));
		if (node.has_cpus)
			return err_set(err, EINVAL, "cpus is given twice; a node has one range");
		ret = parse_cpu_range(&node, range, err);
	}
	if (ret == 0)
		c->nodes[c->nr_nodes++] = node;
	return ret;
}

/* --- --host --- */

static const struct host_kind {
	const char *name;
	enum host_vendor vendor;
	unsigned family, phys_bits; /* where not given: a common server */
} host_kinds[] = {
	{ "amd", HOST_AMD, 0x19, 48 },	   /* Zen 3 */
	{ "hygon", HOST_HYGON, 0x18, 48 }, /* Dhyana */
	{ "intel", HOST_INTEL, 6, 46 },	   /* Xeon before 5-level paging */
	{ "other", HOST_OTHER, 0, 48 },
};

static const struct host_kind *find_host_kind(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(host_kinds); i++)
		if (!strcmp(host_kinds[i].name, name))
			return &host_kinds[i];
	return NULL;
}

enum { HOST_FAMILY, HOST_PHYS, HOST_GUEST_PHYS, HOST_MEM_ENCRYPT };

static int set_host_facts(struct config *c, const struct host_kind *kind,
			  const struct number_word n[], struct err *err)
{
	struct host_facts host = {
		.vendor = kind->vendor,
		.family = n[HOST_FAMILY].given ? (unsigned)n[HOST_FAMILY].value : kind->family,
		.phys_bits = n[HOST_PHYS].given ? (unsigned)n[HOST_PHYS].value : kind->phys_bits,
		.guest_phys_bits = (unsigned)n[HOST_GUEST_PHYS].value,
		.mem_encrypt_bits = (unsigned)n[HOST_MEM_ENCRYPT].value,
	};

	if (host.guest_phys_bits > host.phys_bits)
		return err_set(err, EINVAL, "guest-phys-bits=%u is more than phys-bits=%u",
			       host.guest_phys_bits, host.phys_bits);
	if (host.phys_bits - host.mem_encrypt_bits < CONFIG_BITS_MIN)
		return err_set(err, EINVAL,
			       "mem-encrypt-bits=%u leaves less than %u of phys-bits=%u",
			       host.mem_encrypt_bits, CONFIG_BITS_MIN, host.phys_bits);
	c->has_host = true;
	c->host = host;
	return 0;
}

int config_parse_host(struct config *c, const char *text, struct err *err)
{
	enum { bits_min = CONFIG_BITS_MIN, bits_max = CONFIG_BITS_MAX };
	/* A family is at most 15 + 255: CPUID Fn0000_0001_EAX, base and extended family. */
	struct number_word n[] = {
		[HOST_FAMILY] = { "family", 0, 270, 0, false },
		[HOST_PHYS] = { "phys-bits", bits_min, bits_max, 0, false },
		[HOST_GUEST_PHYS] = { "guest-phys-bits", bits_min, bits_max, 0, false },
		[HOST_MEM_ENCRYPT] = { "mem-encrypt-bits", 0, bits_max - bits_min, 0, false },
	};
	const struct host_kind *kind = NULL;
	struct words words;
	char *key, *value;
	int ret = words_init(&words, text, err);

	if (ret == 0 && !strcmp(text, "auto")) {
		c->has_host = false;
		return 0;
	}
	while (ret == 0 && (key = words_next(&words, &value))) {
		if (strcmp(key, "vendor") != 0) {
			ret = set_number_word(n, ARRAY_SIZE(n), key, value,
					      "auto or vendor=, family=, phys-bits=, "
					      "guest-phys-bits=, mem-encrypt-bits=",
					      err);
			continue;
		}
		if (kind)
			return err_set(err, EINVAL, "vendor is given twice; keep one");
		kind = value ? find_host_kind(value) : NULL;
		if (!kind)
			return err_set(err, EINVAL, "the vendor is amd, hygon, intel or other");
	}
	if (ret < 0)
		return ret;
	if (!kind)
		return err_set(err, EINVAL,
			       "the vendor is missing; add vendor=amd, hygon, intel or other");
	return set_host_facts(c, kind, n, err);
}
