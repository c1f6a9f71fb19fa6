/*
 * A second opinion on the address map: the rules of vmm/plan/map.h, computed the slow and obvious
 * way.
 *
 * The oracle walks the address space unit by unit and asks of each whether it is free. It shares
 * no code with vmm/plan/map.c beyond the arithmetic of span.h. Used by test_map.c and fuzz_map.c.
 */
#ifndef TESTS_UNIT_ORACLE_H
#define TESTS_UNIT_ORACLE_H

#include "vmm/plan/map.h"

struct oracle {
	struct map_region regions[MAP_REGIONS_MAX];
	unsigned nr_regions;
	unsigned bits_required;
};

/* The one layout that the rules allow. 0, or -ERANGE if there is none within the address bits. */
int oracle_layout(struct oracle *o, const struct map_request *req);

/* The name of the first rule that `m` breaks as an answer to `req`; NULL if it keeps them all. */
const char *oracle_broken_rule(const struct map *m, const struct map_request *req);

/*
 * Asks map_build() and the oracle the same question. True if verdict, regions and bits are equal,
 * every rule holds and map_check() agrees; else false, with what differs in `why`.
 */
bool oracle_agrees(const struct map_request *req, char *why, size_t cap);

/*
 * A valid request from arbitrary bytes (short input reads as zeroes): small worlds of 32 to 47
 * address bits, with forbidden ranges near the places where layouts change their mind.
 */
void oracle_request(struct map_request *req, const uint8_t *data, size_t len);

/* The request as text, to be printed with a failure. */
void oracle_describe(const struct map_request *req, char *out, size_t cap);

#endif
