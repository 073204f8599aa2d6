/* Searches a tree of moves to some depth by recursion, as game programs do, and prints the best value below each of the
 * first moves. Arguments: depth, moves. */
#include <stdio.h>
#include <stdlib.h>

static unsigned next(unsigned seed)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    return seed ^ (seed << 5);
}

/* What a position at the bottom is worth. */
static int worth(unsigned position)
{
    int sum = 0;
    for (int i = 0; i < 200; i++) {
        position = next(position);
        sum += (int)(position % 7) - 3;
    }
    return sum;
}

static int search(unsigned position, int depth, int moves, int best, int least)
{
    if (depth == 0)
        return worth(position);
    for (int i = 0; i < moves && best < least; i++) {
        int value = -search(next(position + (unsigned)i), depth - 1, moves, -least, -best);
        best = value > best ? value : best;
    }
    return best;
}

int main(int argc, char **argv)
{
    int depth = argc > 1 ? atoi(argv[1]) : 6, moves = argc > 2 ? atoi(argv[2]) : 12;
    for (int i = 0; i < moves; i++) {
        int value = search(next(2026u + (unsigned)i), depth, moves, -1000000, 1000000);
        printf("move %2d: %d\n", i, value);
        fflush(stdout);
    }
    return 0;
}
