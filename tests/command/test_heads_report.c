/* SPDX-License-Identifier: MIT */
/* `limber heads` from the outside, and what its three files hold: every path of bad input has its exit status and its words, and
 * no output ever holds a NaN, a broken name or a link to the world. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "heads/chance.h"
#include "command/report/heads_report.h"
#include "image/image.h"
#include "tensor_file.h"

#define TINY LIMBER_TEST_DIR "/golden/simple-hd32"

/* ---- a result by hand ---- */

static limber_heads_result result_make(int layers, int heads, int images)
{
    limber_heads_result r = {.layer_count = layers,
                             .heads_per_layer = heads,
                             .head_count = layers * heads,
                             .class_count = 3,
                             .mirror = {-1, 2, 1, -1, -1, -1, -1, -1},
                             .grid_h = 2,
                             .grid_w = 2,
                             .images = images,
                             .images_used = images,
                             .people = images,
                             .people_used = images,
                             .moves = 2,
                             .bootstrap = 10,
                             .seed = 5};
    snprintf(r.class_name[0], 48, "sky <&\"'>, wide");
    snprintf(r.class_name[1], 48, "left_arm");
    snprintf(r.class_name[2], 48, "right_arm");
    r.heads = calloc((size_t)r.head_count, sizeof *r.heads);
    for (int c = 0; c < 3; c++)
        r.class_people[c] = images;
    for (int h = 0; h < r.head_count; h++) {
        r.heads[h].layer = 4 + h / heads;
        r.heads[h].head = h % heads;
        limber_heads_estimate known = {.mean = 0.5, .low = 0.4, .high = 0.6, .images = images, .interval = images > 1};
        r.heads[h].reach = r.heads[h].entropy = r.heads[h].distance = r.heads[h].self = r.heads[h].r_near =
            images ? known : (limber_heads_estimate){0};
        for (int c = 0; c < 3; c++) {
            limber_heads_class *k = &r.heads[h].classes[c];
            k->best.image = k->lot.image = -1;
            k->p = k->q = k->p_moved = k->p_swapped = 1;
            if (!images)
                continue;
            k->r_limb = k->partial = known;
            k->r_near = (limber_heads_estimate){.mean = -0.001, .images = images};
            k->over_moved = k->over_swapped = (limber_heads_estimate){.mean = 0.01 * (h * 3 + c), .images = images};
            k->lift = 2;
            k->tested = images > 1;
            k->q = k->p = 0.001;
            for (int b = 0; b < 3; b++) {
                r.heads[h].pair[c][b].lift = 1;
                r.heads[h].pair[c][b].images = images;
            }
        }
    }
    return r;
}

static void make_specialist(limber_heads_result *r, int head, int class)
{
    r->heads[head].kind = LIMBER_HEADS_SPECIALIST;
    r->heads[head].classes[class].specialist = 1;
    r->specialists++;
}

static char *page_of(const limber_heads_result *r)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    const struct heads_about about = {
        .model = "a<b", .architecture = "x", .backend = "ref", .precision = "fp32", .labels = "hand", .complete = true};
    heads_report_page(f, r, &about, NULL, 0);
    fclose(f);
    return text;
}

/* Takes photographs out of a page: base64 may spell anything. */
static void drop_photographs(char *page)
{
    static const char begin[] = "base64,";
    for (char *p = page; (p = strstr(p, begin));) {
        p += strlen(begin);
        size_t n = strcspn(p, "\"");
        memmove(p, p + n, strlen(p + n) + 1);
    }
}

static void no_nonsense(const char *text, const char *what)
{
    static const char *const never[] = {
        "nan", "NaN", "inf,", "-inf", "(null)", "http:", "https:", "<script", "src=", "@import", "url("};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        cr_expect(!strstr(text, never[i]), "%s holds \"%s\"", what, never[i]);
}

