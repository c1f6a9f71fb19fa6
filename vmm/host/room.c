#include "vmm/host/room.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- what the host says --- */

/* The inode number of the initial user namespace (include/linux/proc_ns.h, PROC_USER_INIT_INO). */
#define USER_INIT_INO 0xEFFFFFFDu

bool room_may_lock_all(void)
{
	unsigned long long effective = 0;
	FILE *status = fopen("/proc/self/status", "re");
	char line[256];
	struct stat st;

	while (status && fgets(line, sizeof(line), status))
		if (sscanf(line, "CapEff: %llx", &effective) == 1)
			break;
	if (status)
		fclose(status);
	return effective >> CAP_IPC_LOCK & 1 && stat("/proc/self/ns/user", &st) == 0 &&
	       st.st_ino == USER_INIT_INO;
}

/* The pages of this process' address space, and of them those of data: proc_pid_statm(5). */
static void read_used(const char *root, uint64_t *mapped, uint64_t *data)
{
	char path[PATH_MAX];
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	FILE *file;

	*mapped = *data = 0;
	snprintf(path, sizeof(path), "%s/proc/self/statm", root);
	file = fopen(path, "re");
	if (!file)
		return;
	if (fscanf(file, "%" SCNu64 " %*u %*u %*u %*u %" SCNu64, mapped, data) != 2)
		*mapped = *data = 0;
	fclose(file);
	*mapped *= page;
	*data *= page;
}

