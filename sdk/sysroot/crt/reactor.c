/* The start of a library (-mexec-model=reactor): exported functions are called afterwards. */
void __wasm_call_ctors(void);
__attribute__((weak)) void __wasi_init_tp(void);

__attribute__((export_name("_initialize"))) void _initialize(void)
{
    static volatile int started;

    if (started)
        __builtin_trap();
    started = 1;
    if (__wasi_init_tp)
        __wasi_init_tp();
    __wasm_call_ctors();
}
