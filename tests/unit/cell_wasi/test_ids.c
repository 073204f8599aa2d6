#include "check.h"
#include "ids.h"

/* The table of device and inode numbers alone. */

static struct ids ids;

static void end(void)
{
    ids_done(&ids);
    CHECK(ids_are_native(&ids));
}

static struct ids_key key(uint64_t dev, uint64_t ino)
{
    return (struct ids_key){dev, ino};
}

static void add(uint64_t host_ino, uint64_t guest_ino)
{
    CHECK(ids_add_file(&ids, key(1, host_ino), key(1, guest_ino)));
}

/* On device 1. */
static uint64_t shown(uint64_t host_ino)
{
    struct ids_key k = ids_shown(&ids, key(1, host_ino));
    CHECK_EQ(k.dev, 1);
    return k.ino;
}

static void without_a_table_numbers_are_the_hosts(void)
{
    CHECK(ids_are_native(&ids));
    CHECK_EQ(shown(7), 7);
    CHECK(ids_seal(&ids));
    CHECK_EQ(shown(7), 7);
    end();
}

static void a_known_file_has_its_number_and_what_has_that_number_gets_the_other(void)
{
    add(20, 10);
    CHECK(ids_seal(&ids));
    CHECK(!ids_are_native(&ids));
    CHECK_EQ(shown(20), 10);
    CHECK_EQ(shown(10), 20);
    CHECK_EQ(shown(11), 11);
    end();
}

static void chains_and_circles_of_numbers_stay_one_to_one(void)
{
    uint32_t seen[64] = {0};
    add(1, 2);
    add(2, 3);
    add(3, 4);
    add(10, 11);
    add(11, 10);
    add(30, 20);
    add(20, 31);
    CHECK(ids_seal(&ids));
    for (uint32_t i = 0; i < 64; i++) {
        uint64_t ino = shown(i);
        CHECK(ino < 64 && seen[ino]++ == 0);
    }
    CHECK_EQ(shown(4), 1);
    CHECK_EQ(shown(11), 10);
    CHECK_EQ(shown(31), 30);
    end();
}

static void of_contradictions_the_first_is_right(void)
{
    add(20, 10);
    add(20, 11);
    add(21, 10);
    add(22, 12);
    CHECK(ids_seal(&ids));
    CHECK_EQ(ids.file_count, 2);
    CHECK_EQ(shown(20), 10);
    CHECK_EQ(shown(21), 21);
    CHECK_EQ(shown(11), 11);
    CHECK_EQ(shown(22), 12);
    end();
}

static void what_is_weak_gives_way(void)
{
    CHECK(ids_add_weak(&ids, key(1, 20), key(1, 11)));
    CHECK(ids_add_weak(&ids, key(1, 21), key(1, 10)));
    CHECK(ids_add_weak(&ids, key(1, 22), key(1, 12)));
    add(20, 10);
    CHECK(ids_seal(&ids));
    CHECK_EQ(shown(20), 10);
    CHECK_EQ(shown(21), 21);
    CHECK_EQ(shown(22), 12);
    end();
}

static void what_says_nothing_is_left_out_but_keeps_its_number(void)
{
    add(10, 10);
    add(20, 10);
    CHECK(ids_seal(&ids));
    CHECK_EQ(ids.file_count, 0);
    CHECK_EQ(shown(10), 10);
    CHECK_EQ(shown(20), 20);
    end();
}

static void a_device_that_stands_for_another_has_tagged_numbers(void)
{
    ids.serial = 2;
    CHECK(ids_add_device(&ids, 5, 1, 2));
    CHECK(ids_add_device(&ids, 6, 1, 0));
    CHECK(ids_add_device(&ids, 5, 9, 9));
    CHECK(ids_seal(&ids));
    struct ids_key a = ids_shown(&ids, key(5, 77)), b = ids_shown(&ids, key(6, 77)),
                   c = ids_shown(&ids, key(1, 77));
    CHECK_EQ(a.dev, 1);
    CHECK_EQ(a.ino, 77 | UINT64_C(2) << 48);
    CHECK_EQ(b.dev, 1);
    CHECK_EQ(b.ino, 77);
    /* No entry: not the device 1 that the guest knows. */
    CHECK_EQ(c.dev, 1 | UINT64_C(2) << 32);
    CHECK_EQ(c.ino, 77);
    end();
}

static void many_files_are_found(void)
{
    enum { MANY = 5000 };
    for (uint64_t i = 0; i < MANY; i++) {
        add(i * 7919 % MANY + MANY, i);
    }
    CHECK(ids_seal(&ids));
    CHECK_EQ(ids.file_count, MANY);
    for (uint64_t i = 0; i < MANY; i++) {
        CHECK_EQ(shown(i * 7919 % MANY + MANY), i);
    }
    end();
}

int main(void)
{
    RUN(without_a_table_numbers_are_the_hosts);
    RUN(a_known_file_has_its_number_and_what_has_that_number_gets_the_other);
    RUN(chains_and_circles_of_numbers_stay_one_to_one);
    RUN(of_contradictions_the_first_is_right);
    RUN(what_is_weak_gives_way);
    RUN(what_says_nothing_is_left_out_but_keeps_its_number);
    RUN(a_device_that_stands_for_another_has_tagged_numbers);
    RUN(many_files_are_found);
    return CHECK_DONE();
}
