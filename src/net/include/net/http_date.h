#ifndef NET_HTTP_DATE_H
#define NET_HTTP_DATE_H

#include "base/status.h"

/* Dates of HTTP, as "Sun, 06 Nov 1994 08:49:37 GMT", the compact "19941106T084937Z" of AWS, and RFC 3339 with
 * milliseconds, "1994-11-06T08:49:37.000Z". Seconds since the epoch, years 1970 to 9999. */
enum { HTTP_DATE_BYTES = 32, AMZ_DATE_BYTES = 17, ISO_DATE_BYTES = 25 };

void http_date_format(uint64_t s, char ret_text[HTTP_DATE_BYTES]);
void amz_date_format(uint64_t s, char ret_text[AMZ_DATE_BYTES]);
void iso_date_format(uint64_t ns, char ret_text[ISO_DATE_BYTES]);
/* ST_FORMAT anything else, also the two obsolete forms of HTTP. */
CHECKED status_t http_date_parse(const char *text, uint64_t *ret_s);
CHECKED status_t amz_date_parse(const char *text, uint64_t *ret_s);
/* With or without a fraction of seconds, which is left out, and with Z or +00:00. */
CHECKED status_t iso_date_parse(const char *text, uint64_t *ret_s);

#endif
