#ifndef BIN_UPGRADE_H
#define BIN_UPGRADE_H

#include "cell/run/run.h"

/* While a program runs in the image that was compiled first, a better one is being made. A thread waits for it and asks
 * the cell for a capture; the cell's thread then takes it. */

struct upgrade;

/* Wait for the image file at path, of c's module. path: copied. c has to live until upgrade_end. Without memory or a
 * thread there is no upgrade: NULL, and the program stays in its image. */
struct upgrade *upgrade_start(struct runtime *rt, const char *path, struct cell *c);
/* The program that has come; once, a reference of the caller's. NULL: none yet, or u is NULL. Any thread. */
struct program *upgrade_take(struct upgrade *u);
/* NULL is fine. */
void upgrade_end(struct upgrade *u);

#endif
