/*
 * Fuzz target: plan files. Any bytes are refused with a sentence or give a plan that keeps the
 * rules, survives the way out and back, and can be folded.
 */
#include "vmm/plan/fdt.h"
#include "vmm/plan/json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static _Alignas(8) uint8_t first[PLAN_FDT_MAX], second[PLAN_FDT_MAX];
	static struct plan plan;
	size_t first_len, second_len;
	struct err err = { "" };
	uint8_t *copy = malloc(size + 1);
	char *json;
	int ret;

	must(copy);
	memcpy(copy, data, size);
	ret = plan_from_fdt(&plan, copy, size, &err);
	free(copy);
	if (ret) {
		must(err.text[0] && !strchr(err.text, '\n'));
		return 0;
	}
	must(!plan_check(&plan, &err) && plan.map.bits_required <= plan.phys_bits);
	for (unsigned i = 0; i < plan.nr_pci; i++)
		for (unsigned pin = 0; pin < 4; pin++)
			must(plan_pci_gsi(&plan, &plan.pci[i], pin) - 16 < 8);
	must(!plan_json(&plan, NULL, &json, &err));
	free(json);
	must(!plan_to_fdt(&plan, first, sizeof(first), &first_len, &err));
	must(!plan_from_fdt(&plan, first, first_len, &err));
	must(!plan_to_fdt(&plan, second, sizeof(second), &second_len, &err));
	must(first_len == second_len && !memcmp(first, second, first_len));
	return 0;
}
