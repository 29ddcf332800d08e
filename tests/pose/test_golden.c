/* SPDX-License-Identifier: MIT */
/* limber against transformers: the frozen answers of tests/golden (README.md there lists the tensors, tools/make_golden.py made
 * them) put to every backend of this machine. Per layer, so that a failure names the layer; then heatmaps, joints, crops,
 * flip, and a picture in, joints out.
 *
 * LIMBER_GOLDEN=DIR[:DIR...] adds checkpoints of the same form and prints how far each backend is from them, which is how
 * scripts/parity_full.sh compares models of full size. */
#define _POSIX_C_SOURCE 200809L
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compute/open.h"
#include "pose/crop.h"
#include "compute/joints.h"
#include "limber.h"
#include "model/model.h"
#include "pose/pipeline.h"
#include "pose/vit.h"

/* fp32 sums in another order stay within a tenth of these (fp64 against fp32 in torch: 6e-6); a wrong eps, a missing bias, a
 * swapped pair do not. */
#define STATE_TOLERANCE 2e-5 /* of the element, and of the root mean square of its activation: trained models have large ones */
#define HEATMAP_TOLERANCE 5e-5
#define INT8_FACTOR 2
#define JOINT_TOLERANCE 0.01 /* pixels of the picture */

static const char *const cases[] = {"simple-hd32",    "classic-hd32-bf16", "plus-hd64-f16",
                                    "plus-wholebody", "sharded-hd80",      "nobias-eps"};
enum { CASES = sizeof cases / sizeof *cases };

/* ---- frozen tensors ---- */

struct golden {
    struct tensors tensors;
    uint8_t *bytes;
    char dir[1024];
};

static void golden_open(struct golden *g, const char *dir)
{
    char path[1100];
    limber_error err = {0};
    snprintf(g->dir, sizeof g->dir, "%s", dir);
    snprintf(path, sizeof path, "%s/golden.safetensors", dir);
    FILE *f = fopen(path, "rb");
    cr_assert(f, "cannot open %s", path);
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    rewind(f);
    g->bytes = malloc((size_t)size);
    cr_assert(g->bytes && fread(g->bytes, 1, (size_t)size, f) == (size_t)size, "cannot read %s", path);
    fclose(f);
    cr_assert(tensors_parse(&g->tensors, g->bytes, (size_t)size, &err) == LIMBER_OK, "%s: %s", path, err.text);
}

static void golden_close(struct golden *g)
{
    tensors_free(&g->tensors);
    free(g->bytes);
}

static const struct tensor *golden_find(const struct golden *g, const char *format, const char *argument)
{
    char name[64];
    snprintf(name, sizeof name, format, argument);
    return tensors_find(&g->tensors, name);
}

static const struct tensor *golden_need(const struct golden *g, const char *format, const char *argument)
{
    const struct tensor *t = golden_find(g, format, argument);
    cr_assert(t, "%s has no tensor \"%s\" of \"%s\"", g->dir, format, argument);
    return t;
}

static size_t elements(const struct tensor *t)
{
    size_t n = 1;
    for (int i = 0; i < t->dims; i++)
        n *= (size_t)t->shape[i];
    return n;
}

static float *floats(const struct tensor *t)
{
    float *v = malloc(elements(t) * sizeof *v);
    cr_assert(v && t->dtype == DTYPE_F32, "%s is %s", t->name, t->dtype_name);
    tensor_read(t, 0, elements(t), v);
    return v;
}

static limber_box *boxes_of(const struct golden *g, const char *prefix, int *count)
{
    const struct tensor *t = golden_need(g, "%sboxes", prefix);
    limber_box *b = malloc((size_t)t->shape[0] * sizeof *b);
    float *v = floats(t);
    *count = (int)t->shape[0];
    for (int i = 0; i < *count; i++)
        b[i] = (limber_box){v[4 * i], v[4 * i + 1], v[4 * i + 2], v[4 * i + 3]};
    free(v);
    return b;
}

static limber_image picture_of(const struct golden *g, const char *name)
{
    const struct tensor *t = golden_need(g, "%s.image", name);
    return (limber_image){
        .pixels = t->data, .width = (int)t->shape[1], .height = (int)t->shape[0], .stride = 3 * (size_t)t->shape[1]};
}

