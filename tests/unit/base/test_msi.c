/* Addresses of message-signalled interrupts (vmm/base/msi.h). */
#include "vmm/base/msi.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

/* Linux' __irq_msi_compose_msg() with virt_ext_dest_id. */
static uint64_t guest_writes(uint32_t id)
{
	return MSI_BASE | (uint64_t)(id & 0xff) << 12 | (uint64_t)(id >> 8 & 0x7f) << 5;
}

/* KVM's x86_msi_msg_get_destid() with 32-bit ids. */
static uint32_t kvm_reads(uint64_t address)
{
	return (uint32_t)(address >> 12 & 0xff) | (uint32_t)(address >> 40) << 8;
}

static void test_every_id_arrives(void **state)
{
	(void)state;
	for (uint32_t id = 0; id <= MSI_DEST_ID_MAX; id++) {
		uint64_t address = msi_for_kvm(guest_writes(id));

		assert_int_equal(kvm_reads(address), id);
		/* KVM refuses bits 32 to 39 (kvm_msi_route_invalid()). */
		assert_int_equal(address >> 32 & 0xff, 0);
		assert_int_equal(address & 0xfff00fff, MSI_BASE);
	}
}

/* Mode and hint stay; so does what is not of this format. */
static void test_rest_stays(void **state)
{
	(void)state;
	assert_int_equal(msi_for_kvm(0xfee0002c), UINT64_C(0x100fee0000c));
	assert_int_equal(msi_for_kvm(0xfee0100c), 0xfee0100c);
	assert_int_equal(msi_for_kvm(0xfee00030), 0xfee00030);
	assert_int_equal(msi_for_kvm(UINT64_C(0x100fee05020)), UINT64_C(0x100fee05020));
	assert_int_equal(msi_for_kvm(UINT64_MAX), UINT64_MAX);
	assert_int_equal(msi_for_kvm(0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_id_arrives),
		cmocka_unit_test(test_rest_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
