/*
 * Whatever a guest prints: what is found does not depend on the pieces in which it comes, is a part
 * of it, and is found again when it comes alone.
 */
#include "vmm/test/splat.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* Feeds pieces of `piece` bytes. Returns how often a complaint was found. */
static unsigned feed(struct splat *s, const struct splat_allow *allow, const uint8_t *data,
		     size_t size, size_t piece)
{
	unsigned found = 0;

	for (size_t at = 0; at < size; at += piece)
		found += splat_feed(s, allow, data + at, size - at < piece ? size - at : piece);
	return found + splat_end(s, allow);
}

static void expect_kept(const struct splat *s)
{
	struct splat again = { 0 };
	struct splat_allow all = { 0 };
	size_t n = strlen(s->text);

	must(n > 0 && n <= SPLAT_TEXT_MAX);
	for (size_t i = 0; i < n; i++)
		must(s->text[i] >= ' ' && s->text[i] < 0x7f);
	must(feed(&again, NULL, (const uint8_t *)s->text, n, n) == 1);
	must(again.found == s->found);
	must(!strcmp(again.text, s->text));

	again = (struct splat){ 0 };
	must(splat_allow_add(&all, ".", NULL) == 0);
	must(feed(&again, &all, (const uint8_t *)s->text, n, n) == 0);
	must(!again.found && !*again.text);
	splat_allow_free(&all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct splat whole = { 0 }, bytes = { 0 }, pieces = { 0 };
	size_t piece = size ? 1 + data[size - 1] % 61 : 1;
	unsigned found = feed(&whole, NULL, data, size, size ? size : 1);

	must(found == (whole.found != NULL));
	must(found == (*whole.text != '\0'));
	must(feed(&bytes, NULL, data, size, 1) == found);
	must(feed(&pieces, NULL, data, size, piece) == found);
	must(bytes.found == whole.found && !strcmp(bytes.text, whole.text));
	must(pieces.found == whole.found && !strcmp(pieces.text, whole.text));
	if (found)
		expect_kept(&whole);
	return 0;
}
