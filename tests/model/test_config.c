/* SPDX-License-Identifier: MIT */
/* config.json and preprocessor_config.json: transformers' defaults, labels in every spelling, flip pairs, ranges, and the counts
 * of parameters and multiply-adds against the published architectures. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <jansson.h>
#include <stdlib.h>

#include "base/json_read.h"
#include "model/labels.h"
#include "model/model.h"
#include "tensor_file.h"

static limber_status parse(struct config *c, const char *config, const char *preprocessor, limber_error *err)
{
    return config_parse(c, config, strlen(config), preprocessor, preprocessor ? strlen(preprocessor) : 0, err);
}

static struct config must_parse(const char *config, const char *preprocessor)
{
    struct config c;
    limber_error err = {0};
    cr_assert(parse(&c, config, preprocessor, &err) == LIMBER_OK, "%s: %s", config, err.text);
    return c;
}

/* ---- defaults ---- */

#define NOTHING_SAID "{\"backbone_config\":{}}"

Test(config, defaults_are_those_of_transformers)
{
    struct config c = must_parse(NOTHING_SAID, NULL);
    cr_expect(c.image_h == 256 && c.image_w == 192 && c.patch_h == 16 && c.patch_w == 16);
    cr_expect(c.hidden == 768 && c.layers == 12 && c.heads == 12 && c.mlp == 3072);
    cr_expect(c.experts == 1 && c.part_features == 0 && c.qkv_bias && c.layer_norm_eps == 1e-12f);
    cr_expect(c.simple_head && c.scale_factor == 4);
    cr_expect(c.keypoints == 2 && !c.coco && c.edge_count == 0);
    cr_expect_str_eq(c.labels[0], "LABEL_0");
    cr_expect_str_eq(c.labels[1], "LABEL_1");
    cr_expect(c.grid_h == 16 && c.grid_w == 12 && c.tokens == 192 && c.head_dim == 64 && c.map_h == 64 && c.map_w == 48);
    cr_expect(c.mean[0] == 0.485f && c.mean[1] == 0.456f && c.mean[2] == 0.406f);
    cr_expect(c.std[0] == 0.229f && c.std[1] == 0.224f && c.std[2] == 0.225f);
    cr_expect(c.rescale == 1 / 255.0 && c.normalize_factor == 200);
    cr_expect_str_eq(c.model_name, "ViTPose-B simple");
    config_free(&c);
}

/* An expert model without part_features, as the published plus-large is written, has 256 of them. */
Test(config, part_features_default)
{
    struct config c = must_parse("{\"use_simple_decoder\":false,\"backbone_config\":{\"num_experts\":6,\"hidden_size\":1024,"
                                 "\"num_hidden_layers\":24,\"num_attention_heads\":16,\"qkv_bias\":null}}",
                                 NULL);
    cr_expect(c.part_features == 256 && c.experts == 6 && c.qkv_bias && !c.simple_head);
    cr_expect_str_eq(c.model_name, "ViTPose+-L classic");
    config_free(&c);
}

Test(config, numbers_as_written)
{
    struct config c =
        must_parse("{\"scale_factor\":2,\"num_labels\":5,\"backbone_config\":{\"image_size\":[192,160],\"patch_size\":[16,8],"
                   "\"hidden_size\":160,\"num_attention_heads\":2,\"mlp_ratio\":2.5,\"layer_norm_eps\":1e-6,"
                   "\"num_hidden_layers\":3,\"qkv_bias\":false,\"out_indices\":[1,3],\"out_features\":[\"stage3\"]}}",
                   "{\"size\":{\"height\":192,\"width\":160},\"image_mean\":[0.5,0.25,1],\"image_std\":[1,2,4],"
                   "\"rescale_factor\":0.5,\"normalize_factor\":100}");
    cr_expect(c.image_h == 192 && c.image_w == 160 && c.patch_h == 16 && c.patch_w == 8 && c.grid_h == 12 && c.grid_w == 20);
    cr_expect(c.map_h == 24 && c.map_w == 40 && c.head_dim == 80 && c.mlp == 400 && c.layer_norm_eps == 1e-6f && !c.qkv_bias);
    cr_expect(c.keypoints == 5 && strcmp(c.labels[4], "LABEL_4") == 0);
    cr_expect(c.mean[1] == 0.25f && c.std[2] == 4 && c.rescale == 0.5 && c.normalize_factor == 100);
    config_free(&c);
    c = must_parse("{\"backbone_config\":{\"image_size\":64,\"patch_size\":32}}",
                   "{\"do_normalize\":false,\"do_rescale\":false,\"image_mean\":[9,9,9],\"rescale_factor\":7}");
    cr_expect(c.image_h == 64 && c.image_w == 64 && c.patch_w == 32 && c.tokens == 4);
    cr_expect(c.rescale == 1 && c.mean[0] == 0 && c.std[2] == 1);
    config_free(&c);
    /* the padded convolution leaves a border of up to patch - 5 pixels unread */
    c = must_parse("{\"backbone_config\":{\"image_size\":[59,48],\"out_indices\":[-1]}}", NULL);
    cr_expect(c.grid_h == 3 && c.grid_w == 3);
    config_free(&c);
    /* two deconvolutions upsample by 4, whatever is written */
    c = must_parse("{\"scale_factor\":2,\"use_simple_decoder\":false,\"backbone_config\":{}}", NULL);
    cr_expect(c.map_h == 64 && c.map_w == 48);
    config_free(&c);
}

