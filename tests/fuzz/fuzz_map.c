/*
 * Fuzz target: map_build() against the oracle. The input is decoded by oracle_request(), so every
 * input is a valid request and any disagreement is a bug of one of the two.
 */
#include "tests/unit/plan/oracle.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct map_request req;
	char why[512], text[4096];

	oracle_request(&req, data, size);
	if (oracle_agrees(&req, why, sizeof(why)))
		return 0;
	oracle_describe(&req, text, sizeof(text));
	fprintf(stderr, "%s\n%s", why, text);
	abort();
}
