#include "check.h"
#include "ids.h"
#include "saved.h"

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

/* ---- folders that move ---- */

static struct saved_root root(uint64_t dev, uint64_t ino)
{
    return (struct saved_root){key(dev, ino), 12345};
}

/* From a guest that `then` was, with these folders, to one with `ids`. */
static void move_to(struct ids *then, const struct saved_move *moves, uint32_t count)
{
    CHECK(saved_begin_ids(&ids, then, moves, count));
    CHECK(saved_end_ids(&ids, then, moves, count));
}

static void check_shown(uint64_t dev, uint64_t ino, uint64_t guest_dev, uint64_t guest_ino)
{
    struct ids_key k = ids_shown(&ids, key(dev, ino));
    CHECK_EQ(k.dev, guest_dev);
    CHECK_EQ(k.ino, guest_ino);
}

static void a_folder_on_another_device_is_shown_on_the_old_one(void)
{
    struct ids then = {0};
    struct saved_move moves[] = {{root(1, 10), root(5, 2), false}};
    move_to(&then, moves, 1);
    check_shown(5, 2, 1, 10);
    check_shown(5, 10, 1, 10 | UINT64_C(1) << 48);
    CHECK(!saved_all_stayed(moves, 1));
    end();
}

static void folders_of_one_device_on_two_never_share_a_number(void)
{
    struct ids then = {0};
    struct saved_move moves[] = {{root(1, 10), root(5, 2), false},
                                 {root(1, 11), root(6, 2), false}};
    move_to(&then, moves, 2);
    CHECK_EQ(ids.serial, 2);
    check_shown(5, 2, 1, 10);
    check_shown(6, 2, 1, 11);
    check_shown(5, 7, 1, 7 | UINT64_C(1) << 48);
    check_shown(6, 7, 1, 7 | UINT64_C(2) << 48);
    end();
}

static void folders_of_two_devices_on_one_keep_their_own_numbers(void)
{
    struct ids then = {0};
    struct saved_move moves[] = {{root(1, 10), root(5, 2), false},
                                 {root(2, 10), root(5, 3), false}};
    move_to(&then, moves, 2);
    check_shown(5, 2, 1, 10);
    check_shown(5, 3, 2, 10);
    check_shown(5, 7, 1, 7 | UINT64_C(1) << 48);
    end();
}

static void a_device_with_a_folder_that_stayed_is_the_same(void)
{
    struct ids then = {0};
    struct saved_move moves[] = {{root(1, 10), root(1, 20), false},
                                 {root(1, 11), root(1, 11), false},
                                 {root(2, 5), root(1, 30), false},
                                 {root(3, 5), root(4, 5), false},
                                 {root(6, 0), root(7, 5), false}};
    move_to(&then, moves, 5);
    CHECK_EQ(ids.serial, 1);
    check_shown(1, 20, 1, 10);
    check_shown(1, 10, 1, 20);
    check_shown(1, 11, 1, 11);
    check_shown(1, 12, 1, 12);
    check_shown(1, 30, 2, 5);
    check_shown(4, 5, 3, 5);
    check_shown(4, 6, 3, 6 | UINT64_C(1) << 48);
    /* A folder of which nothing was known. */
    check_shown(7, 5, 7 | UINT64_C(1) << 32, 5);
    end();
}

static void a_folder_made_anew_is_another_one(void)
{
    struct ids then = {0};
    struct saved_move moves[] = {{root(1, 10), root(1, 10), false}};
    CHECK(saved_all_stayed(moves, 1));
    moves[0].now.birth_ns++;
    CHECK(!saved_all_stayed(moves, 1));
    move_to(&then, moves, 1);
    check_shown(1, 10, 1, 10);
    check_shown(1, 11, 1, 11 | UINT64_C(1) << 48);
    end();
}

static void what_was_known_stays_known_where_the_folders_stay(void)
{
    struct ids then = {.serial = 3};
    struct saved_move moves[] = {{root(5, 2), root(5, 2), false}, {root(8, 2), root(9, 2), false}};
    CHECK(ids_add_device(&then, 5, 1, 3));
    CHECK(ids_add_file(&then, key(5, 2), key(1, 10)));
    CHECK(ids_add_file(&then, key(5, 40), key(1, 41)));
    CHECK(ids_add_file(&then, key(8, 40), key(1, 43)));
    CHECK(ids_seal(&then));
    move_to(&then, moves, 1);
    CHECK_EQ(ids.serial, 3);
    check_shown(5, 2, 1, 10);
    check_shown(5, 40, 1, 41);
    check_shown(5, 50, 1, 50 | UINT64_C(3) << 48);
    check_shown(8, 40, 8 | UINT64_C(3) << 32, 40);
    end();
    /* Also when another folder moves. */
    move_to(&then, moves, 2);
    CHECK_EQ(ids.serial, 4);
    check_shown(5, 40, 1, 41);
    check_shown(5, 50, 1, 50 | UINT64_C(3) << 48);
    check_shown(9, 2, 8 | UINT64_C(3) << 32, 2);
    check_shown(9, 3, 8 | UINT64_C(3) << 32, 3 | UINT64_C(4) << 48);
    ids_done(&then);
    end();
}

static void the_serial_number_ends_at_its_limit(void)
{
    struct ids then = {.serial = IDS_SERIAL_MAX};
    struct saved_move moves[] = {{root(1, 10), root(5, 2), false}};
    move_to(&then, moves, 1);
    CHECK_EQ(ids.serial, IDS_SERIAL_MAX);
    check_shown(5, 2, 1 | (uint64_t)IDS_SERIAL_MAX << 32, 10);
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
    RUN(a_folder_on_another_device_is_shown_on_the_old_one);
    RUN(folders_of_one_device_on_two_never_share_a_number);
    RUN(folders_of_two_devices_on_one_keep_their_own_numbers);
    RUN(a_device_with_a_folder_that_stayed_is_the_same);
    RUN(a_folder_made_anew_is_another_one);
    RUN(what_was_known_stays_known_where_the_folders_stay);
    RUN(the_serial_number_ends_at_its_limit);
    return CHECK_DONE();
}
