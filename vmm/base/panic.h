/*
 * A panic of the guest's kernel, as its consoles tell it, for guests that have no pvpanic yet: one
 * without a root file system or an init panics before any module is loaded.
 *
 * PURE. The guest is hostile and its users print what they like, logs of other machines' panics
 * among it. A line is therefore a doubt and not a verdict: what comes after it decides.
 */
#ifndef BASE_PANIC_H
#define BASE_PANIC_H

#include <stdbool.h>
#include <stdint.h>

#define PANIC_TEXT_MAX 200

/* What one console said. The empty value is at the start of a line, and has seen nothing. */
struct panic_line {
	uint8_t state;
	uint8_t phrase;	  /* index of the phrase that is being matched */
	unsigned matched; /* bytes of the phrase, or of the time stamp before it */
	unsigned len;
	char text[PANIC_TEXT_MAX + 1]; /* the panic's line from its words on, printable; or empty */
	bool booted; /* after the panic a kernel printed its version: a crash kernel runs */
};

/*
 * The next byte. Returns true if the words of a panic are complete with it: "Kernel panic - not
 * syncing" at the start of a line, after time stamps and the like in brackets. The first panic
 * is kept; the rest of its line is still to come then.
 */
bool panic_line_feed(struct panic_line *p, uint8_t byte);

/*
 * After Linux has panicked (kernel/panic.c) it stops the other CPUs, prints its last words and,
 * with panic=0, waits in a loop of delays: a CPU that sleeps with interrupts on is one of a kernel
 * that lives, be it a crash kernel or the one of a user who looked at a log. Looked at
 * PANIC_TICK_MS apart.
 */
enum panic_verdict {
	PANIC_DOUBT, /* look again */
	PANIC_ALIVE, /* it was text, or a crash kernel runs */
	PANIC_DEAD,  /* nothing more will come */
};

#define PANIC_TICK_MS	  100
#define PANIC_STOPPED	  5  /* ticks of silence after which the other CPUs are stopped */
#define PANIC_DEAD_SILENT 50 /* ticks of silence after which it is dead */

struct panic_doubt {
	uint64_t printed;
	unsigned silent; /* ticks */
};

/*
 * `printed` counts the bytes of all consoles, `slept`: a CPU slept with interrupts on since the
 * last tick, `booted`: panic_line.booted of any.
 */
enum panic_verdict panic_doubt_tick(struct panic_doubt *d, uint64_t printed, bool slept,
				    bool booted);

/*
 * Whether a silent guest may still be alive, because the kernel's command line (NULL: none) names a
 * crash kernel or a debugger that takes over at a panic.
 */
bool panic_is_attended(const char *append);

#endif
