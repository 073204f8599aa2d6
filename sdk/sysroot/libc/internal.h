/* Included before every file of musl: names of the allocator that musl's own headers no longer declare. */
#ifndef CLOUDSKIN_LIBC_INTERNAL_H
#define CLOUDSKIN_LIBC_INTERNAL_H

void *__libc_malloc(__SIZE_TYPE__);
void *__libc_calloc(__SIZE_TYPE__, __SIZE_TYPE__);
void __libc_free(void *);

#endif
