#ifdef __cplusplus
extern "C" {
#endif
int each(const int *v, int n, int (*visit)(void *, int), void *context);
#ifdef __cplusplus
}
#endif
