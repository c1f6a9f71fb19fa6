/*
 * Finds a panic of the guest's kernel in what its consoles print, for guests whose pvpanic driver
 * is not loaded: a kernel without a root file system or an init panics before it loads any module.
 *
 * PURE. The guest is hostile and its users print what they like, logs of other machines' panics
 * among it. A panic's line therefore only raises a doubt; what the guest does afterwards decides.
 */
#ifndef BASE_PANIC_H
#define BASE_PANIC_H

#include <stdbool.h>
#include <stdint.h>

#define PANIC_TEXT_MAX 200

/*
 * The state of one console's output. The zero value is at the start of a line and has seen nothing.
 */
struct panic_line {
	uint8_t state;
	uint8_t phrase;	  /* index of the phrase that is being matched */
	unsigned matched; /* bytes of the phrase, or of the time stamp before it */
	unsigned len;
	char text[PANIC_TEXT_MAX + 1]; /* the panic's line from its words on, printable; or empty */
	bool booted; /* after the panic a kernel printed its version: a crash kernel runs */
};

/*
 * Feeds the next byte. Returns true if it completes "Kernel panic - not syncing" at the start of a
 * line, after time stamps and the like in brackets. The first panic is kept in `text`, to which the
 * following bytes add the rest of the line.
 */
bool panic_line_feed(struct panic_line *p, uint8_t byte);

/*
 * After a panic Linux (kernel/panic.c) stops the other CPUs, prints its last lines and, with
 * panic=0, waits in a loop of delays. A CPU that halts with interrupts on therefore runs a kernel
 * that lives: a crash kernel, or the kernel of a user who printed a log. The guest is looked at
 * every PANIC_TICK_MS.
 */
enum panic_verdict {
	PANIC_DOUBT, /* look again */
	PANIC_ALIVE, /* it was text, or a crash kernel runs */
	PANIC_DEAD,  /* nothing more will come */
};

#define PANIC_TICK_MS	  100
#define PANIC_STOPPED	  5  /* ticks of silence after which the other CPUs are stopped */
#define PANIC_DEAD_SILENT 50 /* ticks of silence after which the kernel is dead */

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