Test(heads_report, ranking_puts_specialists_first_and_by_gain)
{
    limber_heads_result r = result_make(2, 3, 5);
    struct heads_rank rank[64];
    make_specialist(&r, 1, 0); /* gain 0.03 */
    make_specialist(&r, 4, 2); /* gain 0.14 */
    int n = heads_report_rank(rank, 64, &r, false);
    cr_assert_eq(n, 2);
    cr_expect(rank[0].head == 4 && rank[0].class == 2 && rank[1].head == 1 && rank[1].class == 0);
    n = heads_report_rank(rank, 64, &r, true);
    cr_assert_eq(n, 18);
    cr_expect(rank[2].head == 5 && rank[2].class == 2 && rank[17].head == 0 && rank[17].class == 0);
    for (int i = 3; i < n; i++)
        cr_expect(rank[i].gain <= rank[i - 1].gain);
    cr_expect_eq(heads_report_rank(rank, 3, &r, true), 3);
    cr_expect(rank[0].head == 4 && rank[1].head == 1 && rank[2].head == 5, "a short list is the head of the long one");
    limber_heads_result_free(&r);
}

Test(heads_report, misses_name_the_criterion)
{
    limber_heads_result r = result_make(1, 1, 5);
    limber_heads_class *k = &r.heads[0].classes[1];
    char text[160];
    static const char *const words[] = {
        "reads the sky <&\"'>, wide too", "lift 1.90 beside 2.00", "times its area share", "nearness counts for more",
        "above the stricter null",        "could be chance",       "two images or more"};
    k->over_moved.mean = k->over_swapped.mean = 0.3;
    r.heads[0].pair[1][0].lift = 1.9;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (i == 2)
            k->lift = 1.1;
        if (i == 3)
            k->partial.mean = -0.1;
        if (i == 4)
            k->over_swapped.mean = 0.01;
        if (i == 5)
            k->q = 0.2;
        if (i == 6)
            k->tested = 0;
        const char *says = heads_report_misses(text, &r, &r.heads[0], 1);
        cr_expect(says && strstr(says, words[i]), "\"%s\" does not say \"%s\"", says ? says : "nothing", words[i]);
    }
    k->specialist = 1;
    cr_expect_null(heads_report_misses(text, &r, &r.heads[0], 1));
    limber_heads_result_free(&r);
}

Test(heads_report, names_are_escaped_everywhere)
{
    limber_heads_result r = result_make(1, 2, 5);
    make_specialist(&r, 0, 0);
    char *page = page_of(&r);
    no_nonsense(page, "the page");
    cr_expect(!strstr(page, "sky <") && strstr(page, "sky &lt;&amp;&quot;&#39;&gt;, wide"));
    cr_expect(!strstr(page, "a<b") && strstr(page, "a&lt;b"));
    free(page);
    char *csv = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&csv, &size);
    heads_report_csv(f, &r);
    fclose(f);
    cr_expect(strstr(csv, "4,0,specialist,\"sky <&\"\"'>, wide\",1,0,5,5,"), "%s", csv);
    int lines = 0;
    for (const char *p = csv; *p; p++)
        lines += *p == '\n';
    cr_expect_eq(lines, 1 + 2 * 3);
    free(csv);
    limber_heads_result_free(&r);
}

Test(heads_report, pages_for_every_outcome)
{
    static const struct {
        int images, specialists;
        const char *words;
    } of[] = {{0, 0, "Nothing can be said"},
              {1, 0, "Averages only"},
              {9, 0, "No head is a limb specialist"},
              {9, 1, "1 of 6 heads is a limb specialist"},
              {9, 2, "2 of 6 heads are limb specialists"}};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        limber_heads_result r = result_make(3, 2, of[i].images);
        r.tests = of[i].images > 1 ? 18 : 0;
        for (int s = 0; s < of[i].specialists; s++)
            make_specialist(&r, s, 1);
        char *page = page_of(&r);
        cr_expect(strstr(page, of[i].words), "%d images, %d specialists: no \"%s\"", of[i].images, of[i].specialists,
                  of[i].words);
        no_nonsense(page, of[i].words);
        cr_expect_eq(strstr(page, "Not a specialist: ") != NULL, of[i].images > 1 && of[i].specialists == 0);
        free(page);
        struct json_text t = {0};
        const struct heads_about about = {.complete = true};
        heads_report_json(&t, &r, &about);
        json_error_t error;
        json_t *json = json_loads(t.text, 0, &error);
        cr_assert(json, "%s", error.text);
        const json_t *first =
            json_object_get(json_object_get(json_array_get(json_object_get(json, "heads"), 0), "classes"), "left_arm");
        cr_expect_eq(json_is_null(json_object_get(json_object_get(first, "r_limb"), "mean")), of[i].images == 0);
        cr_expect_eq(json_is_null(json_object_get(json_object_get(first, "r_limb"), "low")), of[i].images < 2);
        cr_expect_eq(json_is_null(json_object_get(first, "q")), of[i].images < 2);
        json_decref(json);
        put_clear(&t);
        heads_report_short(&t, &r);
        json = json_loads(t.text, 0, &error);
        cr_assert(json, "%s", error.text);
        cr_expect_eq((int)json_array_size(json_object_get(json, "specialists")), of[i].specialists);
        json_decref(json);
        put_free(&t);
        limber_heads_result_free(&r);
    }
}

