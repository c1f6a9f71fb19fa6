#include "vmm/base/device_kind.h"

static const struct {
	const char *name;
	bool numbered;
} kinds[DEVICE_KINDS] = {
#define ROW(kind, name, numbered) [DEVICE_##kind] = { name, numbered },
	DEVICE_KIND_LIST(ROW)
#undef ROW
};

const char *device_kind_name(enum device_kind kind)
{
	return kinds[kind].name;
}

bool device_kind_is_numbered(enum device_kind kind)
{
	return kinds[kind].numbered;
}

bool device_kind_find(const char *name, enum device_kind *kind)
{
	for (unsigned i = 0; i < DEVICE_KINDS; i++) {
		if (!strcmp(kinds[i].name, name)) {
			*kind = (enum device_kind)i;
			return true;
		}
	}
	return false;
}
