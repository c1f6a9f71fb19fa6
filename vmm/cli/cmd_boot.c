/*
 * The places of kernel and initrd in a planned guest, computed by firmware/boot.h, for straddle
 * plan.
 */
#include "vmm/cli/cmd.h"

#include "firmware/boot.h"
#include "vmm/base/platform.h"
#include "vmm/host/image.h"
#include "vmm/plan/json.h"
#include "vmm/vm/prepare.h"

#include <errno.h>
#include <stdlib.h>

struct boot_view {
	struct boot_kernel kernel;
	struct boot boot;
	struct e820_entry e820[PLAN_LIST_MAX];
	uint8_t scratch[BOOT_SCRATCH_SIZE];
	struct plan_boot_place places[BOOT_PLACES_MAX];
	struct plan_boot shown;
};

/*
 * Parses the kernel and finds the size of the initrd in bytes, 0 without one. Closes all files
 * again.
 */
static int read_files(struct boot_view *v, const struct config *c, uint64_t *initrd_size,
		      struct err *err)
{
	struct images initrd = IMAGES_EMPTY;
	struct image kernel = IMAGE_EMPTY;
	int ret = vm_open_images(c, &kernel, &v->kernel, &initrd, err);

	*initrd_size = initrd.len;
	images_close(&initrd);
	image_close(&kernel);
	return ret;
}

static int cmd_boot_by_address(const void *a, const void *b)
{
	const struct plan_boot_place *x = a, *y = b;

	return x->at.base < y->at.base ? -1 : x->at.base > y->at.base;
}

static int cmd_boot_fill(struct boot_view *v, const struct plan *p, const struct config *c,
			 struct err *err)
{
	struct boot_request req = {
		.e820 = v->e820,
		.nr_e820 = plan_e820(p, v->e820, PLAN_LIST_MAX),
		.kernel = &v->kernel,
		.cmdline = c->append,
		.rsdp = ACPI_RSDP,
		.scratch = v->scratch,
		.scratch_size = sizeof(v->scratch),
	};
	int ret = read_files(v, c, &req.initrd_size, err);

	if (ret < 0)
		return ret;
	ret = boot_build(&v->boot, &req, err);
	if (ret < 0)
		return ret;
	for (unsigned i = 0; i < v->boot.nr_places; i++) {
		const struct boot_place *from = &v->boot.places[i];

		v->places[i] = (struct plan_boot_place){
			{ from->gpa, from->gpa + from->len + from->zeroes }, from->what
		};
	}
	qsort(v->places, v->boot.nr_places, sizeof(v->places[0]), cmd_boot_by_address);
	v->shown = (struct plan_boot){ v->boot.protocol, v->boot.cpu.rip, v->places,
				       v->boot.nr_places };
	return 0;
}

struct boot_view *boot_view_make(const struct plan *p, const struct config *c, int *ret,
				 struct err *err)
{
	struct boot_view *v = NULL;

	*ret = 0;
	if (!c->kernel)
		return NULL;
	v = calloc(1, sizeof(*v));
	*ret = v ? cmd_boot_fill(v, p, c, err)
		 : err_sys(err, ENOMEM, "out of memory for the boot data of --kernel %s",
			   c->kernel);
	if (*ret == 0)
		return v;
	free(v);
	return NULL;
}

const struct plan_boot *boot_view_get(const struct boot_view *view)
{
	return &view->shown;
}
