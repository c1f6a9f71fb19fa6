/*
 * --host and its parts: facts of another host, to plan for.
 *
 * Setters of the table in config/options.c, under its rules, and what they mean together.
 */
#include "vmm/config/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- --host itself --- */

static const struct host_kind {
	const char *name;
	enum host_vendor vendor;
	unsigned family, phys_bits; /* where not given: a common server */
} host_kinds[] = {
	{ "amd", HOST_AMD, 0x19, 48 },	   /* Zen 3 */
	{ "hygon", HOST_HYGON, 0x18, 48 }, /* Dhyana */
	{ "intel", HOST_INTEL, 6, 46 },	   /* Xeon before 5-level paging */
	{ "other", HOST_OTHER, 0, 48 },
};

static const struct host_kind *find_host_kind(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(host_kinds); i++)
		if (!strcmp(host_kinds[i].name, name))
			return &host_kinds[i];
	return NULL;
}

enum { HOST_FAMILY, HOST_PHYS, HOST_GUEST_PHYS, HOST_MEM_ENCRYPT };

static int set_host_facts(struct config *c, const struct host_kind *kind,
			  const struct number_word n[], struct err *err)
{
	/*
	 * --host-pci, --host-resv and --host-usable set the other facts, before or after this
	 * option.
	 */
	struct host_facts *host = &c->host;

	host->vendor = kind->vendor;
	host->family = n[HOST_FAMILY].given ? (unsigned)n[HOST_FAMILY].value : kind->family;
	host->phys_bits = n[HOST_PHYS].given ? (unsigned)n[HOST_PHYS].value : kind->phys_bits;
	host->guest_phys_bits = (unsigned)n[HOST_GUEST_PHYS].value;
	host->mem_encrypt_bits = (unsigned)n[HOST_MEM_ENCRYPT].value;
	if (host->guest_phys_bits > host->phys_bits)
		return err_set(err, EINVAL, "guest-phys-bits=%u is more than phys-bits=%u",
			       host->guest_phys_bits, host->phys_bits);
	if (host->phys_bits - host->mem_encrypt_bits < CONFIG_BITS_MIN)
		return err_set(err, EINVAL,
			       "mem-encrypt-bits=%u leaves less than %u of phys-bits=%u",
			       host->mem_encrypt_bits, CONFIG_BITS_MIN, host->phys_bits);
	c->has_host = true;
	return 0;
}

int config_parse_host(struct config *c, const char *text, struct err *err)
{
	enum { bits_min = CONFIG_BITS_MIN, bits_max = ADDRESS_BITS_MAX };
	/* A family is at most 15 + 255: CPUID Fn0000_0001_EAX, base and extended family. */
	struct number_word n[] = {
		[HOST_FAMILY] = { "family", 0, 270, 0, false },
		[HOST_PHYS] = { "phys-bits", bits_min, bits_max, 0, false },
		[HOST_GUEST_PHYS] = { "guest-phys-bits", bits_min, bits_max, 0, false },
		[HOST_MEM_ENCRYPT] = { "mem-encrypt-bits", 0, bits_max - bits_min, 0, false },
	};
	const struct host_kind *kind = NULL;
	struct words words;
	char *key, *value;
	int ret = words_init(&words, text, err);

	if (ret < 0)
		return ret;
	if (!strcmp(text, "auto")) {
		c->has_host = false;
		return 0;
	}
	while ((key = words_next(&words, &value))) {
		if (strcmp(key, "vendor") != 0) {
			ret = set_number_word(n, ARRAY_SIZE(n), key, value,
					      "auto or vendor=, family=, phys-bits=, "
					      "guest-phys-bits=, mem-encrypt-bits=",
					      err);
			if (ret < 0)
				return ret;
			continue;
		}
		if (kind)
			return err_set(err, EINVAL, "vendor is given twice; keep one");
		kind = value ? find_host_kind(value) : NULL;
		if (!kind)
			return err_set(err, EINVAL, "the vendor is amd, hygon, intel or other");
	}
	if (!kind)
		return err_set(err, EINVAL,
			       "the vendor is missing; add vendor=amd, hygon, intel or other");
	return set_host_facts(c, kind, n, err);
}

/* --- --host-pci --- */

