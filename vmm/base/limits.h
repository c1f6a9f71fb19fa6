/* Limits that several files share: each number stands here once. */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

#include "vmm/base/units.h"

#define CPUS_MAX	4096
#define NODES_MAX	64  /* NUMA nodes */
#define PCI_DEVICES_MAX 128 /* functions that are not bridges, and root ports */
#define PMEM_MAX	8   /* files of --pmem */

/*
 * Blocks of guest memory: the RAM ranges of the largest plan, and the files of --pmem. See
 * vmm/vm/memory.c.
 */
#define MEMORY_BLOCKS_MAX 1280

/* No x86 CPU has more physical address bits (AMD64 APM volume 2, section 5.1). */
#define ADDRESS_BITS_MAX  52
#define ADDRESS_SPACE_END (UINT64_C(1) << ADDRESS_BITS_MAX)

#endif
