/*
 * What the files of config/ share and no other folder includes: the option table's rows by name,
 * and how values are read and shown in sentences.
 */
#ifndef CONFIG_INTERNAL_H
#define CONFIG_INTERNAL_H

#include "vmm/base/quote.h"
#include "vmm/config/config.h"

/* No row of config_options(). */
#define NO_OPTION SIZE_MAX

/*
 * The row with exactly this name of `len` bytes that the command has; else that of other commands;
 * else NO_OPTION. Its number is its place in given.
 */
size_t config_find_option(const char *name, size_t len, enum config_command cmd);

/* Whether an option of that name was given. */
bool config_option_given(const struct config *c, const char *name);

#define CONFIG_BITS_MIN 32
/* A guest has a 64-bit PCI window, which begins at 4 GiB or above. */
#define GUEST_BITS_MIN 33

/*
 * A decimal number, or 0x and hexadecimal digits, from min to max. -EINVAL and a sentence to follow
 * "NAME VALUE: "; *number is then untouched.
 */
int config_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *number,
			struct err *err);

/* Setters of the option table; each writes one option's value to *c. In config/words.c: lists. */
int config_set_cpus(struct config *c, const char *value, struct err *err);
/* In config/numa.c: nodes. */
int config_set_numa(struct config *c, const char *value, struct err *err);
int config_set_numa_distance(struct config *c, const char *value, struct err *err);
/* In config/affinity.c. */
int config_set_cpu_affinity(struct config *c, const char *value, struct err *err);
/* In config/vfio.c: passed-through devices. */
int config_set_vfio(struct config *c, const char *value, struct err *err);
int config_set_vfio_backend(struct config *c, const char *value, struct err *err);
/* In config/disk.c and config/net.c. */
int config_set_disk(struct config *c, const char *value, struct err *err);
int config_set_net(struct config *c, const char *value, struct err *err);
/* In config/fs.c: shared folders and files as memory. */
int config_set_fs(struct config *c, const char *value, struct err *err);
int config_set_pmem(struct config *c, const char *value, struct err *err);
/* In config/vsock.c. */
int config_set_vsock(struct config *c, const char *value, struct err *err);
/* In config/test.c: straddle test. */
int config_set_init(struct config *c, const char *value, struct err *err);
int config_add_splat(struct config *c, const char *value, struct err *err);
int config_add_console_has(struct config *c, const char *value, struct err *err);
int config_add_console_lacks(struct config *c, const char *value, struct err *err);
int config_set_output(struct config *c, const char *value, struct err *err);
/* In config/suite.c: straddle test with files of cases. */
int config_set_jobs(struct config *c, const char *value, struct err *err);
int config_set_repeat(struct config *c, const char *value, struct err *err);
int config_set_retry(struct config *c, const char *value, struct err *err);
int config_set_shard(struct config *c, const char *value, struct err *err);
/* In config/host.c: facts of another host. */
int config_set_host_pci(struct config *c, const char *value, struct err *err);
int config_set_host_resv(struct config *c, const char *value, struct err *err);
int config_set_host_usable(struct config *c, const char *value, struct err *err);

/* Values that several options have (config/options.c): a copy of the text; of a file's name. */
int config_copy_string(char **to, const char *value, struct err *err);
int config_copy_path(char **to, const char *value, struct err *err);
int config_parse_seconds(unsigned *to, uint64_t min, const char *value, struct err *err);

/* What straddle test needs and cannot have together. */
int config_check_test(const struct config *c, struct err *err);
/* What files of cases need and cannot have together. */
int config_check_suite(const struct config *c, struct err *err);
/* Combinations of --vfio, and of --host with its parts; for config_check(). */
int config_check_vfio(const struct config *c, struct err *err);
int config_check_host(struct config *c, struct err *err);

/*
 * Of --numa. Without --memory, RAM becomes the sum of the nodes, so the first one precedes the
 * checks of RAM.
 */
int config_check_node_sizes(struct config *c, struct err *err);
int config_check_node_cpus(const struct config *c, struct err *err);
int config_check_distances(const struct config *c, struct err *err);
int config_check_affinity(const struct config *c, struct err *err);
/*
 * How many nodes have CPUs, if each of them has as many as the others, in order and in one piece of
 * whole cores, so that it could be a socket; else 0. c->threads may be 0: not given.
 */
