#include "init/facts.h"
#include "init/kernel.h"
#include "init/writer.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* --- memory --- */

static void write_range(struct writer *w, uint64_t start, uint64_t end)
{
	writer_number(w, "start", start);
	writer_number(w, "end", end);
}

/* The kernel numbers the entries from 0 on (drivers/firmware/memmap.c). */
static void write_e820(struct writer *w)
{
	uint64_t start, last;
	char type[64];

	writer_open(w, "e820", '[');
	for (unsigned i = 0; kernel_number(&start, "/sys/firmware/memmap/%u/start", i) &&
			     kernel_number(&last, "/sys/firmware/memmap/%u/end", i);
	     i++) {
		(void)kernel_read(type, sizeof(type), "/sys/firmware/memmap/%u/type", i);
		writer_open(w, NULL, '{');
		write_range(w, start, last + 1);
		writer_text(w, "type", type);
		writer_close(w, '}');
	}
	writer_close(w, ']');
}

static void write_iomem(struct writer *w)
{
	FILE *f = fopen("/proc/iomem", "re");
	struct iomem io;
	char line[256];

	writer_open(w, "iomem", '[');
	while (f && fgets(line, sizeof(line), f)) {
		if (!kernel_iomem(&io, line))
			continue;
		writer_open(w, NULL, '{');
		write_range(w, io.start, io.end);
		writer_number(w, "depth", io.depth);
		writer_text(w, "name", io.name);
		writer_close(w, '}');
	}
	writer_close(w, ']');
	if (f)
		fclose(f);
}

static uint64_t memory_total(void)
{
	char text[4096];
	uint64_t kib = 0;

	if (kernel_read(text, sizeof(text), "/proc/meminfo"))
		(void)kernel_field(text, "MemTotal:", &kib);
	return kib;
}

/* --- CPUs and nodes --- */

#define SYS_CPU "/sys/devices/system/cpu"

/* The name of a directory is the prefix and a number. */
static bool is_numbered(const char *name, const char *prefix, unsigned *number)
{
	size_t len = strlen(prefix);
	char *end;

	if (strncmp(name, prefix, len) != 0 || name[len] < '0' || name[len] > '9')
		return false;
	*number = (unsigned)strtoul(name + len, &end, 10);
	return !*end;
}

/* A CPU that is the first of its socket's list counts for the socket. */
static void write_cpus(struct writer *w)
{
	unsigned sockets = 0, socket_cpus = 1, threads = 1, cpu, n;
	DIR *dir = opendir(SYS_CPU);
	const struct dirent *entry;
	char list[4096];

	while (dir && (entry = readdir(dir))) {
		if (!is_numbered(entry->d_name, "cpu", &cpu))
			continue;
		if (kernel_read(list, sizeof(list), SYS_CPU "/cpu%u/topology/thread_siblings_list",
				cpu) &&
		    (n = kernel_list_count(list)) > threads)
			threads = n;
		if (!kernel_read(list, sizeof(list), SYS_CPU "/cpu%u/topology/core_siblings_list",
				 cpu))
			continue;
		sockets += strtoul(list, NULL, 10) == cpu;
		n = kernel_list_count(list);
		socket_cpus = n > socket_cpus ? n : socket_cpus;
	}
	if (dir)
		closedir(dir);
	n = kernel_read(list, sizeof(list), SYS_CPU "/online") ? kernel_list_count(list) : 0;
	writer_open(w, "cpus", '{');
	writer_number(w, "online", n ? n : 1); /* a kernel without SMP has no such file */
	writer_number(w, "sockets", sockets ? sockets : 1);
	writer_number(w, "cores", socket_cpus / threads);
	writer_number(w, "threads", threads);
	writer_close(w, '}');
}

/* "10 20": to each node that is online, in the order of their numbers. */
static void write_distances(struct writer *w, const char *list)
{
	char *end;

	writer_open(w, "distances", '[');
	for (;; list = end) {
		unsigned long distance = strtoul(list, &end, 10);

		if (end == list)
			break;
		writer_number(w, NULL, distance);
	}
	writer_close(w, ']');
}

static void write_node(struct writer *w, unsigned node, const char *cpus, uint64_t kib,
		       const char *distances)
{
	writer_open(w, NULL, '{');
	writer_number(w, "node", node);
	writer_text(w, "cpus", cpus);
	writer_number(w, "mem_kib", kib);
	write_distances(w, distances);
	writer_close(w, '}');
}

