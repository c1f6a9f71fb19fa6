/*
 * --vfio and --vfio-backend: the devices that are passed through.
 *
 * Setters of the table in config/options.c, under its rules, and what such options mean together.
 * They check the spelling only; vfio/sysfs.c finds the device.
 */
#include "vmm/config/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *const config_vfio_caps[] = { "sriov", "ari", "rebar", "ats", "pri", "pasid", NULL };

static const char vfio_keys[] = "port=off, node=N, rom=off|FILE, caps=A+B, map=off, p2p=off, "
				"token=UUID, on-error=continue or "
				"noiommu=on";

/* --- names --- */

bool config_same_device(const char *a, const char *b)
{
	char at_a[HOST_PCI_NAME], at_b[HOST_PCI_NAME];

	if (host_bdf(a, at_a) && host_bdf(b, at_b))
		return !strcmp(at_a, at_b);
	return !strcasecmp(a, b);
}

int config_check_device_name(const char *name, struct err *err)
{
	char at[HOST_PCI_NAME];

	if (!*name)
		return err_set(err, EINVAL,
			       "the device is missing; it comes first, such as 0000:41:00.0");
	if (host_bdf(name, at) || name[0] == '/')
		return 0;
	return err_set(err, EINVAL,
		       "'%s' is neither a PCI address, such as 0000:41:00.0, nor a path of sysfs, "
		       "which begins with /",
		       SHOWN(name));
}

/* --- --vfio --- */

/* The value is on, off or a file; a file named on or off is written ./on. */
static int set_rom(struct config_vfio *v, const char *value, struct err *err)
{
	if (!*value)
		return err_set(err, EINVAL, "rom= is on, off or a file");
	v->no_rom = !strcmp(value, "off");
	return v->no_rom || !strcmp(value, "on") ? 0 : config_set_text(&v->rom_file, value, err);
}

static int set_caps(struct config_vfio *v, char *value, struct err *err)
{
	for (char *name; (name = strsep(&value, "+"));) {
		unsigned i = 0;

		while (config_vfio_caps[i] && strcmp(config_vfio_caps[i], name) != 0)
			i++;
		if (!config_vfio_caps[i])
			return err_set(err, EINVAL,
				       "caps= '%s' is unknown; use sriov, ari, rebar, ats, pri or "
				       "pasid, with + between",
				       SHOWN(name));
		v->caps |= 1u << i;
	}
	return 0;
}

static int set_token(struct config_vfio *v, const char *value, struct err *err)
{
	if (!host_is_uuid(value))
		return err_set(
			err, EINVAL,
			"token=%s is not a UUID, such as 2ab74924-c335-45f4-9b16-8569e5b08258",
			SHOWN(value));
	return config_set_text(&v->token, value, err);
}

static int config_vfio_set_node(struct config_vfio *v, const char *value, struct err *err)
{
	uint64_t node;
	int ret = config_parse_number(value, 0, NODES_MAX - 1, &node, err);

	if (ret < 0)
		return err_prefix(err, ret, "node=%s: ", SHOWN(value));
	v->has_node = true;
	v->node = (unsigned)node;
	return 0;
}

enum vfio_key {
	KEY_PORT,
	KEY_NODE,
	KEY_ROM,
	KEY_CAPS,
	KEY_MAP,
	KEY_P2P,
	KEY_TOKEN,
	KEY_ERROR,
	KEY_NOIOMMU,
	KEYS
};

static int config_vfio_set_key(struct config_vfio *v, enum vfio_key key, char *value,
			       struct err *err)
{
	switch (key) {
	case KEY_PORT:
		return config_set_switch(&v->root_bus, "port", value, "off", "on", err);
	case KEY_NODE:
		return config_vfio_set_node(v, value, err);
	case KEY_ROM:
		return set_rom(v, value, err);
	case KEY_CAPS:
		return set_caps(v, value, err);
	case KEY_MAP:
		return config_set_switch(&v->no_map, "map", value, "off", "on", err);
	case KEY_P2P:
		return config_set_switch(&v->no_p2p, "p2p", value, "off", "on", err);
	case KEY_TOKEN:
		return set_token(v, value, err);
	case KEY_ERROR:
		return config_set_switch(&v->error_continues, "on-error", value, "continue", "stop",
					 err);
	case KEY_NOIOMMU:
		return config_set_switch(&v->no_iommu, "noiommu", value, "on", "off", err);
	case KEYS:
		break;
	}
	return 0;
}

