// longjmp back to a function whose objects live on: their destructors run once, at the end of their scope, and when an
// exception passes; the ends of functions that throw nothing are no ends of a jump.
#include <csetjmp>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

static jmp_buf top, middle;
static int jumped;

struct Noisy {
    std::string name;
    explicit Noisy(std::string n) : name(std::move(n)) { printf("  + %s\n", name.c_str()); }
    Noisy(const Noisy &) = delete;
    ~Noisy() { printf("  - %s\n", name.c_str()); }
};

extern "C" {
__attribute__((noinline)) void fail(int value)
{
    jumped++;
    longjmp(top, value);
}
__attribute__((noinline)) void deep(int n, int value)
{
    if (n == 0)
        fail(value);
    if (n > 0)
        deep(n - 1, value);
    jumped--; // so that it is no tail call
}
}

static std::string text(int n)
{
    return std::string(30 + n, static_cast<char>('a' + n % 26));
}

static void lives_on()
{
    for (int i = 0; i < 3; i++) {
        std::string s = text(i);
        std::vector<int> rows(100 + i, 7);
        auto p = std::make_unique<Noisy>("owned " + std::to_string(i));
        if (setjmp(top) == 0)
            deep(5, i);
        printf("lives_on %s %zu %d %s\n", s.c_str(), rows.size(), rows[50], p->name.c_str());
    }
}

static void scopes()
{
    Noisy a("outer");
    volatile int round = 0;
    {
        Noisy b("inner");
        Noisy c[2] = {Noisy("first"), Noisy("second")};
        int got = setjmp(top);
        printf("scopes %d %d %s\n", got, round, c[1].name.c_str());
        round = round + 1;
        if (round < 4)
            deep(2, 10 + round);
        printf("scopes end\n");
    }
    printf("scopes out\n");
}

__attribute__((noinline)) static void thrower(int how)
{
    Noisy n("in thrower");
    if (how == 1)
        throw std::runtime_error("thrown");
    if (how == 2)
        throw 7;
}

// An exception runs all destructors on its way, through functions that call setjmp as well.
static void exceptions_pass(int how)
{
    Noisy a("passed");
    std::vector<std::string> many(3, text(how));
    if (setjmp(top) == 0) {
        Noisy b("at first");
        thrower(how);
        printf("exceptions_pass: nothing thrown\n");
    }
    fail(3); // of the buffer above
}

static void throw_and_jump()
{
    for (int how = 0; how < 3; how++) {
        volatile int tries = 0;
        try {
            Noisy outside("outside");
            if (setjmp(middle) == 0) {
                try {
                    Noisy inside("inside");
                    thrower(how);
                    tries = tries + 1;
                } catch (int n) {
                    printf("throw_and_jump int %d\n", n);
                    throw std::logic_error("again");
                }
                longjmp(middle, 1);
            }
            printf("throw_and_jump %d: %d\n", how, tries);
        } catch (const std::exception &e) {
            printf("throw_and_jump %d: %s\n", how, e.what());
        }
    }
    for (int how = 1; how < 3; how++) {
        try {
            exceptions_pass(how);
        } catch (const std::runtime_error &e) {
            printf("passed %s\n", e.what());
        } catch (int n) {
            printf("passed %d\n", n);
        }
    }
}

__attribute__((noinline)) static void quiet(int value) noexcept
{
    deep(1, value);
}
struct Ends {
    int value;
    ~Ends() // throws nothing
    {
        if (value)
            quiet(value);
    }
};
__attribute__((noinline)) static void ends(int value)
{
    (new Ends{value})->~Ends();
}

static void through_quiet_functions()
{
    volatile int n = 0;
    int got = setjmp(top);
    printf("through_quiet_functions %d\n", got);
    n = n + 1;
    if (n == 1)
        quiet(21);
    if (n == 2)
        ends(22);
}

// A function that jumps pass on their way calls setjmp itself, and goes on with its own jumps.
__attribute__((noinline)) static void between(int far)
{
    std::vector<int> mine(50, 3);
    volatile int rounds = 0;
    if (setjmp(middle) < 3) {
        rounds = rounds + 1;
        printf("between %d %zu\n", rounds, mine.size());
        longjmp(middle, rounds);
    }
    if (far) {
        mine = {}; // nothing is lost by a jump from here
        fail(31);
    }
    printf("between ends with %d\n", mine[49]);
}

static void nested()
{
    Noisy a("nested");
    volatile int round = 0;
    int got = setjmp(top);
    printf("nested %d\n", got);
    round = round + 1;
    if (round < 3)
        between(round - 1);
    if (round == 1)
        fail(32);
}

static void in_try()
{
    volatile int n = 0;
    try {
        std::string s = text(4);
        if (setjmp(top) == 0)
            deep(3, 41);
        printf("in_try %s\n", s.c_str());
        n = n + 1;
        throw std::runtime_error(s);
    } catch (std::runtime_error &e) {
        printf("in_try %d %s\n", n, e.what());
    }
    auto add = [&n](int by) noexcept {
        if (by > 2)
            deep(1, by);
        n = n + by;
    };
    int got = setjmp(top);
    for (int i = 0; i < 4 && got == 0; i++)
        add(i);
    printf("in_try %d %d\n", got, n);
}

int main()
{
    lives_on();
    scopes();
    throw_and_jump();
    through_quiet_functions();
    nested();
    in_try();
    printf("%d jumps\n", jumped);
}