/* ---- the command ---- */

struct ran {
    int status;
    char *said; /* stderr */
};

__attribute__((format(printf, 1, 2))) static struct ran run(const char *format, ...)
{
    char arguments[3000], command[4000];
    va_list ap;
    va_start(ap, format);
    vsnprintf(arguments, sizeof arguments, format, ap);
    va_end(ap);
    snprintf(command, sizeof command, "%s heads %s --quiet 2>&1 >/dev/null", LIMBER_COMMAND, arguments);
    FILE *p = popen(command, "r");
    cr_assert(p);
    struct ran r = {.said = calloc(1, 65536)};
    size_t n = fread(r.said, 1, 65535, p);
    r.said[n] = 0;
    int status = pclose(p);
    r.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return r;
}

static void expect_run(struct ran r, int status, const char *words)
{
    cr_expect_eq(r.status, status, "exit %d, expected %d: %s", r.status, status, r.said);
    cr_expect(strstr(r.said, words), "\"%s\" does not say \"%s\"", r.said, words);
    free(r.said);
}

static char *text_of(const char *dir, const char *name)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    struct blob b = blob_read(path);
    char *text = realloc(b.bytes, b.size + 1);
    text[b.size] = 0;
    return text;
}

static json_t *json_of(const char *dir)
{
    char *text = text_of(dir, "heads.json");
    json_error_t error;
    json_t *json = json_loads(text, 0, &error);
    cr_assert(json, "heads.json line %d: %s", error.line, error.text);
    free(text);
    return json;
}

static long long number_of(const json_t *json, const char *key)
{
    cr_assert(json_is_integer(json_object_get(json, key)), "%s", key);
    return json_integer_value(json_object_get(json, key));
}

static void write_picture(const char *dir, const char *name, int width, int height, int seed, bool labels)
{
    char path[600];
    limber_error err = {0};
    uint8_t *rgb = malloc((size_t)width * (size_t)height * 3);
    for (int i = 0; i < width * height * 3; i++)
        rgb[i] = labels ? (uint8_t)(1 + (i / 3 % width > width / 2))
                        : (uint8_t)(heads_hash((uint64_t)seed, (uint64_t)(i / 7), 0, 0) % 256);
    limber_image image = {.pixels = rgb, .width = width, .height = height, .stride = (size_t)width * 3};
    snprintf(path, sizeof path, "%s/%s", dir, name);
    cr_assert(!image_write_png(path, &image, &err), "%s", err.text);
    free(rgb);
}

struct places {
    char root[256], images[300], maps[300], out[300];
};

static void places_make(struct places *p)
{
    directory_make(p->root);
    snprintf(p->images, sizeof p->images, "%s/images", p->root);
    snprintf(p->maps, sizeof p->maps, "%s/maps", p->root);
    snprintf(p->out, sizeof p->out, "%s/out", p->root);
    cr_assert(!mkdir(p->images, 0777) && !mkdir(p->maps, 0777));
}

static void places_remove(struct places *p)
{
    directory_remove(p->images);
    directory_remove(p->maps);
    directory_remove(p->out);
    directory_remove(p->root);
}

