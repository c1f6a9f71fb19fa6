#include "vmm/test/report_text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define REPLACEMENT 0xfffdu

/* The length of the sequence that begins with this byte, its own bits in *c, and the least value.
 */
static unsigned begin_char(uint8_t byte, uint32_t *c, uint32_t *least)
{
	if (byte < 0x80) {
		*c = byte;
		*least = 0;
		return 1;
	}
	if (byte >= 0xc2 && byte <= 0xdf) {
		*c = byte & 0x1f;
		*least = 0x80;
		return 2;
	}
	if ((byte & 0xf0) == 0xe0) {
		*c = byte & 0x0f;
		*least = 0x800;
		return 3;
	}
	*c = byte & 0x07;
	*least = 0x10000;
	return byte >= 0xf0 && byte <= 0xf4 ? 4 : 0;
}

/* The character at `text`, of which `n` > 0 bytes are left, and its length in bytes. */
static uint32_t decode(const char *text, size_t n, size_t *len)
{
	uint32_t c, least;
	unsigned want = begin_char((uint8_t)text[0], &c, &least);

	*len = 1;
	if (!want || want > n)
		return REPLACEMENT;
	for (unsigned i = 1; i < want; i++) {
		if (((uint8_t)text[i] & 0xc0) != 0x80)
			return REPLACEMENT;
		c = c << 6 | ((uint8_t)text[i] & 0x3f);
	}
	if (c < least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return REPLACEMENT;
	*len = want;
	return c;
}

void report_text_n(FILE *out, const char *text, size_t n, report_put *put)
{
	size_t len;

	if (n && text[n - 1] == '\r')
		n--;
	for (; n; n -= len, text += len)
		put(out, decode(text, n, &len));
}

void report_text(FILE *out, const char *text, report_put *put)
{
	report_text_n(out, text, strlen(text), put);
}

static void put_utf8(FILE *out, uint32_t c)
{
	if (c < 0x80) {
		putc((int)c, out);
		return;
	}
	if (c < 0x800) {
		putc((int)(0xc0 | c >> 6), out);
	} else {
		if (c < 0x10000) {
			putc((int)(0xe0 | c >> 12), out);
		} else {
			putc((int)(0xf0 | c >> 18), out);
			putc((int)(0x80 | (c >> 12 & 0x3f)), out);
		}
		putc((int)(0x80 | (c >> 6 & 0x3f)), out);
	}
	putc((int)(0x80 | (c & 0x3f)), out);
}

char *report_clean(const char *text)
{
	size_t left = strlen(text), len;
	char *clean = NULL;
	FILE *out = open_memstream(&clean, &len);

	if (!out)
		return NULL;
	for (size_t n; left; left -= n, text += n)
		put_utf8(out, decode(text, left, &n));
	if (fclose(out)) {
		free(clean);
		return NULL;
	}
	return clean;
}

/* C0 and C1 controls, and what a reader may take for the end of a line or not show at all. */
static bool is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x2028 || c == 0x2029 || c == 0xfeff;
}

/* Unicode has no such characters, and XML and YAML forbid them. */
static bool is_none(uint32_t c)
{
	return c == 0xfffe || c == 0xffff;
}

void report_put_tap(FILE *out, uint32_t c)
{
	if (c == '#' || c == '\\')
		putc('\\', out);
	put_utf8(out, is_control(c) ? ' ' : c);
}

void report_put_ktap(FILE *out, uint32_t c)
{
	put_utf8(out, c == '#' || is_control(c) ? ' ' : c);
}

void report_put_quoted(FILE *out, uint32_t c)
{
	if (c == '"' || c == '\\') {
		putc('\\', out);
		putc((int)c, out);
	} else if (c == '\n') {
		fputs("\\n", out);
	} else if (c == '\r') {
		fputs("\\r", out);
	} else if (c == '\t') {
		fputs("\\t", out);
	} else if (is_control(c) || is_none(c)) {
		fprintf(out, c < 0x100 ? "\\x%02" PRIx32 : "\\u%04" PRIx32, c);
	} else {
		put_utf8(out, c);
	}
}

void report_put_xml(FILE *out, uint32_t c)
{
	if (c == '\n' || c == '\t' || c == '\r')
		fprintf(out, "&#%" PRIu32 ";", c);
	else
		report_put_xml_text(out, c);
}

void report_put_xml_text(FILE *out, uint32_t c)
{
	if (c == '&')
		fputs("&amp;", out);
	else if (c == '<')
		fputs("&lt;", out);
	else if (c == '>')
		fputs("&gt;", out);
	else if (c == '"')
		fputs("&quot;", out);
	else if (c == '\'')
		fputs("&apos;", out);
	else if (c == '\n' || c == '\t')
		putc((int)c, out);
	else if (c != '\r')
		put_utf8(out, c < 0x20 || is_none(c) ? REPLACEMENT : c);
}
