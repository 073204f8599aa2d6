#include "control.h"

#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "controlpath/control.h"

/* The control socket of a cell that is none: the test says when it stops, and what saving it does. */

enum { CLIENTS = 17, WAIT_MS = 10000, LONGER_THAN_A_LOOK_MS = 200 };

static char folder[] = "/tmp/unit_cloudskin_control.XXXXXX";
static struct control *control;
static int cell; /* its address stands for one */
static _Atomic uint64_t refused;
static int stops[2]; /* a byte for each cell_stop */

void cell_stop(struct cell *c, enum stop_reason why)
{
    CHECK(c == (struct cell *)(void *)&cell && why == STOP_CAPTURE);
    CHECK_EQ(write(stops[1], "s", 1), 1);
}

void cell_stats(const struct cell *c, struct cell_stats *ret_stats)
{
    (void)c;
    *ret_stats = (struct cell_stats){.captures_refused = atomic_load(&refused)};
}

static bool readable(int fd, int ms)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    return poll(&one, 1, ms) == 1;
}

/* ---- a client by hand ---- */

static int connect_client(void)
{
    struct error err = {0};
    int fd = -1;
    CHECK_EQ(control_connect("test", &fd, &err), ST_OK);
    return fd;
}

static int ask(const char *line, int pass)
{
    struct error err = {0};
    int fd = connect_client();
    CHECK_EQ(control_send(fd, line, pass, &err), ST_OK);
    return fd;
}

static void check_answer(int fd, const char *want)
{
    char line[CONTROL_LINE_MAX] = "";
    struct error err = {0};
    CHECK(readable(fd, WAIT_MS));
    CHECK_EQ(control_receive(fd, line, NULL, &err), ST_OK);
    CHECK_STR(line, want);
}

static void check_answer_and_close(int fd, const char *want)
{
    check_answer(fd, want);
    close(fd);
}

/* ---- the cell's side ---- */

static void wait_for_stop(void)
{
    char byte;
    CHECK(readable(stops[0], WAIT_MS));
    CHECK_EQ(read(stops[0], &byte, 1), 1);
}

struct saving {
    int client;     /* -1: nothing is looked at */
    status_t code;  /* what becomes of it */
    unsigned calls; /* how often it was done */
    unsigned leaves, ends, stays;
    status_t leaving; /* whether it may be named */
    bool taken;       /* its name is */
    char path[256];   /* that it is about to have */
    const char *text;
};

/* A capture was refused before the one that is saved here, which the client must not be told instead. */
static status_t save(void *arg, const struct control_request *q, struct error *err)
{
    struct saving *s = arg;
    s->calls++;
    if (s->client >= 0) {
        atomic_fetch_add(&refused, 1);
        CHECK(!readable(s->client, LONGER_THAN_A_LOOK_MS));
    }
    CHECK_EQ(write(q->fd, "state", 5), 5);
    return error_set(err, s->code, ERROR_NO_OFFSET, "%s",
                     s->text != NULL    ? s->text
                     : s->code == ST_OK ? "1 5 here"
                                        : "it cannot");
}

/* Told before it has its name, with the number that it has then. */
static status_t leave(void *arg, const char *path, uint64_t inode, struct error *err)
{
    struct saving *s = arg;
    struct stat st;
    char part[300];
    s->leaves++;
    CHECK_EQ(access(path, F_OK) == 0, s->taken);
    snprintf(s->path, sizeof s->path, "%s", path);
    snprintf(part, sizeof part, "%s/part", folder);
    CHECK_EQ(stat(part, &st), 0);
    CHECK_EQ(st.st_ino, inode);
    return error_set(err, s->leaving, ERROR_NO_OFFSET, "%s", s->leaving == ST_OK ? "" : "no room");
}

static void leave_end(void *arg)
{
    ((struct saving *)arg)->ends++;
}

static void leave_not(void *arg)
{
    ((struct saving *)arg)->stays++;
}

