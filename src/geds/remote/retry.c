#include "retry.h"

#include <curl/curl.h>
#include <string.h>

enum { NS_PER_MS = 1000000, NS_PER_S = 1000000000 };

static struct verdict of_status(unsigned status)
{
    switch (status) {
    case 500:
    case 502:
    case 503:
    case 504:
        return (struct verdict){.st = ST_AGAIN, .again = true, .unknown = true};
    case 408:
    case 429:
        return (struct verdict){.st = ST_AGAIN, .again = true};
    case 304:
    case 412:
        return (struct verdict){.st = ST_CHANGED};
    case 401:
    case 403:
        return (struct verdict){.st = ST_PERM};
    case 404:
    case 410:
        return (struct verdict){.st = ST_NOTFOUND};
    case 405:
    case 501:
        return (struct verdict){.st = ST_UNSUPPORTED};
    case 413:
    case 507:
        return (struct verdict){.st = ST_LIMIT};
    default:
        break;
    }
    if (status >= 300 && status < 500)
        return (struct verdict){.st = ST_INVAL};
    return (struct verdict){.st = ST_FORMAT};
}

struct verdict retry_of_answer(const struct answer_head *head, const struct answer_error *error)
{
    bool again = false, ok = head->status >= 200 && head->status < 300;
    if (ok && !error)
        return (struct verdict){.st = ST_OK};
    status_t st = error ? answer_code_status(error->code, &again) : ST_OK;
    /* An error inside of a 200: the server found out after it had begun to answer. */
    if (ok)
        return (struct verdict){.st = st == ST_OK ? ST_IO : st, .again = again, .unknown = true};
    struct verdict v = of_status(head->status);
    if (st != ST_OK) {
        v.st = st;
        v.again = v.again || again;
    }
    return v;
}

struct verdict retry_of_transport(int code)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
        return (struct verdict){.st = ST_AGAIN, .again = true};
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
        return (struct verdict){.st = ST_AGAIN, .again = true, .unknown = true};
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
        return (struct verdict){.st = ST_PERM};
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_URL_MALFORMAT:
        return (struct verdict){.st = ST_INVAL};
    case CURLE_OUT_OF_MEMORY:
        return (struct verdict){.st = ST_NOMEM, .unknown = true};
    default: /* an answer that is not HTTP */
        return (struct verdict){.st = ST_FORMAT, .unknown = true};
    }
}

const char *retry_advice(unsigned status, const char *code)
{
    static const struct {
        const char *code, *advice;
    } rows[] = {
        {"SignatureDoesNotMatch", "check the secret key"},
        {"InvalidAccessKeyId", "check the access key"},
        {"RequestTimeTooSkewed", "set the clock of this machine"},
        {"AuthorizationHeaderMalformed", "check the region"},
        {"AccessDenied", "the key has no right to this"},
        {"ExpiredToken", "renew the credentials"},
        {"InvalidToken", "renew the credentials"},
        {"NoSuchBucket", "make the bucket, or correct its name"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].code, code) == 0)
            return rows[i].advice;
    }
    if (status >= 300 && status < 400 && status != 304)
        return "redirects are not followed: correct the endpoint or region";
    if (status == 401 || status == 403)
        return "check the credentials and their rights";
    return NULL;
}

uint64_t retry_wait_ns(const struct remote_options *o, unsigned tries,
                       const struct answer_head *head, uint64_t random, uint64_t now_s)
{
    if (head->has_retry) {
        uint64_t s = head->retry_s;
        if (head->retry_is_date)
            s = s > now_s ? s - now_s : 0;
        return (s < ANSWER_RETRY_S_MAX ? s : ANSWER_RETRY_S_MAX) * NS_PER_S;
    }
    uint64_t most = (uint64_t)o->backoff_max_ms * NS_PER_MS;
    uint64_t d = (uint64_t)o->backoff_ms * NS_PER_MS;
    for (unsigned i = 1; i < tries && d < most; i++)
        d *= 2;
    d = d < most ? d : most;
    return d / 2 + random % (d / 2 + 1);
}
