/* The sentences of a vm's events (vmm/vm/events.h). */
#include "vmm/vm/events.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static void test_sentences(void **state)
{
	static const struct {
		struct vm_event event;
		const char *sentence;
	} rows[] = {
		{ { .kind = VM_EVENT_REMARK, .text = "a remark" }, "a remark" },
		{ { .kind = VM_EVENT_LINE, .line = "console", .path = "/dev/pts/3" },
		  "console line is /dev/pts/3" },
		{ { .kind = VM_EVENT_MAPPING, .bytes = 3 * GIB, .total = 12 * GIB, .seconds = 1.5 },
		  "mapped 3.0 of 12.0 GiB for devices, 2.0 GiB/s, 4 s left" },
		{ { .kind = VM_EVENT_MAPPING, .total = 12 * GIB },
		  "mapped 0.0 of 12.0 GiB for devices, 0.0 GiB/s, 0 s left" },
		{ { .kind = VM_EVENT_TOUCHING, .bytes = GIB, .total = 3 * GIB, .seconds = 2 },
		  "touched 1.0 of 3.0 GiB of RAM, 0.5 GiB/s, 4 s left" },
		{ { .kind = VM_EVENT_READY }, "" },
		{ { .kind = VM_EVENT_ARRIVED,
		    .text = "0000:05:00.0",
		    .bytes = 3 * GIB,
		    .seconds = 12 },
		  "0000:05:00.0: the guest gets the device now; 3.0 GiB were mapped for devices, "
		  "in 12.0 s" },
		{ { .kind = VM_EVENT_UNMAPPING, .bytes = GIB / 2 },
		  "unmapping 0.5 GiB from devices" },
		{ { .kind = VM_EVENT_RESET }, "the guest resets" },
		{ { .kind = VM_EVENT_REGISTERS, .text = "rip\nrax" },
		  "the guest reset itself: rip\nrax" },
		{ { .kind = VM_EVENT_UNCLAIMED, .count = 7, .access = { 0x2f8, 1, true, true } },
		  "no device claimed 7 accesses; the first was a 1-byte write to port 0x2f8" },
		{ { .kind = VM_EVENT_UNCLAIMED,
		    .count = 1,
		    .access = { 0xfed00000, 4, false, false } },
		  "no device claimed 1 accesses; the first was a 4-byte read from address "
		  "0xfed00000" },
		{ { .kind = VM_EVENT_LOST, .line = "serial", .count = 12 },
		  "12 bytes of serial output were lost: nobody read them in time" },
		{ { .kind = VM_EVENT_CUT, .line = "serial", .path = "log", .bytes = 64 * KIB },
		  "log holds the end of the serial output only: it passed 64 KiB "
		  "(file:PATH,limit=SIZE)" },
	};
	char buf[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(vm_event_sentence(&rows[i].event, buf, sizeof(buf)),
				    rows[i].sentence);
	vm_event_sentence(&rows[0].event, buf, 4);
	assert_string_equal(buf, "a r");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sentences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
