#ifndef CLOUDSKIN_TRACE_H
#define CLOUDSKIN_TRACE_H

#include "cell/run/run.h"

/* Write the trap of the last call and its frames to standard error, one frame a line, innermost first.
 * text: what trapped, may be empty. Names come from the guest: control characters are replaced. */
void trace_print(const struct cell *c, const char *program, const char *text);

#endif