static status_t captured(struct saving *s)
{
    const struct control_saver saver = {save, leave, leave_end, leave_not, s};
    return control_captured(control, &saver);
}

static status_t serve(struct saving *s)
{
    wait_for_stop();
    return captured(s);
}

static int target(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

static int folder_fd(void)
{
    return open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool exists(const char *name)
{
    int fd = folder_fd();
    bool is = faccessat(fd, name, F_OK, 0) == 0;
    close(fd);
    return is;
}

static void begin(bool movable)
{
    struct error err = {0};
    atomic_store(&refused, 0);
    CHECK_EQ(control_start("test", "program", &control, &err), ST_OK);
    control_attach(control, (struct cell *)(void *)&cell, "a program", movable);
}

/* ---- facts ---- */

static void a_request_that_is_being_saved_is_not_dropped(void)
{
    begin(true);
    int out = target("part");
    int client = ask("keep\n", out);
    struct saving s = {.client = client};
    struct error err = {0};
    wait_for_stop();
    /* The cell waits for the client's word, which comes first here. */
    CHECK_EQ(control_send(client, "commit\n", -1, &err), ST_OK);
    CHECK_EQ(captured(&s), ST_OK);
    CHECK_EQ(s.calls, 1);
    check_answer(client, "ok 1 5 here");
    check_answer_and_close(client, "done ");
    close(out);
    control_end(control);
}

static void one_that_waits_is_dropped_when_the_capture_was_refused(void)
{
    struct saving s = {.client = -1};
    begin(true);
    int out = target("part");
    int client = ask("freeze\n", out);
    wait_for_stop();
    atomic_fetch_add(&refused, 1);
    check_answer_and_close(client, "error no memory to save the call stack");
    CHECK_EQ(captured(&s), ST_OK);
    CHECK_EQ(s.calls, 0);
    close(out);
    control_end(control);
}

static void a_freeze_names_its_file_and_ends_the_cell(void)
{
    struct saving s = {.client = -1};
    struct error err = {0};
    begin(true);
    int out = target("part"), dir = folder_fd();
    int client = ask("freeze\n", out);
    CHECK_EQ(control_send(client, "place part/whole\n", dir, &err), ST_OK);
    CHECK_EQ(serve(&s), ST_CAPTURED);
    check_answer(client, "ok 1 5 here");
    check_answer_and_close(client, "done ");
    CHECK(exists("whole") && !exists("part"));
    CHECK(s.leaves == 1 && s.ends == 1 && s.stays == 0);
    CHECK_STR(strrchr(s.path, '/'), "/whole");
    unlink(s.path);
    close(out);
    close(dir);
    control_end(control);
}

/* Where a program is has a name that the guest chose. */
static void what_is_saved_cannot_answer_for_the_cell(void)
{
    struct saving s = {.client = -1, .text = "1 5 here\nerror \x1b[31mnot done"};
    struct error err = {0};
    begin(true);
    int out = target("part"), dir = folder_fd();
    int client = ask("freeze\n", out);
    CHECK_EQ(control_send(client, "place part/whole\n", dir, &err), ST_OK);
    CHECK_EQ(serve(&s), ST_CAPTURED);
    check_answer(client, "ok 1 5 here?error ?[31mnot done");
    check_answer_and_close(client, "done ");
    CHECK_EQ(unlinkat(dir, "whole", 0), 0);
    close(out);
    close(dir);
    control_end(control);
}

static void check_goes_on(const char *decision, const char *want)
{
    struct saving s = {.client = -1};
    struct error err = {0};
    int out = target("part"), dir = folder_fd();
    int client = ask("freeze\n", out);
    CHECK_EQ(control_send(client, decision, dir, &err), ST_OK);
    CHECK_EQ(serve(&s), ST_OK);
    check_answer(client, "ok 1 5 here");
    check_answer_and_close(client, want);
    close(out);
    close(dir);
}

static void what_is_no_decision_lets_the_cell_go_on(void)
{
    begin(true);
    check_goes_on("place part\n", "error no name for the snapshot");
    check_goes_on("place part/\n", "error no name for the snapshot");
    check_goes_on("place part/a/b\n", "error no name for the snapshot");
    check_goes_on("place /x\n", "error x: No such file or directory");
    check_goes_on("place other/x\n", "error x: No such file or directory");
    check_goes_on("object b part\n", "error no name for the snapshot");
    check_goes_on("object b part - \n", "error no name for the snapshot");
    check_goes_on("commit it\n", "error unknown request");
    check_goes_on("\n", "error unknown request");
    control_end(control);
}

static void one_whose_leaving_cannot_be_noted_goes_on(void)
{
    struct saving s = {.client = -1, .leaving = ST_LIMIT};
    struct error err = {0};
    begin(true);
    int out = target("part"), dir = folder_fd();
    int client = ask("freeze\n", out);
    CHECK_EQ(control_send(client, "place part/whole\n", dir, &err), ST_OK);
    CHECK_EQ(serve(&s), ST_OK);
    check_answer(client, "ok 1 5 here");
    check_answer_and_close(client, "error no room");
    CHECK(exists("part") && !exists("whole") && s.ends == 0);
    close(out);
    /* and one that cannot have its name after all: a folder is there */
    s = (struct saving){.client = -1};
    CHECK_EQ(mkdirat(dir, "busy", 0700), 0);
    out = target("part");
    client = ask("freeze\n", out);
    CHECK_EQ(control_send(client, "place part/busy\n", dir, &err), ST_OK);
    s.taken = true;
    CHECK_EQ(serve(&s), ST_OK);
    check_answer(client, "ok 1 5 here");
    check_answer_and_close(client, "error busy: Is a directory");
    CHECK(s.leaves == 1 && s.stays == 1 && s.ends == 0);
    CHECK_EQ(unlinkat(dir, "busy", AT_REMOVEDIR), 0);
    close(out);
    close(dir);
    control_end(control);
}

static void a_stream_is_left_for_when_it_is_complete(void)
{
    struct saving s = {.client = -1};
    struct error err = {0};
    begin(true);
    int out = target("part");
    int client = ask("freeze\n", out);
    CHECK_EQ(control_send(client, "commit\n", -1, &err), ST_OK);
    CHECK_EQ(serve(&s), ST_CAPTURED);
    check_answer(client, "ok 1 5 here");
    check_answer_and_close(client, "done ");
    CHECK(s.leaves == 0 && s.ends == 1);
    close(out);
    control_end(control);
}

static void a_client_that_leaves_has_frozen_nothing(void)
{
    struct saving s = {.client = -1};
    begin(true);
    int out = target("part");
    int client = ask("freeze\n", out);
    wait_for_stop();
    close(client);
    CHECK_EQ(captured(&s), ST_OK);
    CHECK_EQ(s.calls, 1);
    close(out);
    control_end(control);
}

static void what_cannot_be_saved_is_said_and_nothing_is_left_to_decide(void)
{
    struct saving cannot = {.client = -1, .code = ST_UNSUPPORTED},
                  fails = {.client = -1, .code = ST_IO};
    begin(true);
    int out = target("part"), dir = folder_fd();
    int client = ask("freeze\n", out);
    CHECK_EQ(serve(&cannot), ST_OK);
    check_answer_and_close(client, "refused it cannot");
    client = ask("keep embed\n", out);
    CHECK_EQ(serve(&fails), ST_OK);
    check_answer_and_close(client, "error it cannot");
    client = ask("checkpoint 1 0\n", out);
    CHECK_EQ(serve(&fails), ST_OK);
    check_answer_and_close(client, "error it cannot");
    close(out);
    close(dir);
    control_end(control);
}

static void a_checkpoint_needs_no_decision(void)
{
    struct saving s = {.client = -1};
    begin(true);
    int out = target("part");
    int client = ask("checkpoint 2 1\n", out);
    CHECK_EQ(serve(&s), ST_OK);
    check_answer_and_close(client, "ok 1 5 here");
    close(out);
    control_end(control);
}

static void malformed_requests_are_refused(void)
{
    static const char *const lines[] = {"checkpoint 0 0\n",       "checkpoint 3 3\n",
                                        "checkpoint 3 4\n",       "checkpoint 1 0 x\n",
                                        "checkpoint 1000000 1\n", "checkpoint x\n"};
    static const char *const unknown[] = {"freeze it\n", "keepembed\n", "checkpoint\n", "\n",
                                          "information\n"};
    begin(true);
    int out = target("part");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        check_answer_and_close(ask(lines[i], out), "error no number for a checkpoint");
    }
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        check_answer_and_close(ask(unknown[i], out), "error unknown request");
    }
    check_answer_and_close(ask("freeze\n", -1), "error unknown request");
    check_answer_and_close(ask("checkpoint 1 0\n", -1), "error unknown request");
    close(out);
    control_end(control);
}

