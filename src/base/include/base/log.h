#ifndef BASE_LOG_H
#define BASE_LOG_H

/* Structured lines on stderr: level, event, then key and string-value pairs up to a NULL key.
 * Programs log; libraries return errors. Any thread; a line is one write. */
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_set_level(enum log_level level);
void log_event(enum log_level level, const char *event, ...) __attribute__((sentinel));

#define log_debug(...) log_event(LOG_DEBUG, __VA_ARGS__, (char *)0)
#define log_info(...) log_event(LOG_INFO, __VA_ARGS__, (char *)0)
#define log_warn(...) log_event(LOG_WARN, __VA_ARGS__, (char *)0)
#define log_error(...) log_event(LOG_ERROR, __VA_ARGS__, (char *)0)

#endif
