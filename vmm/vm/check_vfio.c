/*
 * straddle check: what the host has for passthrough, and whether a guest with the devices of --vfio
 * would start. Opens no device.
 */
#include "vfio/ready.h"
#include "vfio/sysfs.h"
#include "vmm/host/kvm.h"
#include "vmm/host/memory.h"
#include "vmm/host/room.h"
#include "vmm/plan/topology.h"
#include "vmm/vm/check_report.h"
#include "vmm/vm/memory.h"
#include "vmm/vm/prepare.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define BOUND_MAX 64

/* --- the limit of locked memory --- */

static void check_memlock(const struct check_report *r, uint64_t needed)
{
	struct rlimit limit = { 0, 0 };
	bool lifted = room_may_lock_all(), enough;
	uint64_t kib;

	getrlimit(RLIMIT_MEMLOCK, &limit);
	kib = limit.rlim_max / KIB;
	enough = limit.rlim_max == RLIM_INFINITY || lifted || limit.rlim_max >= needed;
	if (limit.rlim_max == RLIM_INFINITY)
		check_line(r, "memlock", "unlimited");
	else if (lifted)
		check_line(r, "memlock", "%" PRIu64 " KiB, which CAP_IPC_LOCK lifts", kib);
	else
		check_line(r, "memlock", "%" PRIu64 " KiB%s%s", kib,
			   enough ? ""
				  : ", too little for that guest: raise memlock in "
				    "/etc/security/limits.conf, or LimitMEMLOCK=",
			   "; iommufd counts all guests of a user together");
	check_fact(r, "memlock",
		   json_pack("{s:b,s:o}", "ok", enough, "limit",
			     limit.rlim_max == RLIM_INFINITY
				     ? json_null()
				     : json_integer((json_int_t)limit.rlim_max)));
}

/* --- interrupts, memory --- */

static void check_interrupts(const struct check_report *r, const struct vfio_host *h)
{
	check_line(r, "irqs", "%s; %s",
		   h->remaps_interrupts ? "remapped by the IOMMU"
		   : h->unsafe_interrupts
			   ? "not remapped, and a module parameter allows that "
			     "(allow_unsafe_interrupts)"
			   : "not remapped, as far as /proc/interrupts shows: VFIO refuses devices "
			     "(EPERM) until the firmware enables that",
		   h->posts_interrupts ? "KVM may post them without an exit"
				       : "KVM does not post them (on AMD: kvm_amd.avic=1)");
	check_fact(r, "interrupts",
		   json_pack("{s:b,s:b,s:b}", "remapped", h->remaps_interrupts, "unsafe_allowed",
			     h->unsafe_interrupts, "posted", h->posts_interrupts));
	if (h->dma_entries)
		check_line(r, "maps", "at most %lld for type1 (dma_entry_limit)", h->dma_entries);
}

static void say_huge_pages(const struct check_report *r, const struct host_memory *m,
			   unsigned pages, const char *size)
{
	char nodes[512] = "";
	size_t len = 0;

	for (unsigned i = 0; m->nr_nodes > 1 && i < m->nr_nodes && len < sizeof(nodes); i++)
		len += (size_t)snprintf(nodes + len, sizeof(nodes) - len, "%snode %u: %" PRIu64,
					i ? ", " : " (", m->nodes[i].number,
					m->nodes[i].huge[pages]);
	check_line(r, "memory", "%" PRIu64 " free pages of %s%s%s", m->huge[pages], size, nodes,
		   *nodes ? ")" : "");
}

static json_t *memory_fact(const struct host_memory *m)
{
	json_t *nodes = json_array();

	for (unsigned i = 0; i < m->nr_nodes; i++)
		json_array_append_new(
			nodes, json_pack("{s:i,s:I,s:I}", "node", m->nodes[i].number, "free_2m",
					 (json_int_t)m->nodes[i].huge[HOST_PAGES_2M], "free_1g",
					 (json_int_t)m->nodes[i].huge[HOST_PAGES_1G]));
	return json_pack("{s:I,s:I,s:I,s:o}", "available", (json_int_t)m->available, "free_2m",
			 (json_int_t)m->huge[HOST_PAGES_2M], "free_1g",
			 (json_int_t)m->huge[HOST_PAGES_1G], "nodes", nodes);
}