static void an_image_that_cannot_move_is_said_to(void)
{
    char line[CONTROL_LINE_MAX] = "";
    struct error err = {0};
    begin(false);
    int out = target("part");
    int client = ask("freeze\n", out);
    CHECK_EQ(control_receive(client, line, NULL, &err), ST_OK);
    CHECK(strncmp(line, "refused it cannot be frozen", 27) == 0);
    close(client);
    close(out);
    control_end(control);
}

static void whoever_waits_is_told_that_the_cell_has_ended(void)
{
    begin(true);
    int out = target("part");
    int one = ask("freeze\n", out), two = ask("checkpoint 1 0\n", out);
    wait_for_stop();
    int last = ask("info\n",
                   -1); /* clients are accepted in their order: once this one is served, all are */
    CHECK(readable(last, WAIT_MS));
    close(last);
    control_end(control);
    check_answer_and_close(one, "ended ");
    check_answer_and_close(two, "ended ");
    close(out);
}

static void too_many_clients_are_told_so(void)
{
    int clients[CLIENTS];
    begin(true);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = connect_client();
    }
    check_answer(clients[CLIENTS - 1], "error too many requests at the same time");
    for (int i = 0; i < CLIENTS; i++) {
        close(clients[i]);
    }
    control_end(control);
}

