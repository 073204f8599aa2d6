/* Parts of a program that run before the rest of it; each waits for a line. */
#include <stdio.h>
#include <unistd.h>

static int prepared;

static void wait_for_line(const char *text, size_t len)
{
    char c = 0;
    write(1, text, len);
    while (c != '\n' && read(0, &c, 1) == 1) {
    }
}

#ifdef REACTOR
__attribute__((constructor)) static void prepare(void)
#else
__attribute__((export_name("prepare"))) void prepare(void)
#endif
{
    wait_for_line("prepare\n", 8);
    prepared = 1;
}

__attribute__((export_name("answer"))) long long answer(int a)
{
    wait_for_line("answer\n", 7);
    return a * 2LL + prepared;
}

#ifndef REACTOR
int main(void)
{
    puts(prepared ? "main, prepared" : "main");
    return 3;
}
#endif