static void check_files(const struct places *p)
{
    char *page = text_of(p->out, "heads.html"), *csv = text_of(p->out, "heads.csv"), *json = text_of(p->out, "heads.json");
    drop_photographs(page);
    no_nonsense(page, "heads.html");
    no_nonsense(csv, "heads.csv");
    no_nonsense(json, "heads.json");
    cr_expect(strstr(page, "</html>"));
    free(page), free(csv), free(json);
}

/* People whose joints are all there, one whose joints are hidden, an image nobody is on; and a name that is no name. */
static void write_annotations(const struct places *p)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    fputs("{\"images\":[{\"id\":1,\"file_name\":\"a.png\"},{\"id\":2,\"file_name\":\"b&<i>.png\"},{\"id\":3,\"file_name\":\"c."
          "png\"},"
          "{\"id\":4,\"file_name\":\"d.png\"}],\"categories\":[{\"id\":1,\"name\":\"person\"}],\"annotations\":[",
          f);
    static const int xy[17][2] = {{48, 14}, {51, 11}, {45, 11}, {54, 13}, {42, 13}, {60, 28}, {36, 28},  {70, 44}, {26, 44},
                                  {76, 60}, {20, 60}, {56, 66}, {40, 66}, {60, 90}, {36, 90}, {62, 114}, {34, 114}};
    for (int a = 0; a < 4; a++) {
        fprintf(f,
                "%s{\"id\":%d,\"image_id\":%d,\"category_id\":1,\"iscrowd\":0,\"bbox\":[12,4,72,118],\"area\":900,\"num_"
                "keypoints\":17,\"keypoints\":[",
                a ? "," : "", a + 1, a < 3 ? a + 1 : 1);
        for (int k = 0; k < 17; k++)
            fprintf(f, "%s%d,%d,%d", k ? "," : "", xy[k][0] + a, xy[k][1], a == 2 ? 1 : 2);
        fputs("]}", f);
    }
    fputs("]}", f);
    fclose(f);
    file_write(p->root, "persons.json", text, size);
    free(text);
}

Test(heads_report, the_command_with_annotations)
{
    struct places p;
    places_make(&p);
    write_annotations(&p);
    write_picture(p.images, "a.png", 96, 128, 1, false);
    write_picture(p.images, "b&<i>.png", 96, 128, 2, false);
    write_picture(p.images, "c.png", 96, 128, 3, false);
    write_picture(p.images, "d.png", 96, 128, 4, false);
    expect_run(run("%s --annotations %s/persons.json --out %s --model %s --bootstrap 50", p.images, p.root, p.out, TINY), 0, "");
    check_files(&p);
    json_t *json = json_of(p.out);
    cr_expect(number_of(json, "images") == 4 && number_of(json, "images_used") == 2,
              "hidden joints and empty images count for nothing");
    cr_expect(number_of(json, "people") == 4 && number_of(json, "people_used") == 3);
    cr_expect(json_is_true(json_object_get(json, "complete")));
    cr_expect_eq((int)json_array_size(json_object_get(json, "heads")), 4);
    cr_expect_eq(number_of(json, "tests"), 4 * 6);
    json_decref(json);
    char *page = text_of(p.out, "heads.html");
    cr_expect(strstr(page, "data:image/jpeg;base64,/9j/"), "the nearest candidates have their photographs");
    cr_expect(!strstr(page, "<i>.png"));
    free(page);

    /* twice the same bytes; one layer is one layer */
    char *csv = text_of(p.out, "heads.csv");
    expect_run(run("%s --annotations %s/persons.json --out %s --model %s --bootstrap 50 --threads 1 --batch 1", p.images, p.root,
                   p.out, TINY),
               0, "");
    char *again = text_of(p.out, "heads.csv");
    cr_expect_str_eq(csv, again);
    free(csv), free(again);
    expect_run(run("%s --annotations %s/persons.json --out %s --model %s --layers 1 --moves 0 --bootstrap 0", p.images, p.root,
                   p.out, TINY),
               0, "");
    check_files(&p);
    json = json_of(p.out);
    cr_expect_eq((int)json_array_size(json_object_get(json, "heads")), 2);
    cr_expect_eq(number_of(json_array_get(json_object_get(json, "heads"), 0), "layer"), 1);
    cr_expect_eq(number_of(json, "tests"), 0);
    json_decref(json);

    /* one image: averages only. An image that is none: the others go on */
    expect_run(run("%s/a.png --annotations %s/persons.json --out %s --model %s", p.images, p.root, p.out, TINY), 0, "");
    check_files(&p);
    file_write(p.images, "d.png", "not a picture", 13);
    expect_run(run("%s --annotations %s/persons.json --out %s --model %s", p.images, p.root, p.out, TINY), 1, "d.png");
    check_files(&p);
    places_remove(&p);
}

