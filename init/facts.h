/*
 * @facts: what the guest's kernel knows of its machine, as one JSON object.
 *
 *   release, cmdline  texts
 *   e820              [{start, end, type}]: /sys/firmware/memmap
 *   iomem             [{start, end, depth, name}]: /proc/iomem
 *   cpus              {online, sockets, cores, threads}: cores of a socket, threads of a core
 *   nodes             [{node, cpus, mem_kib, distances}]: cpus as a list, "0-3", or "" for memory
 *                     alone; distances to all nodes, this one included
 *   memory_kib        MemTotal of /proc/meminfo
 *   pci               [{address, vendor, device, class, driver, resources: [[start, end]]}]
 *   dmi               {name: text}: /sys/class/dmi/id
 *
 * jq 1.6 takes .e820 for a number; write .["e820"] in its filters.
 *
 * Ranges are half-open. What the kernel does not tell is an empty list or null.
 */
#ifndef INIT_FACTS_H
#define INIT_FACTS_H

#include <stdio.h>

void facts_write(FILE *to);

#endif
