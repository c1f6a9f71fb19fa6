/*
 * What the parts of `straddle check` share: a report, in lines or as JSON.
 */
#ifndef CLI_CMD_CHECK_H
#define CLI_CMD_CHECK_H

#include "vmm/base/facts.h"
#include "vmm/config/config.h"

#include <jansson.h>

struct report {
	json_t *json; /* NULL: lines, printed as they are found */
};

/* A line for people. */
__attribute__((format(printf, 3, 4))) void report_line(const struct report *r, const char *what,
						       const char *format, ...);
/* Adds a fact for programs; `value` becomes the report's. NULL (no memory) leaves it out. */
void report_fact(const struct report *r, const char *name, json_t *value);
/* {"ok": true}, or false and why; "" is no reason. */
json_t *report_answer(const char *why);

/*
 * The host's passthrough, and whether the devices of --vfio and RAM for them are to be had. Adds
 * what sysfs says of the devices to `host`. False: `run` would not start.
 */
bool check_vfio(const struct report *r, const struct config *c, struct host_facts *host);

#endif
