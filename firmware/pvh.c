#include "firmware/pvh.h"

#define START_MAGIC   0x336ec578 /* "xEn3" with bit 7 of the E set */
#define START_VERSION 1

/* struct hvm_start_info, hvm_modlist_entry, hvm_memmap_table_entry */
#define START_SIZE  56
#define MODULE_SIZE 32
#define MEMMAP_SIZE 24

size_t pvh_size(size_t nr_e820)
{
	return START_SIZE + MODULE_SIZE + nr_e820 * MEMMAP_SIZE;
}

void pvh_write(struct bytes_out *out, const struct pvh_info *info)
{
	uint64_t modules = info->at + START_SIZE;

	put_le(out, START_MAGIC, 4);
	put_le(out, START_VERSION, 4);
	put_le(out, 0, 4); /* flags */
	put_le(out, info->initrd_size ? 1 : 0, 4);
	put_le(out, info->initrd_size ? modules : 0, 8);
	put_le(out, info->cmdline, 8);
	put_le(out, info->rsdp, 8);
	put_le(out, modules + MODULE_SIZE, 8);
	put_le(out, info->nr_e820, 4);
	put_le(out, 0, 4);

	/* The one module, which Linux takes for its initrd; all zero if there is none. */
	put_le(out, info->initrd_size ? info->initrd : 0, 8);
	put_le(out, info->initrd_size, 8);
	put_le(out, 0, 8); /* no command line of its own */
	put_le(out, 0, 8);

	for (size_t i = 0; i < info->nr_e820; i++) {
		put_le(out, info->e820[i].at.base, 8);
		put_le(out, span_size(info->e820[i].at), 8);
		put_le(out, info->e820[i].type, 4);
		put_le(out, 0, 4);
	}
}
