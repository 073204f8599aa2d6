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

/* The two keep the mask of blocked signals in buf, if save is not 0, and bring it back (libc/signal.c): a handler that is
 * left by siglongjmp would leave its signal blocked. Both return buf. */
struct __jmp_buf_tag *__sigjmp_save(jmp_buf, int save);
struct __jmp_buf_tag *__sigjmp_restore(jmp_buf);

/* The compiler knows the names setjmp and longjmp only. */
typedef jmp_buf sigjmp_buf;
#define _setjmp(buf) setjmp(buf)
#define _longjmp(buf, value) longjmp(buf, value)
#define sigsetjmp(buf, save) setjmp(__sigjmp_save(buf, save))
#define siglongjmp(buf, value) longjmp(__sigjmp_restore(buf), value)

#ifdef __cplusplus
}
#endif

#endif