unsigned config_even_nodes(const struct config *c);

/* The unit of RAM sizes in bytes: 2 MiB, which KVM can map as one page, or a larger backing page.
 */
uint64_t config_ram_unit(const struct config *c);
/* -EINVAL and a sentence if the option's value is no multiple of `unit`, or more than `limit`. */
int config_check_multiple(const char *option, uint64_t value, uint64_t unit, struct err *err);
int config_check_limit(const char *option, uint64_t value, uint64_t limit, const char *why,
		       struct err *err);
extern const char config_no_more_bits[];

/* A or A-B, both included, below `n`; writes into the text. */
int config_parse_cpu_range(char *text, unsigned n, unsigned *first, unsigned *last,
			   struct err *err);

/* --- what an unknown option may have meant (config/suggest.c) --- */

struct suggestion {
	const char *option;   /* the name of the option that was probably meant, or NULL */
	const char *needless; /* why it can be left out, or NULL: "KVM is always used" */
};

/*
 * Returns, for a name of `len` bytes that no option of the command has, the option that other
 * monitors call by this name, else the one that differs by a slip or two, `also` among them unless
 * it is NULL. Both fields are NULL if there is none.
 */
struct suggestion config_suggest(const char *name, size_t len, enum config_command cmd,
				 bool in_file, const char *also);
/* Whether other monitors have an option of exactly this name, and straddle has none. */
bool config_is_foreign(const char *name, size_t len);

/* --- values that are lists: WORD,KEY=VALUE,... (config/words.c) --- */

#define WORDS_MAX 1024

struct words {
	char text[WORDS_MAX];
	char *rest; /* NULL: no word left */
};

/* -EINVAL and a sentence if the value is too long. */
int words_init(struct words *w, const char *value, struct err *err);
/*
 * As words_init(), for an option that was given `n` times before and may be given `max` times, else
 * -EINVAL. `what` names such things in the sentence: "network adapters".
 */
int words_init_one_more(struct words *w, const char *value, unsigned n, unsigned max,
			const char *what, struct err *err);
/* The next word, up to a comma, or NULL; *value is what follows its '=', or NULL. */
char *words_next(struct words *w, char **value);

struct number_word {
	const char *key;
	uint64_t min, max;
	uint64_t value;
	bool given;
};

/*
 * Finds `key` among the `n` words and reads its number. `or_else` lists the valid words for the
 * sentence.
 */
int set_number_word(struct number_word *words, size_t n, const char *key, const char *value,
		    const char *or_else, struct err *err);

/*
 * Returns the index of `key` among the `n` names and sets its bit in *given. -EINVAL and a sentence
 * if the key is unknown, has no value or is given twice; `keys` lists the valid words for the
 * sentence.
 */
int config_find_key(const char *const *names, unsigned n, const char *key, const char *value,
		    const char *keys, unsigned *given, struct err *err);
/* The same; the first word may lack its "KEY=", and is then *value of the first of the names. */
int config_find_first_key(const char *const *names, unsigned n, char *word, char **value,
			  const char *keys, unsigned *given, struct err *err);
/* Sets *to to whether `value` is `yes`. -EINVAL and a sentence if it is neither `yes` nor `no`. */
int config_set_switch(bool *to, const char *key, const char *value, const char *yes, const char *no,
		      struct err *err);
/* Copies `value` to *to, which config_free() frees. */
int config_set_text(char **to, const char *value, struct err *err);

/*
 * START-END, half-open. Ends that are no whole number of bytes are rounded outwards or inwards.
 * -EINVAL and a sentence to follow "NAME VALUE: ".
 */
int config_parse_span(const char *text, bool outwards, struct span *at, struct err *err);

/* Whether both address the same device; segment 0000 may be left out. */
bool config_same_device(const char *a, const char *b);
/*
 * Checks that `name` is what sysfs_find() accepts: a BDF or an absolute path. -EINVAL and a
 * sentence.
 */
int config_check_device_name(const char *name, struct err *err);

#endif