/* ---- labels ---- */

static struct config with_labels(const char *const *labels, int n)
{
    char json[16384];
    int at = snprintf(json, sizeof json, "{\"backbone_config\":{},\"id2label\":{");
    for (int k = 0; k < n; k++)
        at += snprintf(json + at, sizeof json - (size_t)at, "%s\"%d\":\"%s\"", k ? "," : "", k, labels[k]);
    snprintf(json + at, sizeof json - (size_t)at, "}}");
    return must_parse(json, NULL);
}

/* COCO's names, respelled. */
static void respell(char out[64], const char *name, int how)
{
    const char *left = strncmp(name, "left_", 5) == 0 ? name + 5 : NULL,
               *right = strncmp(name, "right_", 6) == 0 ? name + 6 : NULL;
    const char *rest = left ? left : right ? right : name;
    char upper[32];
    snprintf(upper, sizeof upper, "%s", rest);
    upper[0] = (char)(upper[0] - 'a' + 'A');
    const char *const side[] = {left ? "L_" : "R_",      left ? "left " : "right ", left ? "LEFT-" : "RIGHT-",
                                left ? "Left" : "Right", left ? "left" : "right",   left ? "L" : "R",
                                left ? "l." : "r."};
    if (how == 7) /* the side last */
        snprintf(out, 64, "%s%s", rest, left ? "_left" : right ? "_right" : "");
    else
        snprintf(out, 64, "%s%s", left || right ? side[how] : "", how == 1 || how == 4 || how == 6 ? rest : upper);
    for (char *c = out; how == 2 && *c; c++)
        *c = (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
}

Test(config, coco_in_any_spelling)
{
    for (int how = 0; how < 8; how++) {
        char names[COCO_KEYPOINTS][64];
        const char *labels[COCO_KEYPOINTS];
        for (int k = 0; k < COCO_KEYPOINTS; k++) {
            respell(names[k], coco_keypoint_names[k], how);
            labels[k] = names[k];
        }
        struct config c = with_labels(labels, COCO_KEYPOINTS);
        cr_expect(c.coco, "%s, %s, %s, ... is COCO's list", names[0], names[1], names[2]);
        for (int k = 0; c.coco && k < COCO_KEYPOINTS; k++) {
            cr_expect_str_eq(c.labels[k], coco_keypoint_names[k]);
            cr_expect(c.flip_pairs[k] == (k == 0  ? 0
                                          : k % 2 ? k + 1
                                                  : k - 1),
                      "%s mirrors %s", c.labels[k], c.labels[c.flip_pairs[k]]);
        }
        config_free(&c);
        /* another order is another label set */
        const char *second = labels[1];
        labels[1] = labels[3], labels[3] = second;
        c = with_labels(labels, COCO_KEYPOINTS);
        cr_expect(!c.coco);
        cr_expect_str_eq(c.labels[1], labels[1]);
        config_free(&c);
    }
}

Test(config, mirrors_of_other_labels)
{
    const struct {
        const char *labels[6];
        int count, mirror[6];
    } sets[] = {
        {{"snout", "left_fin", "right_fin", "tail_tip"}, 4, {0, 2, 1, 3}},
        {{"fin.R", "fin.L", "ear"}, 3, {1, 0, 2}},
        {{"LeftPaw", "RightPaw", "left_paw_tip", "rightPawTip"}, 4, {1, 0, 3, 2}},
        {{"left_hip", "hip", "Hip Right"}, 3, {2, 1, 0}},
        {{"left_hip", "L_Hip", "R_Hip"}, 3, {0, 1, 2}},                     /* which of two? neither */
        {{"left_right_line", "right_left_line", "overleft"}, 3, {0, 1, 2}}, /* no side that could be read */
        {{"left_x_left", "right_x_left"}, 2, {0, 1}},
        {{"left", "right", "leftover", "rightover"}, 4, {1, 0, 3, 2}},
        {{"l\xc3\xa9vre", "left \xc3\xa9paule", "right \xc3\xa9paule"}, 3, {0, 2, 1}},
        {{"LABEL_0", "LABEL_1", "_", "--"}, 4, {0, 1, 2, 3}},
    };
    for (size_t s = 0; s < sizeof sets / sizeof *sets; s++) {
        struct config c = with_labels(sets[s].labels, sets[s].count);
        for (int k = 0; k < c.keypoints; k++)
            cr_expect(c.flip_pairs[k] == sets[s].mirror[k], "%s mirrors %s, expected %s", c.labels[k], c.labels[c.flip_pairs[k]],
                      c.labels[sets[s].mirror[k]]);
        config_free(&c);
    }
}

/* ---- what is refused ---- */

#define BACKBONE(text) "{\"backbone_config\":{" text "}}"
#define LABELS(text) "{\"backbone_config\":{},\"id2label\":{" text "}}"

static const struct {
    const char *config, *preprocessor, *says[2];
} refused[] = {
    {"", NULL, {"config.json: JSON", "line 1"}},
    {"[]", NULL, {"config.json", "an array of 0"}},
    {"{}", NULL, {"backbone_config is null", "object"}},
    {"{\"model_type\":\"yolos\",\"backbone_config\":{}}", NULL, {"model_type is \"yolos\"", "it belongs to --detector"}},
    {"{\"model_type\":\"detr\",\"backbone_config\":{}}", NULL, {"model_type is \"detr\"", "only \"vitpose\""}},
    {BACKBONE("\"hidden_act\":\"relu\""), NULL, {"hidden_act is \"relu\"", "only \"gelu\""}},
    {BACKBONE("\"hidden_size\":0"), NULL, {"hidden_size is 0", "from 1 to 8192"}},
    {BACKBONE("\"hidden_size\":8193"), NULL, {"hidden_size is 8193", "from 1 to 8192"}},
    {BACKBONE("\"hidden_size\":768.0"), NULL, {"hidden_size is 768", "whole number"}},
    {BACKBONE("\"hidden_size\":\"768\""), NULL, {"hidden_size is \"768\"", "whole number"}},
    {BACKBONE("\"hidden_size\":99999999999"), NULL, {"hidden_size is 99999999999", "whole number"}},
    {BACKBONE("\"num_hidden_layers\":257"), NULL, {"num_hidden_layers is 257", "256"}},
    {BACKBONE("\"num_attention_heads\":7"), NULL, {"hidden_size 768", "num_attention_heads 7"}},
    {BACKBONE("\"num_attention_heads\":0"), NULL, {"num_attention_heads is 0", "1 to 768"}},
    {BACKBONE("\"mlp_ratio\":-1"), NULL, {"mlp_ratio is -1", "0 to"}},
    {BACKBONE("\"mlp_ratio\":0.001"), NULL, {"mlp_ratio 0.001", "expected 1 to 65536"}},
    {BACKBONE("\"mlp_ratio\":1000"), NULL, {"768000", "expected 1 to 65536"}},
    {BACKBONE("\"num_channels\":1"), NULL, {"num_channels is 1", "3 to 3"}},
    {BACKBONE("\"num_experts\":2,\"part_features\":768"), NULL, {"part_features is 768", "1 to 767"}},
    {BACKBONE("\"num_experts\":2,\"part_features\":0"), NULL, {"part_features is 0", "1 to 767"}},
    {BACKBONE("\"num_experts\":65"), NULL, {"num_experts is 65", "64"}},
    {BACKBONE("\"layer_norm_eps\":0"), NULL, {"layer_norm_eps is 0", "1e-30"}},
    {BACKBONE("\"layer_norm_eps\":NaN"), NULL, {"JSON", "NaN"}},
    {BACKBONE("\"qkv_bias\":1"), NULL, {"qkv_bias is 1", "true or false"}},
    {BACKBONE("\"image_size\":[256]"), NULL, {"image_size: an array of 1", "[height, width]"}},
    {BACKBONE("\"image_size\":[256,0]"), NULL, {"image_size: 0", "1 to 4096"}},
    {BACKBONE("\"image_size\":[4112,192]"), NULL, {"image_size: 4112", "4096"}},
    {BACKBONE("\"patch_size\":[257,16]"), NULL, {"patch_size: 257", "256"}},
    {BACKBONE("\"patch_size\":4"), NULL, {"image height 256 in patches of 4", "makes 65 of them, expected 64"}},
    {BACKBONE("\"image_size\":[252,192]"), NULL, {"image height 252", "makes 16 of them, expected 15"}},
    {BACKBONE("\"image_size\":[8,8],\"patch_size\":16"), NULL, {"image height 8 in patches of 16", "expected 0"}},
    {BACKBONE("\"image_size\":4096,\"patch_size\":8"), NULL, {"262144 tokens", "65536"}},
    {BACKBONE("\"out_indices\":[4]"), NULL, {"out_indices ends with 4", "12"}},
    {BACKBONE("\"out_features\":[\"stage12\",\"stage11\"]"), NULL, {"out_features ends with \"stage11\"", "stage12"}},
    {"{\"scale_factor\":17,\"backbone_config\":{}}", NULL, {"scale_factor is 17", "1 to 16"}},
    {"{\"use_simple_decoder\":\"yes\",\"backbone_config\":{}}", NULL, {"use_simple_decoder is \"yes\"", "true or false"}},
    {LABELS(""), NULL, {"id2label has 0 labels", "1 to 4096"}},
    {LABELS("\"0\":\"a\",\"2\":\"b\""), NULL, {"has 2 labels but no \"1\"", "numbered from 0"}},
    {LABELS("\"0\":\"a\",\"1\":\"a\""), NULL, {"0 and 1 are both \"a\"", "id2label"}},
    {LABELS("\"0\":7"), NULL, {"\"0\" is 7", "a name"}},
    {LABELS("\"0\":\"\""), NULL, {"\"0\" is \"\"", "a name of 1 to 256"}},
    {"{\"backbone_config\":{},\"id2label\":[]}", NULL, {"id2label is an array of 0", "object"}},
    {"{\"backbone_config\":{},\"edges\":[[0,2]]}", NULL, {"edges[0] joins keypoint 2", "0 to 1"}},
    {"{\"backbone_config\":{},\"edges\":[[0,-1]]}", NULL, {"edges[0] joins keypoint -1", "0 to 1"}},
    {"{\"backbone_config\":{},\"edges\":[[0,1],[0]]}", NULL, {"edges[1] is an array of 1", "two keypoint numbers"}},
    {NOTHING_SAID, "[3]", {"preprocessor_config.json: an array of 1", "object"}},
    {NOTHING_SAID, "", {"preprocessor_config.json: JSON", "line 1"}},
    {NOTHING_SAID, "{\"size\":{\"height\":384,\"width\":288}}", {"size is 384 x 288", "image_size is 256 x 192"}},
    {NOTHING_SAID, "{\"size\":256}", {"size is 256", "{height, width}"}},
    {NOTHING_SAID, "{\"do_affine_transform\":false}", {"do_affine_transform is false", "cropped"}},
    {NOTHING_SAID, "{\"image_std\":[1,0,1]}", {"image_std[1] is 0", "1e-09"}},
    {NOTHING_SAID, "{\"image_mean\":[1,1]}", {"image_mean is an array of 2", "three"}},
    {NOTHING_SAID, "{\"rescale_factor\":-1}", {"rescale_factor is -1", "1e-09"}},
    {NOTHING_SAID, "{\"normalize_factor\":0}", {"normalize_factor is 0", "0.001"}},
};

Test(config, refused_with_a_reason)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct config c;
        limber_error err = {0};
        limber_status st = parse(&c, refused[i].config, refused[i].preprocessor, &err);
        cr_expect(st != LIMBER_OK, "accepted: %s", refused[i].config);
        cr_expect(c.labels == NULL && c.edges == NULL && c.flip_pairs == NULL, "after a failure there is something left");
        for (int s = 0; s < 2; s++)
            cr_expect(strstr(err.text, refused[i].says[s]), "%s %s\n    says \"%s\", without \"%s\"", refused[i].config,
                      refused[i].preprocessor ? refused[i].preprocessor : "", err.text, refused[i].says[s]);
    }
}

