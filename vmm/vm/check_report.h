/* How the files of `straddle check` report: in lines, or as one JSON object. */
#ifndef VM_CHECK_REPORT_H
#define VM_CHECK_REPORT_H

#include "vmm/base/facts.h"
#include "vmm/config/config.h"

#include <jansson.h>
#include <stdio.h>

struct check_report {
	FILE *lines;  /* written as they are found; NULL: none */
	json_t *json; /* or this object is filled */
};

/* Writes a line for people; nothing if the report is JSON. */
__attribute__((format(printf, 3, 4))) void check_line(const struct check_report *r,
						      const char *what, const char *format, ...);
/*
 * Adds a fact to the JSON, which takes over the reference `value`; a NULL (no memory) is left out.
 */
void check_fact(const struct check_report *r, const char *name, json_t *value);
/* Returns {"ok": true} if `why` is "", else {"ok": false} with the reason. */
json_t *check_answer(const char *why);

/*
 * Reports what the host has for passthrough, and whether the devices of --vfio and RAM for them are
 * available. Adds what sysfs says of the devices to `host`. False: `run` would not start.
 */
bool check_vfio(const struct check_report *r, const struct config *c, struct host_facts *host);

#endif