/* Whether the host has the RAM of a guest with these options: `run` judges by the same function. */
static bool check_memory(const struct check_report *r, const struct config *c)
{
	struct err err = { "" };
	struct host_memory m;

	host_memory_probe("", &m);
	check_line(r, "memory", "%" PRIu64 " MiB available", m.available / MIB);
	say_huge_pages(r, &m, HOST_PAGES_2M, "2 MiB");
	say_huge_pages(r, &m, HOST_PAGES_1G, "1 GiB");
	check_fact(r, "memory", memory_fact(&m));
	if (!config_names_ram(c))
		return true;
	if (vm_memory_judge(c, NULL, &err) == 0)
		check_line(r, "ram", "yes%s",
			   c->page_size != 4 * KIB || config_prefaults(c) || config_pins_ram(c)
				   ? ""
				   : ", made as the guest uses it");
	else
		check_line(r, "ram", "no: %s", err.text);
	check_fact(r, "ram", check_answer(err.text));
	return !*err.text;
}

static void check_access(const struct check_report *r, const char *name, const char *path)
{
	char why[128] = "";

	if (access(path, R_OK | W_OK) < 0)
		snprintf(why, sizeof(why), "%s %s", path,
			 errno == ENOENT ? "does not exist (modprobe vfio-pci, iommufd)"
					 : strerror(errno));
	check_line(r, name, "%s%s", *why ? "no: " : "yes", why);
	check_fact(r, name, check_answer(why));
}

static void check_groups(const struct check_report *r)
{
	struct vfio_bound bound[BOUND_MAX];
	char kind[32];
	unsigned groups, n = sysfs_bound("", bound, BOUND_MAX, &groups);
	json_t *list = json_array();

	check_line(r, "iommu", "%s, %u IOMMU groups", sysfs_iommu_kind("", kind), groups);
	for (unsigned i = 0; i < n && i < BOUND_MAX; i++) {
		const struct vfio_bound *b = &bound[i];

		check_line(r, "bound", "%s: IOMMU group %u, driver %s", b->name, b->group,
			   b->driver);
		json_array_append_new(list, json_pack("{s:s,s:i,s:s}", "name", b->name, "group",
						      b->group, "driver", b->driver));
	}
	if (n > BOUND_MAX)
		check_line(r, "bound", "and %u more", n - BOUND_MAX);
	else if (!n)
		check_line(r, "bound", "no device: straddle bind DEVICE hands one to vfio-pci");
	check_fact(r, "iommu", json_pack("{s:s,s:i}", "kind", kind, "groups", groups));
	check_fact(r, "bound", list);
}

/* Reports the ranges that the devices' groups reserve. */
static json_t *check_reserved(const struct check_report *r, const struct host_facts *host)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < host->nr_resv; i++) {
		const struct host_resv *v = &host->resv[i];

		check_line(r, "forbid", "%#" PRIx64 "-%#" PRIx64 "  IOMMU group %u: %s%s",
			   v->at.base, v->at.end, v->group, host_resv_name(v->type),
			   v->type == HOST_RESV_DIRECT_RELAXABLE ? ", may be used" : "");
		json_array_append_new(
			list, json_pack("{s:I,s:I,s:s}", "start", (json_int_t)v->at.base, "end",
					(json_int_t)v->at.end, "type", host_resv_name(v->type)));
	}
	return list;
}

static int check_ready(const struct vfio_id *id, const struct config_vfio *wanted,
		       const struct host_facts *own, enum iommu_backend backend, struct err *err)
{
	int ret;

	if (id->no_iommu && !wanted->no_iommu)
		return err_set(err, EPERM,
			       "the device's group has no IOMMU; add noiommu=on to accept that");
	ret = sysfs_group_viable("", id, err);
	if (ret < 0)
		return ret;
	ret = vfio_check_direct("", own, err);
	if (ret < 0)
		return ret;
	return vfio_check_nodes("", id, backend, err);
}

