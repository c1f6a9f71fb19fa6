#include "devices/ioapic.h"

#include "vmm/base/msi.h"

#define INDEX  0x00
#define WINDOW 0x10
#define EOI    0x40

#define REG_ID	    0
#define REG_VERSION 1
#define REG_PINS    0x10 /* two registers for each pin, the lower half first */

#define VERSION 0x20 /* the first that has an EOI register */

/* An entry of the redirection table */
#define PIN_VECTOR     0xffu
#define PIN_MODE_SHIFT 8
#define PIN_MODE       7u
#define PIN_LOGICAL    (1u << 11)
#define PIN_SENT       (1u << 12) /* delivery status: never seen, because delivery takes no time */
#define PIN_REMOTE_IRR (1u << 14)
#define PIN_LEVEL      (1u << 15)
#define PIN_MASKED     (1u << 16)
#define PIN_READ_ONLY  (PIN_SENT | PIN_REMOTE_IRR)
/* Bits 17 to 48 are reserved: 48 would choose the format of an IOMMU. */
#define PIN_FIELDS (UINT64_C(0xfffe) << 48 | 0x1ffff)

#define MODE_EXTINT 7u

/* A message (Intel SDM volume 3, section 11.11) */
#define MSG_LOGICAL    0x4u
#define MSG_ASSERT     (1u << 14)
#define MSG_LEVEL      (1u << 15)
#define MSG_MODE_SHIFT 8
#define MSG_DEST_SHIFT 44 /* the entry's bits 48 to 63 to bits 4 to 19 */

static uint64_t message_address(uint64_t entry)
{
	return MSI_BASE | (entry >> 48 << 48) >> MSG_DEST_SHIFT |
	       (entry & PIN_LOGICAL ? MSG_LOGICAL : 0);
}

static uint32_t message_data(uint64_t entry)
{
	uint32_t mode = (uint32_t)(entry >> PIN_MODE_SHIFT) & PIN_MODE;

	return (uint32_t)(entry & PIN_VECTOR) | mode << MSG_MODE_SHIFT |
	       (entry & PIN_LEVEL ? MSG_LEVEL | MSG_ASSERT : 0);
}

/*
 * Sends the interrupt of a pin. A level-triggered one waits until the last was acknowledged. One
 * whose vector an 8259 would give (ExtINT) is not sent, because there is no 8259.
 */
static void ioapic_send(struct ioapic *a, unsigned pin)
{
	uint64_t *entry = &a->state.pins[pin];

	if (*entry & (PIN_MASKED | PIN_REMOTE_IRR) ||
	    (*entry >> PIN_MODE_SHIFT & PIN_MODE) == MODE_EXTINT)
		return;
	if (*entry & PIN_LEVEL)
		*entry |= PIN_REMOTE_IRR;
	a->out.send(a->out.to, message_address(*entry), message_data(*entry));
}

static bool is_high(const struct ioapic *a, unsigned pin)
{
	return a->state.lines >> pin & 1;
}

static void acknowledge(struct ioapic *a, unsigned pin)
{
	a->state.pins[pin] &= ~(uint64_t)PIN_REMOTE_IRR;
	if (a->out.acknowledged(a->out.to, pin))
		a->state.lines &= ~(1u << pin);
	if (is_high(a, pin))
		ioapic_send(a, pin);
}

static void eoi(struct ioapic *a, uint8_t vector)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t entry = a->state.pins[pin];

		if (entry & PIN_REMOTE_IRR && (entry & PIN_VECTOR) == vector)
			acknowledge(a, pin);
	}
}

/* --- registers --- */

/* What makes the message of a pin; masks do not, so that a masked interrupt is acknowledged. */
static uint64_t watched(uint64_t entry)
{
	return entry & PIN_LEVEL ? entry & ~(uint64_t)(PIN_MASKED | PIN_READ_ONLY) : 0;
}

