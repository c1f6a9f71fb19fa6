/*
 * straddle plan: the memory map as a table, as JSON or as a device tree.
 */
#include "vmm/cmd.h"

#include "vmm/plan_fdt.h"
#include "vmm/plan_json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* "3 GiB", "511 MiB": the largest unit that divides the size, so nothing is rounded. */
static const char *print_size(char buf[32], uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB" };
	unsigned unit = 0;

	while (bytes && bytes % 1024 == 0 && unit + 1 < ARRAY_SIZE(units)) {
		bytes /= 1024;
		unit++;
	}
	snprintf(buf, 32, "%" PRIu64 " %s", bytes, units[unit]);
	return buf;
}

static void print_row(FILE *to, struct span at, const char *what, const char *why)
{
	char size[32];

	fprintf(to, "%#16" PRIx64 "  %#16" PRIx64 "  %12s  %-14s  %s\n", at.base, at.end,
		print_size(size, span_size(at)), what, why);
}

void print_plan(FILE *to, const struct plan *p)
{
	char ram[32], max[32], what[32];

	fprintf(to,
		"%s of RAM, at most %s, %u CPUs; %u of %u address bits used; iova policy %s\n\n",
		print_size(ram, p->ram_size), print_size(max, p->max_memory), p->cpus,
		p->map.bits_required, p->phys_bits, iova_policy_name(p->iova_policy));
	fprintf(to, "%16s  %16s  %12s  %-14s  %s\n", "start", "end", "size", "what", "why");
	for (unsigned i = 0; i < p->map.nr_regions; i++) {
		const struct map_region *r = &p->map.regions[i];

		snprintf(what, sizeof(what), "%s", map_kind_name(r->kind));
		if (p->numa && (r->kind == MAP_RAM || r->kind == MAP_HOTPLUG))
			snprintf(what, sizeof(what), "%s node %u", map_kind_name(r->kind), r->node);
		print_row(to, r->at, what, map_region_why(&p->map, r));
	}
	for (unsigned i = 0; i < p->map.nr_forbidden; i++) {
		const struct map_forbidden *f = &p->map.forbidden[i];

		if (f->at.base >= p->map.regions[p->map.nr_regions - 1].at.end)
			print_row(to, f->at, "(forbidden)", f->why);
	}
}

static int print_json(const struct plan *p, struct err *err)
{
	char *text = NULL;
	int ret = plan_json(p, &text, err);

	if (ret < 0)
		return ret;
	printf("%s\n", text);
	free(text);
	return 0;
}

/*
 * A plan file is whole or not there: written beside and renamed. What is no regular file
 * (/dev/stdout, a FIFO, a link) is written to instead, not replaced.
 */
static int write_file(const char *path, const void *data, size_t len, struct err *err)
{
	struct stat st;
	bool replace = lstat(path, &st) < 0 || S_ISREG(st.st_mode);
	char *beside = NULL;
	FILE *file = NULL;
	int ret = 0;

	if (asprintf(&beside, replace ? "%s.tmp" : "%s", path) < 0)
		return err_sys(err, ENOMEM, "--dtb %s cannot be written", path);
	file = fopen(beside, "we");
	if (!file || fwrite(data, 1, len, file) != len || fflush(file) != 0 ||
	    (replace && rename(beside, path) < 0)) {
		ret = err_sys(err, errno, "--dtb %s cannot be written", path);
		if (file && replace)
			unlink(beside);
	}
	if (file)
		fclose(file);
	free(beside);
	return ret;
}

static int write_dtb(const struct plan *p, const char *path, struct err *err)
{
	void *blob = malloc(PLAN_FDT_MAX);
	size_t len = 0;
	int ret;

	if (!blob)
		return err_sys(err, ENOMEM, "--dtb %s cannot be written", path);
	ret = plan_to_fdt(p, blob, PLAN_FDT_MAX, &len, err);
	if (ret == 0)
		ret = write_file(path, blob, len, err);
	free(blob);
	return ret;
}

int cmd_plan(int argc, char *argv[])
{
	struct config c = CONFIG_EMPTY;
	struct host_facts host;
	struct plan plan;
	struct err err;
	int status;

	if (!cmd_parse(&c, CMD_PLAN, argc, argv, &status))
		goto out;
	if (c.has_host)
		host = c.host;
	else
		host_probe(&host);
	if (cmd_make_plan(&plan, &c, &host, &err) < 0) {
		status = complain(&err, STATUS_USAGE);
		goto out;
	}
	status = 0;
	if (c.dtb_file && write_dtb(&plan, c.dtb_file, &err) < 0)
		status = complain(&err, STATUS_HOST_ERROR);
	else if (c.json && print_json(&plan, &err) < 0)
		status = complain(&err, STATUS_HOST_ERROR);
	else if (!c.dtb_file && !c.json)
		print_plan(stdout, &plan);
	if (status == 0 && (fflush(stdout) != 0 || ferror(stdout))) {
		err_sys(&err, errno, "standard output cannot be written");
		status = complain(&err, STATUS_HOST_ERROR);
	}
out:
	config_free(&c);
	return status;
}
