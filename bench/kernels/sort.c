/* Quicksort and merge sort of records with a 64-bit key. */

#include <stdbool.h>
#include <string.h>

#include "kernel.h"

enum { SMALL = 16 };

struct record {
    uint64_t key;
    uint32_t value;
};

static void insertion_sort(struct record *r, int n)
{
    for (int i = 1; i < n; i++) {
        struct record x = r[i];
        int j = i;
        while (j > 0 && r[j - 1].key > x.key) {
            r[j] = r[j - 1];
            j--;
        }
        r[j] = x;
    }
}

static void swap(struct record *a, struct record *b)
{
    struct record t = *a;
    *a = *b;
    *b = t;
}

static uint64_t median_key(uint64_t a, uint64_t b, uint64_t c)
{
    if (a < b) {
        return b < c ? b : (a < c ? c : a);
    }
    return a < c ? a : (b < c ? c : b);
}

static void quicksort(struct record *r, int n)
{
    while (n > SMALL) {
        uint64_t pivot = median_key(r[0].key, r[n / 2].key, r[n - 1].key);
        int lo = 0;
        int hi = n - 1;
        while (lo <= hi) {
            while (r[lo].key < pivot) {
                lo++;
            }
            while (r[hi].key > pivot) {
                hi--;
            }
            if (lo <= hi) {
                swap(&r[lo++], &r[hi--]);
            }
        }
        quicksort(r, hi + 1);
        r += lo;
        n -= lo;
    }
    insertion_sort(r, n);
}

static void merge(const struct record *a, int na, const struct record *b, int nb,
                  struct record *out)
{
    int i = 0;
    int j = 0;
    int k = 0;
    while (i < na && j < nb) {
        out[k++] = b[j].key < a[i].key ? b[j++] : a[i++];
    }
    memcpy(&out[k], &a[i], (size_t)(na - i) * sizeof *out);
    memcpy(&out[k + na - i], &b[j], (size_t)(nb - j) * sizeof *out);
}

static void merge_sort(struct record *r, struct record *scratch, int n)
{
    if (n <= SMALL) {
        insertion_sort(r, n);
        return;
    }
    int half = n / 2;
    merge_sort(r, scratch, half);
    merge_sort(r + half, scratch, n - half);
    memcpy(scratch, r, (size_t)half * sizeof *r);
    merge(scratch, half, r + half, n - half, r);
}

int main(int argc, char **argv)
{
    int n = kernel_size(argc, argv, 1600000);
    struct record *a = kernel_array((size_t)n, sizeof *a);
    struct record *b = kernel_array((size_t)n, sizeof *b);
    struct record *scratch = kernel_array((size_t)n, sizeof *scratch);
    uint64_t seed = KERNEL_SEED;
    for (int i = 0; i < n; i++) {
        a[i].key = kernel_random(&seed);
        a[i].value = (uint32_t)i;
    }
    memcpy(b, a, (size_t)n * sizeof *a);

    uint64_t start = kernel_clock();
    quicksort(a, n);
    merge_sort(b, scratch, n);
    uint64_t end = kernel_clock();

    uint64_t sum = 0;
    for (int i = 0; i < n; i++) {
        sum = kernel_mix(sum, a[i].key + a[i].value);
        sum = kernel_mix(sum, b[i].key ^ b[i].value);
    }
    free(a);
    free(b);
    free(scratch);
    return kernel_report("sort", n, sum, start, end);
}
