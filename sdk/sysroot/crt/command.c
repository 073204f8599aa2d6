/* The start of a program. What a program does not use is not linked: thread state and C++ exceptions are reached
 * through weak references. */
#include <wasi/api.h>

void __wasm_call_ctors(void);
void __wasm_call_dtors(void);
int __main_void(void);
__attribute__((weak)) void __wasi_init_tp(void);
__attribute__((weak)) int __cloudskin_run_main(int (*run)(void));

__attribute__((export_name("_start"))) void _start(void)
{
    static volatile int started;
    int result;

    if (started)
        __builtin_trap();
    started = 1;
    if (__wasi_init_tp)
        __wasi_init_tp();
    __wasm_call_ctors();
    result = __cloudskin_run_main ? __cloudskin_run_main(__main_void) : __main_void();
    __wasm_call_dtors();
    if (result != 0)
        __wasi_proc_exit((__wasi_exitcode_t)result);
}