Test(config, another_input_size)
{
    struct config c = must_parse(NOTHING_SAID, NULL);
    limber_error err = {0};
    const struct config_costs before = config_costs(&c);
    cr_assert(config_resize(&c, 384, 288, &err) == LIMBER_OK, "%s", err.text);
    cr_expect(config_costs(&c).parameters == before.parameters, "the weights are the same");
    cr_expect(config_costs(&c).mlp * 192 == before.mlp * 432 &&
              config_costs(&c).attention * 192 * 192 == before.attention * 432 * 432);
    cr_expect(c.grid_h == 24 && c.grid_w == 18 && c.tokens == 432 && c.map_h == 96 && c.map_w == 72);
    cr_expect(c.trained_grid_h == 16 && c.trained_grid_w == 12);
    cr_expect(config_resize(&c, 384, 280, &err) == LIMBER_E_ARGUMENT && strstr(err.text, "384x280"), "%s", err.text);
    cr_expect(config_resize(&c, 0, 288, &err) == LIMBER_E_ARGUMENT && strstr(err.text, "0x288"), "%s", err.text);
    cr_expect(config_resize(&c, 8192, 288, &err) == LIMBER_E_ARGUMENT && strstr(err.text, "4096"), "%s", err.text);
    config_free(&c);
}

