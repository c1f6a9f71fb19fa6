/*
 * straddle plan: the memory map as a table, as JSON or as a device tree.
 */
#include "vmm/cli/cmd.h"

#include "vmm/backends/passthrough.h"
#include "vmm/base/quote.h"
#include "vmm/plan/fdt.h"
#include "vmm/plan/json.h"
#include "vmm/plan/pci_rules.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void print_row(FILE *to, struct span at, const char *what, const char *why)
{
	fprintf(to, "%#16" PRIx64 "  %#16" PRIx64 "  %12s  %-14s  %s\n", at.base, at.end,
		QUOTED_SIZE(span_size(at)), what, why);
}

/* "64-bit prefetchable memory" */
static const char *bar_kind(char buf[32], unsigned i, const struct bar_shape *bar)
{
	if (bar->io || i == BAR_ROM)
		return bar->io ? "I/O ports" : "expansion ROM";
	snprintf(buf, 32, "%s-bit %smemory", bar->wide ? "64" : "32",
		 bar->prefetch ? "prefetchable " : "");
	return buf;
}

static void print_port(FILE *to, const struct plan *p, unsigned i)
{
	static const char *const names[PCI_SPACES] = {
		[PCI_SPACE_IO] = "I/O ports",
		[PCI_SPACE_MEM32] = "memory below 4 GiB",
		[PCI_SPACE_MEM64] = "prefetchable memory",
	};
	struct plan_port port = p->ports[i];

	for (unsigned kind = 0; kind < PCI_SPACES; kind++) {
		struct span at = *plan_pci_window(&port, (enum pci_space)kind);

		if (!span_empty(at))
			print_row(to, at, "port window", names[kind]);
	}
}

static const char *port_address(char buf[16], const struct plan *p, const struct plan_port *port)
{
	return plan_pci_address(buf, p->bridges[plan_bridge_of(p, port->bus)].bus, port->slot,
				port->function);
}

static bool is_first_behind(const struct plan *p, const struct plan_pci *fn)
{
	for (const struct plan_pci *other = p->pci; other < fn; other++)
		if (other->port == fn->port)
			return false;
	return true;
}

static const char *no_ports_left(const struct plan *p, const struct plan_pci *fn)
{
	return plan_bridge_of(p, fn->bus) ? "I/O ports: this node has none, stays off"
					  : "I/O ports: none are left, stays off";
}

/* Each device with its BARs, the first one behind a port with the windows of the port. */
static void print_device(FILE *to, const struct plan *p, const struct plan_pci *fn)
{
	char here[16], above[16], kind[32];

	fprintf(to, "\n%s is %s in the guest, ", fn->name,
		plan_pci_address(here, fn->bus, fn->slot, fn->function));
	if (fn->port == PLAN_NO_PORT)
		fprintf(to, "on the root bus");
	else
		fprintf(to, "behind root port %s", port_address(above, p, &p->ports[fn->port]));
	if (p->nr_bridges > 1)
		fprintf(to, ", of node %u", p->bridges[plan_bridge_of(p, fn->bus)].node);
	if (fn->kind == DEVICE_PASSED_THROUGH) /* emulated devices have no INTx */
		fprintf(to, "; INTA is GSI %u", plan_pci_gsi(p, fn, 0));
	fprintf(to, "\n");
	if (fn->port != PLAN_NO_PORT && is_first_behind(p, fn))
		print_port(to, p, fn->port);
	for (unsigned i = 0; i < BARS_AND_ROM; i++) {
		const struct plan_bar *bar = &fn->bars[i];

		if (bar->shape.size && !bar->at)
			fprintf(to, "%16s  %16s  %12s  %-14s  %s\n", "-", "-",
				QUOTED_SIZE(bar->shape.size), plan_pci_bar_name(i),
				no_ports_left(p, fn));
		else if (bar->shape.size)
			print_row(to, (struct span){ bar->at, bar->at + bar->shape.size },
				  plan_pci_bar_name(i), bar_kind(kind, i, &bar->shape));
	}
}

static void print_nodes(FILE *to, const struct plan *p)
{
	char cpus[PLAN_CPU_LIST_MAX];

	fprintf(to, "\n");
	for (unsigned i = 0; i < p->nr_nodes; i++) {
		plan_cpu_list(p, i, cpus, sizeof(cpus));
		fprintf(to, "node %u: %s of RAM", i, QUOTED_SIZE(p->nodes[i].size));
		if (p->nodes[i].bound)
			fprintf(to, " on node %u of the host", p->nodes[i].host);
		fprintf(to, ", %s%s, distances", *cpus ? "CPUs " : "no CPUs", cpus);
		for (unsigned j = 0; j < p->nr_nodes; j++)
			fprintf(to, " %u", plan_distance(p, i, j));
		fprintf(to, "\n");
	}
}

/* Host bridges, if there is more than one, and root ports with nothing behind them. */
static void print_bridges(FILE *to, const struct plan *p)
{
	const char *before = "\nempty root ports: ";
	char at[16];

	if (p->nr_bridges > 1)
		fprintf(to, "\n");
	for (unsigned i = 0; p->nr_bridges > 1 && i < p->nr_bridges; i++)
		fprintf(to, "the host bridge of node %u has buses %02x to %02x\n",
			p->bridges[i].node, p->bridges[i].bus,
			p->bridges[i].bus + p->bridges[i].buses - 1);
	for (unsigned i = 0; i < p->nr_ports; i++) {
		bool empty = true;

		for (unsigned j = 0; j < p->nr_pci; j++)
			empty &= p->pci[j].port != i;
		if (!empty)
			continue;
		fprintf(to, "%s%s", before, port_address(at, p, &p->ports[i]));
		before = ", ";
	}
	if (!strcmp(before, ", "))
		fprintf(to, "\n");
}

