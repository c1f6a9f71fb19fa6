#include "vmm/base/bar.h"

#define IO_MIN	     4
#define MEMORY_MIN   16
#define MEMORY32_MAX (2 * GIB)
#define MEMORY64_MAX (UINT64_C(1) << 51)
#define ROM_MIN	     (2 * KIB)

const char *bar_fault(const struct bar_shape *bars, unsigned i)
{
	const struct bar_shape *bar = &bars[i];
	uint64_t least = bar->io ? IO_MIN : MEMORY_MIN;
	uint64_t most = bar->io ? BAR_IO_END : bar->wide ? MEMORY64_MAX : MEMORY32_MAX;

	if (!is_power_of_two(bar->size))
		return "is not a power of two";
	if (bar->size < least || bar->size > most)
		return "is too small or too large for a BAR of its kind";
	if (bar->io && (bar->wide || bar->prefetch))
		return "is of a BAR that cannot be I/O and memory at once";
	if (i == BAR_ROM && (bar->io || bar->wide || bar->prefetch))
		return "is of a ROM, which is plain 32-bit memory";
	if (bar->wide && (i + 1 >= BARS || bars[i + 1].size))
		return "is of a 64-bit BAR, but its upper half is taken or missing";
	return NULL;
}

uint64_t bar_rom_size(uint64_t size)
{
	uint64_t room = ROM_MIN;

	while (room < size && room < UINT64_C(1) << 63)
		room *= 2;
	return room;
}
