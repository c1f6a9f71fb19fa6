/* Lines of init on the guest's console, for people: "straddle-init: ...". */
#ifndef INIT_SAY_H
#define INIT_SAY_H

void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
