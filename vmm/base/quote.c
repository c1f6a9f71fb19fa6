#include "vmm/base/quote.h"

#include "vmm/base/units.h"

#include <inttypes.h>
#include <stdio.h>

const char *quote_text(struct quoted *q, const char *text, size_t len)
{
	size_t room = sizeof(q->text) - 1;
	size_t n = len <= room ? len : room - 3;

	for (size_t i = 0; i < n; i++)
		q->text[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	strcpy(q->text + n, len <= room ? "" : "...");
	return q->text;
}

/*
 * Divides *bytes by 1024 while the division is exact, 4 times at most. Returns the number of
 * divisions.
 */
static unsigned take_unit(uint64_t *bytes)
{
	unsigned unit = 0;

	for (; unit < 4 && *bytes && *bytes % KIB == 0; unit++)
		*bytes /= KIB;
	return unit;
}

const char *quote_option_size(struct quoted *q, uint64_t bytes)
{
	static const char *const units[] = { "", "K", "M", "G", "T" };
	unsigned unit = take_unit(&bytes);

	snprintf(q->text, sizeof(q->text), "%" PRIu64 "%s", bytes, units[unit]);
	return q->text;
}

const char *quote_size(struct quoted *q, uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	unsigned unit = take_unit(&bytes);

	snprintf(q->text, sizeof(q->text), "%" PRIu64 " %s", bytes, units[unit]);
	return q->text;
}

const char *quote_about(struct quoted *q, uint64_t bytes)
{
	bool small = bytes < 10 * MIB;
	uint64_t unit = small ? KIB : MIB;

	snprintf(q->text, sizeof(q->text), "%" PRIu64 " %s", bytes / unit + (bytes % unit != 0),
		 small ? "KiB" : "MiB");
	return q->text;
}
