/* The smallest program with a memory, a stack and data of its own: what the start and idle benches run. */

static int calls;

__attribute__((export_name("first"))) void first(void)
{
    volatile int local = calls; /* touches the stack */
    calls = local + 1;
}
