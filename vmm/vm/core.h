/*
 * A core file of the guest: its RAM and the registers of its vCPUs, in ELF, as crash(8) and gdb(1)
 * read it and as QEMU's dump-guest-memory writes it.
 *
 * Addresses are guest-physical. Files of --pmem are not in it, because they are files already.
 */
#ifndef VM_CORE_H
#define VM_CORE_H

#include "vmm/host/ram.h"
#include "vmm/host/vcpu_state.h"

struct core {
	const struct ram *ram;
	const struct vcpu_state *cpus;
	unsigned nr_cpus;
	/* Asked about every MiB: true ends the writing with -EINTR. NULL: nobody ends it. */
	bool (*stop)(void *to);
	void *to;
};

/*
 * Writes the core to `path`, which must not exist. The file is as long as RAM and sparse: it takes
 * up what the guest has written. RAM that repeats itself (--fold) is written once, and referred to
 * once for each repetition. On failure the file is removed. -EEXIST: there is a file already;
 * -E2BIG: RAM repeats itself too often; -EINTR: `stop` said so.
 *
 * A file that the end of the process has cut short is no ELF file, because the header comes last.
 */
int core_write(const struct core *core, const char *path, struct err *err);

#endif
