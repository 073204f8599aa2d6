#include "net/http_date.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
#define LAST_SECOND UINT64_C(253402300799) /* of the year 9999 */

static struct tm fields(uint64_t s)
{
    time_t t = (time_t)(s < LAST_SECOND ? s : LAST_SECOND);
    struct tm tm;
    gmtime_r(&t, &tm);
    return tm;
}

void http_date_format(uint64_t s, char ret_text[HTTP_DATE_BYTES])
{
    struct tm tm = fields(s);
    snprintf(ret_text, HTTP_DATE_BYTES, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[tm.tm_wday % 7],
             (unsigned)tm.tm_mday % 100, months[tm.tm_mon % 12],
             ((unsigned)tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100,
             (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
}

void amz_date_format(uint64_t s, char ret_text[AMZ_DATE_BYTES])
{
    struct tm tm = fields(s);
    snprintf(ret_text, AMZ_DATE_BYTES, "%04u%02u%02uT%02u%02u%02uZ",
             ((unsigned)tm.tm_year + 1900) % 10000, ((unsigned)tm.tm_mon + 1) % 100,
             (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
             (unsigned)tm.tm_sec % 100);
}

static char *digits(char *to, unsigned value, size_t count)
{
    for (size_t i = count; i > 0; i--, value /= 10)
        to[i - 1] = (char)('0' + value % 10);
    return to + count;
}

/* Lists have thousands of these, which is why no format is read. */
void iso_date_format(uint64_t ns, char ret_text[ISO_DATE_BYTES])
{
    struct tm tm = fields(ns / 1000000000);
    char *at = digits(ret_text, (unsigned)tm.tm_year + 1900, 4);
    *at++ = '-';
    at = digits(at, (unsigned)tm.tm_mon + 1, 2);
    *at++ = '-';
    at = digits(at, (unsigned)tm.tm_mday, 2);
    *at++ = 'T';
    at = digits(at, (unsigned)tm.tm_hour, 2);
    *at++ = ':';
    at = digits(at, (unsigned)tm.tm_min, 2);
    *at++ = ':';
    at = digits(at, (unsigned)tm.tm_sec, 2);
    *at++ = '.';
    at = digits(at, (unsigned)(ns / 1000000 % 1000), 3);
    *at++ = 'Z';
    *at = '\0';
}

/* pattern: 0 stands for a digit of the number that the next call of number() reads, all else for itself. */
static bool matches(const char *text, const char *pattern)
{
    size_t len = strlen(pattern);
    if (strlen(text) != len)
        return false;
    for (size_t i = 0; i < len; i++) {
        bool digit = text[i] >= '0' && text[i] <= '9';
        if (pattern[i] == '0' ? !digit : pattern[i] != '?' && text[i] != pattern[i])
            return false;
    }
    return true;
}

static int number(const char *at, int digits)
{
    int n = 0;
    for (int i = 0; i < digits; i++)
        n = n * 10 + (at[i] - '0');
    return n;
}

/* Refuses what timegm would carry over, such as a 31st of June. */
static status_t seconds_of(struct tm tm, uint64_t *ret_s)
{
    struct tm same = tm;
    time_t t = timegm(&same);
    if (t < 0 || same.tm_mday != tm.tm_mday || same.tm_mon != tm.tm_mon ||
        same.tm_hour != tm.tm_hour || same.tm_min != tm.tm_min || tm.tm_sec > 59)
        return ST_FORMAT;
    *ret_s = (uint64_t)t;
    return ST_OK;
}

status_t http_date_parse(const char *text, uint64_t *ret_s)
{
    if (!matches(text, "???, 00 ??? 0000 00:00:00 GMT"))
        return ST_FORMAT;
    struct tm tm = {.tm_mday = number(text + 5, 2),
                    .tm_mon = -1,
                    .tm_year = number(text + 12, 4) - 1900,
                    .tm_hour = number(text + 17, 2),
                    .tm_min = number(text + 20, 2),
                    .tm_sec = number(text + 23, 2)};
    for (int i = 0; i < 12; i++) {
        if (memcmp(text + 8, months[i], 3) == 0)
            tm.tm_mon = i;
    }
    return tm.tm_mon < 0 ? ST_FORMAT : seconds_of(tm, ret_s);
}

status_t amz_date_parse(const char *text, uint64_t *ret_s)
{
    if (!matches(text, "00000000T000000Z"))
        return ST_FORMAT;
    struct tm tm = {.tm_year = number(text, 4) - 1900,
                    .tm_mon = number(text + 4, 2) - 1,
                    .tm_mday = number(text + 6, 2),
                    .tm_hour = number(text + 9, 2),
                    .tm_min = number(text + 11, 2),
                    .tm_sec = number(text + 13, 2)};
    return seconds_of(tm, ret_s);
}

status_t iso_date_parse(const char *text, uint64_t *ret_s)
{
    char start[20];
    if (strlen(text) < sizeof start)
        return ST_FORMAT;
    memcpy(start, text, sizeof start - 1);
    start[sizeof start - 1] = '\0';
    const char *rest = text + sizeof start - 1;
    if (*rest == '.') {
        size_t digits = strspn(rest + 1, "0123456789");
        if (digits == 0 || digits > 9)
            return ST_FORMAT;
        rest += 1 + digits;
    }
    if (!matches(start, "0000-00-00T00:00:00") ||
        (strcmp(rest, "Z") != 0 && strcmp(rest, "+00:00") != 0))
        return ST_FORMAT;
    struct tm tm = {.tm_year = number(start, 4) - 1900,
                    .tm_mon = number(start + 5, 2) - 1,
                    .tm_mday = number(start + 8, 2),
                    .tm_hour = number(start + 11, 2),
                    .tm_min = number(start + 14, 2),
                    .tm_sec = number(start + 17, 2)};
    return seconds_of(tm, ret_s);
}
