/* SPDX-License-Identifier: MIT */
/* Bytes as config.json, as preprocessor_config.json, and as the file behind --boxes. What is accepted must keep its promises. */
#include <math.h>
#include <string.h>

#include "command/boxes.h"
#include "fuzz.h"
#include "model/model.h"

static void check_config(const char *text, size_t size)
{
    struct config c;
    if (config_parse(&c, text, size, NULL, 0, NULL) != LIMBER_OK)
        return;
    fuzz_check(c.tokens == c.grid_h * c.grid_w && c.tokens > 0 && c.hidden == c.heads * c.head_dim);
    fuzz_check((c.grid_h * c.patch_h) <= c.image_h && (c.grid_w * c.patch_w) <= c.image_w);
    for (int k = 0; k < c.keypoints; k++) {
        fuzz_check(c.labels[k][0] != 0);
        fuzz_check(c.flip_pairs[k] >= 0 && c.flip_pairs[k] < c.keypoints && c.flip_pairs[c.flip_pairs[k]] == k);
    }
    for (int i = 0; i < c.edge_count; i++)
        fuzz_check(c.edges[i][0] >= 0 && c.edges[i][0] < c.keypoints && c.edges[i][1] >= 0 && c.edges[i][1] < c.keypoints);
    fuzz_check(config_costs(&c).total > 0);
    config_free(&c);
}

static void check_preprocessor(const char *text, size_t size)
{
    static const char plain[] = "{\"backbone_config\":{}}";
    struct config c;
    if (config_parse(&c, plain, strlen(plain), text, size, NULL) != LIMBER_OK)
        return;
    for (int i = 0; i < 3; i++)
        fuzz_check(isfinite(c.mean[i]) && isfinite(c.std[i]) && c.std[i] > 0);
    fuzz_check(c.rescale > 0 && c.normalize_factor > 0);
    config_free(&c);
}

static void check_boxes(const char *text, size_t size)
{
    static const char *const inputs[] = {"photos/a.jpg", "photos/sub/a.jpg", "b 1.png", "000000000139.jpg"};
    struct boxes b;
    if (boxes_parse(&b, "boxes", text, size, NULL, NULL) != LIMBER_OK)
        return;
    if (boxes_join(&b, inputs, sizeof inputs / sizeof *inputs, NULL) == LIMBER_OK)
        for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
            const struct boxes_list *list;
            if (boxes_of(&b, i, &list, NULL) != LIMBER_OK)
                continue;
            for (int p = 0; p < list->count; p++)
                fuzz_check(isfinite(list->box[p].x) && isfinite(list->box[p].y) && list->box[p].width > 0 &&
                           list->box[p].height > 0);
        }
    boxes_close(&b);
}

FUZZ_MUTATE_BY(mutate_json)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    check_config((const char *)bytes, size);
    check_preprocessor((const char *)bytes, size);
    check_boxes((const char *)bytes, size);
    return 0;
}
