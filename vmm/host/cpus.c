#include "vmm/host/cpus.h"

#include "vmm/base/span.h"
#include "vmm/host/cgroup.h"

#include <errno.h>
#include <sched.h>

#define ASKED_MAX (1u << 20) /* far beyond the kernel's limit (NR_CPUS) */

/* The call fails with EINVAL while the set is smaller than the kernel's own (nr_cpu_ids). */
static unsigned allowed(void)
{
	for (unsigned asked = CPU_SETSIZE; asked <= ASKED_MAX; asked *= 2) {
		cpu_set_t *set = CPU_ALLOC(asked);
		unsigned n = 0;
		int code = ENOMEM;

		if (set) {
			code = sched_getaffinity(0, CPU_ALLOC_SIZE(asked), set) < 0 ? errno : 0;
			n = code ? 0 : (unsigned)CPU_COUNT_S(CPU_ALLOC_SIZE(asked), set);
			CPU_FREE(set);
		}
		if (code != EINVAL)
			return n;
	}
	return 0;
}

unsigned cpus_usable(const char *root)
{
	struct cgroup_room room;
	uint64_t n = allowed();

	cgroup_room_read(root, &room);
	return (unsigned)max_u64(1, min_u64(n, room.cpus));
}
