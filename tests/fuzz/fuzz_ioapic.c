/*
 * A hostile guest at the I/O APIC, and lines that rise and fall. Holds at every step: every message
 * goes to the local APICs' range, in a format of 15 bits of destination; a masked pin sends
 * nothing, and a level-triggered one not twice without an acknowledgement; exactly the messages of
 * level-triggered pins are watched, as they would be sent.
 */
#include "devices/bus.h"
#include "devices/ioapic.h"
#include "vmm/base/bytes.h"
#include "vmm/base/msi.h"

#include <stdlib.h>
#include <string.h>

#define LEVEL  0x8000u
#define IRR    0x4000u
#define MASKED 0x10000u

static struct {
	struct bus bus;
	struct ioapic ioapic;
	uint64_t watched[IOAPIC_PINS];
	uint32_t data[IOAPIC_PINS];
	bool is_watched[IOAPIC_PINS];
	uint32_t lowers; /* pins that an acknowledgement lowers */
} b;

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void check_message(uint64_t address, uint32_t data)
{
	must((address & ~(uint64_t)0xfffe4) == MSI_BASE);
	must(!(address & MSI_REMAPPABLE) && (data & ~0xc7ffu) == 0);
	must(msi_for_kvm(address) >> 32 << 56 == 0); /* what KVM would refuse */
}

static void board_send(void *to, uint64_t address, uint32_t data)
{
	unsigned waiting = 0;

	(void)to;
	check_message(address, data);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		waiting += (b.ioapic.state.pins[pin] & (LEVEL | IRR | MASKED)) == (LEVEL | IRR);
	must(!(data & LEVEL) || waiting);
}

static void board_watch(void *to, unsigned pin, bool wanted, uint64_t address, uint32_t data)
{
	(void)to;
	must(pin < IOAPIC_PINS);
	check_message(address, data);
	b.is_watched[pin] = wanted;
	b.watched[pin] = address;
	b.data[pin] = data;
}

static bool board_acknowledged(void *to, unsigned pin)
{
	(void)to;
	must(pin < IOAPIC_PINS && !(b.ioapic.state.pins[pin] & IRR));
	return b.lowers >> pin & 1;
}

static void check_pins(void)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t entry = b.ioapic.state.pins[pin];

		must(b.is_watched[pin] == !!(entry & LEVEL));
		must(entry & LEVEL || !(entry & IRR));
		if (!b.is_watched[pin])
			continue;
		must((b.data[pin] & 0xff) == (entry & 0xff));
		must((b.watched[pin] >> 12 & 0xff) == entry >> 56);
		must((b.watched[pin] >> 5 & 0x7f) == (entry >> 49 & 0x7f));
	}
	must(b.ioapic.state.lines >> IOAPIC_PINS == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes_in in = { .data = data, .len = size };

	memset(&b, 0, sizeof(b));
	ioapic_init(&b.ioapic,
		    (struct ioapic_out){ board_send, board_watch, board_acknowledged, NULL });
	bus_add(&b.bus, (struct span){ 0, IOAPIC_SIZE }, &b.ioapic.dev, NULL);
	while (!in.failed && in.at < in.len) {
		unsigned what = (unsigned)get_le(&in, 1), width = 1u << (what >> 4 & 3);
		uint64_t value = 0;

		switch (what & 7) {
		case 0: /* a register */
			value = get_le(&in, 1);
			bus_write(&b.bus, 0, 4, &value);
			value = get_le(&in, 4);
			bus_write(&b.bus, 0x10, 4, &value);
			break;
		case 1: /* a pin */
			value = 0x10 + get_le(&in, 1) % (2 * IOAPIC_PINS);
			bus_write(&b.bus, 0, 4, &value);
			value = get_le(&in, 4);
			bus_write(&b.bus, 0x10, 4, &value);
			break;
		case 2:
			must(bus_read(&b.bus, get_le(&in, 1), width, &value));
			break;
		case 3: {
			uint64_t at = get_le(&in, 1);

			value = get_le(&in, width);
			bus_write(&b.bus, at, width, &value);
			break;
		}
		case 4:
			value = get_le(&in, 1);
			ioapic_set(&b.ioapic, value & 0x1f, value & 0x80);
			break;
		case 5:
			ioapic_eoi(&b.ioapic, (uint8_t)get_le(&in, 1));
			break;
		default:
			b.lowers ^= 1u << (get_le(&in, 1) & 0x1f);
			break;
		}
		check_pins();
	}
	pthread_mutex_destroy(&b.ioapic.dev.lock);
	return 0;
}
