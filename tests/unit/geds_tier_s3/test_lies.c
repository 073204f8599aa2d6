/* A server whose answers are not to be believed. */
#include "../geds_remote/hostile.h"

#include <signal.h>
#include <stdatomic.h>

#include "geds/tier/s3/s3.h"

enum { PART = 1000, LEN = 2 * PART };
#define PART_TAG "cabe45dcc9ae5b66ba86600cca6b8ba8"
#define GOOD_TAG "a6f1ff52ac605aa92c18c19b49e31f7d-2"

static _Atomic bool honest;
static _Atomic unsigned begun_count;

/* It knows one object, of which it tells the right size, and no upload that was completed. */
static void answer(const char *request, char *to, size_t size)
{
    const char *head = "HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\n", *body = "";
    char more[128] = "";
    static const char done[] = "<CompleteMultipartUploadResult><ETag>" GOOD_TAG
                               "</ETag></CompleteMultipartUploadResult>";
    static const char lie[] =
        "<CompleteMultipartUploadResult><ETag>00000000000000000000000000000000-2</ETag>"
        "</CompleteMultipartUploadResult>";
    if (strncmp(request, "HEAD ", 5) == 0) {
        snprintf(to, size, "HTTP/1.1 200 OK\r\nETag: \"%s\"\r\nContent-Length: %d\r\n\r\n",
                 atomic_load(&honest) ? GOOD_TAG : "00000000000000000000000000000000-2", LEN);
        return;
    }
    if (strncmp(request, "PUT ", 4) == 0) {
        snprintf(more, sizeof more, "ETag: \"" PART_TAG "\"\r\n");
    } else if (strncmp(request, "GET ", 4) == 0) {
        head = "HTTP/1.1 404 Not Found\r\nContent-Type: application/xml\r\n";
        body = "<Error><Code>NoSuchUpload</Code><Message>not here</Message></Error>";
    } else if (strstr(request, "uploadId=") != NULL) {
        body = atomic_load(&honest) ? done : lie;
    } else {
        atomic_fetch_add(&begun_count, 1);
        body = "<InitiateMultipartUploadResult><UploadId>one</UploadId>"
               "</InitiateMultipartUploadResult>";
    }
    snprintf(to, size, "%s%sContent-Length: %zu\r\n\r\n%s", head, more, strlen(body), body);
}

static status_t read_source(void *arg, uint64_t off, void *data, size_t len, struct error *err)
{
    (void)arg, (void)off, (void)err;
    memset(data, 'a', len);
    return ST_OK;
}

static status_t begun(void *arg, const char *upload, struct error *err)
{
    (void)err;
    snprintf(arg, 16, "%s", upload);
    return ST_OK;
}

/* One that was found to be other bytes is not taken for the copy later, because it is as long. */
static void a_wrong_object_is_never_the_copy(void)
{
    static const struct step steps[] = {{.make = answer}};
    static const struct remote_credentials c = {.access_key = "KEY", .secret = "SECRET"};
    const struct tier_source source = {.size = LEN, .read = read_source};
    struct hostile *server = hostile_start(steps, 1);
    struct remote_options o;
    struct tier_s3 *s3 = NULL;
    struct tier_remote remote;
    struct error err = {0};
    char endpoint[64], upload[16] = "", before[16];
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", server->port);
    remote_options_default(&o);
    o.endpoint = endpoint;
    o.bucket = "tier";
    o.credentials = &c;
    o.part_bytes = PART;
    o.backoff_ms = 1;
    CHECK_EQ(tier_s3_open(&o, &s3, &remote, &err), ST_OK);
    for (unsigned i = 0; i < 3; i++) {
        atomic_store(&honest, i == 2);
        memcpy(before, upload, sizeof before);
        CHECK_EQ(remote.send(remote.arg, "x", &source, before, begun, upload, &err),
                 i == 2 ? ST_OK : ST_CORRUPT);
        CHECK_STR(upload, "one");
        CHECK_EQ(atomic_load(&begun_count), i + 1);
    }
    tier_s3_close(s3);
    hostile_stop(server);
    hostile_free(server);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    RUN(a_wrong_object_is_never_the_copy);
    return CHECK_DONE();
}