/* ---- comparing ---- */

struct worst {
    double difference;
    size_t at;
    float got, want;
};

/* Differences count in units of scale + share * |want|. */
static void compare(struct worst *w, const float *got, const float *want, size_t n, double scale, double share)
{
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)got[i] - (double)want[i]) / (scale + share * fabs((double)want[i]));
        if (!(d <= w->difference)) /* a NaN is the worst there is */
            *w = (struct worst){.difference = isnan(d) ? INFINITY : d, .at = i, .got = got[i], .want = want[i]};
    }
}

static double root_mean_square(const float *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)v[i] * (double)v[i];
    return sqrt(sum / (double)n);
}

/* One checkpoint through one backend: what the taps of a forward pass saw, and the joints. */
struct figures {
    const struct golden *golden;
    const char *expert;               /* "", or "expert0." */
    const char *where;                /* in messages: "cpu fp32" */
    bool exact;                       /* fp32: every element is held against its tolerance; else they are only gathered */
    bool states;                      /* the frozen states are of this expert */
    int seen;                         /* activations */
    double embed, blocks, norm, heat; /* worst differences */
    double heat_rms;
    double joint, score; /* worst over joints: pixels of the picture, heatmap units */
    double joint_median;
    int soft; /* joints that were not compared, see SOFT */
};

static void watch_tap(void *context, const char *where, int layer, struct exec *ex, const struct buf *b, struct span span)
{
    struct figures *f = context;
    bool heat = !strcmp(where, "heatmap"), embed = !strcmp(where, "embed"), norm = !strcmp(where, "norm");
    const struct tensor *t = NULL;
    char name[32];
    snprintf(name, sizeof name, "block.%d", layer);
    if (heat)
        t = golden_need(f->golden, "%sheatmaps", f->expert);
    else if (!f->states || !(embed || norm || !strcmp(where, "block")))
        return;
    else
        t = golden_need(f->golden, "%s", embed ? "embeddings" : norm ? "layernorm" : name);
    size_t n = (size_t)span.count * (size_t)b->tokens * (size_t)b->cols;
    cr_assert_eq(n, elements(t), "%s %s %s: %zu numbers, %zu frozen", f->where, where, t->name, n, elements(t));
    float *got = malloc(n * sizeof *got), *want = floats(t);
    struct worst worst = {0};
    ex->ops->buf_read(ex, b, span, got);
    if (heat)
        compare(&worst, got, want, n, 1, 0);
    else
        compare(&worst, got, want, n, root_mean_square(want, n), 1);
    cr_expect(!f->exact || worst.difference <= (heat ? HEATMAP_TOLERANCE : STATE_TOLERANCE),
              "%s %s, %s: off by %.3g at row %zu column %zu: %.9g, transformers has %.9g", f->where, f->golden->dir, t->name,
              worst.difference, worst.at / (size_t)b->cols, worst.at % (size_t)b->cols, (double)worst.got, (double)worst.want);
    double *sum = heat ? &f->heat : embed ? &f->embed : norm ? &f->norm : &f->blocks;
    if (!(worst.difference <= *sum))
        *sum = worst.difference;
    if (heat) {
        for (size_t i = 0; i < n; i++)
            got[i] -= want[i];
        f->heat_rms = root_mean_square(got, n);
    }
    f->seen++;
    free(got);
    free(want);
}

/* A joint that moves further than this when its heatmap moves by 1e-5 has no place to compare at JOINT_TOLERANCE, nor has one
 * without a positive value. The frozen cases have neither; a full-size model on any picture may: "moves" says which. */
#define SOFT 4e-3f

/* What transformers says of the joints of a checkpoint's people. */
struct frozen_joints {
    float *xy, *score, *moves; /* moves may be NULL */
    size_t n;
};

static struct frozen_joints joints_of(const struct golden *g, const char *prefix)
{
    const struct tensor *score = golden_need(g, "%sscores", prefix), *moves = golden_find(g, "%smoves", prefix);
    return (struct frozen_joints){.xy = floats(golden_need(g, "%skeypoints", prefix)),
                                  .score = floats(score),
                                  .moves = moves ? floats(moves) : NULL,
                                  .n = elements(score)};
}

