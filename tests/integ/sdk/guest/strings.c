// Strings, conversions, sorting, character sets, patterns.
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <iconv.h>
#include <libgen.h>
#include <limits.h>
#include <locale.h>
#include <regex.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <wchar.h>
#include <wctype.h>

static int by_value(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;

    return (x > y) - (x < y);
}

static void sorting(void)
{
    int v[500], key = 250, *hit, ok = 1;
    unsigned seed = 1;

    for (int i = 0; i < 500; i++) {
        seed = seed * 1103515245 + 12345;
        v[i] = (int)(seed >> 16) % 1000;
    }
    v[7] = 250;
    qsort(v, 500, sizeof v[0], by_value);
    for (int i = 1; i < 500; i++)
        ok &= v[i - 1] <= v[i];
    hit = bsearch(&key, v, 500, sizeof v[0], by_value);
    printf("sorted %d found %d\n", ok, hit && *hit == 250);
}

static void conversions(void)
{
    char *end;

    printf("%ld %ld %lu\n", strtol("0x1f", NULL, 0), strtol("-077", NULL, 0), strtoul("zz", NULL, 36));
    printf("%.17g %.17g\n", strtod("0x1.8p3", NULL), strtod("1e400", &end));
    errno = 0;
    printf("%d %d\n", strtol("999999999999999999999", &end, 10) == LONG_MAX, errno == ERANGE);
    printf("%g %d\n", strtod("12.5rest", &end), (int)strlen(end));
    printf("%.9g\n", (double)strtof("3.4028235e38", NULL));
}

/* errno behind each: too large only if it is so after rounding. */
static void ranges(void)
{
    static const char *const doubles[] = {"0x1p1023",        "0x1p1024",
                                          "-0x1p1070",       "0x1.fffffffffffffp1023",
                                          "0x1p1075",        "0x1.fffffffffffff7fp1023",
                                          "0x1p99999",       "0x1.fffffffffffff8p1023",
                                          "0x0.00001p1043",  "0x0.00001p1044",
                                          "0x1p-1074",       "0x1p-1080",
                                          "0x0p99999",       "1e308",
                                          "1.8e308",         "0x100000000000p1000"};
    static const char *const floats[] = {"0x1p127", "0x1p128", "0x1.fffffep127", "0x1.ffffffp127", "-0x1p1000"};

    for (size_t i = 0; i < sizeof doubles / sizeof doubles[0]; i++) {
        errno = 0;
        double d = strtod(doubles[i], NULL);
        printf("%s: %.17g %d\n", doubles[i], d, errno == ERANGE);
    }
    for (size_t i = 0; i < sizeof floats / sizeof floats[0]; i++) {
        errno = 0;
        double d = strtof(floats[i], NULL);
        printf("%s: %.17g %d\n", floats[i], d, errno == ERANGE);
    }
    errno = 0;
    printf("%d %d\n", strtold("0x1p16383", NULL) > 0, errno == ERANGE);
    printf("%d %d\n", strtold("0x1p16384", NULL) > 0, errno == ERANGE);
}

static void plain(void)
{
    char buf[64] = "a,b;;c", *save, *p, path[] = "/usr/lib/x.c";

    for (p = strtok_r(buf, ",;", &save); p; p = strtok_r(NULL, ",;", &save))
        printf("<%s>", p);
    printf("\n%s %s\n", strrchr(path, '/'), strstr("haystack with needle", "needle"));
    printf("%d %d %zu %zu\n", strcmp("a", "b") < 0, strcasecmp("ABC", "abc"), strspn("aab", "a"), strcspn("xyz", "z"));
    printf("%s\n", (char *)memmem("0123456789", 10, "56", 2));
    printf("%d %s\n", snprintf(buf, 4, "copied"), buf);
    printf("%s ", basename(path));
    printf("%s\n", dirname(path));
    printf("%d %d %d\n", isalpha('x') != 0, isdigit('x') != 0, toupper('q'));
    printf("%d\n", strverscmp("file10", "file9") > 0);
    memmove(buf + 1, "overlap", 8);
    puts(stpcpy(buf, "x") - 1);
}

static void wide(void)
{
    wchar_t w[20];
    char out[40];
    size_t n;

    printf("%d\n", setlocale(LC_ALL, "C.UTF-8") != NULL);
    n = mbstowcs(w, "gr\xc3\xbc\xc3\x9f", 20);
    printf("%zu %x %d\n", n, (unsigned)w[2], iswalpha((wint_t)w[2]) != 0);
    printf("%zu %s\n", wcstombs(out, w, sizeof out), out);
    printf("%ld %d\n", wcstol(L"123", NULL, 10), wcscmp(L"a", L"b") < 0);
    iconv_t cd = iconv_open("UTF-16LE", "UTF-8");
    char in[] = "A\xc3\xa9", *ip = in, *op = out;
    size_t il = 3, ol = sizeof out;
    printf("%zu %zu %02x%02x%02x%02x\n", iconv(cd, &ip, &il, &op, &ol), sizeof out - ol, (unsigned char)out[0],
           (unsigned char)out[1], (unsigned char)out[2], (unsigned char)out[3]);
    iconv_close(cd);
}

static void patterns(void)
{
    regex_t re;
    regmatch_t m[3];

    printf("%d\n", regcomp(&re, "([a-z]+)=([0-9]+)", REG_EXTENDED));
    printf("%d %d-%d %d-%d\n", regexec(&re, "  key=42 ", 3, m, 0), (int)m[1].rm_so, (int)m[1].rm_eo, (int)m[2].rm_so,
           (int)m[2].rm_eo);
    printf("%d\n", regexec(&re, "nothing", 0, NULL, 0) == REG_NOMATCH);
    regfree(&re);
    printf("%d %d\n", fnmatch("*.[ch]", "file.c", 0), fnmatch("*.h", "file.c", 0) == FNM_NOMATCH);
    hcreate(10);
    hsearch((ENTRY){"key", "value"}, ENTER);
    printf("%s\n", (char *)hsearch((ENTRY){"key", NULL}, FIND)->data);
    hdestroy();
}

int main(void)
{
    sorting();
    conversions();
    ranges();
    plain();
    wide();
    patterns();
    return 0;
}
