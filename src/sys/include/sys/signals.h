#ifndef SYS_SIGNALS_H
#define SYS_SIGNALS_H

/* Let handler be called once, the first time that the signal comes; a second one has its default effect. What the
 * caller of the program ignores (nohup, a background job of a shell) stays ignored. Calls that are waiting end with
 * EINTR. Once per signal and program. */
void signal_catch_once(int number, void (*handler)(int number));

/* When SIGINT, SIGTERM or SIGHUP ends the program, unlink path first; NULL: no file any more. The text is not copied.
 * One file at a time. A signal that the caller of the program ignores stays ignored. */
void signal_unlinks(const char *path);

#endif
