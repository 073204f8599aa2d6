// setjmp and longjmp: nested, in loops, out of handlers, with values that change in between.
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static jmp_buf outer, inner;
static sigjmp_buf from_handler;
static int depth;

static void dive(int n)
{
    depth = n;
    if (n == 100)
        longjmp(outer, 5);
    dive(n + 1);
    depth = -1;
}

static int compare(const void *a, const void *b)
{
    if (*(const int *)a == 13 || *(const int *)b == 13)
        longjmp(inner, 13);
    return *(const int *)a - *(const int *)b;
}

static void handler(int sig)
{
    siglongjmp(from_handler, sig);
}

/* Only a buffer that keeps the mask brings it back. */
static void masks(void)
{
    sigset_t set, now;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    for (volatile int keep = 0; keep < 2; keep++) {
        if (sigsetjmp(from_handler, keep) == 0) {
            sigprocmask(SIG_BLOCK, &set, NULL);
            siglongjmp(from_handler, 1);
        }
        sigprocmask(SIG_UNBLOCK, keep ? NULL : &set, &now);
        printf("kept %d, blocked %d\n", keep, sigismember(&now, SIGUSR2));
    }
}

static int guarded(int (*f)(int), int x)
{
    jmp_buf saved;
    int r;

    __builtin_memcpy(&saved, &outer, sizeof saved);
    r = setjmp(outer) ? -1 : f(x);
    __builtin_memcpy(&outer, &saved, sizeof saved);
    return r;
}

static int half(int x)
{
    if (x & 1)
        longjmp(outer, 1);
    return x / 2;
}

static int nested(int x)
{
    return guarded(half, x) + guarded(half, x + 1);
}

int main(void)
{
    volatile int count = 0;
    int v[] = {5, 13, 2}, r;

    r = setjmp(outer);
    if (r == 0)
        dive(0);
    printf("%d at %d\n", r, depth);
    r = setjmp(outer);
    if (count < 1000) {
        count++;
        longjmp(outer, count);
    }
    printf("%d %d\n", count, r);
    if (setjmp(inner) == 0)
        qsort(v, 3, sizeof v[0], compare);
    else
        puts("out of qsort");
    signal(SIGUSR1, handler);
    for (volatile int i = 0; i < 3; i++)
        if (sigsetjmp(from_handler, 1) == 0)
            raise(SIGUSR1);
        else
            puts("out of the handler");
    masks();
    printf("%d %d\n", guarded(nested, 10), guarded(half, 3));
    switch (setjmp(outer)) {
    case 0:
        longjmp(outer, 0);
    case 1:
        puts("zero becomes one");
    }
    return 0;
}
