#ifndef SYS_PROCESS_H
#define SYS_PROCESS_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/status.h"

/* Where the programs of an installation are, and how to start them. */

/* Make `<folder of the running program>/<relative>`, e.g. "../libexec/cloudskin/cache"; does not look
 * whether it exists. ret_path: PATH_MAX bytes. ST_LIMIT when it does not fit; ST_IO without /proc. */
CHECKED status_t process_sibling(const char *relative, char ret_path[PATH_MAX], struct error *err);

/* Find a program: beside the running one, in the bin folder of the installation that the running one's
 * libexec folder belongs to, else in the folders of PATH. ST_NOTFOUND names it. */
CHECKED status_t process_find(const char *name, char ret_path[PATH_MAX], struct error *err);

/* A descriptor 0, 1 or 2 that the caller of the program closed would become some file of ours. It is opened so that its
 * use still fails with EBADF: nothing can be read from standard input, or written to the others. To be called first
 * in main; ends the process with exit code 71 where even that fails. */
void process_open_stdio(void);

struct process_options {
    /* The child gets the write end of a pipe as this descriptor; 0: no pipe. */
    int report_fd;
    /* Its standard input and output; 0: the caller's. */
    int input_fd;
    int output_fd;
    /* In a session of its own, with /dev/null as standard input, output and error, and at low
     * priority: it outlives its parent and disturbs nobody. */
    bool background;
};
struct process {
    pid_t pid;
    int report; /* read end of the pipe, close-on-exec; -1: none */
};

/* Start the program at path. argv ends with NULL; argv[0] is the name. options may be NULL.
 * The child has the caller's environment, an empty signal mask and default handlers.
 * ST_NOTFOUND, ST_PERM, ST_NOMEM, ST_IO. */
CHECKED status_t process_start(const char *path, char *const argv[],
                               const struct process_options *options, struct process *ret_process,
                               struct error *err);
/* Close the pipe and wait. ret_code: exit code, or 128 + signal. Handled signals do not end the wait. */
CHECKED status_t process_wait(struct process *p, int *ret_code, struct error *err);

#endif
