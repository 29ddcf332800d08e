/* SPDX-License-Identifier: MIT */
/* Divergence of attention rows against whole matrices in double, and of models of which it is known where they differ. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heads/drift.h"
#include "model/labels.h"
#include "tensor_file.h"

#define GOLDEN LIMBER_TEST_DIR "/golden/simple-hd32"
enum { W = 192, H = 256, KEYS = 192 };

static double normal(uint64_t seed, uint64_t a, uint64_t b)
{
    const double u = ((double)(heads_hash(seed, a, b, 1) >> 11) + 0.5) * 0x1p-53,
                 v = (double)(heads_hash(seed, a, b, 2) >> 11) * 0x1p-53;
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

/* By definition, in long double; with small differences taken as they are: sum p (x - 1 + e^-x) has no cancellation of its own. */
static long double whole(const double *s, const double *t, int n, long double *j)
{
    long double ms = s[0], mt = t[0], ls = 0, lt = 0, kl = 0, lk = 0;
    for (int i = 1; i < n; i++) {
        ms = s[i] > ms ? s[i] : ms;
        mt = t[i] > mt ? t[i] : mt;
    }
    for (int i = 0; i < n; i++) {
        ls += expl(s[i] - ms);
        lt += expl(t[i] - mt);
    }
    for (int i = 0; i < n; i++) {
        const long double lp = s[i] - ms - logl(ls), lq = t[i] - mt - logl(lt);
        kl += expl(lp) * (lp - lq);
        lk += expl(lq) * (lq - lp);
    }
    *j = kl + lk;
    return kl;
}

Test(drift, one_pass_is_the_whole_matrix)
{
    static const double spread[] = {0.5, 3, 30}, apart[] = {1e-6, 1e-3, 0.1, 1, 10};
    static const int piece[] = {29, 32, 192};
    for (uint64_t seed = 0; seed < 20; seed++)
        for (int i = 0; i < 3; i++)
            for (int k = 0; k < 5; k++)
                for (int p = 0; p < 3; p++) {
                    double s[KEYS], t[KEYS];
                    for (uint64_t j = 0; j < KEYS; j++) {
                        s[j] = spread[i] * normal(seed, j, 0) + 40;
                        t[j] = s[j] + apart[k] * normal(seed, j, 1) - 70; /* a shift of all changes no softmax */
                    }
                    struct drift_row r;
                    drift_row_begin(&r);
                    for (int from = 0; from < KEYS; from += piece[p])
                        drift_row_add(&r, s + from, t + from, KEYS - from < piece[p] ? KEYS - from : piece[p]);
                    long double j;
                    const double want = (double)whole(s, t, KEYS, &j), got = drift_row_kl(&r), both = drift_row_j(&r);
                    cr_expect(fabs(got - want) < 1e-13 + 1e-11 * want, "spread %g, apart %g, pieces of %d: %.15g, whole %.15g",
                              spread[i], apart[k], piece[p], got, want);
                    cr_expect(fabs(both - (double)j) < 1e-13 + 1e-11 * (double)j, "J %.15g, whole %.15g", both, (double)j);
                }
}

/* Where it is tiny, a difference of logarithms would have no digit left. */
Test(drift, small_ones_keep_their_digits)
{
    double s[KEYS], t[KEYS];
    struct drift_row r;
    for (uint64_t j = 0; j < KEYS; j++) {
        s[j] = 3 * normal(5, j, 0);
        t[j] = s[j] + 1e-8 * normal(5, j, 1);
    }
    drift_row_begin(&r);
    drift_row_add(&r, s, t, KEYS);
    /* to the second order KL is half the variance of x under p */
    double m = -INFINITY, l = 0, mean = 0, square = 0;
    for (int j = 0; j < KEYS; j++)
        m = s[j] > m ? s[j] : m;
    for (int j = 0; j < KEYS; j++) {
        const double p = exp(s[j] - m), x = s[j] - t[j];
        l += p;
        mean += p * x;
    }
    for (int j = 0; j < KEYS; j++)
        square += exp(s[j] - m) / l * (s[j] - t[j] - mean / l) * (s[j] - t[j] - mean / l);
    cr_expect(fabs(drift_row_kl(&r) / (square / 2) - 1) < 1e-3, "KL %.4g, half the variance %.4g", drift_row_kl(&r), square / 2);
    drift_row_begin(&r);
    drift_row_add(&r, s, s, KEYS);
    cr_expect(drift_row_kl(&r) == 0 && drift_row_j(&r) == 0);
}

/* ---- models ---- */

