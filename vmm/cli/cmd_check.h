/* The report of `straddle check`, in lines or as JSON. */
#ifndef CLI_CMD_CHECK_H
#define CLI_CMD_CHECK_H

#include "vmm/base/facts.h"
#include "vmm/config/config.h"

#include <jansson.h>

struct report {
	json_t *json; /* NULL: lines, printed as they are found */
};

/* Prints a line for people; nothing if the report is JSON. */
__attribute__((format(printf, 3, 4))) void report_line(const struct report *r, const char *what,
						       const char *format, ...);
/*
 * Adds a fact to the JSON, which takes over the reference `value`; a NULL (no memory) is left out.
 */
void report_fact(const struct report *r, const char *name, json_t *value);
/* Returns {"ok": true} if `why` is "", else {"ok": false} with the reason. */
json_t *report_answer(const char *why);

/*
 * Reports what the host has for passthrough, and whether the devices of --vfio and RAM for them are
 * available. Adds what sysfs says of the devices to `host`. False: `run` would not start.
 */
bool check_vfio(const struct report *r, const struct config *c, struct host_facts *host);

#endif
