/*
 * straddle check: what this host can do, and whether a guest with the devices of --vfio would
 * start. Opens nothing but /dev/kvm.
 */
#ifndef VM_CHECK_H
#define VM_CHECK_H

#include "vmm/base/err.h"
#include "vmm/config/config.h"

#include <stdbool.h>
#include <stdio.h>

/*
 * Writes the report to the file, a line for each fact with the fix where something is missing, or
 * with `json` the same as one JSON object in one line. *able: the host runs stock kernels, and the
 * devices are ready. An error, -errno and a sentence, is one of writing the JSON.
 */
int check_host(const struct config *c, bool json, FILE *to, bool *able, struct err *err);

#endif
