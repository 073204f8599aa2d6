#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/json.h"
#include "cell/module/program_file.h"
#include "exitcode/exit_code.h"
#include "options.h"
#include "progress.h"
#include "sys/files.h"
#include "sys/process.h"

/* cloudskin-aot: module in, image out. */

/* A module beyond a limit is refused whatever the machine has. */
static int exit_code(status_t st)
{
    return st == ST_LIMIT ? EXIT_REFUSED : exit_code_of(st);
}

static int refuse(const struct options *o, const struct error *err)
{
    fprintf(stderr, "%s: ", o->name);
    if (err->offset != ERROR_NO_OFFSET)
        fprintf(stderr, "offset 0x%llx: ", (unsigned long long)err->offset);
    fprintf(stderr, "%s\n", err->text);
    return exit_code(err->code);
}

/* Errors about files name the file themselves. */
static int fail(const struct error *err)
{
    fprintf(stderr, "cloudskin-aot: %s\n", err->text);
    return exit_code(err->code);
}

/* Image bytes are 8-byte aligned: they are the start of an allocation. */
static int describe(const struct options *o, const struct buf *image, double seconds)
{
    struct image *img = NULL;
    struct error err = {0};
    if (image_decode(image->data, image->len, &img, &err) != ST_OK)
        return fail(&err);
    struct buf out = {0};
    struct json j = {.out = &out};
    char hash[SHA256_HEX_BYTES];
    sha256_hex(img->module_hash, hash);
    json_open(&j, NULL, '{');
    json_text(&j, "input", o->input);
    json_text(&j, "output", o->output);
    json_u64(&j, "image_bytes", image->len);
    json_text(&j, "module_sha256", hash);
    json_u64(&j, "module_bytes", img->module_len);
    json_text(&j, "cpu", image_level_name(img->options.level));
    json_text(&j, "nan", img->options.nan == NAN_CANONICAL ? "canonical" : "native");
    json_u64(&j, "opt_level", img->options.opt_level);
    json_text(&j, "compiler", img->compiler);
    json_u64(&j, "functions", img->func_count);
    json_u64(&j, "text_bytes", image_text_bytes(img));
    json_u64(&j, "constant_bytes", img->code_len - img->const_off);
    json_number(&j, "seconds", seconds);
    json_close(&j, '}');
    fwrite(out.data, 1, out.len, stdout);
    int code = out.failed ? EXIT_SYSTEM : exit_after_output("cloudskin-aot");
    buf_done(&out);
    image_free(img);
    return code;
}

static int compile(struct options *o, const struct buf *wasm, struct buf *image)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    struct progress progress;
    enum program_file kind = program_file_kind(wasm->data, wasm->len);
    if (kind == PROGRAM_FILE_IMAGE)
        error_set(&err, ST_FORMAT, ERROR_NO_OFFSET, "a cell image, which is compiled already");
    if (kind == PROGRAM_FILE_IMAGE ||
        (kind == PROGRAM_FILE_OTHER && program_file_refuse(wasm->data, wasm->len, &err) != ST_OK))
        return refuse(o, &err);
    progress_init(&progress, o);
    o->aot.progress = progress_report;
    o->aot.progress_arg = &progress;
    status_t st = aot_compile(wasm->data, wasm->len, &o->aot, image, &err);
    double seconds = progress_done(&progress);
    if (st != ST_OK)
        return refuse(o, &err);
    if (file_write_output(o->output, image->data, image->len, 0666, &err) != ST_OK) {
        fail(&err);
        return EXIT_SYSTEM;
    }
    return o->json ? describe(o, image, seconds) : 0;
}

/* Writing the one would lose the other. */
static bool is_same_file(const char *a, const char *b)
{
    struct stat of_a, of_b;
    return stat(a, &of_a) == 0 && stat(b, &of_b) == 0 && S_ISREG(of_a.st_mode) &&
           of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}

int main(int argc, char **argv)
{
    process_open_stdio();
    struct options o;
    struct buf wasm = {0}, image = {0};
    struct error err = {0};
    int code = 0;
    if (!options_parse(argc, argv, &o, &code))
        return code;
    signal(SIGPIPE,
           SIG_IGN); /* progress_watch sees to it that a reader who left is noticed at once */
    progress_watch(&o);
    if (is_same_file(o.input, o.output)) {
        fprintf(stderr, "cloudskin-aot: '%s' is the module: give the image another name\n",
                o.output);
        return EXIT_USAGE;
    }
    if (file_read(o.input, MODULE_BYTES_MAX, &wasm, &err) != ST_OK)
        code = fail(&err);
    else
        code = compile(&o, &wasm, &image);
    buf_done(&image);
    buf_done(&wasm);
    return code;
}
