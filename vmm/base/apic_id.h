/*
 * How the numbers of sockets, cores and threads become APIC ids.
 *
 * PURE. CPUs are numbered thread by thread, core by core, socket by socket. In an APIC id each
 * level has a bit field of its own, as wide as its count needs (Intel SDM volume 3, section 9.9.5:
 * software takes ids apart by shifts), so ids have gaps where a count is no power of two:
 *
 *   id = socket << (core bits + thread bits) | core << thread bits | thread
 */
#ifndef BASE_APIC_ID_H
#define BASE_APIC_ID_H

#include <stdint.h>

/* Guests find CPUs up to this id without help of KVM's: see topology_is_wide(). */
#define APIC_ID_MAX 254u

/* The width of a field that holds the numbers 0 to count - 1. */
static inline unsigned apic_id_bits(unsigned count)
{
	return count > 1 ? 32 - (unsigned)__builtin_clz(count - 1) : 0;
}

static inline uint32_t apic_id(unsigned socket, unsigned core, unsigned thread, unsigned cores,
			       unsigned threads)
{
	unsigned thread_bits = apic_id_bits(threads), core_bits = apic_id_bits(cores);

	return socket << (core_bits + thread_bits) | core << thread_bits | thread;
}

/* The largest id of a machine with these counts, whose product is at most CPUS_MAX. */
static inline uint32_t apic_id_last(unsigned sockets, unsigned cores, unsigned threads)
{
	return apic_id(sockets - 1, cores - 1, threads - 1, cores, threads);
}

#endif
