// libc++abi's, and with it what every program that throws has around main: WebAssembly finds handlers only while it
// unwinds, so an exception without one would leave the cell as an unnamed trap instead of ending in std::terminate().
#include "cxa_exception.cpp"

#include <exception>

extern "C" int __cloudskin_run_main(int (*run)(void))
{
    try {
        return run();
    } catch (...) {
        std::terminate();
    }
}
