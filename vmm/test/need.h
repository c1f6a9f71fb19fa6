/* What a case takes of the host while it runs, read from its configuration. */
#ifndef TEST_NEED_H
#define TEST_NEED_H

#include "vmm/config/config.h"
#include "vmm/test/admission.h"

/*
 * All RAM counts as used, because nobody knows how much of it a guest will touch. -ENOMEM; *need is
 * then good for test_need_free() alone.
 */
int test_need_of(const struct config *c, struct admission_need *need, struct err *err);
void test_need_free(struct admission_need *need);
/*
 * What this host has: memory and huge pages that are free now, CPUs that this process may use; its
 * control groups count. `root` as in host/memory.h.
 */
void test_need_room(const char *root, uint64_t total[ADMISSION_KINDS]);

#endif
