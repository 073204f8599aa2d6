/* A C library that calls back; exceptions and jumps of its callers pass through. */
#include "callback.h"

int each(const int *v, int n, int (*visit)(void *, int), void *context)
{
    int sum = 0;

    for (int i = 0; i < n; i++)
        sum += visit(context, v[i]);
    return sum;
}
