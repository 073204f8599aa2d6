#ifndef GEDS_S3_SERVICE_H
#define GEDS_S3_SERVICE_H

#include "geds/s3/table.h"
#include "net/http.h"
#include "net/metrics/metrics.h"

/* The S3 protocol over a store: what an HTTP server calls for each request. */

struct s3_service;

/* A request that was answered with InternalError, or broken off, through no fault of its client. */
struct s3_failure {
    const char *request_id; /* as in the answer's x-amz-request-id */
    const char *method;
    const char *path; /* decoded: any bytes but NUL */
    const char *text; /* what the store said */
};

struct s3_options {
    const struct s3_table *table; /* outlives the service, as store does */
    struct store *store;
    /* The secret of an access key, or NULL. Any thread; the string outlives the service. */
    const char *(*secret_of)(void *ctx, const char *access_key);
    /* The user of an access key; NULL: the owner of all buckets. May be NULL itself: all are. As secret_of. */
    const char *(*user_of)(void *ctx, const char *access_key);
    /* For a log; may be NULL. Any thread; strings are borrowed for the call. */
    void (*failed)(void *ctx, const struct s3_failure *failure);
    void *ctx;
    uint64_t (*now_ns)(void); /* since the epoch; with time that goes on for lifecycle rules */
    struct metrics *metrics;  /* where cloudskin_s3_* are counted; NULL: nowhere */
    uint64_t sweep_s; /* seconds between two applications of lifecycle rules; 0: none by itself */
};

/* ST_NOMEM. ST_EXIST: another service counts there. */
CHECKED status_t s3_service_new(const struct s3_options *options, struct s3_service **ret_service);
/* After the server has stopped. Takes NULL. */
void s3_service_free(struct s3_service *s);

/* Apply lifecycle rules now: delete what is due. Any thread. */
void s3_service_sweep(struct s3_service *s);

/* For http_options; its ctx is the service. Immutable. */
const struct http_handler *s3_service_handler(void);

#endif
