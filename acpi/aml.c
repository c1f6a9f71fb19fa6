#include "acpi/aml.h"

#include <string.h>

/* 20.2.2 and 20.2.3: opcodes and prefixes */
#define AML_BYTE_PREFIX	      0x0a
#define AML_WORD_PREFIX	      0x0b
#define AML_DWORD_PREFIX      0x0c
#define AML_NAME_OP	      0x08
#define AML_BUFFER_OP	      0x11
#define AML_MULTI_NAME_PREFIX 0x2f
#define AML_SEG		      4
/* 20.2.5: Device, and Method with its flags and what is in it */
#define AML_EXT_PREFIX 0x5b
#define AML_DEVICE_OP  0x82
#define AML_METHOD_OP  0x14
#define AML_SERIALIZED 0x08
#define AML_RETURN_OP  0xa4
#define AML_ARG0       0x68

/* 19.3.4: EisaId ("PNP0A08") and EisaId ("PNP0A03"), as little-endian numbers */
#define EISA_PNP0A08 0x080ad041
#define EISA_PNP0A03 0x030ad041

/* 6.4.3.5.1 to 6.4.3.5.3: address space descriptors, by the width of their numbers in bytes */
#define ADDRESS_WORD  0x88
#define ADDRESS_DWORD 0x87
#define ADDRESS_QWORD 0x8a
#define ADDRESS_FIXED 6 /* tag, length (2), type, two flag bytes: then come five numbers */
#define END_TAG	      0x79

static unsigned number_width(const struct aml_resource *r)
{
	if (r->kind == AML_BUSES)
		return 2;
	return max_u64(r->at.end - 1, span_size(r->at)) <= UINT32_MAX ? 4 : 8;
}

static size_t resource_size(const struct aml_resource *r)
{
	return ADDRESS_FIXED + 5 * number_width(r);
}

static void put_resource(struct bytes_out *b, const struct aml_resource *r)
{
	static const uint8_t tags[] = {
		[2] = ADDRESS_WORD, [4] = ADDRESS_DWORD, [8] = ADDRESS_QWORD
	};
	unsigned width = number_width(r);

	put_le(b, tags[width], 1);
	put_le(b, resource_size(r) - 3, 2);
	put_le(b, r->kind == AML_BUSES ? 2 : 0, 1);
	/* general flags: minimum and maximum fixed, positive decode; bit 0: consumer */
	put_le(b, 0x0c | (r->kind == AML_RESERVED), 1);
	/* type flags of memory: bit 0 read-write, bits 2:1 not cacheable */
	put_le(b, r->kind == AML_BUSES ? 0 : 1, 1);
	put_le(b, 0, width); /* granularity */
	put_le(b, r->at.base, width);
	put_le(b, r->at.end - 1, width);
	put_le(b, 0, width); /* translation */
	put_le(b, span_size(r->at), width);
}

/* 20.2.2: absolute NameString of one segment or more */
static void put_path(struct bytes_out *b, const char *path)
{
	size_t segs = strlen(path) / (AML_SEG + 1);

	put_le(b, '\\', 1);
	put_le(b, AML_MULTI_NAME_PREFIX, 1);
	put_le(b, segs, 1);
	for (size_t i = 0; i < segs; i++)
		put_mem(b, path + 1 + i * (AML_SEG + 1), AML_SEG);
}

/* 20.2.4: the length of a package counts itself; `size` is that of what follows it. */
static void put_package_length(struct bytes_out *b, size_t size)
{
	unsigned more = 0; /* bytes after the lead byte, which holds six bits alone, else four */

	if (size + 1 > 0x3f)
		for (more = 1; (size + 1 + more) >> (4 + 8 * more); more++)
			;
	size += 1 + more;
	if (!more) {
		put_le(b, size, 1);
		return;
	}
	put_le(b, more << 6 | (size & 0xf), 1);
	put_le(b, size >> 4, more);
}

/* 20.2.2: one segment, in the scope of what is around it */
static void put_name(struct bytes_out *b, const char *segment)
{
	put_le(b, AML_NAME_OP, 1);
	put_mem(b, segment, AML_SEG);
}

static void put_buffer(struct bytes_out *b, const struct aml_resource *list, size_t n)
{
	size_t size = 2; /* the end tag */
	unsigned width;

	for (size_t i = 0; i < n; i++)
		size += resource_size(&list[i]);
	width = size <= UINT8_MAX ? 1 : size <= UINT16_MAX ? 2 : 4;

	put_le(b, AML_BUFFER_OP, 1);
	put_package_length(b, 1 + width + size);
	put_le(b,
	       width == 1   ? AML_BYTE_PREFIX
	       : width == 2 ? AML_WORD_PREFIX
			    : AML_DWORD_PREFIX,
	       1);
	put_le(b, size, width);
	for (size_t i = 0; i < n; i++)
		put_resource(b, &list[i]);
	put_le(b, END_TAG, 1);
	put_le(b, 0, 1); /* 6.4.2.9: a checksum of zero is not checked */
}

void aml_name_resources(struct bytes_out *b, const char *path, const struct aml_resource *list,
			size_t n)
{
	put_le(b, AML_NAME_OP, 1);
	put_path(b, path);
	put_buffer(b, list, n);
}

/* --- host bridges --- */

static void put_number(struct bytes_out *b, const char *segment, uint32_t value)
{
	put_name(b, segment);
	put_le(b, AML_DWORD_PREFIX, 1);
	put_le(b, value, 4);
}

/* Method (`segment`, args, Serialized) { Return (`path` (Arg0, ...)) } */
static void put_return(struct bytes_out *b, const char *segment, const char *path, unsigned args)
{
	/* what follows the length: name, flags, and the statement with its path */
	size_t size = AML_SEG + 1 + 1 + 3 + AML_SEG * (strlen(path) / (AML_SEG + 1)) + args;

	put_le(b, AML_METHOD_OP, 1);
	put_package_length(b, size);
	put_mem(b, segment, AML_SEG);
	put_le(b, args | AML_SERIALIZED, 1);
	put_le(b, AML_RETURN_OP, 1);
	put_path(b, path);
	for (unsigned i = 0; i < args; i++)
		put_le(b, AML_ARG0 + i, 1);
}

static void put_bridge(struct bytes_out *b, const struct aml_bridge *bridge)
{
	put_path(b, bridge->path);
	put_number(b, "_HID", EISA_PNP0A08);
	put_number(b, "_CID", EISA_PNP0A03);
	put_number(b, "_UID", bridge->uid);
	put_number(b, "_SEG", 0);
	put_number(b, "_BBN", bridge->bus);
	put_number(b, "_PXM", bridge->node);
	put_name(b, "_CRS");
	put_buffer(b, bridge->list, bridge->n);
	put_return(b, "_PRT", "\\_SB_.PCI0._PRT", 0);
	put_return(b, "_OSC", "\\_SB_.PCI0._OSC", 4);
}

void aml_host_bridge(struct bytes_out *b, const struct aml_bridge *bridge)
{
	struct bytes_out count = { .data = NULL };

	put_bridge(&count, bridge);
	put_le(b, AML_EXT_PREFIX, 1);
	put_le(b, AML_DEVICE_OP, 1);
	put_package_length(b, count.len);
	put_bridge(b, bridge);
}