/* Whose the region is, where there is more than one. */
static bool is_of_node(const struct plan *p, const struct map_region *r, unsigned *node)
{
	bool window = map_is_window(r->kind);

	*node = window ? p->bridges[r->node].node : r->node;
	return window ? p->nr_bridges > 1 : p->numa && map_is_memory(r->kind);
}

void print_plan(FILE *to, const struct plan *p)
{
	char what[32];
	unsigned node;

	fprintf(to,
		"%s of RAM, at most %s, %u CPUs; %u of %u address bits used; iova policy %s\n\n",
		QUOTED_SIZE(p->ram_size), QUOTED_SIZE(p->max_memory), p->cpus, p->map.bits_required,
		p->phys_bits, iova_policy_name(p->iova_policy));
	fprintf(to, "%16s  %16s  %12s  %-14s  %s\n", "start", "end", "size", "what", "why");
	for (unsigned i = 0; i < p->map.nr_regions; i++) {
		const struct map_region *r = &p->map.regions[i];

		snprintf(what, sizeof(what), "%s", map_kind_name(r->kind));
		if (is_of_node(p, r, &node))
			snprintf(what, sizeof(what), "%s node %u", map_kind_name(r->kind), node);
		print_row(to, r->at, what, map_region_why(&p->map, r));
	}
	for (unsigned i = 0; i < p->map.nr_forbidden; i++) {
		const struct map_forbidden *f = &p->map.forbidden[i];

		if (f->at.base >= p->map.regions[p->map.nr_regions - 1].at.end)
			print_row(to, f->at, "(forbidden)", f->why);
	}
	if (p->numa)
		print_nodes(to, p);
	print_bridges(to, p);
	for (unsigned i = 0; i < p->nr_pci; i++)
		print_device(to, p, &p->pci[i]);
}

/* Prints how and where the kernel is entered, and where its data lie. */
static void print_boot(FILE *to, const struct plan_boot *boot)
{
	static const char *const protocols[][2] = {
		{ "linux64", "Linux' 64-bit boot protocol" },
		{ "linux32", "Linux' 32-bit boot protocol" },
		{ "pvh", "PVH" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
		if (!strcmp(boot->protocol, protocols[i][0]))
			fprintf(to, "\nthe kernel is entered at %#" PRIx64 ", by %s\n", boot->entry,
				protocols[i][1]);
	for (unsigned i = 0; i < boot->nr_places; i++) {
		const char *what = boot->places[i].what;

		print_row(to, boot->places[i].at, what,
			  !strcmp(what, "kernel")   ? "--kernel"
			  : !strcmp(what, "initrd") ? "--initrd"
						    : "boot data");
	}
}

static int print_json(const struct plan *p, const struct plan_boot *boot, struct err *err)
{
	char *text = NULL;
	int ret = plan_json(p, boot, &text, err);

	if (ret < 0)
		return ret;
	printf("%s\n", text);
	free(text);
	return 0;
}

/*
 * Writes a temporary file beside `path` and renames it, so that a plan file is complete or not
 * there. A path that is not a regular file (/dev/stdout, a FIFO, a link) is written to and not
 * replaced.
 */
static int cmd_plan_write_file(const char *path, const void *data, size_t len, struct err *err)
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
		ret = cmd_plan_write_file(path, blob, len, err);
	free(blob);
	return ret;
}

/*
 * Finds the facts of the host to plan for: that of --host, or this one with what sysfs says of the
 * devices. --probe attaches the devices, asks what the IOMMU can map, and closes them again.
 */
static int find_host(struct host_facts *host, const struct config *c, struct err *err)
{
	struct passthrough pt;
	int ret;

	if (c->has_host) {
		*host = c->host;
		return 0;
	}
	host_probe(host);
	if (!c->probe)
		return passthrough_probe(c, host, err);
	ret = passthrough_open(&pt, c, host, err);
	if (ret == 0)
		passthrough_close(&pt);
	return ret;
}

int cmd_plan(int argc, char *argv[])
{
	struct config c = CONFIG_EMPTY;
	struct host_facts host;
	struct boot_view *view = NULL;
	const struct plan_boot *boot;
	struct plan plan;
	struct err err;
	int status, ret;

	if (!cmd_parse(&c, CMD_PLAN, argc, argv, &status))
		goto out;
	if (find_host(&host, &c, &err) < 0) {
		status = complain(&err, STATUS_HOST_ERROR);
		goto out;
	}
	if (cmd_make_plan(&plan, &c, &host, &err) < 0) {
		status = complain(&err, STATUS_USAGE);
		goto out;
	}
	view = boot_view_make(&plan, &c, &ret, &err);
	if (ret < 0) {
		status = complain(&err, STATUS_USAGE);
		goto out;
	}
	boot = view ? boot_view_get(view) : NULL;
	status = 0;
	if (c.dtb_file && write_dtb(&plan, c.dtb_file, &err) < 0)
		status = complain(&err, STATUS_HOST_ERROR);
	else if (c.json && print_json(&plan, boot, &err) < 0)
		status = complain(&err, STATUS_HOST_ERROR);
	else if (!c.dtb_file && !c.json)
		print_plan(stdout, &plan);
	if (boot && !c.dtb_file && !c.json)
		print_boot(stdout, boot);
	if (status == 0 && (fflush(stdout) != 0 || ferror(stdout))) {
		err_sys(&err, errno, "standard output cannot be written");
		status = complain(&err, STATUS_HOST_ERROR);
	}
out:
	free(view);
	config_free(&c);
	return status;
}