/* ---- counts ---- */

/* Parameters as PyTorch counts them, and the multiply-adds of the published sizes, in all and of the head alone. */
Test(config, parameters_and_costs_of_the_published_sizes)
{
    static const struct {
        const char *size, *name;
        uint64_t simple, classic;
        double simple_total, classic_total, simple_head, classic_head; /* giga multiply-adds, two decimals */
    } known[] = {
        {"\"hidden_size\":384", "ViTPose-S", 21722513, 24290577, 4.65, 5.59, 0.18, 1.12},
        {"\"hidden_size\":768", "ViTPose-B", 85912337, 89994513, 17.46, 18.52, 0.36, 1.42},
        {"\"hidden_size\":1024,\"num_hidden_layers\":24,\"num_attention_heads\":16", "ViTPose-L", 303453201, 308544785, 60.43,
         61.57, 0.48, 1.62},
        {"\"hidden_size\":1280,\"num_hidden_layers\":32,\"num_attention_heads\":16", "ViTPose-H", 631107857, 637208849, 124.61,
         125.83, 0.60, 1.83},
    };
    static const struct {
        const char *size;
        uint64_t parameters;
    } plus[] = {
        {"\"hidden_size\":384,\"part_features\":96", 33143697},
        {"\"hidden_size\":768,\"part_features\":192", 125395473},
        {"\"hidden_size\":1024,\"num_hidden_layers\":24,\"num_attention_heads\":16", 434404625},
        {"\"hidden_size\":1280,\"num_hidden_layers\":32,\"num_attention_heads\":16,\"part_features\":320", 899404049},
    };
    char json[512];
    for (size_t i = 0; i < 4; i++)
        for (int classic = 0; classic < 2; classic++) {
            snprintf(json, sizeof json, "{\"num_labels\":17,\"use_simple_decoder\":%s,\"backbone_config\":{%s}}",
                     classic ? "false" : "true", known[i].size);
            struct config c = must_parse(json, NULL);
            struct config_costs costs = config_costs(&c);
            const double total = classic ? known[i].classic_total : known[i].simple_total;
            const double head = classic ? known[i].classic_head : known[i].simple_head;
            cr_expect(costs.parameters == (classic ? known[i].classic : known[i].simple), "%s has %llu parameters", c.model_name,
                      (unsigned long long)costs.parameters);
            cr_expect(fabs((double)costs.head * 1e-9 - head) <= 0.0051, "%s: head %g", c.model_name, (double)costs.head * 1e-9);
            cr_expect(fabs((double)costs.total * 1e-9 - total) <= 0.0051, "%s: total %g", c.model_name,
                      (double)costs.total * 1e-9);
            cr_expect(strncmp(c.model_name, known[i].name, strlen(known[i].name)) == 0, "%s is %s", known[i].name, c.model_name);
            config_free(&c);
        }
    for (size_t i = 0; i < 4; i++) {
        snprintf(json, sizeof json, "{\"num_labels\":17,\"use_simple_decoder\":false,\"backbone_config\":{\"num_experts\":6,%s}}",
                 plus[i].size);
        struct config c = must_parse(json, NULL);
        cr_expect(config_costs(&c).parameters == plus[i].parameters, "%s has %llu parameters", c.model_name,
                  (unsigned long long)config_costs(&c).parameters);
        config_free(&c);
    }
}

