// throws WHAT: exceptions where a program should have none.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>

static int compare(const void *, const void *)
{
    throw std::runtime_error("in a callback");
}

struct bomb {
    ~bomb() noexcept(false)
    {
        throw 2;
    }
};

static int sort()
{
    int values[] = {3, 1, 2};
    std::qsort(values, 3, sizeof values[0], compare);
    return 0;
}

static int deep(int n)
{
    std::string kept(n % 50, 'x');
    return n == 0 ? throw std::out_of_range("deep") : deep(n - 1) + static_cast<int>(kept.size());
}

int main(int, char **argv)
{
    const std::string what = argv[1];
    if (what == "main")
        throw std::runtime_error("leaves main");
    if (what == "number")
        throw 42;
    if (what == "callback")
        return sort();
    if (what == "caught") {
        try {
            return sort();
        } catch (const std::exception &e) {
            std::puts(e.what());
            return 0;
        }
    }
    if (what == "deep") {
        try {
            return deep(20000);
        } catch (const std::exception &e) {
            std::puts(e.what());
            return 0;
        }
    }
    if (what == "twice") {
        bomb b;
        throw 1;
    }
    if (what == "noexcept") {
        []() noexcept { sort(); }();
    }
    if (what == "exit") {
        std::atexit([] { throw 1; });
    }
    if (what == "empty") {
        std::function<void()> nothing;
        nothing();
    }
    return 0;
}
