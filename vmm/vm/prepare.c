#include "vmm/vm/prepare.h"

#include "vmm/backends/pmem.h"
#include "vmm/base/quote.h"
#include "vmm/machine/virtio/kinds.h"
#include "vmm/plan/devices.h"
#include "vmm/plan/fdt.h"

#include <errno.h>

static int read_plan(struct plan *p, const char *path, struct err *err)
{
	struct image file;
	int ret = image_open(&file, "--plan", path, err);

	if (ret < 0)
		return ret;
	ret = plan_from_fdt(p, file.data, file.len, err);
	image_close(&file);
	return ret < 0 ? err_prefix(err, ret, "--plan %s: ", path) : 0;
}

/* For a plan that was read: config_check() does not know its RAM and pages yet. */
static int check_plan_balloon(const struct plan *p, const struct config *c, struct err *err)
{
	if (c->balloon >= p->ram_size && c->balloon)
		return err_set(err, EINVAL,
			       "the plan has %s of RAM, of which --balloon %s would leave "
			       "nothing; use less",
			       QUOTED_SIZE(p->ram_size), SHOWN_SIZE(c->balloon));
	if (c->has_balloon && p->page_size != 4 * KIB)
		return err_set(err, EINVAL,
			       "the plan has pages of %s, which --balloon cannot give back to the "
			       "host; make a plan with --page-size 4K, or leave --balloon out",
			       QUOTED_SIZE(p->page_size));
	return 0;
}

/* For a plan that was read: config_check() does not know where its devices are. */
static int check_plan_late(const struct plan *p, const struct config *c, struct err *err)
{
	if (c->prefault != PREFAULT_BACKGROUND)
		return 0;
	for (unsigned i = 0; i < c->nr_vfio; i++)
		if (p->pci[i].port == PLAN_NO_PORT)
			return err_set(
				err, EINVAL,
				"%s is on a root bus, where a guest finds nothing that comes "
				"after its start; make a plan without port=off, or use "
				"--prefault on",
				p->pci[i].name);
	return 0;
}

/* As config_check() says of nodes that options bind. */
static int check_plan_fold(const struct plan *p, const struct config *c, struct err *err)
{
	for (unsigned i = 0; c->fold && i < p->nr_nodes; i++)
		if (p->nodes[i].bound)
			return err_set(err, EINVAL,
				       "its node %u has memory of node %u of the host alone, and "
				       "--fold has the same memory for all nodes; make a plan "
				       "without host=, or leave --fold out",
				       i, p->nodes[i].host);
	return 0;
}

int vm_make_plan(struct plan *p, const struct config *c, struct host_facts *host, struct err *err)
{
	struct device_counts counts = { .of = { [DEVICE_WATCHDOG] = c->watchdog } };
	int ret;

	virtio_count(c, &counts);
	for (host->nr_pmem = 0; host->nr_pmem < c->nr_pmem; host->nr_pmem++) {
		ret = pmem_size(c->pmem[host->nr_pmem].path, &host->pmem[host->nr_pmem], err);
		if (ret < 0)
			return ret;
	}
	ret = plan_add_devices(host, &counts, err);
	if (ret < 0)
		return ret;
	if (!c->plan_file)
		return plan_build(p, c, host, err);
	ret = read_plan(p, c->plan_file, err);
	if (ret < 0)
		return ret;
	ret = plan_check_host(p, host, err);
	if (ret == 0)
		ret = check_plan_balloon(p, c, err);
	if (ret == 0)
		ret = check_plan_late(p, c, err);
	if (ret == 0)
		ret = check_plan_fold(p, c, err);
	return ret < 0 ? err_prefix(err, ret, "--plan %s: ", c->plan_file) : 0;
}

static_assert(CONFIG_INITRDS_MAX <= IMAGES_MAX, "each --initrd has a place");

int vm_open_images(const struct config *c, struct image *kernel, struct boot_kernel *parsed,
		   struct images *initrd, struct err *err)
{
	int ret = image_open(kernel, "--kernel", c->kernel, err);

	if (ret < 0)
		return ret;
	ret = boot_kernel_parse(parsed, kernel->data, kernel->len, err);
	if (ret < 0)
		return err_prefix(err, ret, "--kernel %s: ", c->kernel);
	ret = images_open(initrd, "--initrd", c->initrds, c->nr_initrds, err);
	if (ret < 0)
		return ret;
	for (unsigned i = 0; i < initrd->n; i++) {
		const struct image *part = &initrd->parts[i];

		ret = boot_initrd_check(part->data, part->len, err);
		if (ret < 0)
			return err_prefix(err, ret, "--initrd %s: ", part->path);
	}
	return 0;
}
