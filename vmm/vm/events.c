#include "vmm/vm/events.h"

#include "vmm/base/pieces.h"

#include <inttypes.h>
#include <stdio.h>

static void progress_sentence(const struct vm_event *e, const char *verb, const char *purpose,
			      char *buf, size_t size)
{
	struct pieces_progress p = pieces_progress(e->bytes, e->total, e->seconds);

	snprintf(buf, size, "%s %.1f of %.1f GiB%s, %.1f GiB/s, %.0f s left", verb, p.gib, p.total,
		 purpose, p.rate, p.left);
}

static void unclaimed_sentence(const struct vm_event *e, char *buf, size_t size)
{
	snprintf(buf, size,
		 "no device claimed %" PRIu64 " accesses; the first was a %u-byte %s %s %#" PRIx64,
		 e->count, e->access.size, e->access.write ? "write to" : "read from",
		 e->access.port ? "port" : "address", e->access.at);
}

const char *vm_event_sentence(const struct vm_event *e, char *buf, size_t size)
{
	switch (e->kind) {
	case VM_EVENT_REMARK:
		snprintf(buf, size, "%s", e->text);
		break;
	case VM_EVENT_LINE:
		snprintf(buf, size, "%s line is %s", e->line, e->path);
		break;
	case VM_EVENT_TOUCHING:
		progress_sentence(e, "touched", " of RAM", buf, size);
		break;
	case VM_EVENT_MAPPING:
		progress_sentence(e, "mapped", " for devices", buf, size);
		break;
	case VM_EVENT_READY:
		snprintf(buf, size, "%s", "");
		break;
	case VM_EVENT_ARRIVED:
		snprintf(buf, size,
			 "%s: the guest gets the device now; %.1f GiB were mapped for devices, in "
			 "%.1f s",
			 e->text, (double)e->bytes / GIB, e->seconds);
		break;
	case VM_EVENT_UNMAPPING:
		snprintf(buf, size, "unmapping %.1f GiB from devices", (double)e->bytes / GIB);
		break;
	case VM_EVENT_RESET:
		snprintf(buf, size, "the guest resets");
		break;
	case VM_EVENT_REGISTERS:
		snprintf(buf, size, "the guest reset itself: %s", e->text);
		break;
	case VM_EVENT_UNCLAIMED:
		unclaimed_sentence(e, buf, size);
		break;
	case VM_EVENT_LOST:
		snprintf(buf, size,
			 "%" PRIu64 " bytes of %s output were lost: nobody read them in time",
			 e->count, e->line);
		break;
	case VM_EVENT_CUT:
		snprintf(buf, size,
			 "%s holds the end of the %s output only: it passed %" PRIu64
			 " KiB (file:PATH,limit=SIZE)",
			 e->path, e->line, e->bytes / KIB);
		break;
	}
	return buf;
}
