/* SPDX-License-Identifier: MIT */
/* test_yolos.c - YOLOS detectors against transformers' frozen answers (tests/golden/yolos-*: tools/golden_yolos.py), on every backend
 * of this machine; the size rule; what is refused. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pose/resample.h"
#include "pose/yolos.h"

static const char *const goldens[] = {"yolos-mid", "yolos-plain"};
static const char *const pictures[] = {"landscape", "portrait", "exact", "clamped", "tower", "square"};
enum { GOLDENS = 2, PICTURES = sizeof pictures / sizeof *pictures, ROUNDS = 3 };

static const char *dir_of(char path[1024], const char *name)
{
    snprintf(path, 1024, "%s%s%s", *name == '/' ? "" : LIMBER_TEST_DIR, *name == '/' ? "" : "/golden/", name);
    return path;
}

static struct yolos_model *open_model(const char *name, const char *backend, const char *precision)
{
    char path[1024];
    limber_error err = {0};
    struct yolos_model *m;
    limber_options o = limber_options_default();
    o.backend = backend;
    o.precision = precision;
    limber_status st = yolos_open(&m, dir_of(path, name), &o, NULL, &err);
    if (st == LIMBER_E_UNSUPPORTED && (strcmp(precision, "fp32") || !strcmp(backend, "cuda")))
        return NULL; /* not on this machine */
    cr_assert_eq(st, LIMBER_OK, "%s", err.text);
    return m;
}

/* golden.safetensors, whole, and its tensors. */
struct golden {
    uint8_t *bytes;
    struct tensors tensors;
};
static struct golden golden_open(const char *name)
{
    char path[1100], dir[1024];
    struct golden g = {0};
    limber_error err = {0};
    snprintf(path, sizeof path, "%s/golden.safetensors", dir_of(dir, name));
    FILE *f = fopen(path, "rb");
    struct stat s;
    cr_assert(f && fstat(fileno(f), &s) == 0, "%s", path);
    g.bytes = malloc((size_t)s.st_size);
    cr_assert_eq(fread(g.bytes, 1, (size_t)s.st_size, f), (size_t)s.st_size);
    fclose(f);
    cr_assert_eq(tensors_parse(&g.tensors, g.bytes, (size_t)s.st_size, &err), LIMBER_OK, "%s", err.text);
    return g;
}
static void golden_close(struct golden *g)
{
    tensors_free(&g->tensors);
    free(g->bytes);
}
static const struct tensor *part(const struct golden *g, const char *picture, const char *what)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", picture, what);
    return tensors_find(&g->tensors, name);
}
static float *floats(const struct tensor *t, size_t *n)
{
    *n = t->bytes / sizeof(float);
    float *v = malloc(t->bytes + 1);
    cr_assert(tensor_read(t, 0, *n, v));
    return v;
}
static limber_image image_of(const struct tensor *t)
{
    return (limber_image){
        .pixels = t->data, .width = (int)t->shape[1], .height = (int)t->shape[0], .stride = (size_t)t->shape[1] * 3};
}

static double worst(const float *got, const float *want, size_t n)
{
    double w = 0;
    for (size_t i = 0; i < n; i++) {
        const double d = fabs((double)got[i] - (double)want[i]);
        w = d <= w ? w : d == d ? d : INFINITY;
    }
    return w;
}

Test(yolos, pictures_become_the_processors_bytes)
{
    for (int i = 0; i < GOLDENS; i++) {
        struct golden g = golden_open(goldens[i]);
        struct yolos_model *m = open_model(goldens[i], "cpu", "fp32");
        for (int p = 0; p < PICTURES; p++) {
            const struct tensor *t = part(&g, pictures[p], "image"), *want = t ? part(&g, pictures[p], "pixels") : NULL;
            if (!t)
                continue;
            const limber_image image = image_of(t);
            int h, w;
            yolos_input_size(m, image.height, image.width, &h, &w);
            cr_assert(h == want->shape[0] && w == want->shape[1], "%s %s: %d x %d, transformers makes %d x %d", goldens[i],
                      pictures[p], h, w, (int)want->shape[0], (int)want->shape[1]);
            uint8_t *got = malloc((size_t)h * (size_t)w * 3);
            cr_assert_eq(resample_bilinear(got, h, w, &image, NULL), LIMBER_OK);
            cr_expect(!memcmp(got, want->data, (size_t)h * (size_t)w * 3), "%s %s: other bytes than Pillow's", goldens[i],
                      pictures[p]);
            free(got);
        }
        yolos_close(&m);
        golden_close(&g);
    }
}

