/*
 * The plan's outside form: a flattened device tree (docs/plan-file.md). PURE.
 *
 * plan_to_fdt() writes every field of struct plan and plan_from_fdt() reads it back, so that
 * `straddle run --plan` gets exactly the machine that `straddle plan --dtb` wrote.
 */
#ifndef PLAN_FDT_H
#define PLAN_FDT_H

#include "vmm/base/err.h"
#include "vmm/plan/plan.h"

#include <stddef.h>

/* No plan needs more: every table of struct plan full, with the longest reasons. */
#define PLAN_FDT_MAX (512 * KIB)

/*
 * Writes the plan into buf[0..cap), of which PLAN_FDT_MAX bytes always suffice; *len is the blob's
 * length. 0, or -ENOSPC if the buffer is too small.
 */
int plan_to_fdt(const struct plan *p, void *buf, size_t cap, size_t *len, struct err *err);

/*
 * Reads a plan from `len` untrusted bytes at `fdt`, which must be aligned to 8 (as malloc and mmap
 * give). What is accepted keeps the rules of a computed plan: plan_check(). 0, or -EINVAL and a
 * sentence; *p is then of no use.
 */
int plan_from_fdt(struct plan *p, const void *fdt, size_t len, struct err *err);

#endif
