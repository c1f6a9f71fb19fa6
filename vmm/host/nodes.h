/* The host's NUMA nodes, as --numa host copies them. */
#ifndef HOST_NODES_H
#define HOST_NODES_H

#include "vmm/base/facts.h"

/* Those that have memory and that this process may use. `root` is "" or, for tests, a folder. */
void host_nodes_probe(const char *root, struct host_nodes *nodes);

#endif
