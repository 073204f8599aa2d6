/* A header Accept, of whoever looks at metrics. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "net/metrics_http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char first[] = "application/openmetrics-text;q=1.0,";
    char *text = malloc(sizeof first + len);
    if (text == NULL)
        return 0;
    memcpy(text, first, sizeof first - 1);
    memcpy(text + sizeof first - 1, data, len);
    text[sizeof first - 1 + len] = '\0';
    enum metrics_format format = metrics_http_format(text + sizeof first - 1);
    FUZZ_CHECK(format == METRICS_TEXT || format == METRICS_OPENMETRICS);
    /* nothing weighs more than that */
    FUZZ_CHECK(metrics_http_format(text) == METRICS_OPENMETRICS);
    free(text);
    return 0;
}
