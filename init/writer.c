#include "init/writer.h"

#include <inttypes.h>
#include <string.h>

#define WRITER_LINES \
	2 /* elements of the outer brackets get a line each, those of inner ones none */

/* Bytes of the UTF-8 character at `p` (Unicode chapter 3, table 3-7). 0: it is none. */
static unsigned utf8_len(const unsigned char *p)
{
	unsigned char low = *p == 0xe0 ? 0xa0 : *p == 0xf0 ? 0x90 : 0x80;
	unsigned char high = *p == 0xed ? 0x9f : *p == 0xf4 ? 0x8f : 0xbf;
	unsigned len = 0;

	if (*p < 0x80)
		return 1;
	if (*p >= 0xc2 && *p <= 0xf4)
		len = *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
	for (unsigned i = 1; i < len; i++)
		if (p[i] < (i == 1 ? low : 0x80) || p[i] > (i == 1 ? high : 0xbf))
			return 0;
	return len;
}

static void write_quoted(FILE *to, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	putc('"', to);
	while (*p) {
		unsigned len = utf8_len(p);

		if (*p < ' ' || *p == 0x7f)
			fprintf(to, "\\u%04x", *p);
		else if (*p == '"' || *p == '\\')
			fprintf(to, "\\%c", *p);
		else if (len)
			fwrite(p, 1, len, to);
		else
			fputs("\\ufffd", to);
		p += len ? len : 1;
	}
	putc('"', to);
}

/* What stands before an element: a comma, a new line, the key. */
static void writer_begin(struct writer *w, const char *key)
{
	if (w->more)
		putc(',', w->to);
	if (w->depth && w->depth <= WRITER_LINES)
		fprintf(w->to, "\n%*s", (int)(2 * w->depth), "");
	else if (w->more)
		putc(' ', w->to);
	if (key) {
		write_quoted(w->to, key);
		fputs(": ", w->to);
	}
	w->more = true;
}

void writer_open(struct writer *w, const char *key, char bracket)
{
	writer_begin(w, key);
	putc(bracket, w->to);
	w->depth++;
	w->more = false;
}

void writer_close(struct writer *w, char bracket)
{
	w->depth--;
	if (w->more && w->depth < WRITER_LINES)
		fprintf(w->to, "\n%*s", (int)(2 * w->depth), "");
	putc(bracket, w->to);
	if (!w->depth)
		putc('\n', w->to);
	w->more = true;
}

void writer_text(struct writer *w, const char *key, const char *text)
{
	writer_begin(w, key);
	if (text)
		write_quoted(w->to, text);
	else
		fputs("null", w->to);
}

void writer_number(struct writer *w, const char *key, uint64_t number)
{
	writer_begin(w, key);
	fprintf(w->to, "%" PRIu64, number);
}

void writer_thousandths(struct writer *w, const char *key, uint64_t thousandths)
{
	writer_begin(w, key);
	fprintf(w->to, "%" PRIu64 ".%03u", thousandths / 1000, (unsigned)(thousandths % 1000));
}

void writer_flag(struct writer *w, const char *key, bool flag)
{
	writer_begin(w, key);
	fputs(flag ? "true" : "false", w->to);
}
