/*
 * Writes the AML that differs between VMs: named resource templates, and host bridges beside the
 * first one. All other AML is in dsdt.asl.
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

struct aml_bridge {
	const char *path; /* "\\_SB_.PC01" */
	unsigned uid;
	unsigned bus;			 /* _BBN */
	unsigned node;			 /* _PXM */
	const struct aml_resource *list; /* _CRS */
	size_t n;
};

/*
 * A PCI Express host bridge of segment 0, whose _PRT and _OSC are those of \_SB.PCI0: pins are
 * wired by slot alone.
 */
void aml_host_bridge(struct bytes_out *b, const struct aml_bridge *bridge);

#endif
