#ifndef BASE_HUMAN_H
#define BASE_HUMAN_H

#include "base/buf.h"

/* Numbers and texts for people. Any thread. */

enum { HUMAN_TEXT_BYTES = 24 };

/* "28.0 KiB", "512 bytes": the largest unit up to TiB of which there is at least one. */
void human_bytes(uint64_t bytes, char ret_text[HUMAN_TEXT_BYTES]);
/* "12.3 s", "4.5 min", "6.7 h", "8.9 days" */
void human_time(uint64_t ns, char ret_text[HUMAN_TEXT_BYTES]);
/* Append text that strangers gave: what a terminal could take for a command, or a reader for a line of its own, is
 * shown as \XX. */
void human_put_text(struct buf *out, const char *text, size_t len);

/* The same of a name, of at most HUMAN_NAME_MAX bytes: of a longer one, such as a template's, beginning and end. */
enum { HUMAN_NAME_MAX = 100 };
void human_put_name(struct buf *out, const char *name, size_t len);

#endif