static void joints_free(struct frozen_joints *j)
{
    free(j->xy);
    free(j->score);
    free(j->moves);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* got [want.n], in pixels of the picture. */
static void compare_joints(struct figures *f, const char *what, const limber_keypoint *got, const struct frozen_joints *want)
{
    double *distance = calloc(want->n, sizeof *distance);
    for (size_t i = 0; i < want->n; i++) {
        const float *xy = want->xy + 2 * i;
        double s = fabs((double)got[i].score - (double)want->score[i]);
        if (want->moves && (want->moves[i] > SOFT || want->score[i] <= 0))
            f->soft++;
        else
            distance[i] = hypot((double)got[i].x - (double)xy[0], (double)got[i].y - (double)xy[1]);
        if (!(distance[i] <= f->joint))
            f->joint = isnan(distance[i]) ? INFINITY : distance[i];
        if (!(s <= f->score))
            f->score = isnan(s) ? INFINITY : s;
        cr_expect(!f->exact || (distance[i] <= JOINT_TOLERANCE && s <= HEATMAP_TOLERANCE),
                  "%s %s, %s: joint %zu is (%.4f, %.4f) %.5f, transformers has (%.4f, %.4f) %.5f", f->where, f->golden->dir, what,
                  i, (double)got[i].x, (double)got[i].y, (double)got[i].score, (double)xy[0], (double)xy[1],
                  (double)want->score[i]);
    }
    qsort(distance, want->n, sizeof *distance, ascending);
    f->joint_median = distance[want->n / 2];
    free(distance);
}

/* The people limber_run found, joint after joint. */
static void compare_people(struct figures *f, const limber_people *people, const struct frozen_joints *want)
{
    size_t each = (size_t)people->keypoint_count;
    limber_keypoint *got = malloc(want->n * sizeof *got);
    cr_assert_eq((size_t)people->count * each, want->n);
    for (size_t i = 0; i < want->n; i++)
        got[i] = people->person[i / each].keypoints[i % each];
    compare_joints(f, "from the picture", got, want);
    free(got);
}

/* ---- one checkpoint, one backend ---- */

struct way {
    const char *backend, *precision;
};

static limber_options options_for(const struct way *way)
{
    limber_options o = limber_options_default();
    o.backend = way->backend;
    o.precision = way->precision;
    o.threads = 2;
    return o;
}

/* The expert whose states and mirrored crops are frozen. */
static int first_expert(const struct golden *g)
{
    char tag[16];
    int e = 0;
    for (bool there = golden_find(g, "%s", "heatmaps"); !there && e < 6; e += !there) {
        snprintf(tag, sizeof tag, "expert%d.", e);
        there = golden_find(g, "%sheatmaps", tag);
    }
    return e;
}

/* The frozen crops through the network: states, heatmaps, joints; then the picture through limber_run. */
static struct figures check_network(const struct golden *g, const struct golden *pictures, const struct way *way, int expert,
                                    const char *tag)
{
    char where[64];
    const char *level = getenv("LIMBER_CPU");
    snprintf(where, sizeof where, "%s %s %s%s%s", way->backend, way->precision, level ? level : "", *tag ? " " : "", tag);
    limber_options o = options_for(way);
    o.expert = expert;
    limber_model *m = NULL;
    limber_error err = {0};
    cr_assert(limber_model_open(&m, g->dir, &o, &err) == LIMBER_OK, "%s: %s", where, err.text);
    const struct config *c = &m->config;
    struct figures f = {.golden = g,
                        .expert = tag,
                        .where = where,
                        .exact = !strcmp(way->precision, "fp32"),
                        .states = expert == first_expert(g)};
    const struct tensor *crops = golden_need(g, "%s", "crops");
    int n;
    limber_box *boxes = boxes_of(g, "", &n);
    cr_assert(n == crops->shape[0] && c->image_h == crops->shape[1] && c->image_w == crops->shape[2]);
    struct frozen_joints want = joints_of(g, tag);
    cr_assert_eq(want.n, (size_t)n * (size_t)c->keypoints);

    struct vit v;
    limber_keypoint *joints = calloc(want.n, sizeof *joints);
    cr_assert(vit_open(&v, m, 2, n, false, &err) == LIMBER_OK, "%s: %s", where, err.text);
    v.tap = watch_tap;
    v.tap_context = &f;
    cr_assert(vit_forward(&v, crops->data, n, joints, &err) == LIMBER_OK, "%s: %s", where, err.text);
    cr_expect_eq(f.seen, f.states ? c->layers + 3 : 1, "%s: the taps saw %d activations", where, f.seen);
    vit_close(&v);
    for (size_t i = 0; i < want.n; i++) {
        struct crop_region r = crop_region_of_box(boxes[i / (size_t)c->keypoints], c->image_h, c->image_w, c->normalize_factor);
        joints[i] = crop_to_image(joints[i], c->map_h, c->map_w, r);
    }
    compare_joints(&f, "from its crop", joints, &want);

    limber_session *s = NULL;
    limber_people people = {0};
    limber_image picture = picture_of(pictures, "yard");
    cr_assert(limber_session_open(&s, m, &o, &err) == LIMBER_OK, "%s: %s", where, err.text);
    cr_assert(limber_run(s, &picture, boxes, n, &people, &err) == LIMBER_OK, "%s: %s", where, err.text);
    compare_people(&f, &people, &want);
    f.soft /= 2; /* counted for the crop and for the picture */
    if (!f.exact) {
        char name[32];
        /* transformers has no int8: its bf16 is the unit, and 8 bits in the linear layers of these cost .3 to 1.9 of it */
        const bool integers = !strcmp(way->precision, "int8");
        const char *unit = integers ? "bf16" : way->precision;
        const double times = integers ? INT8_FACTOR : 1;
        snprintf(name, sizeof name, "%s%s.errors", tag, unit);
        float *own = floats(golden_need(g, "%s", name));
        cr_expect(f.heat_rms <= times * (double)own[0] && f.joint_median <= 1.5 * times * (double)own[1],
                  "%s %s: heatmaps off by %.3g (rms), joints by %.3g px (median); transformers in %s by %.3g and %.3g", where,
                  g->dir, f.heat_rms, f.joint_median, unit, (double)own[0], (double)own[1]);
        free(own);
    }
    limber_people_free(&people);
    limber_session_close(&s);
    limber_model_close(&m);
    joints_free(&want);
    free(joints);
    free(boxes);
    return f;
}

/* Mean with the mirrored crop. The pairs come from the labels, and must be those transformers was given. */
static void check_flip(const struct golden *g, const struct golden *pictures, const struct way *way)
{
    char where[64];
    snprintf(where, sizeof where, "%s %s flip", way->backend, way->precision);
    limber_options o = options_for(way);
    o.flip = 1;
    o.expert = first_expert(g);
    limber_model *m = NULL;
    limber_session *s = NULL;
    limber_people people = {0};
    limber_error err = {0};
    cr_assert(limber_model_open(&m, g->dir, &o, &err) == LIMBER_OK, "%s: %s", where, err.text);
    const struct config *c = &m->config;
    const struct tensor *pairs = golden_need(g, "%s", "flip_pairs");
    int *partner = malloc((size_t)c->keypoints * sizeof *partner);
    for (int k = 0; k < c->keypoints; k++)
        partner[k] = k;
    for (int64_t i = 0; i < pairs->shape[0]; i++) {
        int32_t pair[2];
        memcpy(pair, pairs->data + 8 * i, sizeof pair);
        partner[pair[0]] = pair[1];
        partner[pair[1]] = pair[0];
    }
    for (int k = 0; k < c->keypoints; k++)
        cr_expect_eq(c->flip_pairs[k], partner[k], "%s: %s is mirrored to %d, expected %d", g->dir, c->labels[k],
                     c->flip_pairs[k], partner[k]);
    free(partner);

    /* heatmaps */
    const struct tensor *crops = golden_need(g, "%s", "crops");
    int n = (int)crops->shape[0], boxes_n;
    struct vit v;
    size_t map = (size_t)c->map_h * (size_t)c->map_w, maps = (size_t)n * (size_t)c->keypoints;
    float *plain = malloc(maps * map * sizeof *plain), *mirrored = malloc(maps * map * sizeof *mirrored),
          *mean = malloc(maps * map * sizeof *mean), *want = floats(golden_need(g, "%s", "flip.heatmaps"));
    limber_keypoint *joints = calloc(maps, sizeof *joints);
    struct worst worst = {0};
    cr_assert(vit_open(&v, m, 2, n, true, &err) == LIMBER_OK, "%s: %s", where, err.text);
    cr_assert(vit_forward(&v, crops->data, n, joints, &err) == LIMBER_OK, "%s: %s", where, err.text);
    struct span all = {.first = 0, .count = n, .lane = NULL};
    v.ex->ops->buf_read(v.ex, v.heat, all, plain);
    v.ex->ops->buf_read(v.ex, v.heat_mirrored, all, mirrored);
    for (size_t i = 0; i < maps; i++) {
        size_t other = i - i % (size_t)c->keypoints + (size_t)c->flip_pairs[i % (size_t)c->keypoints];
        joint_average_mirrored(mean + i * map, plain + i * map, mirrored + other * map, c->map_h, c->map_w);
    }
    compare(&worst, mean, want, maps * map, 1, 0);
    cr_expect(worst.difference <= HEATMAP_TOLERANCE, "%s %s: heatmap off by %.3g: %.9g, transformers has %.9g", where, g->dir,
              worst.difference, (double)worst.got, (double)worst.want);
    vit_close(&v);

    /* joints */
    struct figures f = {.golden = g, .where = where, .exact = true};
    struct frozen_joints want_joints = joints_of(g, "flip.");
    limber_box *boxes = boxes_of(g, "", &boxes_n);
    limber_image picture = picture_of(pictures, "yard");
    cr_assert(limber_session_open(&s, m, &o, &err) == LIMBER_OK && limber_run(s, &picture, boxes, n, &people, &err) == LIMBER_OK,
              "%s: %s", where, err.text);
    compare_people(&f, &people, &want_joints);
    limber_people_free(&people);
    limber_session_close(&s);
    limber_model_close(&m);
    joints_free(&want_joints);
    free(plain), free(mirrored), free(mean), free(want), free(joints), free(boxes);
}

static void open_both(struct golden *g, struct golden *pictures, const char *name)
{
    char dir[1024];
    snprintf(dir, sizeof dir, "%s/golden/processor", LIMBER_TEST_DIR);
    golden_open(pictures, dir);
    snprintf(dir, sizeof dir, "%s/golden/%s", LIMBER_TEST_DIR, name);
    golden_open(g, name[0] == '/' ? name : dir);
}

/* Every expert that was frozen; `print` says how far apart the two are. */
static void check_case(const char *name, const struct way *way, bool print)
{
    struct golden g, pictures;
    open_both(&g, &pictures, name);
    int found = 0;
    for (int e = 0; e < 6; e++) {
        char tag[16];
        snprintf(tag, sizeof tag, "expert%d.", e);
        bool plain = e == 0 && golden_find(&g, "%s", "heatmaps");
        if (!plain && !golden_find(&g, "%sheatmaps", tag))
            continue;
        struct figures f = check_network(&g, &pictures, way, e, plain ? "" : tag);
        if (print)
            printf("%s %s %s %s: relative %.1e in the embeddings, %.1e in a block, %.1e after the last layernorm; heatmaps %.1e "
                   "(rms %.1e), scores %.1e, joints %.1e px (median %.1e; %d soft ones left out)\n",
                   strrchr(g.dir, '/') + 1, way->backend, way->precision, plain ? "" : tag, f.embed, f.blocks, f.norm, f.heat,
                   f.heat_rms, f.score, f.joint, f.joint_median, f.soft);
        found++;
    }
    cr_assert(found, "%s holds no heatmaps", g.dir);
    golden_close(&g);
    golden_close(&pictures);
}

static bool way_exists(const struct way *way)
{
    struct backend *be = NULL;
    limber_error err = {0};
    bool there = backend_open(&be, way->backend, way->precision, &err) == LIMBER_OK;
    if (there)
        backend_close(&be);
    return there;
}

/* ---- the tests ---- */

static void all_cases(const char *backend, const char *precision)
{
    const struct way way = {backend, precision};
    if (!way_exists(&way))
        cr_skip_test("no %s %s on this machine", backend, precision);
    for (int i = 0; i < CASES; i++)
        check_case(cases[i], &way, false);
}
/* Every instruction set this CPU has, not only the best. */
static void all_levels(const char *precision)
{
    static const char *const levels[] = {"scalar",  "neon",   "neondot",    "neoni8mm",   "neonbf16", "avx2",   "avx2int8",
                                         "avxvnni", "avx512", "avx512vnni", "avx512bf16", "amx",      "amxint8"};
    const struct way way = {"cpu", precision};
    int tried = 0;
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
        setenv("LIMBER_CPU", levels[l], 1);
        if (!way_exists(&way))
            continue;
        for (int i = 0; i < CASES; i++)
            check_case(cases[i], &way, false);
        tried++;
    }
    if (!tried)
        cr_skip_test("no cpu %s on this machine", precision);
}

