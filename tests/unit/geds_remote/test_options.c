#include "geds/remote/options.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "geds/remote/remote.h"
#include "impl.h"

static char path[64];
static struct error why;

static status_t load(const char *text, unsigned mode, struct remote_credentials *c)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || fchmod(fd, mode) != 0)
        exit(1);
    close(fd);
    memset(c, 0, sizeof *c);
    memset(&why, 0, sizeof why);
    return remote_credentials_load(path, c, &why);
}

static void credentials_come_from_a_file_of_ones_own(void)
{
    struct remote_credentials c;
    CHECK_EQ(load("# keys\n\n KEY SECRET\r\n", 0600, &c), ST_OK);
    CHECK_STR(c.access_key, "KEY");
    CHECK_STR(c.secret, "SECRET");
    CHECK_STR(c.token, "");
    CHECK_EQ(load("KEY\tSECRET  TOKEN \nOTHER OTHER\n", 0400, &c), ST_OK);
    CHECK_STR(c.token, "TOKEN");
    remote_credentials_done(&c);
    CHECK_STR(c.secret, "");
    CHECK_EQ(load("KEY SECRET\n", 0640, &c), ST_PERM);
    CHECK_EQ(load("KEY SECRET\n", 0604, &c), ST_PERM);
    static const char *const bad[] = {"", "KEY\n", "KEY hunter2 TOKEN more\n", "# only\n",
                                      "KEY hunter\0012\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_EQ(load(bad[i], 0600, &c), ST_FORMAT);
        CHECK_STR(c.secret, "");
        CHECK(!strstr(why.text, "hunter"));
    }
    char longest[1024];
    snprintf(longest, sizeof longest, "KEY %0*d\n", REMOTE_SECRET_BYTES_MAX + 1, 1);
    CHECK_EQ(load(longest, 0600, &c), ST_FORMAT);
    unlink(path);
    CHECK_EQ(remote_credentials_load(path, &c, &why), ST_NOTFOUND);
}

static void credentials_come_from_the_environment(void)
{
    struct remote_credentials c = {0};
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    unsetenv("AWS_SESSION_TOKEN");
    CHECK_EQ(remote_credentials_load(NULL, &c, &why), ST_NOTFOUND);
    setenv("AWS_ACCESS_KEY_ID", "KEY", 1);
    CHECK_EQ(remote_credentials_load(NULL, &c, &why), ST_NOTFOUND);
    setenv("AWS_SECRET_ACCESS_KEY", "SECRET", 1);
    CHECK_EQ(remote_credentials_load(NULL, &c, &why), ST_OK);
    CHECK_STR(c.secret, "SECRET");
    setenv("AWS_SESSION_TOKEN", "T", 1);
    CHECK_EQ(remote_credentials_load(NULL, &c, &why), ST_OK);
    CHECK_STR(c.token, "T");
    setenv("AWS_SECRET_ACCESS_KEY", "S\nX-Evil: 1", 1);
    CHECK_EQ(remote_credentials_load(NULL, &c, &why), ST_FORMAT);
}

static struct remote_options good(void)
{
    struct remote_options o;
    remote_options_default(&o);
    o.endpoint = "http://host:9000";
    o.bucket = "bucket";
    return o;
}

static void addresses_are_made_of_the_endpoint(void)
{
    static const struct {
        const char *endpoint;
        enum remote_addressing addressing;
        const char *origin, *host, *base;
    } rows[] = {
        {"http://h:9000", REMOTE_PATH_STYLE, "http://h:9000", "h:9000", "/bucket"},
        {"http://h", REMOTE_PATH_STYLE, "http://h", "h", "/bucket"},
        {"http://h:80/", REMOTE_PATH_STYLE, "http://h", "h", "/bucket"},
        {"https://h:443", REMOTE_PATH_STYLE, "https://h", "h", "/bucket"},
        {"https://h:80", REMOTE_PATH_STYLE, "https://h:80", "h:80", "/bucket"},
        {"http://[::1]:9000", REMOTE_PATH_STYLE, "http://[::1]:9000", "[::1]:9000", "/bucket"},
        {"https://s3.example", REMOTE_VIRTUAL_HOST, "https://bucket.s3.example",
         "bucket.s3.example", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct remote_options o = good();
        struct remote *r = NULL;
        o.endpoint = rows[i].endpoint;
        o.addressing = rows[i].addressing;
        CHECK_EQ(remote_open(&o, &r, &why), ST_OK);
        CHECK_STR(r->origin, rows[i].origin);
        CHECK_STR(r->host, rows[i].host);
        CHECK_STR(r->base, rows[i].base);
        remote_close(r);
    }
}

static void wrong_options_are_named(void)
{
    static const char *const endpoints[] = {"",
                                            "h",
                                            "ftp://h",
                                            "file:///etc/passwd",
                                            "http://",
                                            "http://user:pass@h",
                                            "http://h/path",
                                            "http://h?query",
                                            "http://h#f",
                                            "http://h:99999",
                                            "http://h h"};
    struct remote *r = NULL;
    for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints; i++) {
        struct remote_options o = good();
        o.endpoint = endpoints[i];
        CHECK_EQ(remote_open(&o, &r, &why), ST_INVAL);
        CHECK(strstr(why.text, "endpoint"));
    }
    static const char *const buckets[] = {"", "a/b", "..", "a b", "a?b", "a\nb"};
    for (size_t i = 0; i < sizeof buckets / sizeof *buckets; i++) {
        struct remote_options o = good();
        o.bucket = buckets[i];
        CHECK_EQ(remote_open(&o, &r, &why), ST_INVAL);
        CHECK(strstr(why.text, "bucket"));
    }
    struct remote_options o = good();
    o.parallel = REMOTE_PARALLEL_MAX + 1;
    CHECK_EQ(remote_open(&o, &r, &why), ST_INVAL);
    o = good();
    o.part_bytes = 0;
    CHECK_EQ(remote_open(&o, &r, &why), ST_INVAL);
    o = good();
    o.tries_max = 0;
    CHECK_EQ(remote_open(&o, &r, &why), ST_INVAL);
    o = good();
    o.prefix = "a\rb";
    CHECK_EQ(remote_open(&o, &r, &why), ST_INVAL);
    o = good();
    o.bucket = NULL;
    CHECK_EQ(remote_open(&o, &r, &why), ST_INVAL);
    CHECK(r == NULL);
}

int main(void)
{
    snprintf(path, sizeof path, "/tmp/geds-remote-keys-%d", (int)getpid());
    RUN(credentials_come_from_a_file_of_ones_own);
    RUN(credentials_come_from_the_environment);
    RUN(addresses_are_made_of_the_endpoint);
    RUN(wrong_options_are_named);
    return CHECK_DONE();
}
