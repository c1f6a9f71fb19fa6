/*
 * Foreign text in the formats of report.h: decoded as UTF-8 (RFC 3629), each character written so
 * that the format takes it for nothing but text. Every byte that is no part of a character becomes
 * U+FFFD.
 */
#ifndef TEST_REPORT_TEXT_H
#define TEST_REPORT_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef void report_put(FILE *out, uint32_t c);

void report_text(FILE *out, const char *text, report_put *put);
/* At most `n` bytes of it; a carriage return at the end is left out. */
void report_text_n(FILE *out, const char *text, size_t n, report_put *put);
/* The text as valid UTF-8, to be freed; NULL: no memory. */
char *report_clean(const char *text);

/* In a test's line of TAP 14: "#" and "\" have a "\" before them, control characters are blanks. */
report_put report_put_tap;
/* In a line of KTAP, which has no way to write "#": it is a blank, as control characters are. */
report_put report_put_ktap;
/* Between the double quotes of YAML 1.2 (section 7.3.1), on one line; JSON's strings are a subset.
 */
report_put report_put_quoted;
/* Between double quotes in XML 1.0: what section 2.2 forbids is U+FFFD. */
report_put report_put_xml;
/* Between tags: line feeds and tabs as they are, carriage returns left out. */
report_put report_put_xml_text;

#endif
