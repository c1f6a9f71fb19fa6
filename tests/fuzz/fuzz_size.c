/*
 * Sizes: what is taken equals an independent computation in 128 bits, and reads the same when it is
 * written out again.
 */
#include "vmm/config/config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void broken(const char *text, const char *what)
{
	fprintf(stderr, "'%s': %s\n", text, what);
	abort();
}

/*
 * The value of a text of digits, perhaps a point, and a suffix, with at most 18 digits: their
 * integer times 2^shift over 10^decimals. False if the text is longer or something else.
 */
static bool reference(const char *text, unsigned __int128 *bytes, bool *whole)
{
	static const char units[] = "KMGT";
	unsigned __int128 value = 0, divisor = 1;
	unsigned digits = 0;
	bool point = false;
	const char *unit;

	for (; (*text >= '0' && *text <= '9') || (*text == '.' && !point && digits); text++) {
		if (*text == '.') {
			point = true;
			continue;
		}
		value = value * 10 + (unsigned)(*text - '0');
		divisor *= point ? 10 : 1;
		digits++;
	}
	if (!digits || digits > 18 || text[-1] == '.')
		return false;
	unit = *text ? strchr(units, *text) : NULL;
	if ((*text && !unit) || (unit && text[1]))
		return false;
	value <<= unit ? 10 * (unit - units + 1) : 0;
	*whole = value % divisor == 0;
	*bytes = value / divisor;
	return true;
}

static void read_again(const char *text, const char *format, uint64_t bytes)
{
	struct err err = { "" };
	uint64_t again = 0;
	char plain[32];

	snprintf(plain, sizeof(plain), format, bytes);
	if (config_parse_size(plain, &again, &err) != 0 || again != bytes)
		broken(text, "does not survive being written and read");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	unsigned __int128 expect = 0;
	struct err err = { "" };
	uint64_t bytes = 42;
	bool known, whole = false, fits;
	int ret;

	if (!text)
		return 0;
	ret = config_parse_size(text, &bytes, &err);
	known = reference(text, &expect, &whole);
	if (known && !whole)
		expect -= expect % (2 * MIB);
	fits = known && (whole || expect) && expect <= UINT64_MAX;
	if (ret > 0 || (ret < 0 && (!err.text[0] || bytes != 42)))
		broken(text, "refused without a sentence, or half");
	if (known && fits != (ret == 0))
		broken(text, fits ? err.text : "is taken");
	if (known && fits && bytes != expect)
		broken(text, "is a wrong number");
	if (ret == 0) {
		read_again(text, "%" PRIu64, bytes);
		read_again(text, "%#" PRIx64, bytes);
	}
	free(text);
	return 0;
}
