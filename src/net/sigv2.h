#ifndef NET_SIGV2_H
#define NET_SIGV2_H

#include "net/sigv4.h"

/* AWS Signature Version 2 in the query of a URL: what boto3, `aws` and s3cmd make of presigned URLs as long as nobody
 * tells them otherwise. In headers it is not taken: whoever signs those knows version 4. */

/* As sigv4_read and sigv4_verify, for a query with AWSAccessKeyId. */
enum sigv4_result sigv2_read(const struct sigv4_request *rq, struct sigv4_auth *a);
enum sigv4_result sigv2_verify(const struct sigv4_request *rq, const struct sigv4_auth *a,
                               const char *secret, uint64_t now_s);

#endif
