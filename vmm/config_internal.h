/*
 * What the config*.c files and size.c share, and nobody else includes: the option table's rows by
 * name, and how values are read and shown in sentences.
 */
#ifndef VMM_CONFIG_INTERNAL_H
#define VMM_CONFIG_INTERNAL_H

#include "vmm/config.h"

/* Rows of config_options(), in the order of --help, and bits of config.given. */
enum option_id {
	OPT_KERNEL,
	OPT_INITRD,
	OPT_APPEND,
	OPT_CPUS,
	OPT_MEMORY,
	OPT_MAX_MEMORY,
	OPT_NUMA,
	OPT_PAGE_SIZE,
	OPT_PHYS_BITS,
	OPT_IOVA_POLICY,
	OPT_RESERVE,
	OPT_LOW_MEMORY,
	OPT_HIGH_MEMORY_START,
	OPT_PCI32_WINDOW,
	OPT_PCI64_WINDOW,
	OPT_SERIAL,
	OPT_DEBUG_EXIT,
	OPT_NO_REBOOT,
	OPT_HOST,
	OPT_JSON,
	OPT_DTB,
	OPT_PLAN,
	OPT_CONFIG,
	OPT_VERBOSE,
	OPT_HELP,
	OPT_VERSION,
	OPTIONS,
};

_Static_assert(OPTIONS <= 64, "config.given has a bit for every option");

static inline bool option_given(const struct config *c, enum option_id id)
{
	return c->given >> id & 1;
}

/* No x86 CPU has more physical address bits (AMD64 APM volume 2, section 5.1). */
#define CONFIG_BITS_MIN 32
#define CONFIG_BITS_MAX 52

/*
 * A decimal number, or 0x and hexadecimal digits, from min to max. -EINVAL and a sentence to follow
 * "NAME VALUE: "; *number is then untouched.
 */
int config_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *number,
			struct err *err);

/* Setters of the option table whose values are lists (config_lists.c). */
int config_set_cpus(struct config *c, const char *value, struct err *err);
int config_set_numa(struct config *c, const char *value, struct err *err);

/* Text of a user, fit for one line of a terminal: short, printable ASCII. */
struct shown {
	char text[64];
};
const char *config_show(struct shown *s, const char *text, size_t len);
#define SHOWN(string)	    config_show(&(struct shown){ "" }, string, strlen(string))
#define SHOWN_N(bytes, len) config_show(&(struct shown){ "" }, bytes, len)

/* "1536M": the largest unit that divides, so that it can be typed again. */
const char *config_show_size(struct shown *s, uint64_t bytes);
#define SHOWN_SIZE(bytes) config_show_size(&(struct shown){ "" }, bytes)

#endif