Test(golden, network_ref_fp32)
{
    all_cases("ref", "fp32");
}
Test(golden, network_cpu_fp32)
{
    all_levels("fp32");
}
Test(golden, network_cpu_bf16)
{
    all_levels("bf16");
}
Test(golden, network_cpu_int8)
{
    all_levels("int8");
}
Test(golden, network_cuda_fp32)
{
    all_cases("cuda", "fp32");
}
Test(golden, network_cuda_fp16)
{
    all_cases("cuda", "fp16");
}
Test(golden, network_cuda_bf16)
{
    all_cases("cuda", "bf16");
}

static void all_flips(const char *backend)
{
    const struct way way = {backend, "fp32"};
    if (!way_exists(&way))
        cr_skip_test("no %s fp32 on this machine", backend);
    for (int i = 0; i < CASES; i++) {
        struct golden g, pictures;
        open_both(&g, &pictures, cases[i]);
        check_flip(&g, &pictures, &way);
        golden_close(&g);
        golden_close(&pictures);
    }
}
Test(golden, flip_ref)
{
    all_flips("ref");
}
Test(golden, flip_cpu)
{
    all_flips("cpu");
}
Test(golden, flip_cuda)
{
    all_flips("cuda");
}

static void check_crops(const struct golden *g, const char *picture, const char *set)
{
    int n;
    char prefix[16];
    snprintf(prefix, sizeof prefix, "%s.", set);
    limber_box *boxes = boxes_of(g, prefix, &n);
    const struct tensor *t = golden_need(g, "%s.crops", set);
    limber_image image = picture_of(g, picture);
    int h = (int)t->shape[1], w = (int)t->shape[2];
    size_t size = (size_t)h * (size_t)w * 3;
    uint8_t *got = malloc(size);
    cr_assert_eq(t->shape[0], n);
    for (int i = 0; i < n; i++) {
        const uint8_t *want = t->data + (size_t)i * size;
        memset(got, 0xaa, size);
        crop_sample(got, h, w, &image, crop_region_of_box(boxes[i], h, w, 200));
        size_t wrong = 0, first = 0;
        for (size_t j = size; j-- > 0;)
            if (got[j] != want[j])
                wrong++, first = j;
        cr_expect_eq(wrong, 0,
                     "%s box %d [%g %g %g %g]: %zu of %zu bytes differ, the first at row %zu column %zu: %d, transformers has %d",
                     set, i, (double)boxes[i].x, (double)boxes[i].y, (double)boxes[i].width, (double)boxes[i].height, wrong, size,
                     first / 3 / (size_t)w, first / 3 % (size_t)w, got[first], want[first]);
    }
    free(got);
    free(boxes);
}