/* Reports whether a device could be attached now, without opening it. */
static bool check_device(const struct check_report *r, const struct config *c, unsigned i,
			 struct host_facts *host, json_t *list)
{
	const char *name = c->vfio[i].name;
	struct host_facts own = { .nr_pci = 0 };
	char group[32], resets[64] = "";
	struct err err = { "" };
	json_t *reserved = NULL;
	struct vfio_id id;
	int ret = sysfs_find("", name, &id, &err);

	if (ret < 0)
		goto out;
	ret = sysfs_probe("", &id, host, &err);
	if (ret < 0)
		goto out;
	ret = sysfs_probe("", &id, &own, &err);
	if (ret < 0)
		goto out;
	name = id.name;
	snprintf(group, sizeof(group), "IOMMU group %u", id.group);
	vfio_reset_methods("", &id, resets);
	check_line(r, "device", "%s: %s, driver %s%s%s%s", name,
		   id.has_group ? group : "no IOMMU group", *id.driver ? id.driver : "none",
		   *resets ? ", resets: " : "", resets,
		   strcmp(resets, "none") ? "" : ", so each guest finds it as the last left it");
	reserved = check_reserved(r, &own);
	ret = check_ready(&id, &c->vfio[i], &own, (enum iommu_backend)c->vfio_backend, &err);
out:
	if (ret < 0)
		check_line(r, "device", "%s: no: %s", name, err.text);
	json_array_append_new(list, json_pack("{s:s,s:o,s:s,s:o?}", "name", name, "ready",
					      check_answer(ret < 0 ? err.text : ""), "resets",
					      resets, "reserved", reserved));
	return ret == 0;
}

/* Whether KVM has so many CPUs; true if there is no KVM, which another line says. */
static bool kvm_has_cpus(const struct plan *p, struct err *err)
{
	struct kvm kvm;
	bool has = true;

	if (kvm_open(&kvm, NULL) == 0)
		has = kvm_check_cpus(&kvm, p->cpus, topology_last_id(p), err) == 0;
	kvm_close(&kvm);
	return has;
}

/* Whether `run` with these options would get as far as mapping memory. */
static bool check_guest(const struct check_report *r, const struct config *c,
			struct host_facts *host)
{
	struct err err = { "" }, lacks = { "" }, wide;
	struct plan plan;
	bool fits = vm_make_plan(&plan, c, host, &err) == 0;

	if (fits)
		check_line(r, "guest", "yes: a plan exists%s",
			   c->nr_vfio
				   ? ", by what sysfs says (straddle plan --probe asks the kernel)"
				   : "");
	else
		check_line(r, "guest", "no: %s", err.text);
	check_fact(r, "guest", check_answer(fits ? "" : err.text));
	if (fits && topology_is_wide(&plan, &wide))
		check_line(r, "cpus", "%s", wide.text);
	if (fits && !kvm_has_cpus(&plan, &lacks))
		check_line(r, "cpus", "no: %s", lacks.text);
	check_fact(r, "cpus", check_answer(lacks.text));
	return fits && !*lacks.text;
}

bool check_vfio(const struct check_report *r, const struct config *c, struct host_facts *host)
{
	json_t *devices = json_array();
	struct vfio_host vfio;
	bool ready;

	vfio_host_probe("", &vfio);
	check_groups(r);
	check_access(r, "type1", "/dev/vfio/vfio");
	check_access(r, "iommufd", "/dev/iommu");
	check_interrupts(r, &vfio);
	check_memlock(r, c->memory);
	ready = check_memory(r, c);
	for (unsigned i = 0; i < c->nr_vfio; i++)
		ready &= check_device(r, c, i, host, devices);
	check_fact(r, "devices", devices);
	return (config_names_ram(c) ? check_guest(r, c, host) : true) && ready;
}