/* SIZE[:64][:pref] or SIZE:io. */
static int parse_bar(struct bar_shape *bar, char *text, struct err *err)
{
	char *word = strsep(&text, ":");
	int ret = config_parse_size(word, &bar->size, err);

	if (ret < 0)
		return ret;
	if (!is_power_of_two(bar->size) || bar->size < 4)
		return err_set(err, EINVAL, "a BAR's size is a power of two, such as 16M");
	while ((word = strsep(&text, ":"))) {
		bool *flag = !strcmp(word, "64")     ? &bar->wide
			     : !strcmp(word, "pref") ? &bar->prefetch
			     : !strcmp(word, "io")   ? &bar->io
						     : NULL;

		if (!flag || *flag)
			return err_set(err, EINVAL,
				       "'%s' is unknown here, or given twice; use :64, :pref or "
				       ":io",
				       SHOWN(word));
		*flag = true;
	}
	if (bar->io && (bar->wide || bar->prefetch))
		return err_set(err, EINVAL, ":io excludes :64 and :pref, which are for memory");
	return 0;
}

static int set_host_pci_word(struct host_pci *pci, const char *key, char *value, struct err *err)
{
	uint64_t number;
	int ret = -EINVAL;

	if (!value || !*value)
		return err_set(err, EINVAL, "%s needs a value", SHOWN(key));
	if (!strcmp(key, "group")) {
		ret = config_parse_number(value, 0, UINT32_MAX, &number, err);
		if (ret == 0)
			pci->group = (unsigned)number;
	} else if (!strcmp(key, "rom")) {
		ret = config_parse_size(value, &pci->rom_size, err);
		if (ret == 0 &&
		    (pci->rom_size != bar_rom_size(pci->rom_size) || pci->rom_size > BAR_ROM_MAX))
			ret = err_set(err, EINVAL, "a ROM's size is a power of two from 2K to 16M");
	} else if (!strcmp(key, "vf")) {
		ret = config_set_switch(&pci->is_virtual, "vf", value, "on", "off", err);
	} else if (!strncmp(key, "bar", 3) && key[3] >= '0' && key[3] <= '5' && !key[4]) {
		struct bar_shape *bar = &pci->bars[key[3] - '0'];

		if (bar->size)
			return err_set(err, EINVAL, "%s is given twice; keep one", key);
		ret = parse_bar(bar, value, err);
	} else {
		return err_set(err, EINVAL,
			       "'%s' is unknown here; use group=, bar0= to bar5=, rom=, vf=on",
			       SHOWN(key));
	}
	return ret < 0 ? err_prefix(err, ret, "%s=%s: ", key, SHOWN(value)) : 0;
}

static int check_bars(const struct host_pci *pci, struct err *err)
{
	struct bar_shape bars[BARS_AND_ROM] = { { 0 } };

	memcpy(bars, pci->bars, sizeof(pci->bars));
	for (unsigned i = 0; i < BARS; i++) {
		const struct bar_shape *bar = &bars[i];
		const char *fault;

		if (bar->wide && (i + 1 == BARS || bars[i + 1].size))
			return err_set(err, EINVAL,
				       "bar%u has 64 bits, so bar%u is its upper half; leave that "
				       "out, or leave :64 out",
				       i, i + 1);
		fault = bar->size ? bar_fault(bars, i) : NULL;
		if (fault)
			return err_set(err, EINVAL, "bar%u has %#" PRIx64 " bytes, which %s%s", i,
				       bar->size, fault,
				       bar->size > 2 * GIB && !bar->io ? "; did you forget :64?"
								       : "");
	}
	return 0;
}

int config_set_host_pci(struct config *c, const char *value, struct err *err)
{
	struct host_pci pci = { .node = -1 };
	struct words words;
	char *word, *rest;
	int ret = words_init(&words, value, err);

	if (ret < 0)
		return ret;
	if (c->host.nr_pci == PCI_DEVICES_MAX)
		return err_set(err, EINVAL, "there can be at most %u devices", PCI_DEVICES_MAX);
	word = words_next(&words, &rest);
	if (rest || !host_bdf(word, pci.name))
		return err_set(err, EINVAL,
			       "the device's address comes first, such as 0000:41:00.0");
	while ((word = words_next(&words, &rest))) {
		ret = set_host_pci_word(&pci, word, rest, err);
		if (ret < 0)
			return ret;
	}
	ret = check_bars(&pci, err);
	if (ret < 0)
		return ret;
	for (unsigned i = 0; i < c->host.nr_pci; i++)
		if (config_same_device(pci.name, c->host.pci[i].name))
			return err_set(err, EINVAL, "%s is described twice; keep one", pci.name);
	c->host.pci[c->host.nr_pci++] = pci;
	return 0;
}

