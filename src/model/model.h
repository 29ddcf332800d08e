/* model/model.h - a checkpoint directory becomes a checked, packed, immutable model.
 *
 *   model/config.c       config.json and preprocessor_config.json -> struct config, with transformers' defaults
 *   model/safetensors.c  model.safetensors -> named, typed, bounds-checked views of the mapped file
 *   model/weights.c      one table of (name, shape, where it goes), walked once -> packed weights of a backend
 *   model/model.c        limber_model_open: the three above, and the questions a caller may ask */
#ifndef LIMBER_MODEL_H
#define LIMBER_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "compute/backend.h"
#include "limber.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__ || SIZE_MAX < UINT64_MAX
#error "limber needs a little-endian 64-bit machine: tensors are used in the byte order of their file, and sizes are 64-bit"
#endif

#define COCO_KEYPOINTS 17
#define PATCH_PAD 2               /* of the patch convolution, whatever the patch */
#define CLASSIC_HEAD_CHANNELS 256 /* between its two deconvolutions and after them */

/* What config.json and preprocessor_config.json say, defaults applied, every number checked to be one this library can use. */
struct config {
    /* backbone_config */
    int image_h, image_w, patch_h, patch_w;
    int hidden, layers, heads, mlp; /* mlp = hidden * mlp_ratio */
    int experts, part_features;     /* ViTPose+: experts > 1 */
    bool qkv_bias;
    float layer_norm_eps;
    /* head */
    bool simple_head;
    int scale_factor; /* of the simple head */
    int keypoints;
    char **labels; /* [keypoints], as config.json writes them, or COCO's names ("left_elbow") where they are COCO's 17 */
    bool coco;     /* labels are COCO's 17, in COCO's order, in any spelling */
    int (*edges)[2];
    int edge_count;
    int *flip_pairs; /* [keypoints]: the joint that mirrors this one, by label; itself where there is none */
    /* preprocessor */
    float mean[3], std[3];
    double rescale;
    double normalize_factor; /* 200 */
    /* derived */
    int grid_h, grid_w, tokens, head_dim, map_h, map_w;
    int trained_grid_h, trained_grid_w; /* of the position embeddings in the file; differs from the grid after config_resize */
    char model_name[64];                /* "ViTPose-B classic", "ViTPose+-S", or the numbers */
};

/* Parses both files' bytes (not NUL-terminated); preprocessor may be NULL, then transformers' defaults hold. */
limber_status config_parse(struct config *out, const char *config_json, size_t config_bytes, const char *preprocessor_json,
                           size_t preprocessor_bytes, limber_error *err);
void config_free(struct config *c);
/* Another input size (multiples of the patch) for the same weights: position embeddings will be resized (model/resize.h). */
limber_status config_resize(struct config *c, int image_h, int image_w, limber_error *err);
/* Parameters, and multiply-adds per person by part: exact counts from the shapes. Parameters are counted as PyTorch counts them:
 * all experts, batch norm's gain and bias but not its running statistics. */
struct config_costs {
    uint64_t parameters, embed, qkv, attention, projection, mlp, head, total; /* all but parameters: multiply-adds */
};
struct config_costs config_costs(const struct config *c);

/* ---- safetensors ---- */

enum dtype { DTYPE_F32, DTYPE_F16, DTYPE_BF16, DTYPE_OTHER };
#define TENSOR_MAX_DIMS 8
struct tensor {
    const char *name; /* owned by the tensors it came from */
    enum dtype dtype;
    char dtype_name[16];
    int dims;
    int64_t shape[TENSOR_MAX_DIMS];
    const uint8_t *data; /* in the mapped file, any alignment, little-endian */
    size_t bytes;
};
struct tensors {
    struct tensor *v; /* sorted by name */
    int count;
    void *maps; /* what keeps the names and bytes alive */
};
/* One file's bytes, borrowed until tensors_free. For tests and fuzzers, and for the default model in the binary. */
limber_status tensors_parse(struct tensors *out, const uint8_t *bytes, size_t size, limber_error *err);
/* model.safetensors in `dir`, or model.safetensors.index.json and its shards; files are mapped, not read. */
limber_status tensors_open(struct tensors *out, const char *dir, limber_error *err);
const struct tensor *tensors_find(const struct tensors *t, const char *name);
void tensors_free(struct tensors *t);
/* Converts elements [from, from + n) to fp32. */
void tensor_read(const struct tensor *t, size_t from, size_t n, float *dst);

/* ---- the model ---- */

struct block {
    struct weight *layernorm_before, *qkv, *projection, *layernorm_after, *fc1, *fc2;
    /* Where the projection reads nothing of some heads (their columns are zero, in the file or by limber_options.prune): the others alone,
     * in their order, which computes the same with less. NULL: none is left out. `qkv` and `projection` always have all, for those who
     * look at single heads. */
    struct weight *lean_qkv, *lean_projection;
    int heads; /* of lean_qkv; config.heads where there is none */
    int mlp;   /* neurons of fc1 and fc2: those that fc2 reads nothing of are left out */
};
struct limber_model {
    struct config config;
    struct backend *be;
    struct weight *embed, *layernorm, *head;
    struct block *blocks; /* [layers] */
    enum attention_kind attention_kind;
    int attention_size;
    bool *pruned;      /* [layers * heads]; NULL: none */
    char source[1024]; /* the directory, or "built in" */
};

/* Config and tensors of a directory, checked against each other, nothing packed: what `limber info` needs. */
struct checkpoint {
    struct config config;
    struct tensors tensors;
};
limber_status checkpoint_open(struct checkpoint *out, const char *dir, limber_error *err); /* NULL: the default model */
void checkpoint_close(struct checkpoint *c);
/* Every tensor the config asks for is there, floating point, and of the shape it should have; no other is there. */
limber_status weights_check(const struct config *c, const struct tensors *t, limber_error *err);
/* "exact", "window:W", "merge:R" or "pool:P" (limber_options.attention); NULL: exact. */
limber_status attention_parse(const char *text, enum attention_kind *kind, int *size, limber_error *err);
/* limber_options.prune: *out becomes [layers * heads], the caller's to free; NULL where text is NULL. */
limber_status prune_parse(const char *text, const struct config *c, bool **out, limber_error *err);
/* Sets m->be to the backend of these names, once it has agreed to the geometry of m->config with m's attention. "auto" is the
 * fastest that does: one that refuses gives way to `cpu`. */
limber_status model_backend_open(struct limber_model *m, const char *name, const char *precision, limber_error *err);
/* Packs for m->be (set by the caller, as is m->config); `expert` picks the ViTPose+ expert. */
limber_status weights_pack(struct limber_model *m, const struct checkpoint *c, int expert, limber_error *err);
void weights_free(struct limber_model *m);

/* The files of data/limber-s, which are part of the binary (model/built_in.c). */
struct default_file {
    const uint8_t *bytes;
    size_t size;
};
struct default_model {
    struct default_file config, preprocessor, tensors;
};
struct default_model default_model(void);

#endif
