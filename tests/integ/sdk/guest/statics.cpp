// Destructors at exit: of objects, arrays, temporaries that references keep, objects of a thread; handlers of C.
#include <cstdio>
#include <cstdlib>
#include <string>

struct Traced {
    int n;
    explicit Traced(int x) : n(x) {}
    ~Traced() { std::printf("~%d\n", n); }
};

const Traced &global_reference = Traced(1);
static Traced global(2);
static Traced global_array[2] = {Traced(3), Traced(4)};
static std::string text(100, 'x');

template <int N> static void many()
{
    static const Traced &kept = Traced(1000 + N);
    if (kept.n > 1000)
        many<(N > 0 ? N - 1 : 0)>();
}

static void handler()
{
    std::puts("handler");
    std::atexit([] { std::puts("registered by a handler"); });
}

int main()
{
    static const Traced &local_reference = Traced(5);
    static Traced local(6);

    std::atexit(handler);
    many<40>();
    std::printf("%d %d %d %d %d %zu\n", global_reference.n, local_reference.n, local.n, global.n, global_array[1].n,
                text.size());
    return 0;
}
