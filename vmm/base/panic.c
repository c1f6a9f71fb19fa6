#include "vmm/base/panic.h"

#include <stddef.h>
#include <string.h>

/* The words of a kernel that panics (kernel/panic.c), and of one that boots (init/main.c). */
enum { PANICS, BOOTS, PHRASES };
static const char *const phrases[PHRASES] = {
	[PANICS] = "Kernel panic - not syncing",
	[BOOTS] = "Linux version ",
};

/* The longest prefix (time stamp, CPU or caller) of a line: "[12345.678901][ T1234] ". */
#define PREFIX_MAX 64

enum state {
	BEFORE,	    /* the phrase: at the start of a line, or between brackets */
	IN_BRACKET, /* [ 1.234567] */
	IN_ANGLE,   /* <0> */
	IN_PHRASE,
	IN_TEXT, /* of the panic */
	ELSEWHERE,
};

static bool ends_line(uint8_t byte)
{
	return byte == '\n' || byte == '\r';
}

static void begin_phrase(struct panic_line *p, uint8_t byte)
{
	p->state = ELSEWHERE;
	for (unsigned i = 0; i < PHRASES; i++) {
		if ((uint8_t)phrases[i][0] != byte)
			continue;
		p->state = IN_PHRASE;
		p->phrase = (uint8_t)i;
		p->matched = 1;
	}
}

static void before_phrase(struct panic_line *p, uint8_t byte)
{
	if (++p->matched > PREFIX_MAX)
		p->state = ELSEWHERE;
	else if (p->state == IN_BRACKET || p->state == IN_ANGLE)
		p->state = byte == (p->state == IN_BRACKET ? ']' : '>') ? BEFORE : p->state;
	else if (byte == '[')
		p->state = IN_BRACKET;
	else if (byte == '<')
		p->state = IN_ANGLE;
	else if (byte != ' ')
		begin_phrase(p, byte);
}

static void add_text(struct panic_line *p, uint8_t byte)
{
	if (p->len < PANIC_TEXT_MAX)
		p->text[p->len++] = byte >= ' ' && byte < 0x7f ? (char)byte : '?';
}

/* Returns true if the panic is complete. */
static bool in_phrase(struct panic_line *p, uint8_t byte)
{
	const char *phrase = phrases[p->phrase];

	if (byte != (uint8_t)phrase[p->matched]) {
		p->state = ELSEWHERE;
		return false;
	}
	if (phrase[++p->matched])
		return false;
	p->state = ELSEWHERE;
	if (p->phrase == BOOTS)
		p->booted = p->len;
	if (p->phrase == BOOTS || p->len)
		return false;
	p->state = IN_TEXT;
	while (*phrase)
		add_text(p, (uint8_t)*phrase++);
	return true;
}

bool panic_line_feed(struct panic_line *p, uint8_t byte)
{
	if (ends_line(byte)) {
		p->state = BEFORE;
		p->matched = 0;
		return false;
	}
	switch ((enum state)p->state) {
	case BEFORE:
	case IN_BRACKET:
	case IN_ANGLE:
		before_phrase(p, byte);
		break;
	case IN_PHRASE:
		return in_phrase(p, byte);
	case IN_TEXT:
		add_text(p, byte);
		break;
	case ELSEWHERE:
		break;
	}
	return false;
}

enum panic_verdict panic_doubt_tick(struct panic_doubt *d, uint64_t printed, bool slept,
				    bool booted)
{
	d->silent = printed == d->printed ? d->silent + 1 : 0;
	d->printed = printed;
	/*
	 * Linux prints the panic's line before it stops the other CPUs, which may sleep until then.
	 */
	if (booted || (slept && d->silent > PANIC_STOPPED))
		return PANIC_ALIVE;
	return d->silent >= PANIC_DEAD_SILENT ? PANIC_DEAD : PANIC_DOUBT;
}

bool panic_is_attended(const char *append)
{
	static const char *const words[] = { "crashkernel=", "kgdboc=", "kgdbwait" };

	for (size_t i = 0; append && i < sizeof(words) / sizeof(words[0]); i++) {
		const char *at = append;

		while ((at = strstr(at, words[i]))) {
			if (at == append || at[-1] == ' ')
				return true;
			at++;
		}
	}
	return false;
}