/* The golden checkpoint with the `part` ("query", "key", "value") of one head by `scale`. */
static void make_scaled(const char *dir, int layer, int head, const char *part, float scale)
{
    struct tensors in = {0};
    struct tensor_file out = {0};
    limber_error err = {0};
    char name[128];
    snprintf(name, sizeof name, "backbone.encoder.layer.%d.attention.attention.%s.", layer, part);
    cr_assert(!tensors_open(&in, GOLDEN, &err), "%s", err.text);
    for (int i = 0; i < in.count; i++) {
        const struct tensor *t = &in.v[i];
        const size_t n = t->bytes / 4;
        float *v = malloc(n * sizeof *v);
        tensor_read(t, 0, n, v);
        for (size_t k = 0; !strncmp(t->name, name, strlen(name)) && k < n; k++)
            if ((int)(k / (t->dims == 2 ? 64 : 1) / 32) == head)
                v[k] = scale * v[k];
        tensor_file_add(&out, t->name, t->shape, t->dims, v);
        free(v);
    }
    tensors_free(&in);
    struct blob model = tensor_file_end(&out);
    file_write(dir, "model.safetensors", model.bytes, model.size);
    free(model.bytes);
    static const char *const json[] = {GOLDEN "/config.json", GOLDEN "/preprocessor_config.json"};
    for (int i = 0; i < 2; i++) {
        struct blob b = blob_read(json[i]);
        file_write(dir, strrchr(json[i], '/') + 1, b.bytes, b.size);
        free(b.bytes);
    }
}

static limber_session *open_session(limber_model **m, const char *dir, const char *backend)
{
    limber_options o = limber_options_default();
    limber_error err = {0};
    limber_session *s = NULL;
    o.backend = backend;
    o.precision = "fp32";
    o.threads = 2;
    cr_assert(!limber_model_open(m, dir, &o, &err) && !limber_session_open(&s, *m, &o, &err), "%s", err.text);
    return s;
}

static struct drift_result drift_of(limber_session *a, limber_session *b, limber_session *control, int images, bool joints)
{
    const struct drift_options o = {.bootstrap = 50, .seed = 2};
    struct drift *d = NULL;
    struct drift_result r;
    limber_error err = {0};
    uint8_t *rgb = malloc(W * H * 3);
    cr_assert(!drift_open(&d, a, b, control, &o, &err), "%s", err.text);
    for (uint64_t i = 0; i < (uint64_t)images; i++) {
        limber_keypoint k[COCO_KEYPOINTS];
        for (int n = 0; n < COCO_KEYPOINTS; n++)
            k[n] = (limber_keypoint){30 + 8.0f * (float)n, 20 + 12.0f * (float)n, n != 9};
        for (uint64_t p = 0; p < W * H * 3; p++)
            rgb[p] = (uint8_t)heads_hash(i, p, 3, 3);
        const limber_image image = {.pixels = rgb, .width = W, .height = H, .stride = 3 * W};
        const limber_box box = {0, 0, W, H};
        cr_assert(!drift_add(d, &image, &box, joints ? k : NULL, 1, i, &err), "%s", err.text);
    }
    cr_assert(!drift_summarise(d, &r, &err), "%s", err.text);
    drift_close(&d);
    free(rgb);
    return r;
}

Test(drift, a_model_has_not_moved_from_itself)
{
    static const char *const backends[] = {"ref", "cpu"};
    for (int i = 0; i < 2; i++) {
        limber_model *m[2];
        limber_session *a = open_session(&m[0], GOLDEN, backends[i]), *b = open_session(&m[1], GOLDEN, backends[i]);
        struct drift_result r = drift_of(a, b, NULL, 1, true);
        for (int h = 0; h < 4; h++)
            for (int w = 0; w < DRIFT_NUMBERS; w++)
                cr_expect(r.head[h].number[w].mean == 0, "%s: head %d, %s is %g", backends[i], h, drift_number_names[w],
                          r.head[h].number[w].mean);
        drift_result_free(&r);
        limber_session_close(&a);
        limber_session_close(&b);
        limber_model_close(&m[0]);
        limber_model_close(&m[1]);
    }
}

