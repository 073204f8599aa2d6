#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/parse.h"

/* Load by many clients at a time, each a thread: operations are counted and timed one by one. */

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

_Noreturn static void fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static uint64_t number(const char *text, const char *what)
{
    uint64_t n;
    if (text == NULL || parse_u64(text, UINT64_MAX, &n) != ST_OK) {
        fail(what, "not a number");
    }
    return n;
}

struct load;

struct client {
    struct load *load;
    unsigned index;
    void *own; /* of the operation */
    uint64_t *took_ns;
    uint64_t count, room;
    uint64_t random;
    uint64_t end_ns;
    pthread_t thread;
};

struct load {
    unsigned clients;
    uint64_t for_ns;  /* begin operations for so long; 0: until each client has done count */
    uint64_t count;   /* of one client */
    unsigned warm_up; /* operations of each client before the clock runs */
    bool quiet;       /* no latencies are kept */
    void *arg;
    void (*start)(struct client *c);
    void (*operation)(struct client *c, uint64_t number);
    pthread_barrier_t ready;
    uint64_t begin_ns;
};

/* The next number of a client's own sequence (xorshift). */
static inline uint64_t next_random(struct client *c)
{
    c->random ^= c->random << 13;
    c->random ^= c->random >> 7;
    c->random ^= c->random << 17;
    return c->random;
}

static void keep(struct client *c, uint64_t took)
{
    if (c->count == c->room && !c->load->quiet) {
        c->room = c->room > 0 ? c->room * 2 : 4096;
        c->took_ns = realloc(c->took_ns, c->room * sizeof *c->took_ns);
        if (c->took_ns == NULL) {
            fail("load", "no memory");
        }
    }
    if (!c->load->quiet) {
        c->took_ns[c->count] = took;
    }
    c->count++;
}

static void *run_client(void *arg)
{
    struct client *c = arg;
    struct load *l = c->load;
    uint64_t i = 0;
    l->start(c);
    for (; i < l->warm_up; i++) {
        l->operation(c, i);
    }
    pthread_barrier_wait(&l->ready);
    pthread_barrier_wait(&l->ready); /* the clock runs */
    for (uint64_t before = now_ns(), after; l->for_ns > 0 ? before < l->begin_ns + l->for_ns : c->count < l->count;
         before = after) {
        l->operation(c, i++);
        after = now_ns();
        keep(c, after - before);
    }
    c->end_ns = now_ns();
    return NULL;
}

static int compare_ns(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* The nearest rank. */
static uint64_t percentile(const uint64_t *sorted, uint64_t count, unsigned percent)
{
    uint64_t rank = (count * percent + 99) / 100;
    return count > 0 ? sorted[rank > 0 ? rank - 1 : 0] : 0;
}

static void print_latencies(uint64_t *took, uint64_t count)
{
    qsort(took, count, sizeof *took, compare_ns);
    printf("p50_ns %llu\np99_ns %llu\nmax_ns %llu\n", (unsigned long long)percentile(took, count, 50),
           (unsigned long long)percentile(took, count, 99), (unsigned long long)percentile(took, count, 100));
}

/* Prints lines "ops N", "ns N" (from the beginning to the end of the last operation), and of latencies. */
static void load_run(struct load *l)
{
    struct client *clients = calloc(l->clients, sizeof *clients);
    uint64_t total = 0, at = 0, end = 0;
    if (clients == NULL || pthread_barrier_init(&l->ready, NULL, l->clients + 1) != 0) {
        fail("load", "no memory");
    }
    for (unsigned i = 0; i < l->clients; i++) {
        clients[i] = (struct client){.load = l, .index = i, .random = 0x9e3779b97f4a7c15u * (i + 1)};
        if (pthread_create(&clients[i].thread, NULL, run_client, &clients[i]) != 0) {
            fail("load", "no more threads");
        }
    }
    pthread_barrier_wait(&l->ready);
    l->begin_ns = now_ns();
    pthread_barrier_wait(&l->ready);
    for (unsigned i = 0; i < l->clients; i++) {
        pthread_join(clients[i].thread, NULL);
        total += clients[i].count;
        end = clients[i].end_ns > end ? clients[i].end_ns : end;
    }
    printf("ops %llu\nns %llu\n", (unsigned long long)total, (unsigned long long)(end - l->begin_ns));
    if (!l->quiet) {
        uint64_t *all = malloc((total + 1) * sizeof *all);
        if (all == NULL) {
            fail("load", "no memory");
        }
        for (unsigned i = 0; i < l->clients; i++) {
            memcpy(all + at, clients[i].took_ns, clients[i].count * sizeof *all);
            at += clients[i].count;
        }
        print_latencies(all, total);
        free(all);
    }
    for (unsigned i = 0; i < l->clients; i++) {
        free(clients[i].took_ns);
    }
    free(clients);
}

#endif
