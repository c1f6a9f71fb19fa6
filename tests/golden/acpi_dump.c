/*
 * acpi_dump CASE DIRECTORY: writes the ACPI tables of a named machine, one NAME.dat file each, for
 * acpi.sh. Without arguments it lists the cases.
 */
#include "acpi/tables.h"
#include "vmm/base/bytes.h"
#include "vmm/base/platform.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct dump_case {
	const char *name;
	struct config config;
	struct host_facts host;
};

static const struct dump_case cases[] = {
	{
		.name = "small",
		.config = { .memory = 256 * MIB,
			    .page_size = 4 * KIB,
			    .cpus = 1,
			    .sockets = 1,
			    .cores = 1,
			    .threads = 1 },
		.host = { .vendor = HOST_INTEL, .family = 6, .phys_bits = 39 },
	},
	{
		/* three cores: APIC ids have a gap */
		.name = "amd",
		.config = { .memory = 1100 * GIB,
			    .max_memory = 1200 * GIB,
			    .page_size = 4 * KIB,
			    .nodes = { { .size = 550 * GIB }, { .size = 550 * GIB } },
			    .nr_nodes = 2,
			    .cpus = 6,
			    .sockets = 2,
			    .cores = 3,
			    .threads = 1 },
		.host = { .vendor = HOST_AMD, .family = 25, .phys_bits = 48 },
	},
	{
		/* behind a port, and on bus 0: two buses */
		.name = "devices",
		.config = { .memory = 4 * GIB,
			    .page_size = 4 * KIB,
			    .cpus = 1,
			    .sockets = 1,
			    .cores = 1,
			    .threads = 1,
			    .vfio = { { .root_bus = false }, { .root_bus = true } },
			    .nr_vfio = 2 },
		.host = { .vendor = HOST_INTEL,
			  .family = 6,
			  .phys_bits = 46,
			  .pci = { { .name = "0000:41:00.0",
				     .bars = { { 128 * GIB, .wide = true, .prefetch = true } } },
				   { .index = 1,
				     .name = "0000:42:00.0",
				     .bars = { { .size = GIB } } } },
			  .nr_pci = 2 },
	},
	{
		/* a device of node 1: a second host bridge, of buses 1 and 2 */
		.name = "node",
		.config = { .memory = 4 * GIB,
			    .page_size = 4 * KIB,
			    .nodes = { { .size = 2 * GIB }, { .size = 2 * GIB } },
			    .nr_nodes = 2,
			    .cpus = 2,
			    .sockets = 2,
			    .cores = 1,
			    .threads = 1,
			    .vfio = { { .has_node = true, .node = 1 } },
			    .nr_vfio = 1 },
		.host = { .vendor = HOST_INTEL,
			  .family = 6,
			  .phys_bits = 46,
			  .pci = { { .name = "0000:41:00.0",
				     .bars = { { 128 * GIB, .wide = true, .prefetch = true },
					       [2] = { .size = MIB } } } },
			  .nr_pci = 1 },
	},
};

static int dump(const char *dir, const char *name, const void *data, size_t len)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%.4s.dat", dir, name);
	for (char *c = path + strlen(dir); *c; c++)
		*c = (char)tolower((unsigned char)*c);
	f = fopen(path, "w");
	if (!f || fwrite(data, 1, len, f) != len || fclose(f)) {
		perror(path);
		return -1;
	}
	return 0;
}

/* Finds the tables as a kernel does: RSDP, XSDT, its entries, and the DSDT through the FADT. */
static int dump_all(const char *dir, const uint8_t *mem)
{
	const uint8_t *rsdp = mem + ACPI_RSDP - ACPI_BASE;
	const uint8_t *xsdt = mem + load_le(rsdp + 24, 8) - ACPI_BASE;
	size_t n = (load_le(xsdt + 4, 4) - 36) / 8;
	int ret = dump(dir, "rsdp", rsdp, ACPI_RSDP_SIZE) |
		  dump(dir, "xsdt", xsdt, load_le(xsdt + 4, 4));

	for (size_t i = 0; i < n; i++) {
		const uint8_t *table = mem + load_le(xsdt + 36 + 8 * i, 8) - ACPI_BASE;

		ret |= dump(dir, (const char *)table, table, load_le(table + 4, 4));
		if (!memcmp(table, "FACP", 4)) {
			const uint8_t *dsdt = mem + load_le(table + 140, 8) - ACPI_BASE;

			ret |= dump(dir, "dsdt", dsdt, load_le(dsdt + 4, 4));
		}
	}
	return ret;
}

int main(int argc, char **argv)
{
	static uint8_t mem[ACPI_END - ACPI_BASE];
	static struct plan plan;
	struct err err;
	size_t len;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (argc == 1)
			puts(cases[i].name);
		if (argc != 3 || strcmp(argv[1], cases[i].name))
			continue;
		if (plan_build(&plan, &cases[i].config, &cases[i].host, &err) ||
		    acpi_build(&plan, ACPI_BASE, mem, ACPI_RSDP - ACPI_BASE, &len,
			       mem + ACPI_RSDP - ACPI_BASE, &err)) {
			fprintf(stderr, "%s: %s\n", argv[1], err.text);
			return EXIT_FAILURE;
		}
		return dump_all(argv[2], mem) ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	return argc == 1 ? EXIT_SUCCESS : EXIT_FAILURE;
}
