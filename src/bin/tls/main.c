#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/parse.h"
#include "exitcode/exit_code.h"
#include "localstate/folder.h"
#include "net/rpc/frame.h"
#include "net/tls/client.h"
#include "sys/files.h"

/* tls.helper HOST PORT: standard input is a socket to a client of the store; it becomes one to that of another machine,
 * through TLS (docs/internals/net-tls.md). It goes on as a process of its own, so that its caller has no child. */

static const char *setting(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* The store's answer to a hello that it refuses. */
static void tell(const struct error *err)
{
    struct buf frame = {0};
    rpc_refusal_encode(err, &frame);
    if (!frame.failed) {
        ssize_t ignored = send(STDIN_FILENO, frame.data, frame.len, MSG_NOSIGNAL);
        (void)ignored;
    }
    buf_done(&frame);
}

static status_t choose_ca(char ret_path[PATH_MAX], struct error *err)
{
    char state[PATH_MAX];
    const char *given = setting("CLOUDSKIN_CA");
    if (given != NULL) {
        return snprintf(ret_path, PATH_MAX, "%s", given) < PATH_MAX
                   ? ST_OK
                   : error_set(err, ST_INVAL, ERROR_NO_OFFSET, "CLOUDSKIN_CA is too long");
    }
    if (state_folder_default(state, NULL) == ST_OK &&
        snprintf(ret_path, PATH_MAX, "%s/tls/ca.crt", state) < PATH_MAX &&
        access(ret_path, F_OK) == 0) {
        return ST_OK;
    }
    return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET,
                     "no CA to check the store's certificate by: CLOUDSKIN_CA names its ca.crt");
}

static status_t carry(const char *host, uint16_t port, struct error *err)
{
    char ca[PATH_MAX];
    struct tls_link *link = NULL;
    struct tls_dial d = {.host = host,
                         .port = port,
                         .ca = ca,
                         .cert = setting("CLOUDSKIN_CERT"),
                         .key = setting("CLOUDSKIN_KEY")};
    if ((d.cert == NULL) != (d.key == NULL)) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "CLOUDSKIN_CERT and CLOUDSKIN_KEY are needed both, or none of them");
    }
    status_t st = choose_ca(ca, err);
    if (st == ST_OK) {
        st = tls_dial(&d, &link, err);
    }
    if (st == ST_OK) {
        st = tls_carry(link, STDIN_FILENO, err);
    }
    tls_link_free(link);
    return st;
}

/* Nothing of the caller is kept open. */
static void be_independent(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    setsid();
    if (null >= 0) {
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
    }
    close_range(STDERR_FILENO + 1, UINT_MAX, 0);
}

int main(int argc, char **argv)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    uint64_t port = 0;
    int domain = 0;
    socklen_t len = sizeof domain;
    if (argc != 3 || parse_u64(argv[2], UINT16_MAX, &port) != ST_OK ||
        getsockopt(STDIN_FILENO, SOL_SOCKET, SO_DOMAIN, &domain, &len) != 0 || domain != AF_UNIX) {
        fprintf(stderr, "tls.helper is called by libcloudskin\n");
        return EXIT_USAGE;
    }
    pid_t child = fork();
    if (child != 0) {
        _exit(child > 0 ? 0 : EXIT_SYSTEM);
    }
    be_independent();
    signal(SIGPIPE, SIG_IGN);
    if (carry(argv[1], (uint16_t)port, &err) != ST_OK) {
        tell(&err);
    }
    return 0;
}
