/* What BSD's and glibc's headers use to declare things; programs that come from there include it. */
#ifndef CLOUDSKIN_SYS_CDEFS_H
#define CLOUDSKIN_SYS_CDEFS_H

#include <features.h>

#ifdef __cplusplus
#define __BEGIN_DECLS extern "C" {
#define __END_DECLS }
#else
#define __BEGIN_DECLS
#define __END_DECLS
#endif

#define __P(parameters) parameters
#define __PMT(parameters) parameters
#define __CONCAT(x, y) x##y
#define __STRING(x) #x
#define __ptr_t void *
#ifdef __cplusplus
#define __THROW noexcept(true)
#else
#define __THROW __attribute__((__nothrow__))
#endif
#define __dead2 __attribute__((__noreturn__))
#define __pure2 __attribute__((__const__))
#define __printflike(format, first) __attribute__((__format__(__printf__, format, first)))
#define __RCSID(id)
#define __FBSDID(id)
#define __COPYRIGHT(text)

#endif