/*
 * An edge while the pin is masked is lost (82093AA, section 3.2.4); a level is not. Changing to
 * edges clears the remote IRR, which software without an EOI register relies on (Linux,
 * __eoi_ioapic_pin()).
 */
static void write_pin(struct ioapic *a, unsigned pin, unsigned shift, uint32_t value)
{
	uint64_t was = a->state.pins[pin], read_only = was & PIN_READ_ONLY;
	uint64_t entry = (was & ~(UINT64_C(0xffffffff) << shift)) | (uint64_t)value << shift;

	entry = (entry & PIN_FIELDS & ~(uint64_t)PIN_READ_ONLY) | read_only;
	if (!(entry & PIN_LEVEL))
		entry &= ~(uint64_t)PIN_REMOTE_IRR;
	a->state.pins[pin] = entry;
	if (watched(entry) != watched(was))
		a->out.watch(a->out.to, pin, entry & PIN_LEVEL, message_address(entry),
			     message_data(entry));
	if (entry & PIN_LEVEL && is_high(a, pin))
		ioapic_send(a, pin);
}

static uint32_t read_register(const struct ioapic *a)
{
	unsigned index = a->state.index, pin = (index - REG_PINS) / 2;

	if (index == REG_VERSION)
		return VERSION | (IOAPIC_PINS - 1) << 16;
	if (index < REG_PINS)
		return index <= 2 ? (uint32_t)a->state.id << 24 : 0; /* ID, arbitration */
	if (pin >= IOAPIC_PINS)
		return 0;
	return (uint32_t)(a->state.pins[pin] >> (index & 1 ? 32 : 0));
}

static void write_register(struct ioapic *a, uint32_t value)
{
	unsigned index = a->state.index, pin = (index - REG_PINS) / 2;

	if (index == REG_ID)
		a->state.id = value >> 24 & 0xf;
	if (index >= REG_PINS && pin < IOAPIC_PINS)
		write_pin(a, pin, index & 1 ? 32 : 0, value);
}

static uint64_t ioapic_read(struct device *dev, uint64_t offset, unsigned size)
{
	const struct ioapic *a = (const struct ioapic *)dev;
	uint64_t mask = size < 4 ? (UINT64_C(1) << 8 * size) - 1 : UINT32_MAX;

	switch (offset) {
	case INDEX:
		return a->state.index;
	case WINDOW:
		return read_register(a) & mask;
	default:
		return 0;
	}
}

/* The window takes whole registers only. */
static void ioapic_write(struct device *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct ioapic *a = (struct ioapic *)dev;

	if (offset == INDEX)
		a->state.index = (uint8_t)value;
	else if (offset == WINDOW && size == 4)
		write_register(a, (uint32_t)value);
	else if (offset == EOI)
		eoi(a, (uint8_t)value);
}

static const struct device_ops ioapic_ops = {
	.name = "I/O APIC",
	.width = 4,
	.read = ioapic_read,
	.write = ioapic_write,
};

void ioapic_init(struct ioapic *a, struct ioapic_out out)
{
	*a = (struct ioapic){ .out = out };
	device_init(&a->dev, &ioapic_ops);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		a->state.pins[pin] = PIN_MASKED;
}

/* --- lines --- */

void ioapic_set(struct ioapic *a, unsigned pin, bool level)
{
	bool rises;

	if (pin >= IOAPIC_PINS)
		return;
	pthread_mutex_lock(&a->dev.lock);
	rises = level && !is_high(a, pin);
	a->state.lines = (a->state.lines & ~(1u << pin)) | (uint32_t)level << pin;
	if (rises)
		ioapic_send(a, pin);
	pthread_mutex_unlock(&a->dev.lock);
}

void ioapic_eoi(struct ioapic *a, uint8_t vector)
{
	pthread_mutex_lock(&a->dev.lock);
	eoi(a, vector);
	pthread_mutex_unlock(&a->dev.lock);
}
