// Runs out of memory with blocks of one size, frees them, and finds the memory again for blocks of other sizes.
// With an argument: frees one block twice.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Through a pointer: compilers take malloc for a function that leaves errno alone. */
static void *(*volatile do_malloc)(size_t) = malloc;

struct link {
    struct link *next;
};

/* As many as there are, in a list. */
static size_t take_all(size_t size, struct link **ret_list)
{
    size_t n = 0;
    struct link *p;

    errno = 0;
    for (*ret_list = NULL; (p = do_malloc(size)) != NULL; n++) {
        memset(p, 0xff, size);
        p->next = *ret_list;
        *ret_list = p;
    }
    return n;
}

/* Some from all over the memory first, so that what an allocator keeps for later lies between the others. */
static void give_all(struct link *list, size_t n)
{
    struct link *rest = NULL, *next;

    for (size_t i = 0; list; list = next, i++) {
        next = list->next;
        if (i % (n / 100 + 1) == 0) {
            free(list);
        } else {
            list->next = rest;
            rest = list;
        }
    }
    for (; rest; rest = next) {
        next = rest->next;
        free(rest);
    }
}

static int twice(int between)
{
    void *volatile p = malloc(24), *volatile q = malloc(24);

    free(p);
    if (between)
        free(q);
    free(p);
    puts("freed twice");
    return 0;
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {24, 1000, 40, 300, 100000, 16, 1020, 2000};
    size_t all = 0;

    if (argc > 1)
        return twice(argv[1][0] == 'b');
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct link *list;
        size_t n = take_all(sizes[i], &list), bytes = n * sizes[i];

        if (errno != ENOMEM)
            printf("errno %d\n", errno);
        give_all(list, n);
        /* Room was lost to the heads of blocks at most. */
        all = bytes > all ? bytes : all;
        if (bytes < all / 2)
            printf("%zu bytes in blocks of %zu, %zu before\n", bytes, sizes[i], all);
        void *p = do_malloc(all / 4 * 3);
        if (p == NULL)
            printf("no large block after blocks of %zu\n", sizes[i]);
        free(p);
    }
    printf("%s\n", all > 20 << 20 ? "all found again" : "lost");
    return 0;
}
