#ifndef UNIT_CELL_RUN_PROGRAM_MAKE_H
#define UNIT_CELL_RUN_PROGRAM_MAKE_H

#include <stdio.h>
#include <stdlib.h>

#include "cell/run/run.h"

/* A program whose tables and segments are real, but whose code is zeros: for what runs no guest code. */
static inline struct program *program_make_bare(struct runtime *rt, const uint8_t *wasm, size_t len)
{
    static const uint8_t code[WASM_PAGE_BYTES];
    struct error err = {0};
    struct module *m = NULL;
    struct program *prog = NULL;
    struct buf head = {0}, file = {0};
    if (module_decode(wasm, len, FEATURE_ALL, &m, &err) != ST_OK ||
        image_head_make(m, false, &head) != ST_OK) {
        fprintf(stderr, "module: %s\n", err.text);
        exit(1);
    }
    uint32_t *zeros = calloc(m->func_count + m->type_count + 1, sizeof(*zeros));
    struct image img = {
        .options = {.level = image_level_host()},
        .module_len = len,
        .compiler = "test",
        .head = head.data,
        .head_len = head.len,
        .code = code,
        .code_len = sizeof(code),
        .const_off = sizeof(code),
        .func_code = zeros,
        .func_count = m->func_count,
        .type_entry = zeros,
        .type_count = m->type_count,
        .features = FEATURE_ALL,
    };
    if (image_encode(&img, &file, &err) != ST_OK ||
        program_load(rt, file.data, file.len, &prog, &err) != ST_OK) {
        fprintf(stderr, "program: %s\n", err.text);
        exit(1);
    }
    free(zeros);
    buf_done(&head);
    buf_done(&file);
    module_free(m);
    return prog;
}

#endif
