/*
 * Makes the plan from the configuration, and opens the files that are booted. Commands that start
 * no guest use it as well.
 */
#ifndef VM_PREPARE_H
#define VM_PREPARE_H

#include "firmware/boot.h"
#include "vmm/config/config.h"
#include "vmm/host/image.h"
#include "vmm/plan/plan.h"

/*
 * Adds the sizes of --pmem and the virtio devices to `host`, then plans for it, or reads the plan
 * of --plan and checks it against `host`. Returns 0, -ERANGE or -EINVAL with a sentence.
 */
int vm_make_plan(struct plan *p, const struct config *c, struct host_facts *host, struct err *err);
/*
 * Opens and parses the files of --kernel and --initrd. Returns 0 or a negative errno and a
 * sentence. The images must be empty before; the caller closes them, also after an error.
 */
int vm_open_images(const struct config *c, struct image *kernel, struct boot_kernel *parsed,
		   struct images *initrd, struct err *err);

#endif
