#include "vmm/base/facts.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

const char *host_vendor_name(enum host_vendor vendor)
{
	static const char *const names[] = {
		[HOST_OTHER] = "other",
		[HOST_INTEL] = "intel",
		[HOST_AMD] = "amd",
		[HOST_HYGON] = "hygon",
	};

	return names[vendor];
}

enum host_vendor host_vendor_of(uint32_t ebx, uint32_t ecx, uint32_t edx)
{
	char name[13] = "";

	memcpy(name, &ebx, 4);
	memcpy(name + 4, &edx, 4);
	memcpy(name + 8, &ecx, 4);
	return !strcmp(name, "AuthenticAMD")   ? HOST_AMD
	       : !strcmp(name, "HygonGenuine") ? HOST_HYGON
	       : !strcmp(name, "GenuineIntel") ? HOST_INTEL
					       : HOST_OTHER;
}

bool host_vendor_is_amd(enum host_vendor vendor)
{
	return vendor == HOST_AMD || vendor == HOST_HYGON;
}

static const char *const resv_names[] = {
	[HOST_RESV_RESERVED] = "reserved",
	[HOST_RESV_DIRECT] = "direct",
	[HOST_RESV_DIRECT_RELAXABLE] = "direct-relaxable",
	[HOST_RESV_MSI] = "msi",
};

const char *host_resv_name(enum host_resv_type type)
{
	return resv_names[type];
}

bool host_resv_find(const char *name, size_t len, enum host_resv_type *type)
{
	for (unsigned i = 0; i < ARRAY_SIZE(resv_names); i++) {
		if (len == strlen(resv_names[i]) && !memcmp(name, resv_names[i], len)) {
			*type = (enum host_resv_type)i;
			return true;
		}
	}
	return false;
}

/* `n` hexadecimal digits, then `after`. Returns what follows, or NULL. */
static const char *skip_hex(const char *text, size_t n, char after)
{
	if (!text || strspn(text, "0123456789abcdefABCDEF") != n || text[n] != after)
		return NULL;
	return after ? text + n + 1 : text + n;
}

/*
 * The kernel prints a segment with four digits, or with more where it invented the number (behind
 * Intel's VMD: 10000).
 */
bool host_bdf(const char *text, char name[HOST_PCI_NAME])
{
	const char *rest = NULL, *slot, *function;

	for (size_t n = 4; !rest && n <= 8; n++)
		rest = skip_hex(text, n, ':');
	slot = skip_hex(rest ? rest : text, 2, ':');
	function = skip_hex(slot, 2, '.');
	if (!function || slot[0] > '1' /* of 32 */ || function[0] < '0' || function[0] > '7' ||
	    function[1])
		return false;
	snprintf(name, HOST_PCI_NAME, "%s%s", rest ? "" : "0000:", text);
	for (char *c = name; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return true;
}

bool host_is_uuid(const char *text)
{
	text = skip_hex(text, 8, '-');
	for (unsigned i = 0; i < 3; i++)
		text = skip_hex(text, 4, '-');
	return skip_hex(text, 12, '\0');
}
