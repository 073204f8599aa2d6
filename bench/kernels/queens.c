/* All placements of n queens on a board, by backtracking. */

#include <stdbool.h>

#include "kernel.h"

enum { BOARD_MAX = 20 };

struct board {
    int n;
    bool column[BOARD_MAX];
    bool rising[2 * BOARD_MAX];
    bool falling[2 * BOARD_MAX];
};

static uint64_t place(struct board *b, int row)
{
    if (row == b->n) {
        return 1;
    }
    uint64_t count = 0;
    for (int col = 0; col < b->n; col++) {
        bool *rising = &b->rising[row + col];
        bool *falling = &b->falling[row - col + BOARD_MAX];
        if (b->column[col] || *rising || *falling) {
            continue;
        }
        b->column[col] = *rising = *falling = true;
        count += place(b, row + 1);
        b->column[col] = *rising = *falling = false;
    }
    return count;
}

int main(int argc, char **argv)
{
    struct board b = {.n = kernel_size(argc, argv, 13)};
    if (b.n > BOARD_MAX) {
        return 64;
    }

    uint64_t start = kernel_clock();
    uint64_t count = place(&b, 0);
    uint64_t end = kernel_clock();

    printf("%" PRIu64 " placements\n", count);
    return kernel_report("queens", b.n, kernel_mix(0, count), start, end);
}
