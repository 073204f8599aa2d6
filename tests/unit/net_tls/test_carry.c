#include <arpa/inet.h>
#include <ftw.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "net/tls/ca.h"
#include "net/tls/client.h"

/* The client's side of TLS, which reads many records at a time, against a server of OpenSSL. */

enum { WAIT_MS = 20000, MANY = 3000000 };

static char folder[64], ca[100], cert[100], key[100];
static int listener, ends[2]; /* ends[0]: what the client of a store has */
static SSL_CTX *ctx;
static SSL *server;
static pthread_t carrier;

static int remove_entry(const char *name, const struct stat *info, int type, struct FTW *ftw)
{
    (void)info, (void)type, (void)ftw;
    return remove(name);
}

static void make_files(void)
{
    const char *hosts[] = {"127.0.0.1"};
    const struct tls_issue issue = {.name = "server", .hosts = hosts, .host_count = 1};
    struct error err = {0};
    snprintf(folder, sizeof folder, "/tmp/net-tls-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(ca, sizeof ca, "%s/ca.crt", folder);
    snprintf(cert, sizeof cert, "%s/server.crt", folder);
    snprintf(key, sizeof key, "%s/server.key", folder);
    CHECK_EQ(tls_ca_init(folder, "test", &err), ST_OK);
    CHECK_EQ(tls_ca_issue(folder, &issue, &err), ST_OK);
}

static void *carry(void *arg)
{
    struct sockaddr_in at;
    socklen_t len = sizeof at;
    struct tls_link *link = NULL;
    struct error err = {0};
    (void)arg;
    CHECK_EQ(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    const struct tls_dial d = {.host = "127.0.0.1", .port = ntohs(at.sin_port), .ca = ca};
    CHECK_EQ(tls_dial(&d, &link, &err), ST_OK);
    CHECK_EQ(tls_carry(link, ends[1], &err), ST_OK);
    tls_link_free(link);
    close(ends[1]);
    return NULL;
}

/* A server that has accepted a client, whose records are kept from the network until send_records. */
static void start(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    make_files();
    listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    CHECK_EQ(listen(listener, 1), 0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    ctx = SSL_CTX_new(TLS_server_method());
    CHECK_EQ(SSL_CTX_use_certificate_file(ctx, cert, SSL_FILETYPE_PEM), 1);
    CHECK_EQ(SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM), 1);
    pthread_create(&carrier, NULL, carry, NULL);
    server = SSL_new(ctx);
    CHECK_EQ(SSL_set_fd(server, accept(listener, NULL, NULL)), 1);
    CHECK_EQ(SSL_accept(server), 1);
    SSL_set0_wbio(server, BIO_new(BIO_s_mem()));
}

/* leave_out: so many bytes of the last record. */
static void send_records(size_t leave_out)
{
    char *bytes = NULL;
    size_t len = (size_t)BIO_get_mem_data(SSL_get_wbio(server), &bytes) - leave_out;
    CHECK_EQ(send(SSL_get_fd(server), bytes, len, MSG_NOSIGNAL), len);
    CHECK_EQ(BIO_reset(SSL_get_wbio(server)), 1);
}

static void write_record(const void *data, size_t len)
{
    CHECK_EQ(SSL_write(server, data, (int)len), len);
}

/* Bytes that come, until there are so many or the end. */
static size_t receive(void *data, size_t len)
{
    size_t got = 0;
    struct pollfd p = {.fd = ends[0], .events = POLLIN};
    while (got < len && poll(&p, 1, WAIT_MS) == 1) {
        ssize_t n = recv(ends[0], (uint8_t *)data + got, len - got, 0);
        if (n <= 0) {
            break;
        }
        got += (size_t)n;
    }
    return got;
}

static bool has_ended(void)
{
    char byte;
    struct pollfd p = {.fd = ends[0], .events = POLLIN};
    return poll(&p, 1, WAIT_MS) == 1 && recv(ends[0], &byte, 1, 0) == 0;
}

static void close_server(void)
{
    close(SSL_get_fd(server));
    SSL_free(server);
    SSL_CTX_free(ctx);
    close(listener);
}

static void stop(void)
{
    pthread_join(carrier, NULL);
    close(ends[0]);
    nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void what_is_behind_a_key_update_is_not_left_inside(void)
{
    char got[6] = "";
    start();
    for (int i = 0; i < 3; i++) { /* the first in what is read at a time, and behind others */
        if (i > 0) {
            write_record("before", 6);
        }
        CHECK_EQ(SSL_key_update(server, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        write_record("behind", 6);
        send_records(0);
        CHECK(i == 0 || (receive(got, 6) == 6 && memcmp(got, "before", 6) == 0));
        CHECK(receive(got, 6) == 6 && memcmp(got, "behind", 6) == 0);
    }
    close_server();
    stop();
}

static void *send_and_close(void *arg)
{
    (void)arg;
    send_records(0);
    close_server();
    return NULL;
}

static void records_of_all_lengths_arrive_before_the_end(void)
{
    pthread_t sender;
    uint8_t *bytes = malloc(MANY), *got = malloc(MANY);
    for (size_t i = 0; i < MANY; i++) {
        bytes[i] = (uint8_t)(i * 2654435761U >> 11);
    }
    start();
    for (size_t done = 0, n = 1; done < MANY; done += n) {
        n = n * 7 % 16384 + 1;
        n = n < MANY - done ? n : MANY - done;
        write_record(bytes + done, n);
    }
    CHECK_EQ(SSL_shutdown(server), 0);
    pthread_create(&sender, NULL, send_and_close, NULL);
    CHECK_EQ(receive(got, MANY), MANY);
    CHECK(memcmp(got, bytes, MANY) == 0);
    CHECK(has_ended());
    pthread_join(sender, NULL);
    stop();
    free(bytes);
    free(got);
}

static void what_came_before_a_record_that_is_cut_arrives(void)
{
    static uint8_t record[16384], got[sizeof record + 6];
    start();
    write_record("before", 6);
    write_record(record, sizeof record);
    send_records(1);
    close_server();
    CHECK_EQ(receive(got, sizeof got), 6);
    CHECK(memcmp(got, "before", 6) == 0);
    stop();
}

int main(void)
{
    RUN(what_is_behind_a_key_update_is_not_left_inside);
    RUN(records_of_all_lengths_arrive_before_the_end);
    RUN(what_came_before_a_record_that_is_cut_arrives);
    return CHECK_DONE();
}
