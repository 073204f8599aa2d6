#ifndef CLOUDSKIN_HELP_H
#define CLOUDSKIN_HELP_H

#include <stdio.h>

/* Print the built-in help of a verb ("run"), or the overview for NULL. Returns the exit code. */
int help_print(const char *verb, FILE *out);

#endif