/* The root mean square that is left of a sum of squares over all pictures. */
struct off {
    double squares;
    size_t n;
};
static void off_by(struct off *o, const float *got, const float *want, size_t n)
{
    for (size_t i = 0; i < n; i++)
        o->squares += pow((double)got[i] - (double)want[i], 2);
    o->n += n;
}
static double off_rms(const struct off *o)
{
    const double r = sqrt(o->squares / (double)o->n);
    return isfinite(r) ? r : INFINITY;
}

/* yolos_find on the picture against post_process_object_detection. */
static void finds(struct yolos *y, const struct golden *g, const char *picture, const char *where)
{
    size_t n;
    float *found = floats(part(g, picture, "found"), &n);
    const limber_image image = image_of(part(g, picture, "image"));
    limber_found out[64];
    limber_error err = {0};
    int count;
    cr_assert_eq(yolos_find(y, &image, 0, out, 64, &count, &err), LIMBER_OK, "%s", err.text);
    cr_expect_eq(count, (int)n / 5, "%s %s: %d people, transformers has %d", where, picture, count, (int)n / 5);
    for (int i = 0; i < count && i < (int)n / 5; i++) {
        const float *f = found + 5 * i, W = (float)image.width, H = (float)image.height;
        const limber_box o = out[i].box;
        const float want[4] = {fmaxf(f[0], 0), fmaxf(f[1], 0), fminf(f[2], W), fminf(f[3], H)};
        const float got[4] = {o.x, o.y, o.x + o.width, o.y + o.height};
        cr_expect(worst(got, want, 4) < 2e-4 * fmax(W, H) && fabsf(out[i].score - f[4]) < 1e-4f,
                  "%s %s: person %d is %g %g %g %g (%g), transformers has %g %g %g %g (%g)", where, picture, i, got[0], got[1],
                  got[2], got[3], out[i].score, want[0], want[1], want[2], want[3], f[4]);
    }
    if (count > 1) { /* fewer places: the surest */
        limber_found few[1];
        cr_assert_eq(yolos_find(y, &image, 0, few, 1, &count, &err), LIMBER_OK);
        cr_expect(count == 1 && !memcmp(few, out, sizeof *few));
        cr_assert_eq(yolos_find(y, &image, 1, few, 1, &count, &err), LIMBER_OK);
        cr_expect_eq(count, 0);
    }
    free(found);
}

/* In fp32 every logit and box is within 1e-4. In fewer bits they may be, all pictures together, as far from transformers' fp32 as
 * transformers itself is in that precision (golden_yolos.py: low_precision). Its int8 meets the same steps after other roundings of
 * 16 bits: another draw of an error of the same size, and over n detections the size of two draws differs by a share of 1 / sqrt(n)
 * (standard deviation); three of those are allowed. */
