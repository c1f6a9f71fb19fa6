/*
 * How the numbers of sockets, dies, cores and threads become APIC ids.
 *
 * PURE. CPUs are numbered thread by thread, core by core, die by die, socket by socket. In an APIC
 * id each level has a bit field of its own, as wide as its count needs (Intel SDM volume 3, section
 * 9.9.5: software takes ids apart by shifts), so ids have gaps where a count is no power of two:
 * from the highest bits on socket, die of the socket, core of the die, thread of the core.
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

/* The numbers within a socket; `dies` divides `cores`, which are those of the socket. */
struct apic_socket {
	unsigned dies, cores, threads;
};

/* The width of the ids of a die: within it they differ in their lower bits only. */
static inline unsigned apic_die_bits(const struct apic_socket *s)
{
	return apic_id_bits(s->cores / s->dies) + apic_id_bits(s->threads);
}

static inline unsigned apic_socket_bits(const struct apic_socket *s)
{
	return apic_id_bits(s->dies) + apic_die_bits(s);
}

/* The id of a CPU by its number. */
static inline uint32_t apic_id(const struct apic_socket *s, unsigned cpu)
{
	unsigned core = cpu / s->threads % s->cores, of_die = s->cores / s->dies;

	return cpu / s->threads / s->cores << apic_socket_bits(s) |
	       core / of_die << apic_die_bits(s) | core % of_die << apic_id_bits(s->threads) |
	       cpu % s->threads;
}

/* The largest id of so many sockets, which have at most CPUS_MAX CPUs. */
static inline uint32_t apic_id_last(const struct apic_socket *s, unsigned sockets)
{
	return apic_id(s, sockets * s->cores * s->threads - 1);
}

#endif