static uint64_t soft_limit(int which)
{
	struct rlimit limit;

	if (getrlimit(which, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur;
}

static uint64_t left_of(uint64_t limit, uint64_t used)
{
	return limit == UINT64_MAX ? limit : limit - min_u64(limit, used);
}

static void read_limits(const char *root, const struct room_need *need, struct room *room)
{
	struct rlimit locked;
	uint64_t mapped = 0, data = 0;

	room->address_space = soft_limit(RLIMIT_AS);
	room->data = soft_limit(RLIMIT_DATA);
	room->file = soft_limit(RLIMIT_FSIZE);
	room->locked = UINT64_MAX;
	if (room->address_space != UINT64_MAX || room->data != UINT64_MAX)
		read_used(root, &mapped, &data);
	room->address_space = left_of(room->address_space, mapped);
	room->data = left_of(room->data, data);
	/* The soft limit is raised to the hard one before anything is locked. */
	if ((need->pinned || need->locked) && getrlimit(RLIMIT_MEMLOCK, &locked) == 0 &&
	    locked.rlim_max != RLIM_INFINITY && !room_may_lock_all())
		room->locked = locked.rlim_max;
}

/* Whether the host must have the memory before the guest starts. */
static bool at_once(const struct room_need *need)
{
	return need->pinned || need->touched || need->page_size != 4 * KIB;
}

/* Of files, shared memory has a switch of its own (Documentation/admin-guide/mm/transhuge.rst). */
static const char *transparent_file(const struct room_need *need)
{
	return need->in_file ? "/sys/kernel/mm/transparent_hugepage/shmem_enabled"
			     : "/sys/kernel/mm/transparent_hugepage/enabled";
}

/* "always [madvise] never": the word in brackets. A kernel without such pages has no file. */
static void read_transparent(const char *root, const struct room_need *need, struct room *room)
{
	char path[PATH_MAX], line[128];
	const char *chosen;
	FILE *file;

	snprintf(path, sizeof(path), "%s%s", root, transparent_file(need));
	file = fopen(path, "re");
	if (!file)
		return;
	chosen = fgets(line, sizeof(line), file) ? strchr(line, '[') : NULL;
	if (chosen)
		(void)sscanf(chosen, "[%15[a-z_]", room->transparent);
	fclose(file);
}

void room_probe(const char *root, const struct room_need *need, struct room *room)
{
	*room = (struct room){ .file = UINT64_MAX };
	read_limits(root, need, room);
	if (need->transparent)
		read_transparent(root, need, room);
	if (!at_once(need) && !need->nr_parts)
		return;
	host_memory_probe(root, &room->memory);
	cgroup_room_read(root, &room->group);
}

/* --- limits of this process --- */

/* Blocks are cut out of reservations that are larger by this, one after the other (ram_reserve()).
 */
#define CUT_OFF GIB

static int judge_limits(const struct room *room, const struct room_need *need, struct err *err)
{
	uint64_t space = need->ram + CUT_OFF;

	if (room->address_space < space)
		return err_set(err, ENOMEM,
			       "guest RAM needs %" PRIu64 " MiB of address space, and this process "
			       "may have %" PRIu64 " MiB more (RLIMIT_AS): raise the limit with "
			       "`ulimit -v unlimited`, or LimitAS=infinity of the systemd unit",
			       space / MIB, room->address_space / MIB);
	if (!need->in_file && room->data < need->ram)
		return err_set(err, ENOMEM,
			       "guest RAM is %" PRIu64 " MiB of data, and this process may have "
			       "%" PRIu64
			       " MiB more (RLIMIT_DATA): raise the limit with `ulimit -d "
			       "unlimited`, or LimitDATA=infinity of the systemd unit",
			       need->ram / MIB, room->data / MIB);
	if (need->in_file && room->file < need->behind)
		return err_set(err, EFBIG,
			       "guest RAM is a file of %" PRIu64 " MiB here, and this process may "
			       "write no file of more than %" PRIu64 " MiB: raise the limit "
			       "(ulimit -f, LimitFSIZE=)",
			       need->behind / MIB, room->file / MIB);
	if (room->locked < need->ram)
		return err_set(err, ENOMEM,
			       "%s %" PRIu64 " KiB and this user may lock %" PRIu64
			       " KiB of memory (RLIMIT_MEMLOCK): raise the limit with `ulimit -l "
			       "%" PRIu64 "`, memlock in /etc/security/limits.conf, or "
			       "LimitMEMLOCK= of the systemd unit",
			       need->pinned ? "devices need" : "--lock-memory needs",
			       need->ram / KIB, room->locked / KIB, need->ram / KIB);
	return 0;
}

/* --- huge pages --- */

static const char *const pool_names[HOST_PAGES] = { "2048kB", "1048576kB" };

/*
 * The pages that this process can have. With a cpuset the kernel compares a reservation with what
 * is free on its nodes (mm/hugetlb.c, hugetlb_acct_memory()).
 */
static uint64_t huge_free(const struct host_memory *m, unsigned pages, bool *some_nodes)
{
	uint64_t sum = 0, all = m->huge[pages] + m->could_make[pages];

	*some_nodes = false;
	for (unsigned i = 0; i < m->nr_nodes; i++) {
		sum += m->nodes[i].allowed ? m->nodes[i].huge[pages] : 0;
		*some_nodes |= !m->nodes[i].allowed;
	}
	return *some_nodes ? min_u64(sum, all) : all;
}

static int judge_pool(const struct room *room, const struct room_need *need, unsigned pages,
		      struct err *err)
{
	const struct host_memory *m = &room->memory;
	uint64_t n = need->behind / need->page_size, free;
	bool some_nodes;

	if (!m->knows_huge)
		return 0; /* without sysfs the kernel judges, when RAM is made */
	if (!m->has_huge[pages])
		return err_set(err, ENODEV,
			       "this host has no huge pages of %" PRIu64 " MiB%s; use --page-size "
			       "4K",
			       need->page_size / MIB,
			       pages == HOST_PAGES_1G ? ": its CPU has none (no pdpe1gb in "
							"/proc/cpuinfo)"
						      : "");
	free = huge_free(m, pages, &some_nodes);
	if (n <= free)
		return 0;
	return err_set(err, ENOMEM,
		       "guest RAM needs %" PRIu64 " free huge pages of %" PRIu64
		       " MiB, and the host has %" PRIu64 "%s: `echo %" PRIu64
		       " >/sys/kernel/mm/hugepages/hugepages-%s/nr_hugepages` makes them%s, or use "
		       "--page-size 4K",
		       n, need->page_size / MIB, free,
		       some_nodes ? " on the nodes that this process may use (cpuset.mems)" : "",
		       m->pool[pages] + n - free, pool_names[pages],
		       pages == HOST_PAGES_1G ? " while memory is in one piece (else at boot: "
						"hugepagesz=1G hugepages=N)"
					      : "");
}

static const struct host_memory_node *find_node(const struct host_memory *m, unsigned number)
{
	for (unsigned i = 0; i < m->nr_nodes; i++)
		if (m->nodes[i].number == number)
			return &m->nodes[i];
	return NULL;
}

/*
 * Whether the nodes are there, have memory and may be used: mbind(2) alone would say no more than
 * that one of the three is not so.
 */
static int judge_nodes(const struct room *room, const struct room_need *need, struct err *err)
{
	const struct host_memory *m = &room->memory;

	for (unsigned i = 0; i < need->nr_parts; i++) {
		unsigned number = need->parts[i].node;
		const struct host_memory_node *node = find_node(m, number);

		if (!m->nr_nodes)
			return err_set(err, ENODEV,
				       "guest RAM shall be on node %u of the host, whose kernel "
				       "knows no nodes (it was built without NUMA); leave host= of "
				       "--numa out",
				       number);
		if (!node)
			return err_set(err, ENODEV,
				       "guest RAM shall be on node %u of the host, which has %u "
				       "node%s, the last of them node %u; use another host= of "
				       "--numa",
				       number, m->nr_nodes, m->nr_nodes == 1 ? "" : "s",
				       m->nodes[m->nr_nodes - 1].number);
		if (!node->total)
			return err_set(err, ENODEV,
				       "guest RAM shall be on node %u of the host, which has CPUs "
				       "and no memory; use another host= of --numa",
				       number);
		if (!node->allowed)
			return err_set(err, ENODEV,
				       "guest RAM shall be on node %u of the host, which this "
				       "process may not use: add it to cpuset.mems of its control "
				       "group (AllowedMemoryNodes= of a systemd unit), or use "
				       "another host= of --numa",
				       number);
	}
	return 0;
}

static int judge_node_pools(const struct room *room, const struct room_need *need, unsigned pages,
			    struct err *err)
{
	for (unsigned i = 0; i < need->nr_parts; i++) {
		const struct room_part *part = &need->parts[i];
		const struct host_memory_node *node = find_node(&room->memory, part->node);
		uint64_t n = part->bytes / need->page_size;

		if (node && n > node->huge[pages])
			return err_set(err, ENOMEM,
				       "guest RAM needs %" PRIu64 " free huge pages of %" PRIu64
				       " MiB on node %u of the host, which has %" PRIu64
				       ": `echo N >/sys/devices/system/node/node%u/hugepages/"
				       "hugepages-%s/nr_hugepages` makes them, N being %" PRIu64
				       " more than it is, or bind less to that node (host= of "
				       "--numa)",
				       n, need->page_size / MIB, part->node, node->huge[pages],
				       part->node, pool_names[pages], n - node->huge[pages]);
	}
	return 0;
}

static int judge_huge(const struct room *room, const struct room_need *need, struct err *err)
{
	unsigned pages = (unsigned)host_pages(need->page_size);
	const struct cgroup_limit *limit = &room->group.huge[pages];
	int ret = judge_pool(room, need, pages, err);

	if (ret == 0)
		ret = judge_node_pools(room, need, pages, err);
	if (ret < 0 || limit->bytes >= need->behind)
		return ret;
	return err_set(err, ENOMEM,
		       "guest RAM needs %" PRIu64 " free huge pages of %" PRIu64
		       " MiB, and its control group leaves it %" PRIu64
		       ": raise %s, or use --page-size 4K",
		       need->behind / need->page_size, need->page_size / MIB,
		       limit->bytes / need->page_size, limit->file);
}

/* --- pages of 4 KiB that must be there at once --- */

/* "devices pin all 8192 MiB of guest RAM" */
static int short_of(const struct room_need *need, uint64_t bytes, const char *where,
		    struct err *err, const char *way_out)
{
	return err_set(err, ENOMEM,
		       "%s all %" PRIu64 " MiB of guest RAM, and %s: %suse less --memory, %s"
		       "or --overcommit to try it all the same",
		       need->pinned ? "devices pin" : "--prefault touches", bytes / MIB, where,
		       way_out, need->pinned ? "" : "--prefault off, ");
}

static int judge_node_memory(const struct room *room, const struct room_need *need, struct err *err)
{
	for (unsigned i = 0; i < need->nr_parts; i++) {
		const struct room_part *part = &need->parts[i];
		const struct host_memory_node *node = find_node(&room->memory, part->node);
		char where[128];

		if (!node || !node->available || part->bytes <= node->available)
			continue;
		snprintf(where, sizeof(where),
			 "%" PRIu64 " MiB of it on node %u of the host, which has %" PRIu64
			 " MiB available",
			 part->bytes / MIB, part->node, node->available / MIB);
		return short_of(need, need->behind, where, err, "bind less to that node, ");
	}
	return 0;
}

static int judge_memory(const struct room *room, const struct room_need *need, struct err *err)
{
	const struct host_memory *m = &room->memory;
	const struct cgroup_limit *limit = &room->group.memory_limit;
	char where[CGROUP_FILE_MAX + 128];

	/* Other programs' pages can be swapped out. */
	if (m->available && need->behind > m->available + m->swap) {
		snprintf(where, sizeof(where), "the host has %" PRIu64 " MiB available%s",
			 (m->available + m->swap) / MIB, m->swap ? ", swap included" : "");
		return short_of(need, need->behind, where, err, "end other programs, ");
	}
	if (need->behind > limit->bytes) {
		snprintf(where, sizeof(where), "its control group leaves it %" PRIu64 " MiB",
			 limit->bytes / MIB);
		return err_prefix(err,
				  short_of(need, need->behind, where, err,
					   "raise that limit (MemoryMax= of a systemd unit), "),
				  "%s: ", limit->file);
	}
	return judge_node_memory(room, need, err);
}

/* RAM is advised (MADV_HUGEPAGE), so "madvise" and "advise" are enough. */
static int judge_transparent(const struct room *room, const struct room_need *need, struct err *err)
{
	if (!need->transparent || (*room->transparent && strcmp(room->transparent, "never") != 0 &&
				   strcmp(room->transparent, "deny") != 0))
		return 0;
	if (!*room->transparent)
		return err_set(err, ENODEV,
			       "--page-size thp: this host's kernel has no transparent huge pages "
			       "(there is no %s); use another --page-size",
			       transparent_file(need));
	return err_set(err, ENODEV,
		       "--page-size thp: this host makes no transparent huge pages (%s says "
		       "%s): write %s to it, or use another --page-size",
		       transparent_file(need), room->transparent,
		       need->in_file ? "advise" : "madvise");
}

int room_judge(const struct room *room, const struct room_need *need, struct err *err)
{
	int ret = judge_limits(room, need, err);

	if (ret == 0)
		ret = judge_transparent(room, need, err);
	if (ret == 0)
		ret = judge_nodes(room, need, err);
	if (ret < 0 || need->overcommit || !at_once(need))
		return ret;
	return need->page_size == 4 * KIB ? judge_memory(room, need, err)
					  : judge_huge(room, need, err);
}