static void agrees(const char *name, const char *backend, const char *precision, int rounds)
{
    struct golden g = golden_open(name);
    struct yolos_model *m = open_model(name, backend, precision);
    struct yolos y;
    limber_error err = {0};
    const bool exact = !strcmp(precision, "fp32");
    struct off logits_off = {0}, boxes_off = {0};
    double most = 0;
    char where[128];
    snprintf(where, sizeof where, "%s, %s %s", name, backend, precision);
    if (!m) {
        golden_close(&g);
        return;
    }
    cr_assert_eq(yolos_session_open(&y, m, 2, &err), LIMBER_OK, "%s", err.text);
    for (int round = 0; round < rounds; round++) /* again, in the other order: no size leaves anything to the next */
        for (int k = 0; k < PICTURES; k++) {
            const char *picture = pictures[round % 2 ? PICTURES - 1 - k : k];
            const struct tensor *pixels = part(&g, picture, "pixels");
            if (!pixels)
                continue;
            size_t logits_n, boxes_n;
            float *logits = floats(part(&g, picture, "logits"), &logits_n), *boxes = floats(part(&g, picture, "boxes"), &boxes_n);
            cr_assert_eq(yolos_forward(&y, pixels->data, (int)pixels->shape[0], (int)pixels->shape[1], &err), LIMBER_OK, "%s",
                         err.text);
            off_by(&logits_off, y.logits, logits, logits_n);
            off_by(&boxes_off, y.boxes, boxes, boxes_n);
            const double l = worst(y.logits, logits, logits_n), b = worst(y.boxes, boxes, boxes_n);
            most = fmax(most, fmax(l, b));
            if (exact) {
                cr_expect(l <= 1e-4 && b <= 1e-4, "%s %s: logits off by %g, boxes by %g", where, picture, l, b);
                finds(&y, &g, picture, where);
            }
            free(logits), free(boxes);
        }
    const double l = off_rms(&logits_off), b = off_rms(&boxes_off);
    if (getenv("LIMBER_VERBOSE") || *name == '/')
        fprintf(stderr, "%s: logits off by %.3g (rms), boxes by %.3g; the worst number by %.2g\n", where, l, b, most);
    if (!exact) {
        char tensor[32];
        size_t n;
        snprintf(tensor, sizeof tensor, "%s.errors", precision);
        float *own = floats(tensors_find(&g.tensors, tensor), &n);
        const double detections = (double)boxes_off.n / rounds / 4,
                     times = strcmp(precision, "int8") ? 1 : 1 + 3 / sqrt(detections);
        cr_expect(l <= times * (double)own[0] && b <= times * (double)own[1],
                  "%s: logits off by %.3g (rms), boxes by %.3g; transformers itself by %.3g and %.3g", where, l, b,
                  (double)own[0], (double)own[1]);
        free(own);
    }
    yolos_session_close(&y);
    yolos_close(&m);
    golden_close(&g);
}

Test(yolos, as_transformers_on_ref)
{
    for (int i = 0; i < GOLDENS; i++)
        agrees(goldens[i], "ref", "fp32", ROUNDS);
}
Test(yolos, as_transformers_on_cpu)
{
    for (int i = 0; i < GOLDENS; i++) {
        agrees(goldens[i], "cpu", "fp32", ROUNDS);
        agrees(goldens[i], "cpu", "bf16", ROUNDS);
        agrees(goldens[i], "cpu", "int8", ROUNDS);
    }
}
Test(yolos, as_transformers_on_cuda)
{
    for (int i = 0; i < GOLDENS; i++) {
        agrees(goldens[i], "cuda", "fp32", ROUNDS);
        agrees(goldens[i], "cuda", "bf16", ROUNDS);
        agrees(goldens[i], "cuda", "fp16", ROUNDS);
    }
}

/* scripts/parity_full.sh: a checkpoint and its answers from elsewhere, on one backend. */
Test(yolos, from_the_environment)
{
    const char *dir = getenv("LIMBER_GOLDEN"), *backend = getenv("LIMBER_GOLDEN_BACKEND"),
               *precision = getenv("LIMBER_GOLDEN_PRECISION");
    if (dir)
        agrees(dir, backend ? backend : "cpu", precision ? precision : "fp32", 1);
}

/* More grids than a session keeps positions of, each again and again: as a session that has seen no other. */
static void grids_in_turns(const char *backend)
{
    enum { GRIDS = VIT_POSITIONS + 4 };
    struct yolos_model *m = open_model("yolos-mid", backend, "fp32");
    limber_error err = {0};
    if (!m)
        return;
    const int patch = m->vit.config.patch_h, most = yolos_max_patches(m);
    const size_t n = (size_t)m->vit.config.tokens_after * (size_t)m->classes;
    const size_t bytes = (size_t)(most * patch * patch) * 3;
    uint8_t *input = malloc(bytes);
    float *want = malloc(GRIDS * n * sizeof *want);
    struct yolos all;
    for (size_t i = 0; i < bytes; i++)
        input[i] = (uint8_t)(i * 37 + i / 90 * 11);
    cr_assert_eq(yolos_session_open(&all, m, 1, &err), LIMBER_OK, "%s", err.text);
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < GRIDS; i++) {
            const int h = 1 + i % 4, w = 1 + i / 4 % (most / h);
            if (round == 0) {
                struct yolos alone;
                cr_assert_eq(yolos_session_open(&alone, m, 1, &err), LIMBER_OK, "%s", err.text);
                cr_assert_eq(yolos_forward(&alone, input, h * patch, w * patch, &err), LIMBER_OK, "%s", err.text);
                memcpy(want + (size_t)i * n, alone.logits, n * sizeof *want);
                yolos_session_close(&alone);
            }
            for (int again = 0; again <= round; again++) {
                cr_assert_eq(yolos_forward(&all, input, h * patch, w * patch, &err), LIMBER_OK, "%s", err.text);
                cr_expect_arr_eq(all.logits, want + (size_t)i * n, n * sizeof *want,
                                 "%s: %d x %d patches differ in round %d, pass %d", backend, h, w, round, again);
            }
        }
    yolos_session_close(&all);
    yolos_close(&m);
    free(input), free(want);
}

