#ifndef CLOUDSKIN_SETJMP_H
#define CLOUDSKIN_SETJMP_H

#include <features.h>

#if !defined(__wasm_exception_handling__)
#error "setjmp needs exceptions: compile with cloudskin-cc, or with -mllvm -wasm-enable-sjlj"
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct __jmp_buf_tag {
    unsigned long __jb[8];
    unsigned long __fl;
    unsigned long __ss[128 / sizeof(long)];
} jmp_buf[1];

int setjmp(jmp_buf) __attribute__((__returns_twice__));
_Noreturn void longjmp(jmp_buf, int);
#define setjmp setjmp

/* The compiler knows the two names above only. Nothing blocks signals behind a program's back, so there is no mask
 * to save. */
typedef jmp_buf sigjmp_buf;
#define _setjmp(buf) setjmp(buf)
#define _longjmp(buf, value) longjmp(buf, value)
#define sigsetjmp(buf, save) ((void)(save), setjmp(buf))
#define siglongjmp(buf, value) longjmp(buf, value)

#ifdef __cplusplus
}
#endif

#endif
