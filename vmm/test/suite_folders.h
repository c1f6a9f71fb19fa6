/*
 * The folder in which each case of a suite leaves what it leaves.
 *
 * PURE. Called once the cases that run are chosen. A name is the user's text; a folder is one part
 * of a path that shells take as it is, and no two cases have the same.
 */
#ifndef TEST_SUITE_FOLDERS_H
#define TEST_SUITE_FOLDERS_H

#include "vmm/base/err.h"
#include "vmm/test/suite.h"

/*
 * Sets `folder` of every case: the first 200 bytes of its name without parentheses, and with '_'
 * for what a shell would not take as it is; "boot memory=1.5T" is "boot_memory=1.5T". Cases whose
 * folders would be the same get a hash of their names at the end. This depends on the names in the
 * suite alone, so that all nodes of a cluster agree. -ENOMEM.
 */
int suite_name_folders(struct suite *s, struct err *err);

#endif