/* ---- the corpus: ok_* is accepted, bad_* refused, edge_* may be either ---- */

Test(config, corpus)
{
    const char *dir = LIMBER_TEST_DIR "/corpus/config";
    DIR *d = opendir(dir);
    cr_assert(d, "no %s", dir);
    int seen = 0;
    for (struct dirent *e; (e = readdir(d));) {
        char path[1024];
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        struct blob b = blob_read(path);
        struct config c;
        limber_error err = {0};
        limber_status st = config_parse(&c, (const char *)b.bytes, b.size, NULL, 0, &err);
        cr_expect(strncmp(e->d_name, "ok_", 3) != 0 || st == LIMBER_OK, "%s: %s", e->d_name, err.text);
        cr_expect(strncmp(e->d_name, "bad_", 4) != 0 || st != LIMBER_OK, "%s is accepted", e->d_name);
        config_free(&c);
        free(b.bytes);
        seen++;
    }
    closedir(d);
    cr_expect(seen > 40, "only %d files in %s", seen, dir);
}

/* ---- what base/json_read.h states ---- */

static size_t held, most;
static void *counted(size_t n)
{
    size_t *p = malloc(n + 16);
    if (!p)
        return NULL;
    *p = n;
    held += n;
    most = held > most ? held : most;
    return (char *)p + 16;
}
static void uncounted(void *at)
{
    size_t *p = at ? (size_t *)(void *)((char *)at - 16) : NULL;
    if (p)
        held -= *p;
    free(p);
}

