// Exceptions: nested, rethrown, through destructors, C frames, function tables, threads of control.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <iostream>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <typeinfo>
#include <variant>
#include <vector>

static int live;

struct Traced {
    const char *name;
    explicit Traced(const char *n) : name(n) { live++; }
    Traced(const Traced &other) : name(other.name) { live++; }
    ~Traced()
    {
        live--;
        std::cout << "~" << name << " ";
    }
};

struct Base {
    virtual ~Base() = default;
    virtual const char *what() const { return "base"; }
};

struct Left : virtual Base {};
struct Right : virtual Base {};
struct Both : Left, Right {
    const char *what() const override { return "both"; }
};

static int dive(int n)
{
    Traced t("frame");
    if (n == 0)
        throw std::runtime_error("bottom");
    return dive(n - 1) + 1;
}

template <class F> static void expect(const char *name, F f)
{
    std::cout << name << ": ";
    try {
        f();
        std::cout << "no exception";
    } catch (const std::out_of_range &) {
        std::cout << "out_of_range";
    } catch (const std::invalid_argument &) {
        std::cout << "invalid_argument";
    } catch (const std::bad_alloc &) {
        std::cout << "bad_alloc";
    } catch (const std::bad_cast &) {
        std::cout << "bad_cast";
    } catch (const std::runtime_error &e) {
        std::cout << "runtime_error " << e.what();
    } catch (const Base &b) {
        std::cout << "Base " << b.what();
    } catch (const char *s) {
        std::cout << "text " << s;
    } catch (int i) {
        std::cout << "int " << i;
    } catch (...) {
        std::cout << "something";
    }
    std::cout << " live " << live << "\n";
}

extern "C" int compare(const void *a, const void *b)
{
    int x = *static_cast<const int *>(a), y = *static_cast<const int *>(b);
    if (x == 7 || y == 7)
        throw 77;
    return x - y;
}

struct Member {
    Traced a{"a"}, b{"b"};
    Member()
    {
        Traced c("c");
        throw "in constructor";
    }
};

static void function_try(int x)
try {
    if (x)
        throw x;
} catch (int y) {
    throw y * 2;
}

static void nested_what(const std::exception &e)
{
    std::cout << e.what() << " ";
    try {
        std::rethrow_if_nested(e);
    } catch (const std::exception &inner) {
        nested_what(inner);
    }
}

int main()
{
    expect("dive", [] { dive(3); });
    expect("stoi", [] { std::cout << std::stoi("12") << " " << std::stoi("abc"); });
    expect("range", [] { std::stoi("99999999999"); });
    expect("at", [] { std::vector<int>(3).at(3) = 1; });
    expect("string at", [] { std::string("abc").substr(9); });
    expect("new", [] {
        volatile long long big = -1;
        char *volatile p = new char[static_cast<std::size_t>(big)];
        delete[] p;
    });
    expect("cast", [] {
        Base b;
        dynamic_cast<Both &>(b);
    });
    expect("virtual base", [] { throw Both(); });
    expect("variant", [] {
        std::variant<int, std::string> v = 3;
        try {
            std::get<std::string>(v);
        } catch (const std::bad_variant_access &) {
            throw 33;
        }
    });
    expect("optional", [] {
        try {
            std::optional<int>().value();
        } catch (const std::bad_optional_access &) {
            throw 34;
        }
    });
    expect("function", [] {
        try {
            std::function<void()>()();
        } catch (const std::bad_function_call &) {
            throw 35;
        }
    });
    expect("through C", [] {
        int v[] = {5, 7, 1};
        std::qsort(v, 3, sizeof v[0], compare);
    });
    expect("constructor", [] { Member m; });
    expect("array", [] {
        struct Third {
            Traced t{"element"};
            Third()
            {
                static int n;
                if (++n == 3)
                    throw n;
            }
        };
        Third all[4];
    });
    expect("function try", [] { function_try(21); });
    expect("rethrow", [] {
        try {
            try {
                throw std::runtime_error("original");
            } catch (std::exception &) {
                Traced t("handler");
                throw;
            }
        } catch (std::runtime_error &e) {
            throw;
        }
    });
    expect("replaced", [] {
        try {
            throw 1;
        } catch (int) {
            throw "other";
        }
    });
    std::exception_ptr kept;
    try {
        try {
            throw std::logic_error("inner");
        } catch (...) {
            std::throw_with_nested(std::runtime_error("outer"));
        }
    } catch (...) {
        kept = std::current_exception();
    }
    try {
        std::rethrow_exception(kept);
    } catch (const std::exception &e) {
        nested_what(e);
    }
    std::cout << "\n";
    int caught = 0;
    for (int i = 0; i < 10000; i++) {
        try {
            if (i % 3 == 0)
                throw i;
        } catch (int v) {
            caught += v % 7;
        }
    }
    std::cout << caught << " " << std::uncaught_exceptions() << " " << live << "\n";
    return 0;
}
