/*
 * A file that has no name, for data of this run only: the kernel frees it when its last descriptor
 * is closed, also after SIGKILL.
 */
#ifndef HOST_TEMP_FILE_H
#define HOST_TEMP_FILE_H

#include "vmm/base/err.h"

/*
 * The folder for such files: $TMPDIR, or else /var/tmp, because /tmp is memory (tmpfs) on many
 * hosts. The string is the environment's.
 */
const char *temp_file_folder(void);
/* Returns a descriptor for reading and writing. `what` begins the sentence, such as "--disk X". */
int temp_file_open(const char *folder, const char *what, struct err *err);

#endif