/* --- --host-resv and --host-usable --- */

int config_set_host_resv(struct config *c, const char *value, struct err *err)
{
	struct host_resv *r = &c->host.resv[c->host.nr_resv];
	const char *group, *range, *type;
	struct words words;
	char *unused;
	uint64_t number;
	int ret = words_init(&words, value, err);

	if (ret < 0)
		return ret;
	if (c->host.nr_resv == HOST_RESV_MAX)
		return err_set(err, EINVAL, "there can be at most %u regions", HOST_RESV_MAX);
	group = words_next(&words, &unused);
	range = words_next(&words, &unused);
	type = words_next(&words, &unused);
	if (!type || words.rest)
		return err_set(err, EINVAL,
			       "a region is GROUP,START-END,TYPE, such as "
			       "7,0xfd00000000-0x10000000000,reserved");
	ret = config_parse_number(group, 0, UINT32_MAX, &number, err);
	if (ret < 0)
		return ret;
	ret = config_parse_span(range, true, &r->at, err);
	if (ret < 0)
		return ret;
	r->group = (unsigned)number;
	if (host_resv_find(type, strlen(type), &r->type)) {
		c->host.nr_resv++;
		return 0;
	}
	return err_set(err, EINVAL, "the type is reserved, direct, direct-relaxable or msi");
}

/* Inserts the range in order, because facts.h wants host->usable sorted. */
int config_set_host_usable(struct config *c, const char *value, struct err *err)
{
	struct host_facts *host = &c->host;
	unsigned i = host->nr_usable;
	struct span at;
	int ret;

	if (host->nr_usable == HOST_USABLE_MAX)
		return err_set(err, EINVAL, "there can be at most %u ranges", HOST_USABLE_MAX);
	ret = config_parse_span(value, false, &at, err);
	if (ret < 0)
		return ret;
	for (unsigned j = 0; j < host->nr_usable; j++)
		if (span_overlaps(host->usable[j], at))
			return err_set(err, EINVAL,
				       "the range overlaps %#" PRIx64 "-%#" PRIx64 "; make one "
				       "range of them",
				       host->usable[j].base, host->usable[j].end);
	for (; i && host->usable[i - 1].base > at.base; i--)
		host->usable[i] = host->usable[i - 1];
	host->usable[i] = at;
	host->nr_usable++;
	return 0;
}

/* --- together --- */

/*
 * Keeps, in the order of --vfio, the described devices that --vfio names: the description may be of
 * all devices of a fleet.
 */
static int pick_devices(struct config *c, struct err *err)
{
	struct host_pci all[PCI_DEVICES_MAX];
	unsigned n = c->host.nr_pci;

	memcpy(all, c->host.pci, sizeof(all));
	memset(c->host.pci, 0, sizeof(c->host.pci));
	c->host.nr_pci = 0;
	for (unsigned i = 0; i < c->nr_vfio; i++) {
		unsigned j = 0;

		while (j < n && !config_same_device(all[j].name, c->vfio[i].name))
			j++;
		if (j == n)
			return err_set(err, EINVAL,
				       "--vfio %s: --host knows no such device; describe it with "
				       "--host-pci %s,bar0=16M:64 and the like",
				       SHOWN(c->vfio[i].name), SHOWN(c->vfio[i].name));
		all[j].index = i;
		c->host.pci[c->host.nr_pci++] = all[j];
	}
	return 0;
}

int config_check_host(struct config *c, struct err *err)
{
	static const char *const parts[] = { "host-pci", "host-resv", "host-usable" };

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (config_option_given(c, parts[i]) && !c->has_host)
			return err_set(err, EINVAL,
				       "--%s describes another host; add --host vendor=...",
				       parts[i]);
	return c->has_host ? pick_devices(c, err) : 0;
}
