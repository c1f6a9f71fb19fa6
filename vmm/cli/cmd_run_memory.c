/*
 * straddle run: guest memory, and its mapping for passed-through devices.
 */
#include "vmm/cli/cmd_run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

/* --- RAM, and what devices see of it --- */

static int create_ram(struct run *run, struct err *err)
{
	const struct ram_backing backing = {
		.page_size = run->plan.page_size,
		.fold = run->config.fold,
		.shared = config_shares_ram(&run->config),
	};
	struct span spans[PLAN_LIST_MAX];
	size_t n = plan_ram(&run->plan, spans, PLAN_LIST_MAX);

	return ram_create(&run->ram, spans, n, &backing, err);
}

static int by_address(const void *a, const void *b)
{
	const struct ram_block *x = a, *y = b;

	return x->gpa.base < y->gpa.base ? -1 : 1;
}

static int list_memory(struct run *run, struct err *err)
{
	size_t n = run->ram.nr_blocks;

	memcpy(run->blocks, run->ram.blocks, n * sizeof(run->blocks[0]));
	n += backends_memory(&run->backends, run->blocks + n, PMEM_MAX);
	qsort(run->blocks, n, sizeof(run->blocks[0]), by_address);
	run->guest_ram = (struct guest_ram){ run->blocks, n };
	return backends_check_memory(&run->backends, &run->guest_ram, err);
}

/* A mapping that takes seconds says how far it is: on a terminal as it goes, else once. */
struct mapping {
	struct run *run;
	struct timespec start;
	bool tty;
	bool said;
};

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static void mapping_done(void *to, uint64_t bytes, uint64_t total)
{
	struct mapping *m = to;
	double seconds = seconds_since(&m->start);
	double gib = (double)bytes / GIB, rate = seconds > 0 ? gib / seconds : 0;
	double left = rate > 0 ? ((double)total / GIB - gib) / rate : 0;

	if (seconds < 1 || (!m->tty && bytes < total))
		return;
	m->said = m->run->mapped_slowly = true;
	fprintf(stderr,
		"%sstraddle: mapped %.1f of %.1f GiB for devices, %.1f GiB/s, %.0f s left%s",
		m->tty ? "\r" : "", gib, (double)total / GIB, rate, left, m->tty ? "\33[K" : "\n");
}

/* Every signal but the job-control ones ends the run; nothing else is there yet to be asked. */
static bool mapping_stop(void *to)
{
	struct mapping *m = to;
	struct signalfd_siginfo info;

	while (read(m->run->signals, &info, sizeof(info)) == sizeof(info))
		if (info.ssi_signo != SIGTSTP && info.ssi_signo != SIGCONT)
			m->run->signal = (int)info.ssi_signo;
	return m->run->signal;
}

/* Returns -EINTR if a signal ended it. */
static int map_for_devices(struct run *run, struct err *err)
{
	struct mapping m = { .run = run, .tty = isatty(STDERR_FILENO) };
	const struct iommu_progress progress = { mapping_done, mapping_stop, &m };
	struct err reset = { "" };
	int ret;

	if (!run->config.nr_vfio)
		return 0;
	if (run->passthrough.iommu.no_iommu)
		fprintf(stderr, "straddle: noiommu=on: nothing keeps the devices from the host's "
				"memory, and as the guest's addresses are not translated, DMA of "
				"its drivers goes astray\n");
	clock_gettime(CLOCK_MONOTONIC, &m.start);
	ret = passthrough_map(&run->passthrough, &run->plan, &run->ram, &progress, err);
	if (m.tty && m.said)
		fputc('\n', stderr);
	if (ret == 0)
		ret = passthrough_reset(&run->passthrough, &reset);
	if (*reset.text)
		fprintf(stderr, "straddle: %s\n", reset.text);
	return ret;
}

int run_make_memory(struct run *run, struct err *err)
{
	int ret = create_ram(run, err);

	if (ret == 0)
		ret = list_memory(run, err);
	if (ret == 0)
		ret = map_for_devices(run, err);
	return ret;
}

/* What took seconds to map takes about as long to unmap: unpinning has no progress to tell of. */
void run_close_memory(struct run *run)
{
	if (run->mapped_slowly)
		fprintf(stderr, "straddle: unmapping %.1f GiB from devices\n",
			(double)run->passthrough.iommu.mapped / GIB);
	passthrough_close(&run->passthrough);
	ram_destroy(&run->ram);
}
