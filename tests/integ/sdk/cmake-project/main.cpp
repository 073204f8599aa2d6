#include "config.h"
#include "greet.h"
#include <cmath>
#include <iostream>
#include <stdexcept>

int main()
{
#if defined(HAVE_STRLCPY) && defined(HAVE_UNISTD_H) && defined(HAVE_OPTIONAL) && !defined(HAVE_NO_SUCH_FUNCTION)
    std::cout << "configured " << VERSION << " " << SIZEOF_POINTER << "\n";
#endif
    std::cout << greet("cell") << " " << count_letters("a1b2") << " " << std::sqrt(16.0) << "\n";
    try {
        greet("");
    } catch (const std::invalid_argument &e) {
        std::cout << e.what() << "\n";
    }
}