/* The least limit under which a text is accepted is more than jansson takes at its peak, is the one that the refusal just below it
 * names, and is no wild guess. */
Test(config, json_is_bounded_as_stated)
{
    enum { COPIES = 60000 };
    static const char *const kinds[] = {"{},", "[],", "\"ab\",", "1,", "{\"k\":1},"};
    json_set_alloc_funcs(counted, uncounted);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        const size_t n = strlen(kinds[k]);
        char *text = malloc(COPIES * n + 2);
        text[0] = '[';
        for (size_t i = 0; i < COPIES; i++)
            memcpy(text + 1 + i * n, kinds[k], n);
        text[COPIES * n] = ']'; /* over the last comma */
        size_t low = 1, high = (size_t)1 << 30;
        json_t *root;
        while (low < high) {
            const struct json_limits limits = {(size_t)1 << 24, low + (high - low) / 2, 64};
            if (json_parse(&root, text, COPIES * n + 1, &limits, NULL) == LIMBER_OK) {
                json_decref(root);
                high = limits.memory;
            } else {
                low = limits.memory + 1;
            }
        }
        const struct json_limits least = {(size_t)1 << 24, low, 64}, less = {(size_t)1 << 24, low - 1, 64};
        most = held = 0;
        cr_assert_eq(json_parse(&root, text, COPIES * n + 1, &least, NULL), LIMBER_OK);
        json_decref(root);
        cr_expect(most <= low && low <= 8 * most, "%s: %zu bytes at most, the bound is %zu", kinds[k], most, low);
        limber_error err;
        unsigned long long would = 0;
        cr_expect_eq(json_parse(&root, text, COPIES * n + 1, &less, &err), LIMBER_E_MEMORY);
        const char *up_to = strstr(err.text, "up to ");
        cr_assert(up_to && sscanf(up_to, "up to %llu MiB", &would) == 1, "%s", err.text);
        cr_expect_eq(would, (unsigned long long)(low >> 20), "%s: refused below %zu bytes: %s", kinds[k], low, err.text);
        free(text);
    }
    json_set_alloc_funcs(malloc, free);
}

Test(config, json_is_as_deep_as_stated)
{
    char text[200];
    json_t *root;
    limber_error err;
    for (int depth = 63; depth < 67; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        const limber_status st = json_parse(&root, text, 2 * (size_t)depth, &json_limits_config, &err);
        cr_expect_eq(st, depth <= 64 ? LIMBER_OK : LIMBER_E_FORMAT, "depth %d", depth);
        if (st)
            cr_expect(strstr(err.text, "nested deeper than 64") != NULL, "%s", err.text);
        else
            json_decref(root);
    }
}
