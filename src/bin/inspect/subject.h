#ifndef BIN_INSPECT_SUBJECT_H
#define BIN_INSPECT_SUBJECT_H

#include "base/buf.h"
#include "cell/module/image.h"

/* One section of the file. */
struct section {
    struct name name;
    uint64_t off;
    uint64_t len;
};

/* What is described: an image, or a module that is not compiled. Immutable after subject_open. */
struct subject {
    const char *path;
    struct buf bytes;
    struct image *image;         /* NULL for a module */
    struct module *own_module;   /* NULL for an image */
    const struct module *module; /* of either; an image's has no code */
    uint8_t module_hash[SHA256_BYTES];
    uint64_t module_len;
    feature_set_t features;
    struct section *sections;
    uint32_t section_count;
    struct arena arena;
};

/* Read and check the file at path. Destroy with subject_close.
 * Errors of file_read, image_decode, module_decode and module_validate. */
CHECKED status_t subject_open(const char *path, struct subject *ret_subject, struct error *err);
void subject_close(struct subject *s);

/* The entities of a module, in words: "(i32, i64) -> f32", "2..16 pages, shared", ... */
void subject_put_type(const struct subject *s, enum extern_kind kind, uint32_t index,
                      struct buf *out);
const char *subject_kind_name(enum extern_kind kind);

/* A name that strangers gave: what a terminal could take for a command is shown as a number. */
void subject_put_name(struct buf *out, struct name n);

/* The whole description. */
void subject_put_text(const struct subject *s, struct buf *out);
void subject_put_json(const struct subject *s, struct buf *out);

#endif
