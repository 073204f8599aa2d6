#ifndef CONTROLPATH_CONTROL_H
#define CONTROLPATH_CONTROL_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/* Control sockets of named cells: NAME.sock in the folder of sys/runtime.h. A client sends one line and gets
 * lines back:
 *
 *     info\n                  -> ok PID STARTED_NS CPU_NS MEMORY_BYTES PROGRAM\n
 *     freeze\n  keep\n  freeze embed\n  keep embed\n
 *                             with a descriptor for the snapshot, which gets the module as well with embed; one that is
 *                             no file has been closed when the answer comes
 *                             -> ok FRAMES BYTES WHERE\n; the client sends one of
 *         place PART/NAME\n   with the descriptor of the folder: the file PART becomes durable and gets its NAME; when
 *                             PART was not the descriptor, but is what the client made of a pipe, it is durable already
 *         object BUCKET PART ADDRESS KEY\n
 *                             the object PART is complete and gets the name KEY, in the store at ADDRESS ("-": the
 *                             default)
 *         wait\n              not yet; at most CONTROL_WAITS_MAX times
 *         commit\n            what went into the descriptor, a pipe or device, is in place
 *                             -> done\n
 *     checkpoint NUMBER BASE\n
 *                             with a descriptor of the folder; BASE: 0, or the one that it may be an increment on
 *                             -> ok FRAMES BYTES PAUSE_NS BASE LOST TEXT\n: NUMBER.part is written, and the cell goes
 *                             on; LOST 1: the one before cannot be gone back to, TEXT says why; else where it was
 *     the cell cannot travel  -> refused TEXT\n
 *     anything else fails     -> error TEXT\n
 *     the cell has ended      -> ended\n
 *
 * A client that goes away before `place`, `object` or `commit` has frozen nothing: the cell goes on. */

enum { CONTROL_NAME_MAX = 64, CONTROL_LINE_MAX = 1024, CONTROL_WAITS_MAX = 300 };

/* 1 to CONTROL_NAME_MAX letters, digits, '.', '_', '-', not beginning with '.' or '-'. ST_INVAL. */
CHECKED status_t control_name_check(const char *name, struct error *err);
/* The cell's name in what a user wrote: NAME, or local/NAME, which stands for nothing else. Points into text. */
const char *control_name_of(const char *text);
/* A connected socket of a running cell. ST_NOTFOUND; ST_AGAIN: its process takes no requests. */
CHECKED status_t control_connect(const char *name, int *ret_fd, struct error *err);
/* Send a line, with descriptor pass unless -1. ST_IO. */
CHECKED status_t control_send(int fd, const char *line, int pass, struct error *err);
/* Receive a line without its newline; *ret_passed (may be NULL) gets a descriptor that came with it, or -1.
 * ST_IO: closed, or too long. ST_AGAIN: not within the SO_RCVTIMEO of the socket. */
CHECKED status_t control_receive(int fd, char ret_line[CONTROL_LINE_MAX], int *ret_passed,
                                 struct error *err);

/* The decimal number that *line begins with, 0 when it is none, and step behind it and the blank that follows. */
uint64_t control_number(const char **line);

#endif
