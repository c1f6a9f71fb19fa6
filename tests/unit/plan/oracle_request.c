/*
 * Requests for the address map from arbitrary bytes, and as text; see oracle.h.
 */
#include "tests/unit/plan/oracle.h"
#include "vmm/base/bytes.h"
#include "vmm/base/platform.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* An address near one of the places where layouts change. */
static uint64_t interesting(struct bytes_in *b, const struct map_request *req, uint64_t previous)
{
	unsigned pick = get_le(b, 1), nudge = get_le(b, 1);
	uint64_t mask = (UINT64_C(1) << req->guest_bits) - 1;
	const uint64_t anchors[] = {
		pick ? GIB : 0, /* nothing can be done about a range at zero: make it rare */
		2 * MIB,
		pick & 0x70 ? GIB : 0xa0000 + (nudge & 4 ? 0x50000 : 0),
		3 * GIB,
		4 * GIB,
		GIB + req->ram_size,
		req->high_memory_start,
		req->ram_size,
		GIB + req->max_memory,
		ECAM_BASE,
		IOAPIC_BASE,
		previous,
		previous,
	};
	uint64_t at, by = UINT64_C(1) << (nudge >> 3 & 31);

	if (pick % 16 < ARRAY_SIZE(anchors))
		at = anchors[pick % 16];
	else
		at = get_le(b, 6) & mask;
	switch (nudge & 3) {
	case 0:
		return at;
	case 1:
		return at + by;
	case 2:
		return at > by ? at - by : 0;
	default:
		return align_down(at, by);
	}
}

static void forbid(struct bytes_in *b, struct map_request *req)
{
	unsigned n = get_le(b, 1) % 10;
	uint64_t previous = 4 * GIB;

	for (unsigned i = 0; i < n; i++) {
		struct map_forbidden *f = &req->forbidden[req->nr_forbidden++];
		unsigned len = get_le(b, 1), odd = get_le(b, 1);
		uint64_t size = (UINT64_C(1) << (len % 40)) + (odd & 0x80 ? odd & 0x7f : 0);

		f->at.base = interesting(b, req, previous);
		if (len == 255)
			size = UINT64_MAX - f->at.base; /* everything above */
		else if (len == 254)
			size = 0;
		f->at.end = f->at.base + size;
		previous = f->at.end < UINT64_MAX / 2 ? f->at.end : 4 * GIB;
		snprintf(f->why, sizeof(f->why), "reason %u", i % 3);
	}
}

static void divide(struct bytes_in *b, struct map_request *req)
{
	uint64_t units = req->ram_size / req->align;
	unsigned n = get_le(b, 1) % 8;

	if (n > units)
		n = units;
	for (unsigned i = 0; i < n; i++) {
		uint64_t part = i + 1 == n ? units : 1 + get_le(b, 2) % (units - (n - 1 - i));

		req->node_sizes[i] = part * req->align;
		units -= part;
	}
	req->nr_nodes = n;
}

void oracle_request(struct map_request *req, const uint8_t *data, size_t len)
{
	struct bytes_in b = { .data = data, .len = len };
	unsigned flags = get_le(&b, 1);

	memset(req, 0, sizeof(*req));
	req->align = (2 * MIB) << (get_le(&b, 1) % 10);
	req->guest_bits = 47 - get_le(&b, 1) % 16 * (flags & 1);
	req->host_bits = 47 - get_le(&b, 1) % 16 * (flags & 1);
	req->ram_size = req->align * (1 + get_le(&b, 2) % 8192);
	if (flags & 2)
		req->max_memory = req->ram_size + req->align * (get_le(&b, 2) % 8192);
	if (flags & 4)
		req->low_memory = align_down(get_le(&b, 4) % (ECAM_BASE + 1), req->align);
	if (flags & 8)
		req->high_memory_start =
			align_down(4 * GIB + (get_le(&b, 4) << (get_le(&b, 1) % 14)), req->align);
	if (flags & 16)
		req->pci32_size = 1 + (get_le(&b, 4) >> get_le(&b, 1) % 8);
	if (flags & 32)
		req->pci64_size = 1 + (get_le(&b, 4) << (get_le(&b, 1) % 10));
	if (flags & 64 && !(flags & 32))
		req->pci64_least = get_le(&b, 4) << (get_le(&b, 1) % 10);
	if (flags & 64)
		req->largest_bar = UINT64_C(1) << (12 + get_le(&b, 1) % 30);
	if (flags & 128)
		req->nr_pmem = 1 + get_le(&b, 1) % PMEM_MAX;
	for (unsigned i = 0; i < req->nr_pmem; i++)
		req->pmem[i] = 2 * MIB * (1 + (get_le(&b, 2) << get_le(&b, 1) % 5));
	divide(&b, req);
	forbid(&b, req);
}

static void say(char *out, size_t cap, size_t *at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void say(char *out, size_t cap, size_t *at, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = *at < cap ? vsnprintf(out + *at, cap - *at, fmt, ap) : 0;
	va_end(ap);
	*at += n > 0 ? (size_t)n : 0;
}

void oracle_describe(const struct map_request *req, char *out, size_t cap)
{
	size_t at = 0;

	say(out, cap, &at, "ram %#" PRIx64 " max %#" PRIx64 " align %#" PRIx64 " bits %u host %u\n",
	    req->ram_size, req->max_memory, req->align, req->guest_bits, req->host_bits);
	say(out, cap, &at,
	    "low %#" PRIx64 " high %#" PRIx64 " pci32 %#" PRIx64 " pci64 %#" PRIx64
	    " least %#" PRIx64 " bar %#" PRIx64 "\n",
	    req->low_memory, req->high_memory_start, req->pci32_size, req->pci64_size,
	    req->pci64_least, req->largest_bar);
	for (unsigned i = 0; i < req->nr_pmem; i++)
		say(out, cap, &at, "pmem %u: %#" PRIx64 "\n", i, req->pmem[i]);
	for (unsigned i = 0; i < req->nr_nodes; i++)
		say(out, cap, &at, "node %u: %#" PRIx64 "\n", i, req->node_sizes[i]);
	for (unsigned i = 0; i < req->nr_forbidden; i++)
		say(out, cap, &at, "forbidden %#" PRIx64 "-%#" PRIx64 " %s\n",
		    req->forbidden[i].at.base, req->forbidden[i].at.end, req->forbidden[i].why);
}