Test(golden, crops_are_bit_exact)
{
    struct golden g;
    golden_open(&g, LIMBER_TEST_DIR "/golden/processor");
    check_crops(&g, "card", "card");
    check_crops(&g, "yard", "yard");
    check_crops(&g, "yard", "full");
    golden_close(&g);
}

/* Ideal, sharp, wide, flat, tied, clipped, noisy and cornered peaks through the decoder alone. */
Test(golden, joints_of_made_maps)
{
    struct golden g;
    int people;
    golden_open(&g, LIMBER_TEST_DIR "/golden/processor");
    const struct tensor *t = golden_need(&g, "%s", "joints.heatmaps");
    int keypoints = (int)t->shape[1], h = (int)t->shape[2], w = (int)t->shape[3];
    float *maps = floats(t), *xy = floats(golden_need(&g, "%s", "joints.keypoints")),
          *score = floats(golden_need(&g, "%s", "joints.scores"));
    limber_box *boxes = boxes_of(&g, "joints.", &people);
    cr_assert_eq(people, t->shape[0]);
    for (int i = 0; i < people * keypoints; i++) {
        struct crop_region r = crop_region_of_box(boxes[i / keypoints], 64, 48, 200);
        limber_keypoint j = crop_to_image(joint_decode(maps + (size_t)i * (size_t)(h * w), h, w), h, w, r);
        double off = hypot((double)j.x - (double)xy[2 * i], (double)j.y - (double)xy[2 * i + 1]);
        cr_expect(off <= JOINT_TOLERANCE && j.score == score[i],
                  "map %d of person %d: (%.5f, %.5f) %.6f, transformers has (%.5f, %.5f) %.6f", i % keypoints, i / keypoints,
                  (double)j.x, (double)j.y, (double)j.score, (double)xy[2 * i], (double)xy[2 * i + 1], (double)score[i]);
    }
    free(maps), free(xy), free(score), free(boxes);
    golden_close(&g);
}

