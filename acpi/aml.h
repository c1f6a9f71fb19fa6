/*
 * Writes the AML that differs between VMs: named resource templates. All other AML is in dsdt.asl.
 *
 * PURE. Called by tables.c. ACPI 6.3 chapters 6.4 (resource descriptors) and 20.2 (encoding).
 */
#ifndef ACPI_AML_H
#define ACPI_AML_H

#include "vmm/base/bytes.h"
#include "vmm/base/span.h"

enum aml_resource_kind {
	AML_BUSES,    /* PCI bus numbers that a bridge decodes */
	AML_WINDOW,   /* memory that a bridge decodes for what is behind it */
	AML_RESERVED, /* memory that the device itself occupies */
};

struct aml_resource {
	enum aml_resource_kind kind;
	struct span at; /* not empty; bus numbers end at 256 at most */
};

/*
 * Name (PATH, ResourceTemplate () { list }). `path` is absolute with segments of four characters:
 * "\\_SB_.PCI0.WIND". Numbers of memory get 32 bits (DWordMemory) where they fit, else 64
 * (QWordMemory). Memory is read-write and not prefetchable: because Linux puts BARs of either kind
 * into such a window, but only prefetchable BARs into a prefetchable one.
 */
void aml_name_resources(struct bytes_out *b, const char *path, const struct aml_resource *list,
			size_t n);

#endif