Test(drift, one_head_moves_and_the_rest_inherits)
{
    for (int layer = 0; layer < 2; layer++) {
        char dir[256];
        limber_model *m[3];
        directory_make(dir);
        make_scaled(dir, layer, 1, "query", -1.5f);
        limber_session *a = open_session(&m[0], GOLDEN, "cpu"), *b = open_session(&m[1], dir, "cpu"),
                       *same = open_session(&m[2], GOLDEN, "cpu");
        struct drift_result r = drift_of(a, b, same, 4, true);
        for (int h = 0; h < 4; h++) {
            const struct drift_head *k = &r.head[h];
            const double own = k->number[DRIFT_OWN].mean, inherited = k->number[DRIFT_INHERITED].mean,
                         total = k->number[DRIFT_TOTAL].mean;
            const bool it = h == layer * 2 + 1;
            cr_expect(it ? own > 1e-3 : own == 0, "layer %d: head %d has moved by %g of its own", layer, h, own);
            cr_expect(h / 2 <= layer ? inherited == 0 : total > 0 && inherited == total, "layer %d: head %d inherits %g", layer,
                      h, inherited);
            cr_expect((k->number[DRIFT_VALUE].mean > 0) == (it || h / 2 > layer));
            cr_expect(k->number[DRIFT_CONTROL].mean == 0 && k->tested && (total > 0 ? k->p < 0.05 : k->p == 1), "head %d: p %g",
                      h, k->p);
            cr_expect(k->number[DRIFT_J].mean >= total && k->q >= k->p);
            for (int c = 0; it && c < LIMBER_HEADS_LIMBS; c++) /* by the queries of the limb, not by all */
                cr_expect(fabs(k->limb_own[c].mean / own - 1) > 1e-6 && fabs(k->limb_total[c].mean / total - 1) > 1e-6, "limb %d",
                          c);
            for (int c = 0; c < LIMBER_HEADS_LIMBS; c++) /* without the left wrist there is a left arm still */
                cr_expect((k->limb_own[c].mean > 0) == it && k->limb_own[c].images == 4, "head %d, limb %d: %g", h, c,
                          k->limb_own[c].mean);
        }
        drift_result_free(&r);
        r = drift_of(a, b, NULL, 1, false); /* one person, no joints, no control */
        cr_expect(!r.head[1].tested && r.head[1].limb_own[0].images == 0 && r.head[1].number[DRIFT_CONTROL].images == 0);
        drift_result_free(&r);
        limber_session_close(&a);
        limber_session_close(&b);
        limber_session_close(&same);
        for (int i = 0; i < 3; i++)
            limber_model_close(&m[i]);
        directory_remove(dir);
    }
}

/* Values half as large again: the head says 1.5 times what it said, so its value drift is 0.5, and it looks where it looked. And what is no
 * further away than the control has not moved. */
Test(drift, values_drift_by_their_share_and_the_control_counts_as_none)
{
    char dir[256];
    limber_model *m[3];
    directory_make(dir);
    make_scaled(dir, 0, 1, "value", 1.5f);
    limber_session *a = open_session(&m[0], GOLDEN, "cpu"), *b = open_session(&m[1], dir, "cpu"),
                   *control = open_session(&m[2], dir, "cpu");
    struct drift_result r = drift_of(a, b, control, 3, true);
    for (int h = 0; h < 4; h++) {
        const struct drift_head *k = &r.head[h];
        cr_expect(h > 1 || fabs(k->number[DRIFT_VALUE].mean - (h == 1 ? 0.5 : 0)) < 1e-5, "head %d: value drift %g", h,
                  k->number[DRIFT_VALUE].mean);
        cr_expect(k->number[DRIFT_OWN].mean == 0 && (k->number[DRIFT_TOTAL].mean > 0) == (h > 1));
        cr_expect(k->tested && k->number[DRIFT_CONTROL].mean == k->number[DRIFT_TOTAL].mean && k->p == 1 && k->q == 1,
                  "head %d: p %g", h, k->p);
    }
    drift_result_free(&r);
    limber_session_close(&a);
    limber_session_close(&b);
    limber_session_close(&control);
    for (int i = 0; i < 3; i++)
        limber_model_close(&m[i]);
    directory_remove(dir);
}

Test(drift, other_geometry_is_refused)
{
    limber_model *m[2];
    limber_session *a = open_session(&m[0], GOLDEN, "cpu"), *b = open_session(&m[1], LIMBER_TEST_DIR "/golden/nobias-eps", "cpu");
    struct drift *d = NULL;
    limber_error err = {0};
    const struct drift_options o = {0};
    cr_expect(drift_open(&d, a, b, NULL, &o, &err) == LIMBER_E_ARGUMENT && strstr(err.text, "layers") && !d, "%s", err.text);
    limber_session_close(&a);
    limber_session_close(&b);
    limber_model_close(&m[0]);
    limber_model_close(&m[1]);
}
