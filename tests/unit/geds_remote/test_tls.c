/* The client against a server of OpenSSL's command line, which has a certificate that nobody
 * knows. */
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "geds/remote/remote.h"
#include "sys/process.h"

static char folder[] = "/tmp/geds-remote-tls-XXXXXX";
static char certificate[64], key[64];
static struct process server;
static unsigned port;

static bool make_certificate(void)
{
    char name[] = "openssl";
    char *argv[] = {name,       "req",
                    "-x509",    "-newkey",
                    "ec",       "-nodes",
                    "-keyout",  key,
                    "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-days",    "2",
                    "-out",     certificate,
                    "-subj",    "/CN=x",
                    "-addext",  "subjectAltName=IP:127.0.0.1",
                    NULL};
    char path[PATH_MAX];
    struct process p;
    struct error err;
    int code;
    return process_find(name, path, &err) == ST_OK &&
           process_start(path, argv, NULL, &p, &err) == ST_OK &&
           process_wait(&p, &code, &err) == ST_OK && code == 0;
}

static bool start_server(void)
{
    char name[] = "openssl";
    char *argv[] = {name,    "s_server",  "-accept", "127.0.0.1:0", "-www", "-tls1_2",
                    "-cert", certificate, "-key",    key,           NULL};
    char path[PATH_MAX], line[256];
    struct error err;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    const struct process_options options = {.output_fd = ends[1]};
    if (process_find(name, path, &err) != ST_OK ||
        process_start(path, argv, &options, &server, &err) != ST_OK)
        return false;
    close(ends[1]);
    FILE *f = fdopen(ends[0], "r");
    while (port == 0 && fgets(line, sizeof line, f)) {
        if (sscanf(line, "ACCEPT 127.0.0.1:%u", &port) != 1)
            port = 0;
    }
    fclose(f);
    return port != 0;
}

static status_t get(const char *host, const char *ca_file, struct error *err)
{
    struct remote_options o;
    struct remote *r = NULL;
    char endpoint[64], byte;
    struct remote_buffer b = {&byte, 1, 0};
    const struct remote_sink sink = remote_sink_buffer(&b);
    snprintf(endpoint, sizeof endpoint, "https://%s:%u", host, port);
    remote_options_default(&o);
    o.endpoint = endpoint;
    o.bucket = "tier";
    o.ca_file = ca_file;
    o.tries_max = 2;
    o.backoff_ms = 1;
    memset(err, 0, sizeof *err);
    status_t st = remote_open(&o, &r, err);
    if (st == ST_OK)
        st = remote_get(r, "key", &sink, NULL, NULL, NULL, err);
    printf("     %s: %s\n", status_name(st), err->text);
    remote_close(r);
    return st;
}

static void a_certificate_that_nobody_knows_is_refused(void)
{
    struct error err;
    CHECK_EQ(get("127.0.0.1", NULL, &err), ST_PERM);
    CHECK(strstr(err.text, "certificate") && strstr(err.text, "ca_file"));
}

static void a_certificate_that_is_named_is_trusted(void)
{
    struct error err;
    /* The server is no S3 server, but it is the right one. */
    CHECK_EQ(get("127.0.0.1", certificate, &err), ST_FORMAT);
    CHECK(strstr(err.text, "not the range"));
}

static void a_certificate_is_of_one_host(void)
{
    struct error err;
    CHECK_EQ(get("localhost", certificate, &err), ST_PERM);
}

static void a_file_without_certificates_is_named(void)
{
    struct error err;
    CHECK_EQ(get("127.0.0.1", "/dev/null", &err), ST_INVAL);
    CHECK_EQ(get("127.0.0.1", "/nowhere", &err), ST_INVAL);
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    (void)info, (void)type, (void)ftw;
    return remove(path);
}

int main(void)
{
    int status;
    signal(SIGPIPE, SIG_IGN);
    if (!mkdtemp(folder))
        return 1;
    snprintf(certificate, sizeof certificate, "%s/cert.pem", folder);
    snprintf(key, sizeof key, "%s/key.pem", folder);
    bool ready = make_certificate() && start_server();
    CHECK(ready);
    if (ready) {
        RUN(a_certificate_that_nobody_knows_is_refused);
        RUN(a_certificate_that_is_named_is_trusted);
        RUN(a_certificate_is_of_one_host);
        RUN(a_file_without_certificates_is_named);
    }
    if (server.pid > 0) {
        kill(server.pid, SIGTERM);
        waitpid(server.pid, &status, 0);
    }
    nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return CHECK_DONE();
}
