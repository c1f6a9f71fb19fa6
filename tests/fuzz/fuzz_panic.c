/*
 * Whatever a guest prints: the panic that is found, and the kernel that boots after it, are those
 * that whole lines have, looked at one by one.
 */
#include "vmm/base/panic.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PREFIX_MAX 64

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* Where the words of a line begin: after blanks and whole brackets. `n` if nowhere. */
static size_t find_words(const uint8_t *line, size_t n)
{
	size_t at = 0;

	while (at < n) {
		const uint8_t *close = NULL;

		if (line[at] == ' ') {
			at++;
			continue;
		}
		if (line[at] == '[')
			close = memchr(line + at, ']', n - at);
		else if (line[at] == '<')
			close = memchr(line + at, '>', n - at);
		else
			return at;
		if (!close)
			return n;
		at = (size_t)(close - line) + 1;
	}
	return n;
}

static bool says(const uint8_t *line, size_t n, const char *words)
{
	size_t at = find_words(line, n);

	return at < PREFIX_MAX && n - at >= strlen(words) &&
	       memcmp(line + at, words, strlen(words)) == 0;
}

static void expect_text(const struct panic_line *p, const uint8_t *line, size_t n)
{
	size_t at = find_words(line, n);

	n = n - at < PANIC_TEXT_MAX ? n - at : PANIC_TEXT_MAX;
	must(strlen(p->text) == n);
	for (size_t i = 0; i < n; i++) {
		uint8_t c = line[at + i];

		must(p->text[i] == (c >= ' ' && c < 0x7f ? (char)c : '?'));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct panic_line p = { 0 };
	const uint8_t *line = data, *panic = NULL;
	bool booted = false;
	unsigned told = 0;
	size_t panic_len = 0;

	for (size_t i = 0; i < size; i++)
		told += panic_line_feed(&p, data[i]);
	for (size_t i = 0; i <= size; i++) {
		size_t n = (size_t)(data + i - line);

		if (i < size && data[i] != '\n' && data[i] != '\r')
			continue;
		if (panic && says(line, n, "Linux version "))
			booted = true;
		if (!panic && says(line, n, "Kernel panic - not syncing")) {
			panic = line;
			panic_len = n;
		}
		line = data + i + 1;
	}
	must(told == (panic != NULL));
	must(p.booted == booted);
	if (panic)
		expect_text(&p, panic, panic_len);
	else
		must(!*p.text);
	return 0;
}
