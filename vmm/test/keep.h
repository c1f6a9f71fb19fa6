/*
 * --keep: a guest that failed is stopped, not ended, and waits to be looked at.
 *
 * Its memory and the registers of its CPUs are those of its end, also after a reset, because the
 * machine is not made anew. A guest that powered off ended in order, and is not kept.
 */
#ifndef TEST_KEEP_H
#define TEST_KEEP_H

#include "vmm/test/case.h"

#include <stdio.h>

/* Returns why a case that failed has no guest to keep, as a sentence, or NULL: it has one. */
const char *test_keep_lacks(const struct test_case *t);
/*
 * Says how to look at the guest; with `socket` NULL, at its evidence alone. `pid` is the process
 * that waits.
 */
void test_keep_help(const struct test_case *t, const char *socket, pid_t pid, FILE *to);
/*
 * Opens a control socket among the evidence (result->output), says how to look at the guest, and
 * waits. Called by vm_user.ended when the case is judged.
 */
void test_keep(struct test_case *t);

#endif
