#include "net/http_date.h"

#include "check.h"

static void dates_are_written_and_read(void)
{
    char http[HTTP_DATE_BYTES], amz[AMZ_DATE_BYTES], iso[ISO_DATE_BYTES];
    uint64_t s = 0;
    http_date_format(784111777, http);
    CHECK_STR(http, "Sun, 06 Nov 1994 08:49:37 GMT");
    CHECK_EQ(http_date_parse(http, &s), ST_OK);
    CHECK_EQ(s, 784111777);
    amz_date_format(784111777, amz);
    CHECK_STR(amz, "19941106T084937Z");
    CHECK_EQ(amz_date_parse(amz, &s), ST_OK);
    CHECK_EQ(s, 784111777);
    iso_date_format(784111777250000000, iso);
    CHECK_STR(iso, "1994-11-06T08:49:37.250Z");
    static const char *const same[] = {"1994-11-06T08:49:37Z", "1994-11-06T08:49:37.250Z",
                                       "1994-11-06T08:49:37+00:00",
                                       "1994-11-06T08:49:37.123456789Z"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        CHECK_EQ(iso_date_parse(same[i], &s), ST_OK);
        CHECK_EQ(s, 784111777);
    }
}

static void what_is_no_date_is_refused(void)
{
    static const char *const bad[] = {"",
                                      "Sunday, 06-Nov-94 08:49:37 GMT",
                                      "Sun Nov  6 08:49:37 1994",
                                      "Sun, 31 Jun 1994 08:49:37 GMT",
                                      "Sun, 06 Nov 1994 24:49:37 GMT",
                                      "Sun, 06 Noe 1994 08:49:37 GMT",
                                      "Sun, 06 Nov 1960 08:49:37 GMT"};
    uint64_t s = 7;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_EQ(http_date_parse(bad[i], &s), ST_FORMAT);
    CHECK_EQ(amz_date_parse("20130229T000000Z", &s), ST_FORMAT);
    CHECK_EQ(amz_date_parse("2013-05-24T00:00:00Z", &s), ST_FORMAT);
    static const char *const no_iso[] = {"",
                                         "1994-11-06",
                                         "1994-11-06T08:49:37",
                                         "1994-11-06T08:49:37.Z",
                                         "1994-11-06T08:49:37+01:00",
                                         "1994-13-06T08:49:37Z",
                                         "1994-11-06 08:49:37Z",
                                         "1994-11-06T08:49:37.1234567890Z"};
    for (size_t i = 0; i < sizeof no_iso / sizeof *no_iso; i++)
        CHECK_EQ(iso_date_parse(no_iso[i], &s), ST_FORMAT);
    CHECK_EQ(s, 7);
}

int main(void)
{
    RUN(dates_are_written_and_read);
    RUN(what_is_no_date_is_refused);
    return CHECK_DONE();
}
