/*
 * The plan as JSON: the schema that `straddle plan --json` promises. PURE.
 */
#ifndef VMM_PLAN_JSON_H
#define VMM_PLAN_JSON_H

#include "vmm/err.h"
#include "vmm/plan.h"

/*
 * Writes the plan as one JSON object, keys in the order of the schema, ending without a newline.
 * Integers are bytes, spans are half-open and sorted by start. Returns 0 and a string that the
 * caller gives to free(), or -ENOMEM and *out == NULL.
 */
int plan_json(const struct plan *p, char **out, struct err *err);

#endif
