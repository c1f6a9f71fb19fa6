/*
 * Sizes and numbers as people write them.
 *
 * PURE. Called by the files of config/ on text of the user, who may write anything. No floating
 * point: 1023.75G is exact. 1.1T is no whole number of bytes and is rounded to 2 MiB, the unit of
 * guest RAM: down, or up if it ends a range that must stay free.
 */
#include "vmm/config/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SHIFT_MAX 40 /* T */

static int digit_of(char c, unsigned base)
{
	int digit = 99;

	if (c >= '0' && c <= '9')
		digit = c - '0';
	else if (c >= 'a' && c <= 'f')
		digit = c - 'a' + 10;
	else if (c >= 'A' && c <= 'F')
		digit = c - 'A' + 10;
	return digit < (int)base ? digit : -1;
}

/*
 * Reads all digits from `text` on; *end is the first other character. False if they exceed 64 bits.
 */
static bool read_digits(const char *text, unsigned base, uint64_t *value, const char **end)
{
	bool fits = true;
	int digit;

	*value = 0;
	for (; (digit = digit_of(*text, base)) >= 0; text++) {
		if (*value > (UINT64_MAX - (unsigned)digit) / base)
			fits = false;
		else
			*value = *value * base + (unsigned)digit;
	}
	*end = text;
	return fits;
}

static bool is_hex(const char *text)
{
	return text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
}

/*
 * Computes 0.DIGITS times 2^shift, rounded down; returns true if that is exact. Doubling takes at
 * most one digit off the end of a decimal fraction, so digits past `shift` cannot make the result
 * whole, nor, being less than the last place that matters, larger.
 */
static bool scale_fraction(const char *digits, size_t n, unsigned shift, uint64_t *bytes)
{
	char fraction[SHIFT_MAX];
	bool exact = true;

	*bytes = 0;
	while (n && digits[n - 1] == '0')
		n--;
	if (n > shift) {
		exact = false;
		n = shift;
	}
	memcpy(fraction, digits, n);
	for (unsigned step = 0; step < shift; step++) {
		int carry = 0;

		for (size_t i = n; i-- > 0;) {
			int twice = 2 * (fraction[i] - '0') + carry;

			fraction[i] = (char)('0' + twice % 10);
			carry = twice / 10;
		}
		*bytes = 2 * *bytes + (unsigned)carry;
	}
	for (size_t i = 0; i < n; i++)
		if (fraction[i] != '0')
			exact = false;
	return exact;
}

/* "", "K", "KB", "KiB" and so on, in either case. False if it is something else. */
static bool read_suffix(const char *text, unsigned *shift)
{
	static const char letters[] = "kmgt";
	const char *letter;

	*shift = 0;
	if (!*text)
		return true;
	letter = strchr(letters, *text | 0x20);
	if (!letter)
		return false;
	*shift = 10 * (unsigned)(letter - letters + 1);
	return !text[1] || !strcasecmp(text + 1, "b") || !strcasecmp(text + 1, "ib");
}

static int not_a_size(const char *text, struct err *err)
{
	return err_set(err, EINVAL, "'%s' is not a size; write for example 512M, 1.5T or 0x100000",
		       SHOWN(text));
}

static int size_too_large(struct err *err)
{
	return err_set(err, EINVAL, "the size is 2^64 bytes or more; use a smaller one");
}

static int parse_hex_size(const char *text, uint64_t *bytes, struct err *err)
{
	const char *end;
	uint64_t value;
	bool fits = read_digits(text + 2, 16, &value, &end);

	if (end == text + 2)
		return not_a_size(text, err);
	if (*end)
		return err_set(err, EINVAL,
			       "'%s' is not hexadecimal; numbers with 0x have no suffix",
			       SHOWN(end));
	if (!fits)
		return size_too_large(err);
	*bytes = value;
	return 0;
}

/*
 * A size that is not a whole number of bytes is rounded to a multiple of 2 MiB: up if `up`, else
 * down.
 */
static int parse_size(const char *text, bool up, uint64_t *bytes, struct err *err)
{
	const char *end, *fraction = "";
	uint64_t whole, part;
	size_t digits = 0;
	unsigned shift;
	bool fits, exact;

	if (!*text)
		return err_set(err, EINVAL, "a size is missing; write for example 512M or 1.5T");
	if (*text == '-')
		return err_set(err, EINVAL, "a size cannot be negative");
	if (is_hex(text))
		return parse_hex_size(text, bytes, err);
	fits = read_digits(text, 10, &whole, &end);
	if (end == text)
		return not_a_size(text, err);
	if (*end == '.') {
		fraction = end + 1;
		digits = strspn(fraction, "0123456789");
		if (!digits)
			return not_a_size(text, err);
		end = fraction + digits;
	}
	if (!read_suffix(end, &shift))
		return err_set(err, EINVAL, "'%s' is not a size suffix; use K, M, G or T",
			       SHOWN(end));
	exact = scale_fraction(fraction, digits, shift, &part);
	if (!fits || whole > UINT64_MAX >> shift)
		return size_too_large(err);
	whole = (whole << shift) + part; /* part < 2^shift: no carry */
	if (!exact)
		whole = align_down(whole, 2 * MIB);
	if (!exact && up && shift) {
		if (whole > UINT64_MAX - 2 * MIB)
			return size_too_large(err);
		whole += 2 * MIB;
	}
	if (!exact && !whole)
		return err_set(err, EINVAL, "the size is not a whole number of bytes%s",
			       shift ? "; use a smaller unit" : "; did you forget K, M, G or T?");
	*bytes = whole;
	return 0;
}

int config_parse_size(const char *text, uint64_t *bytes, struct err *err)
{
	return parse_size(text, false, bytes, err);
}

int config_parse_size_up(const char *text, uint64_t *bytes, struct err *err)
{
	return parse_size(text, true, bytes, err);
}

int config_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *number,
			struct err *err)
{
	const char *digits = is_hex(text) ? text + 2 : text;
	const char *end;
	uint64_t value;
	bool fits = read_digits(digits, is_hex(text) ? 16 : 10, &value, &end);

	if (!*text)
		return err_set(err, EINVAL,
			       "a number is missing; it may be %" PRIu64 " to %" PRIu64, min, max);
	if (end == digits || *end)
		return err_set(err, EINVAL,
			       "'%s' is not a number; it may be %" PRIu64 " to %" PRIu64,
			       SHOWN(text), min, max);
	if (!fits || value < min || value > max)
		return err_set(err, EINVAL, "%s is out of range; it may be %" PRIu64 " to %" PRIu64,
			       SHOWN(text), min, max);
	*number = value;
	return 0;
}