static int config_vfio_set_word(struct config_vfio *v, const char *key, char *value,
				unsigned *given, struct err *err)
{
	static const char *const names[KEYS] = { "port", "node",  "rom",      "caps",	"map",
						 "p2p",	 "token", "on-error", "noiommu" };
	int i = config_find_key(names, KEYS, key, value, vfio_keys, given, err);

	return i < 0 ? i : config_vfio_set_key(v, (enum vfio_key)i, value, err);
}

int config_set_vfio(struct config *c, const char *value, struct err *err)
{
	struct config_vfio *v;
	struct words words;
	char *word, *rest;
	unsigned given = 0;
	int ret = words_init_one_more(&words, value, c->nr_vfio, PCI_DEVICES_MAX, "devices", err);

	if (ret < 0)
		return ret;
	v = &c->vfio[c->nr_vfio++]; /* config_free() frees it from here on */
	word = words_next(&words, &rest);
	if (rest)
		return err_set(err, EINVAL, "the device comes first: DEVICE,KEY=VALUE");
	ret = config_check_device_name(word, err);
	if (ret < 0)
		return ret;
	ret = config_set_text(&v->name, word, err);
	while (ret == 0 && (word = words_next(&words, &rest)))
		ret = config_vfio_set_word(v, word, rest, &given, err);
	return ret;
}

int config_set_vfio_backend(struct config *c, const char *value, struct err *err)
{
	static const char *const names[] = {
		[VFIO_AUTO] = "auto",
		[VFIO_TYPE1] = "type1",
		[VFIO_IOMMUFD] = "iommufd",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(value, names[i])) {
			c->vfio_backend = (enum vfio_backend)i;
			return 0;
		}
	}
	return err_set(err, EINVAL, "the backend is auto, type1 or iommufd");
}

/* --- together --- */

int config_check_vfio(const struct config *c, struct err *err)
{
	for (unsigned i = 0; i < c->nr_vfio; i++) {
		const struct config_vfio *v = &c->vfio[i];

		for (unsigned j = 0; j < i; j++)
			if (config_same_device(v->name, c->vfio[j].name))
				return err_set(err, EINVAL, "--vfio %s is given twice; keep one",
					       SHOWN(v->name));
		if (v->no_iommu != c->vfio[0].no_iommu)
			return err_set(err, EINVAL,
				       "--vfio %s: noiommu=on is for all devices or none",
				       SHOWN(v->name));
		if (v->root_bus && c->plan_file)
			return err_set(err, EINVAL,
				       "--vfio %s: the plan file says where the device is; leave "
				       "port=off out",
				       SHOWN(v->name));
		if (v->has_node && c->plan_file)
			return err_set(err, EINVAL,
				       "--vfio %s: the plan file says where the device is; leave "
				       "node= out",
				       SHOWN(v->name));
		if (v->has_node && v->node >= c->nr_nodes)
			return err_set(err, EINVAL,
				       "--vfio %s: node=%u is none of the guest's NUMA nodes, of "
				       "which there are %u; add --numa, or leave node= out",
				       SHOWN(v->name), v->node, c->nr_nodes);
	}
	if (c->probe && !c->nr_vfio)
		return err_set(err, EINVAL, "--probe asks about devices; add --vfio DEVICE");
	if (c->probe && c->has_host)
		return err_set(err, EINVAL,
			       "--probe and --host exclude each other: only this host can be "
			       "asked; leave one out");
	if (config_option_given(c, "vfio-backend") && !c->nr_vfio)
		return err_set(err, EINVAL, "--vfio-backend is for devices; add --vfio DEVICE");
	return 0;
}