Test(yolos, grids_in_turns)
{
    grids_in_turns("cpu");
    grids_in_turns("cuda");
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED
#endif
#endif

/* 6,013 tokens in less room than half of one head's map of attention would take: memory grows with tokens, not with their square. */
Test(yolos, memory_grows_with_tokens)
{
#ifdef SANITIZED
    cr_skip_test("a sanitizer has its own idea of an address space");
#else
    enum { HEIGHT = 60 * 16, WIDTH = 100 * 16 };
    struct yolos_model *m = open_model("yolos-mid", "cpu", "fp32");
    struct yolos y;
    limber_error err = {0};
    uint8_t *input = calloc(HEIGHT * WIDTH, 3);
    unsigned long pages = 0;
    m->shortest_edge = HEIGHT;
    m->longest_edge = WIDTH;
    const size_t tokens = (size_t)yolos_max_patches(m) + 1 + (size_t)m->vit.config.tokens_after,
                 map = tokens * tokens * sizeof(float);
    FILE *f = fopen("/proc/self/statm", "r");
    cr_assert(input && f && fscanf(f, "%lu", &pages) == 1 && tokens == 6013);
    fclose(f);
    const struct rlimit most = {pages * (rlim_t)sysconf(_SC_PAGESIZE) + map / 2, RLIM_INFINITY};
    cr_assert_eq(setrlimit(RLIMIT_AS, &most), 0);
    cr_expect_eq(mmap(NULL, map, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), MAP_FAILED, "there is no limit");
    limber_status st = yolos_session_open(&y, m, 1, &err);
    if (st == LIMBER_OK)
        st = yolos_forward(&y, input, HEIGHT, WIDTH, &err);
    cr_expect_eq(st, LIMBER_OK, "in %zu MB: %s", map / 2 >> 20, err.text);
    yolos_session_close(&y);
    yolos_close(&m);
    free(input);
#endif
}

Test(yolos, pictures_of_any_size)
{
    static const int sizes[][2] = {{1, 1}, {1, 5000}, {5000, 1}, {3, 700}};
    struct yolos_model *m = open_model("yolos-mid", "cpu", "fp32");
    struct yolos y;
    limber_error err = {0};
    cr_assert_eq(yolos_session_open(&y, m, 1, &err), LIMBER_OK, "%s", err.text);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int h = sizes[i][0], w = sizes[i][1];
        uint8_t *rgb = calloc((size_t)h * (size_t)w, 3);
        limber_found out[32];
        int count;
        cr_expect_eq(yolos_find(&y, &(limber_image){.pixels = rgb, .width = w, .height = h, .stride = (size_t)w * 3}, 0, out, 32,
                                &count, &err),
                     LIMBER_OK, "%dx%d: %s", w, h, err.text);
        for (int k = 0; k < count; k++)
            cr_expect(out[k].box.x >= 0 && out[k].box.y >= 0 && out[k].box.x + out[k].box.width <= (float)w + 1e-3f &&
                      out[k].box.width > 0 && out[k].box.y + out[k].box.height <= (float)h + 1e-3f);
        free(rgb);
    }
    /* every input of the rule fits the session */
    for (int h = 1; h < 400; h += 7)
        for (int w = 1; w < 400; w += 3) {
            int ih, iw;
            yolos_input_size(m, h, w, &ih, &iw);
            cr_assert(ih >= 16 && iw >= 16 && (ih / 16) * (iw / 16) <= yolos_max_patches(m), "%dx%d becomes %dx%d", w, h, iw, ih);
        }
    yolos_session_close(&y);
    yolos_close(&m);
}

