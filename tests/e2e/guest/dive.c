/* Recursion to depth A, a line of input there, recursion by B more: dive A B. Prints what all of it adds up to. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((noinline)) static unsigned down(unsigned left, unsigned more)
{
    char byte;
    if (left == 0 && more == 0) {
        return 1;
    }
    if (left == 0) {
        puts("waiting");
        fflush(stdout);
        read(0, &byte, 1);
        return down(more, 0) + 1;
    }
    return down(left - 1, more) * 3 + left;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        return 2;
    }
    printf("%u\n", down((unsigned)atoi(argv[1]), (unsigned)atoi(argv[2])));
    return 0;
}
