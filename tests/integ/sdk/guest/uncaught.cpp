// An exception that nobody catches ends in the terminate handler. Engines: cell (in others exit is an exception).
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>

int main()
{
    std::set_terminate([] {
        try {
            throw;
        } catch (const std::exception &e) {
            std::printf("terminate: %s\n", e.what());
            std::fflush(stdout);
        }
        std::_Exit(9);
    });
    throw std::runtime_error("nobody");
}
