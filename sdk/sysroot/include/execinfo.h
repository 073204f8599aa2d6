/* glibc's back-traces: nobody can look at a cell's frames from inside, so there are none. */
#ifndef CLOUDSKIN_EXECINFO_H
#define CLOUDSKIN_EXECINFO_H

#ifdef __cplusplus
extern "C" {
#endif

int backtrace(void **ret_frames, int size);
char **backtrace_symbols(void *const *frames, int count);
void backtrace_symbols_fd(void *const *frames, int count, int fd);

#ifdef __cplusplus
}
#endif

#endif