/* No positive value: transformers' place comes from whatever lies beside the map, ours is one pixel outside the corner. */
Test(golden, joints_of_negative_maps)
{
    struct golden g;
    golden_open(&g, LIMBER_TEST_DIR "/golden/processor");
    const struct tensor *t = golden_need(&g, "%s", "negative.heatmaps");
    int h = (int)t->shape[2], w = (int)t->shape[3];
    float *maps = floats(t), *score = floats(golden_need(&g, "%s", "negative.scores"));
    for (int i = 0; i < t->shape[0] * t->shape[1]; i++) {
        limber_keypoint j = joint_decode(maps + (size_t)i * (size_t)(h * w), h, w);
        cr_expect(j.x == -1 && j.y == -1 && j.score == score[i], "map %d: (%g, %g) %g, expected (-1, -1) %g", i, (double)j.x,
                  (double)j.y, (double)j.score, (double)score[i]);
    }
    free(maps), free(score);
    golden_close(&g);
}

/* The hub's spelling of COCO's joints becomes COCO's own; any other label stays as the model has it. */
Test(golden, labels)
{
    static const char *const want[][5] = {{"nose", "left_eye", "right_eye", "left_ear", "right_ear"},
                                          {"snout", "left_fin", "right_fin", "tail_base", "tail_tip"}};
    static const char *const names[] = {"simple-hd32", "sharded-hd80"};
    for (int i = 0; i < 2; i++) {
        char dir[1024];
        limber_model *m = NULL;
        limber_error err = {0};
        snprintf(dir, sizeof dir, "%s/golden/%s", LIMBER_TEST_DIR, names[i]);
        cr_assert(limber_model_open(&m, dir, NULL, &err) == LIMBER_OK, "%s", err.text);
        cr_expect_eq(limber_model_keypoint_count(m), i == 0 ? 17 : 5);
        for (int k = 0; k < 5; k++)
            cr_expect_str_eq(limber_model_keypoint_name(m, k), want[i][k]);
        limber_model_close(&m);
    }
}

Test(golden, an_expert_that_is_not_there)
{
    limber_options o = limber_options_default();
    limber_model *m = NULL;
    limber_error err = {0};
    o.expert = 6;
    cr_expect(limber_model_open(&m, LIMBER_TEST_DIR "/golden/plus-hd64-f16", &o, &err) != LIMBER_OK && !m &&
                  strstr(err.text, "6"),
              "%s", err.text);
}

Test(golden, from_the_environment)
{
    const char *list = getenv("LIMBER_GOLDEN"), *precision = getenv("LIMBER_GOLDEN_PRECISION");
    if (!list)
        cr_skip_test("LIMBER_GOLDEN is not set");
    const struct way way = {getenv("LIMBER_GOLDEN_BACKEND") ? getenv("LIMBER_GOLDEN_BACKEND") : "cpu",
                            precision ? precision : "fp32"};
    if (!way_exists(&way))
        cr_skip_test("no %s %s on this machine", way.backend, way.precision);
    char *copy = strdup(list), *state = NULL;
    for (char *dir = strtok_r(copy, ":", &state); dir; dir = strtok_r(NULL, ":", &state))
        check_case(dir, &way, true);
    fflush(stdout);
    free(copy);
}
