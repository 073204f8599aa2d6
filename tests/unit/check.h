#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A unit test program: each TEST is a fact named as a sentence; check_main runs them all and counts. */
static int check_failures;
static int check_tests;

#define CHECK(cond)                                                              \
    do {                                                                         \
        if (!(cond)) {                                                           \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #cond); \
            check_failures++;                                                    \
        }                                                                        \
    } while (0)
#define CHECK_EQ(a, b)                                                                             \
    do {                                                                                           \
        long long check_a = (long long)(a), check_b = (long long)(b);                              \
        if (check_a != check_b) {                                                                  \
            fprintf(stderr, "%s:%d: %s is %lld, not %lld (%s)\n", __FILE__, __LINE__, #a, check_a, \
                    check_b, #b);                                                                  \
            check_failures++;                                                                      \
        }                                                                                          \
    } while (0)
#define CHECK_STR(a, b)                                                                           \
    do {                                                                                          \
        const char *check_a = (a), *check_b = (b);                                                \
        if (strcmp(check_a, check_b) != 0) {                                                      \
            fprintf(stderr, "%s:%d: %s is \"%s\", not \"%s\"\n", __FILE__, __LINE__, #a, check_a, \
                    check_b);                                                                     \
            check_failures++;                                                                     \
        }                                                                                         \
    } while (0)
#define RUN(test)                                                                   \
    do {                                                                            \
        int check_before = check_failures;                                          \
        test();                                                                     \
        check_tests++;                                                              \
        printf("%s %s\n", check_failures == check_before ? "ok  " : "FAIL", #test); \
    } while (0)
#define CHECK_DONE() \
    (printf("%d tests, %d failed checks\n", check_tests, check_failures), check_failures != 0)

#endif
