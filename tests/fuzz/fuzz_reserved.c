/*
 * reserved_regions of sysfs: whatever the text, the regions are ordered spans, none is invented,
 * and a refusal has a sentence.
 */
#include "vfio/sysfs.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct host_facts facts;
	struct err err = { "" };
	unsigned lines = 1;
	int ret;

	facts.nr_resv = 0;
	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	ret = sysfs_parse_reserved((const char *)data, size, 7, &facts, &err);
	if ((ret < 0) != (err.text[0] != '\0') || facts.nr_resv > lines)
		abort();
	for (unsigned i = 0; i < facts.nr_resv; i++)
		if (facts.resv[i].at.base > facts.resv[i].at.end || facts.resv[i].group != 7 ||
		    facts.resv[i].type > HOST_RESV_MSI)
			abort();
	return 0;
}