/* A kernel without NUMA has one node. */
static void write_nodes(struct writer *w)
{
	struct dirent **entries;
	int nr = scandir("/sys/devices/system/node", &entries, NULL, versionsort);
	bool any = false;

	writer_open(w, "nodes", '[');
	for (int i = 0; i < nr; i++) {
		char cpus[4096], text[4096];
		uint64_t kib = 0;
		unsigned node;

		if (is_numbered(entries[i]->d_name, "node", &node) &&
		    kernel_read(cpus, sizeof(cpus), "/sys/devices/system/node/node%u/cpulist",
				node)) {
			(void)kernel_read(text, sizeof(text),
					  "/sys/devices/system/node/node%u/meminfo", node);
			(void)kernel_field(text, "MemTotal:", &kib);
			(void)kernel_read(text, sizeof(text),
					  "/sys/devices/system/node/node%u/distance", node);
			write_node(w, node, cpus, kib, text);
			any = true;
		}
		free(entries[i]);
	}
	if (nr >= 0)
		free(entries);
	if (!any) {
		char cpus[4096];

		if (!kernel_read(cpus, sizeof(cpus), SYS_CPU "/online"))
			strcpy(cpus, "0");
		write_node(w, 0, cpus, memory_total(), "10");
	}
	writer_close(w, ']');
}

/* --- devices --- */

#define SYS_PCI "/sys/bus/pci/devices"

/* BARs, the expansion ROM and a bridge's windows: a line each, of zeroes if there is none. */
static void write_resources(struct writer *w, const char *address)
{
	char text[4096], *next = text;
	writer_open(w, "resources", '[');
	(void)kernel_read(text, sizeof(text), SYS_PCI "/%s/resource", address);
	for (; next; next = strchr(next, '\n') ? strchr(next, '\n') + 1 : NULL) {
		char *end;
		uint64_t start = strtoull(next, &end, 16), last = strtoull(end, NULL, 16);

		if (!last)
			continue;
		writer_open(w, NULL, '[');
		writer_number(w, NULL, start);
		writer_number(w, NULL, last + 1);
		writer_close(w, ']');
	}
	writer_close(w, ']');
}

static void write_function(struct writer *w, const char *address)
{
	static const char *const names[] = { "vendor", "device", "class" };
	char path[300], link[300], text[64];
	ssize_t n;

	writer_open(w, NULL, '{');
	writer_text(w, "address", address);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)kernel_read(text, sizeof(text), SYS_PCI "/%s/%s", address, names[i]);
		writer_text(w, names[i], text);
	}
	snprintf(path, sizeof(path), SYS_PCI "/%s/driver", address);
	n = readlink(path, link, sizeof(link) - 1);
	link[n > 0 ? n : 0] = '\0';
	writer_text(w, "driver", strrchr(link, '/') ? strrchr(link, '/') + 1 : NULL);
	write_resources(w, address);
	writer_close(w, '}');
}

static void write_pci(struct writer *w)
{
	struct dirent **entries;
	int nr = scandir(SYS_PCI, &entries, NULL, alphasort);

	writer_open(w, "pci", '[');
	for (int i = 0; i < nr; i++) {
		if (entries[i]->d_name[0] != '.')
			write_function(w, entries[i]->d_name);
		free(entries[i]);
	}
	if (nr >= 0)
		free(entries);
	writer_close(w, ']');
}

static void write_dmi(struct writer *w)
{
	struct dirent **entries;
	int nr = scandir("/sys/class/dmi/id", &entries, NULL, alphasort);

	writer_open(w, "dmi", '{');
	for (int i = 0; i < nr; i++) {
		const char *name = entries[i]->d_name;
		char text[512];

		if (name[0] != '.' && strcmp(name, "uevent") != 0 &&
		    strcmp(name, "modalias") != 0 &&
		    kernel_read(text, sizeof(text), "/sys/class/dmi/id/%s", name))
			writer_text(w, name, text);
		free(entries[i]);
	}
	if (nr >= 0)
		free(entries);
	writer_close(w, '}');
}

void facts_write(FILE *to)
{
	struct writer w = { .to = to };
	struct utsname name = { 0 };
	char cmdline[8192];

	(void)uname(&name);
	(void)kernel_read(cmdline, sizeof(cmdline), "/proc/cmdline");
	writer_open(&w, NULL, '{');
	writer_text(&w, "release", name.release);
	writer_text(&w, "cmdline", cmdline);
	write_e820(&w);
	write_iomem(&w);
	write_cpus(&w);
	write_nodes(&w);
	writer_number(&w, "memory_kib", memory_total());
	write_pci(&w);
	write_dmi(&w);
	writer_close(&w, '}');
}
