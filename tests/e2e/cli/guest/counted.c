/* A loop whose count is known in front of it: DIFFERENCES hands a float on, SUM makes one of the one before, FIND may end
 * earlier. */
#if defined(DIFFERENCES)
__attribute__((export_name("differences"))) void differences(const float *restrict a, float *restrict out, int n)
{
    float before = 0;
    for (int i = 0; i < n; i++) {
        out[i] = a[i] - before;
        before = a[i];
    }
}
#elif defined(SUM)
__attribute__((export_name("sum"))) float sum(const float *a, int n)
{
    float s = 0;
    for (int i = 0; i < n; i++) {
        s += a[i];
    }
    return s;
}
#elif defined(FIND)
__attribute__((export_name("find"))) int find(const int *a, int n, int x)
{
    for (int i = 0; i < n; i++) {
        if (a[i] == x) {
            return i;
        }
    }
    return -1;
}
#else
__attribute__((export_name("add"))) void add(int *a, int n)
{
    for (int i = 0; i < n; i++) {
        a[i] += 7;
    }
}
#endif