int main(void)
{
    if (mkdtemp(folder) == NULL || setenv("XDG_RUNTIME_DIR", folder, 1) != 0 ||
        pipe2(stops, O_CLOEXEC) != 0) {
        perror(folder);
        return 1;
    }
    RUN(a_request_that_is_being_saved_is_not_dropped);
    RUN(one_that_waits_is_dropped_when_the_capture_was_refused);
    RUN(a_freeze_names_its_file_and_ends_the_cell);
    RUN(one_whose_leaving_cannot_be_noted_goes_on);
    RUN(a_stream_is_left_for_when_it_is_complete);
    RUN(what_is_saved_cannot_answer_for_the_cell);
    RUN(what_is_no_decision_lets_the_cell_go_on);
    RUN(a_client_that_leaves_has_frozen_nothing);
    RUN(what_cannot_be_saved_is_said_and_nothing_is_left_to_decide);
    RUN(a_checkpoint_needs_no_decision);
    RUN(malformed_requests_are_refused);
    RUN(an_image_that_cannot_move_is_said_to);
    RUN(whoever_waits_is_told_that_the_cell_has_ended);
    RUN(too_many_clients_are_told_so);
    char path[256];
    static const char *const names[] = {"cloudskin/.lock", "cloudskin", "part", ""};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        CHECK_EQ(remove(path), 0);
    }
    return CHECK_DONE();
}