Test(heads_report, the_command_with_own_joints_and_nothing_found)
{
    struct places p;
    places_make(&p);
    write_picture(p.images, "a.png", 96, 128, 1, false);
    write_picture(p.images, "b.png", 96, 128, 2, false);
    /* a score no random model reaches: nobody has a joint */
    expect_run(run("%s --whole --out %s --model %s --joint-score 1 --bootstrap 20", p.images, p.out, TINY), 0, "");
    check_files(&p);
    json_t *json = json_of(p.out);
    cr_expect(number_of(json, "images") == 2);
    json_decref(json);
    expect_run(run("%s --whole --out %s --model %s --joint-score 0 --bootstrap 20 --refine 0", p.images, p.out, TINY), 0, "");
    check_files(&p);
    json = json_of(p.out);
    cr_expect_eq(number_of(json, "people_used"), 2);
    json_decref(json);
    places_remove(&p);
}

Test(heads_report, the_command_with_label_maps)
{
    struct places p;
    places_make(&p);
    write_picture(p.images, "a.png", 96, 128, 1, false);
    write_picture(p.images, "b.png", 90, 70, 2, false);
    write_picture(p.maps, "a.png", 96, 128, 0, true);
    write_picture(p.maps, "b.png", 90, 70, 0, true);
    expect_run(run("%s --labels %s --label-names sky,road --out %s --model %s --bootstrap 20", p.images, p.maps, p.out, TINY), 0,
               "");
    check_files(&p);
    json_t *json = json_of(p.out);
    cr_expect_eq((int)json_array_size(json_object_get(json, "classes")), 2);
    cr_expect_str_eq(json_string_value(json_array_get(json_object_get(json, "classes"), 1)), "road");
    cr_expect_eq(number_of(json_object_get(json, "people_with"), "sky"), 2);
    json_decref(json);
    write_picture(p.maps, "b.png", 91, 70, 0, true);
    expect_run(run("%s --labels %s --out %s --model %s", p.images, p.maps, p.out, TINY), 1,
               "label map is 91x70, its image 90x70");
    write_picture(p.maps, "b.png", 90, 70, 5, false);
    expect_run(run("%s --labels %s --out %s --model %s", p.images, p.maps, p.out, TINY), 1, "label map: colour");
    write_picture(p.maps, "b.png", 90, 70, 0, true);
    expect_run(run("%s --labels %s --label-names sky --out %s --model %s", p.images, p.maps, p.out, TINY), 1,
               "label map: 2 at (46, 0), expected 0..1");
    check_files(&p);
    places_remove(&p);
}

Test(heads_report, usage)
{
    struct places p;
    places_make(&p);
    write_picture(p.images, "a.png", 96, 128, 1, false);
    expect_run(run("%s --model %s", p.images, TINY), 2, "no --out");
    expect_run(run("--out %s --model %s", p.out, TINY), 2, "no input");
    expect_run(run("%s --out %s --layers 1-0", p.images, p.out), 2, "--layers is \"1-0\"");
    expect_run(run("%s --out %s --layers 5 --model %s", p.images, p.out, TINY), 2, "layer 5 at place 0");
    expect_run(run("%s --out %s --annotations x --labels y", p.images, p.out), 2, "leave out --labels");
    expect_run(run("%s --out %s --label-names a", p.images, p.out), 2, "needs --labels");
    expect_run(run("%s --out %s --moves 17", p.images, p.out), 2, "--moves is \"17\"");
    expect_run(run("%s --out %s/a.png/x --model %s", p.images, p.images, TINY), 2, "a.png");
    places_remove(&p);
}