/* ---- what is refused ---- */

static void refused(const char *config, const char *label, const char *want)
{
    char dir[] = "/tmp/test_yolos.XXXXXX", path[128], source[1024];
    limber_error err = {0};
    struct yolos_model *m = NULL;
    cr_assert(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/config.json", dir);
    FILE *f = fopen(path, "wb");
    fputs(config, f);
    fclose(f);
    char link_path[128];
    snprintf(source, sizeof source, "%s/golden/yolos-mid/model.safetensors", LIMBER_TEST_DIR);
    snprintf(link_path, sizeof link_path, "%s/model.safetensors", dir);
    cr_assert_eq(symlink(source, link_path), 0);
    limber_options o = limber_options_default();
    o.backend = "cpu";
    cr_expect(yolos_open(&m, dir, &o, label, &err) != LIMBER_OK && !m, "%s was opened", config);
    cr_expect(strstr(err.text, want), "%s: %s", want, err.text);
    unlink(path);
    unlink(link_path);
    rmdir(dir);
}

#define SHAPE                                                                                                                    \
    "\"hidden_size\":32,\"num_attention_heads\":2,\"num_hidden_layers\":3,\"intermediate_size\":64,\"image_size\":[64,96],"      \
    "\"num_detection_tokens\":12"

Test(yolos, refuses_by_name)
{
    limber_error err = {0};
    struct yolos_model *m;
    char path[1024];
    cr_expect_eq(yolos_open(&m, dir_of(path, "simple-hd32"), NULL, NULL, &err), LIMBER_E_MODEL);
    cr_expect(strstr(err.text, "a pose model") && strstr(err.text, "expected a detector"), "%s", err.text);
    limber_model *pose;
    cr_expect(limber_model_open(&pose, dir_of(path, "yolos-mid"), NULL, &err) != LIMBER_OK);
    cr_expect(strstr(err.text, "yolos"), "%s", err.text);
    refused(
        "{\"model_type\":\"yolos\"," SHAPE ",\"id2label\":{\"0\":\"cat\",\"1\":\"dog\"}}", NULL,
        "no label is \"person\", so nobody can be found (person_label says what persons are called); among the labels: cat, dog");
    refused("{\"model_type\":\"yolos\"," SHAPE ",\"id2label\":{\"0\":\"cat\",\"1\":\"person\"}}", "worker",
            "no label is \"worker\"");
    refused("{\"model_type\":\"detr\"}", NULL, "model_type is \"detr\", expected \"yolos\"");
    refused("{\"model_type\":\"yolos\"," SHAPE ",\"id2label\":{\"0\":\"person\"}}", NULL,
            "class_labels_classifier.layers.2.weight is [6, 32] of F32, expected [2, 32]");
    refused("{\"model_type\":\"yolos\"," SHAPE
            ",\"use_mid_position_embeddings\":false,\"id2label\":{\"0\":\"a\",\"1\":\"person\","
            "\"2\":\"c\",\"3\":\"d\",\"4\":\"e\"}}",
            NULL, "tensors, a YOLOS of 3 layers has");
    refused("{\"model_type\":\"yolos\",\"hidden_size\":30,\"num_attention_heads\":4,\"id2label\":{\"0\":\"person\"}}", NULL,
            "hidden_size 30 is no multiple of num_attention_heads 4");
    refused("{\"model_type\":\"yolos\",\"image_size\":[4,96]}", NULL, "image_size 4 x 96 is less than a patch");
}

Test(yolos, persons_by_another_name)
{
    char path[1024];
    limber_error err = {0};
    struct yolos_model *m;
    limber_options o = limber_options_default();
    o.backend = "cpu";
    cr_assert_eq(yolos_open(&m, dir_of(path, "yolos-mid"), &o, "TUBA", &err), LIMBER_OK, "%s", err.text);
    cr_expect_eq(m->person, 4);
    yolos_close(&m);
    cr_assert_eq(yolos_open(&m, path, &o, NULL, &err), LIMBER_OK, "%s", err.text);
    cr_expect_eq(m->person, 1);
    yolos_close(&m);
}
