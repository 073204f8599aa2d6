#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/parse.h"
#include "exitcode/exit_code.h"
#include "net/rpc/local.h"
#include "sys/process.h"

/* `cloudskin down`: ends the process that listens at the controller's socket. The kernel names it, so there is no
 * file with a number of a process that has long been another one. */

static const char help_text[] =
    "Usage: cloudskin down [--timeout TIME]\n"
    "\n"
    "Stop what `cloudskin up` started, and wait until it has ended. Requests that are being "
    "worked\n"
    "on are finished; puts that were not complete leave nothing. All objects and keys stay.\n"
    "When nothing is up it says so and succeeds.\n"
    "\n"
    "      --timeout TIME  how long to wait (default 60s)\n"
    "  -h, --help          this text\n"
    "\n"
    "Exit codes: 0 nothing is up now; 64 wrong usage; 71 it has not ended in time.\n"
    "\n"
    "Example:\n"
    "  cloudskin up -d && cloudskin down\n";

static const char program[] = "cloudskin down";
#define TIMEOUT_DEFAULT_NS 60000000000ULL
#define TIMEOUT_MAX_NS 86400000000000ULL

static int fail(const struct error *err)
{
    fprintf(stderr, "%s: %s\n", program, err->text);
    return err->code == ST_INVAL ? EXIT_USAGE : EXIT_SYSTEM;
}

/* As long as the connection is there the process is, so its number is not another's. A server with too many connections
 * closes this one: then it is there when it can be connected to again. */
static bool is_there(const char *path, int fd, pid_t pid)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int again = -1;
    if (poll(&p, 1, 0) >= 0 && (p.revents & (POLLHUP | POLLERR)) == 0) {
        return true;
    }
    bool there = rpc_local_connect(path, &again, NULL) == ST_OK && rpc_local_peer(again) == pid;
    if (again >= 0) {
        close(again);
    }
    return there;
}

static status_t end_process(const char *path, int fd, pid_t pid, uint64_t timeout_ns,
                            struct error *err)
{
    int process = (int)syscall(SYS_pidfd_open, pid, 0);
    if (process < 0) {
        return errno == ESRCH ? ST_OK : error_set_errno(err, errno, "process %ld", (long)pid);
    }
    status_t st = ST_OK;
    if (is_there(path, fd, pid)) {
        struct pollfd p = {.fd = process, .events = POLLIN};
        if (syscall(SYS_pidfd_send_signal, process, SIGTERM, NULL, 0) != 0 && errno != ESRCH) {
            st = error_set_errno(err, errno, "process %ld", (long)pid);
        } else if (poll(&p, 1, (int)(timeout_ns / 1000000)) != 1) {
            st = error_set(err, ST_AGAIN, ERROR_NO_OFFSET,
                           "process %ld was asked to stop and has not ended yet; is it stopped?",
                           (long)pid);
        }
    }
    close(process);
    return st;
}

static int down(uint64_t timeout_ns)
{
    char path[RPC_PATH_MAX];
    struct error err = {0};
    int fd = -1;
    status_t st = rpc_local_path(NULL, path, &err);
    if (st == ST_OK) {
        st = rpc_local_connect(path, &fd, &err);
    }
    if (st == ST_NOTFOUND) {
        fprintf(stderr, "%s: nothing is up\n", program);
        return 0;
    }
    if (st != ST_OK) {
        return fail(&err);
    }
    pid_t pid = rpc_local_peer(fd);
    st = pid > 0 ? end_process(path, fd, pid, timeout_ns, &err)
                 : error_set(&err, ST_IO, ERROR_NO_OFFSET,
                             "the process at %s is of another container", path);
    close(fd);
    return st == ST_OK ? 0 : fail(&err);
}

int main(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"timeout", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    uint64_t timeout_ns = TIMEOUT_DEFAULT_NS;
    process_open_stdio();
    for (int c; (c = getopt_long(argc, argv, "h", long_options, NULL)) != -1;) {
        if (c == 'h') {
            fputs(help_text, stdout);
            return exit_after_output(program);
        }
        if (c != 't' || parse_duration(optarg, TIMEOUT_MAX_NS, &timeout_ns) != ST_OK) {
            fprintf(stderr, "%sTry 'cloudskin down --help'.\n",
                    c == 't' ? "cloudskin down: --timeout: not a time, such as 30s\n" : "");
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "%s: unexpected argument \"%s\"\nTry 'cloudskin down --help'.\n", program,
                argv[optind]);
        return EXIT_USAGE;
    }
    return down(timeout_ns);
}
