/*
 * The plan as JSON: the schema that `straddle plan --json` promises. PURE.
 */
#ifndef PLAN_JSON_H
#define PLAN_JSON_H

#include "vmm/base/err.h"
#include "vmm/plan/plan.h"

/*
 * What the kernel is started with: firmware/boot.h's answer in types that do not depend on
 * firmware/.
 */
struct plan_boot {
	const char *protocol; /* "linux64", "linux32", "pvh" */
	uint64_t entry;
	const struct plan_boot_place {
		struct span at;
		const char *what; /* "zero page" */
	} * places;		  /* by address */
	unsigned nr_places;
};

/*
 * Writes the plan, and with it `boot` if that is not NULL, as one JSON object, keys in the order of
 * the schema, ending without a newline. Integers are bytes, spans are half-open and sorted by
 * start. Returns 0 and a string that the caller gives to free(), or -ENOMEM and *out == NULL.
 */
int plan_json(const struct plan *p, const struct plan_boot *boot, char **out, struct err *err);

#endif
