/* SPDX-License-Identifier: MIT */
/* The element limberpose in GStreamer's own test harness (gst-check), held against `limber run` and limber.h. */
#include <criterion/criterion.h>

#include <gst/check/gstharness.h>
#include <gst/gst.h>
#include <gst/video/video.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "limber.h"

#define TINY LIMBER_TEST_DIR "/golden/simple-hd32" /* random weights, quick */
#define THREE LIMBER_DATA_DIR "/samples/three.jpg"

static void setup(void)
{
    g_setenv("GST_PLUGIN_SYSTEM_PATH_1_0", "", TRUE); /* nobody else's */
    g_setenv("GST_PLUGIN_PATH_1_0", TRACERS_DIR, TRUE);
    g_setenv("GST_REGISTRY_1_0", TRACERS_DIR "/registry.bin", TRUE);
    g_setenv("GST_REGISTRY_FORK", "no", TRUE);
#ifndef __SANITIZE_ADDRESS__ /* which has its own */
    g_setenv("GST_TRACERS", "leaks", TRUE);
#endif
    gst_init(NULL, NULL);
    gst_debug_set_default_threshold(GST_LEVEL_NONE);
    GError *error = NULL;
    GstPlugin *plugin = gst_plugin_load_file(PLUGIN, &error);
    cr_assert(plugin, "%s", error ? error->message : "");
    gst_object_unref(plugin);
}

/* What GStreamer's tracer saw made, and nobody has given back. */
static void teardown(void)
{
#ifndef __SANITIZE_ADDRESS__
    GList *tracers = gst_tracing_get_active_tracers();
    cr_assert(tracers, "no tracer of leaks");
    GstStructure *live = NULL;
    g_signal_emit_by_name(tracers->data, "get-live-objects", &live);
    cr_assert(live);
    const GValue *list = gst_structure_get_value(live, "live-objects-list");
    for (guint i = 0; i < gst_value_list_get_size(list); i++) {
        gchar *what = gst_value_serialize(gst_value_list_get_value(list, i));
        cr_expect(strstr(what, "GstLimberPose") == NULL && strstr(what, "GstBuffer") == NULL &&
                      strstr(what, "GstEvent") == NULL && strstr(what, "GstMessage") == NULL &&
                      strstr(what, "GstMemory") == NULL && strstr(what, "GstCaps") == NULL,
                  "leaked: %s", what);
        g_free(what);
    }
    g_list_free_full(tracers,
                     gst_object_unref); /* `live` holds objects without a reference of its own (1.22.0): not to be freed */
#endif
}

TestSuite(limberpose, .init = setup, .fini = teardown);

/* ---- pictures in, people out ---- */

struct rig {
    GstHarness *harness;
    GstElement *element;
    GstBus *bus;
};

/* The element with properties as gst-launch takes them, not yet started. */
static struct rig make(const char *properties)
{
    struct rig r = {.bus = gst_bus_new()};
    gchar **words = g_strsplit(properties, " ", -1);
    r.element = gst_element_factory_make("limberpose", NULL);
    cr_assert(r.element);
    for (gchar **w = words; *w && **w; w++) {
        gchar **pair = g_strsplit(*w, "=", 2);
        gst_util_set_object_arg(G_OBJECT(r.element), pair[0], pair[1]);
        g_strfreev(pair);
    }
    g_strfreev(words);
    gst_object_ref_sink(r.element);
    return r;
}

static struct rig start(const char *properties)
{
    struct rig r = make(properties);
    r.harness = gst_harness_new_with_element(r.element, "sink", "src");
    gst_element_set_bus(r.element, r.bus);
    return r;
}

static void end(struct rig *r)
{
    if (r->harness)
        gst_harness_teardown(r->harness);
    gst_element_set_state(r->element, GST_STATE_NULL);
    gst_element_set_bus(r->element, NULL);
    gst_object_unref(r->element);
    gst_object_unref(r->bus);
}

static limber_image read_picture(const char *path)
{
    limber_image image;
    limber_error err;
    cr_assert(!limber_image_read(&image, path, NULL, &err), "%s", err.text);
    return image;
}

static GstVideoInfo info_of(const char *format, int width, int height, const char *colorimetry)
{
    GstVideoInfo info;
    GstCaps *caps = gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING, format, "width", G_TYPE_INT, width, "height",
                                        G_TYPE_INT, height, "framerate", GST_TYPE_FRACTION, 10, 1, NULL);
    if (colorimetry)
        gst_caps_set_simple(caps, "colorimetry", G_TYPE_STRING, colorimetry, NULL);
    cr_assert(gst_video_info_from_caps(&info, caps));
    gst_caps_unref(caps);
    return info;
}

/* A buffer of the top left part of a picture, by GStreamer's own converter. */
static GstBuffer *buffer_of(const limber_image *image, const GstVideoInfo *info)
{
    const int width = GST_VIDEO_INFO_WIDTH(info), height = GST_VIDEO_INFO_HEIGHT(info);
    GstVideoInfo rgb = info_of("RGB", width, height, NULL);
    GstBuffer *from = gst_buffer_new_allocate(NULL, rgb.size, NULL), *to = gst_buffer_new_allocate(NULL, info->size, NULL);
    GstVideoFrame a, b;
    cr_assert(gst_video_frame_map(&a, &rgb, from, GST_MAP_WRITE));
    for (int y = 0; y < height; y++)
        memcpy((guint8 *)GST_VIDEO_FRAME_PLANE_DATA(&a, 0) + y * GST_VIDEO_FRAME_PLANE_STRIDE(&a, 0),
               image->pixels + (size_t)y * image->stride, 3 * (size_t)width);
    cr_assert(gst_video_frame_map(&b, info, to, GST_MAP_WRITE));
    GstVideoConverter *converter = gst_video_converter_new(&rgb, info, NULL);
    gst_video_converter_frame(converter, &a, &b);
    gst_video_converter_free(converter);
    gst_video_frame_unmap(&a);
    gst_video_frame_unmap(&b);
    gst_buffer_unref(from);
    return to;
}

static void set_caps(const struct rig *r, const GstVideoInfo *info)
{
    gst_harness_set_src_caps(r->harness, gst_video_info_to_caps(info));
}

static GstBuffer *through(const struct rig *r, GstBuffer *buffer, int frame)
{
    GST_BUFFER_PTS(buffer) = frame < 0 ? GST_CLOCK_TIME_NONE : (GstClockTime)frame * 100 * GST_MSECOND;
    const GstFlowReturn got = gst_harness_push(r->harness, buffer);
    cr_assert_eq(got, GST_FLOW_OK, "%s", gst_flow_get_name(got));
    return gst_harness_pull(r->harness);
}

/* Poses on a buffer, in order: how many. */
static int poses_of(GstBuffer *buffer, const GstStructure *poses[16], GstVideoRegionOfInterestMeta *regions[16])
{
    gpointer state = NULL;
    GstMeta *meta;
    int n = 0;
    while ((meta = gst_buffer_iterate_meta_filtered(buffer, &state, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE))) {
        GstStructure *s = gst_video_region_of_interest_meta_get_param((GstVideoRegionOfInterestMeta *)meta, "keypoints");
        if (!s)
            continue;
        cr_assert(n < 16);
        if (regions)
            regions[n] = (GstVideoRegionOfInterestMeta *)meta;
        poses[n++] = s;
    }
    return n;
}

static double number(const GstStructure *s, const char *name, int i)
{
    const GValue *v = gst_structure_get_value(s, name);
    cr_assert(v, "no %s", name);
    return g_value_get_double(i < 0 ? v : gst_value_array_get_value(v, (guint)i));
}

static int track_of(const GstStructure *s)
{
    int track = 0;
    gst_structure_get_int(s, "track", &track);
    return track;
}

static void is_person(const GstStructure *s, const limber_person *p, const limber_model *model)
{
    const GValue *names = gst_structure_get_value(s, "names");
    const int count = limber_model_keypoint_count(model);
    cr_assert(names && (int)gst_value_array_get_size(names) == count);
    cr_assert_eq(number(s, "person-score", -1), (double)p->score);
    cr_assert_eq(number(s, "box-score", -1), (double)p->box_score);
    cr_assert_eq(number(s, "box", 0), (double)p->box.x);
    cr_assert_eq(number(s, "box", 3), (double)p->box.height);
    for (int k = 0; k < count; k++) {
        cr_assert_str_eq(g_value_get_string(gst_value_array_get_value(names, (guint)k)), limber_model_keypoint_name(model, k));
        cr_assert_eq(number(s, "x", k), (double)p->keypoints[k].x, "joint %d: %g, expected %g", k, number(s, "x", k),
                     (double)p->keypoints[k].x);
        cr_assert_eq(number(s, "y", k), (double)p->keypoints[k].y);
        cr_assert_eq(number(s, "score", k), (double)p->keypoints[k].score);
    }
}

/* What limber.h says of the same picture. */
struct direct {
    limber_model *model;
    limber_detector *detector;
    limber_session *session;
    limber_people people;
};

static struct direct open_direct(const char *model, bool find)
{
    struct direct d = {0};
    limber_error err;
    limber_options o = limber_options_default();
    cr_assert(!limber_model_open(&d.model, model, &o, &err), "%s", err.text);
    cr_assert(!find || !limber_detector_open(&d.detector, NULL, &o, &err));
    o.detector = d.detector;
    cr_assert(!limber_session_open(&d.session, d.model, &o, &err));
    return d;
}

static void run_direct(struct direct *d, const limber_image *image, const limber_box *boxes, int count)
{
    limber_error err;
    limber_people_free(&d->people);
    cr_assert(!limber_run(d->session, image, boxes, count, &d->people, &err), "%s", err.text);
}

static void close_direct(struct direct *d)
{
    limber_people_free(&d->people);
    limber_session_close(&d->session);
    limber_detector_close(&d->detector);
    limber_model_close(&d->model);
}

/* ---- the tests ---- */

Test(limberpose, the_joints_of_limber_run)
{
    FILE *f = popen(LIMBER_COMMAND " run --quiet " THREE, "r");
    json_t *line = json_loadf(f, 0, NULL);
    cr_assert(line && !pclose(f));
    const json_t *people = json_object_get(line, "people");
    limber_image image = read_picture(THREE);
    GstVideoInfo info = info_of("RGB", image.width, image.height, NULL);
    struct rig r = start("");
    set_caps(&r, &info);
    GstBuffer *out = through(&r, buffer_of(&image, &info), 0);
    const GstStructure *poses[16];
    GstVideoRegionOfInterestMeta *regions[16];
    const int count = poses_of(out, poses, regions);
    cr_assert(count == 3 && json_array_size(people) == 3, "%d people, limber run has %zu", count, json_array_size(people));
    for (int i = 0; i < count; i++) {
        const json_t *person = json_array_get(people, (size_t)i), *joint;
        const json_t *box = json_object_get(person, "box");
        const char *name;
        int k = 0;
        const GValue *names = gst_structure_get_value(poses[i], "names");
        json_object_foreach(json_object_get((json_t *)person, "keypoints"), name, joint)
        {
            cr_assert_str_eq(g_value_get_string(gst_value_array_get_value(names, (guint)k)), name);
            cr_expect(fabs(number(poses[i], "x", k) - json_number_value(json_array_get(joint, 0))) < 0.0051 &&
                          fabs(number(poses[i], "y", k) - json_number_value(json_array_get(joint, 1))) < 0.0051 &&
                          fabs(number(poses[i], "score", k) - json_number_value(json_array_get(joint, 2))) < 5.1e-5,
                      "person %d, %s", i, name);
            k++;
        }
        cr_assert(k == 17);
        cr_expect(fabs(number(poses[i], "person-score", -1) - json_number_value(json_object_get(person, "score"))) < 5.1e-5);
        cr_expect(fabs(number(poses[i], "box-score", -1) - json_number_value(json_object_get(person, "box_score"))) < 6e-4);
        cr_expect_str_eq(g_quark_to_string(regions[i]->roi_type), "person");
        const double x = json_number_value(json_array_get(box, 0)), w = json_number_value(json_array_get(box, 2));
        const double y = json_number_value(json_array_get(box, 1)), h = json_number_value(json_array_get(box, 3));
        cr_expect(regions[i]->x <= x + .01 && x - 1.01 < regions[i]->x && regions[i]->x + regions[i]->w >= x + w - .01 &&
                  regions[i]->x + regions[i]->w < x + w + 1.01);
        cr_expect(regions[i]->y <= y + .01 && y - 1.01 < regions[i]->y && regions[i]->y + regions[i]->h >= y + h - .01 &&
                  regions[i]->y + regions[i]->h < y + h + 1.01);
        cr_expect(track_of(poses[i]) == 0 && regions[i]->id == 0, "numbers without track");
    }
    /* the message says the same */
    GstMessage *message = gst_bus_pop_filtered(r.bus, GST_MESSAGE_ELEMENT);
    cr_assert(message);
    const GstStructure *s = gst_message_get_structure(message);
    guint64 time = 7;
    int width = 0, height = 0;
    cr_expect(gst_structure_has_name(s, "limberpose") && gst_structure_get_uint64(s, "timestamp", &time) && time == 0);
    cr_expect(gst_structure_get_uint64(s, "running-time", &time) && time == 0);
    cr_expect(gst_structure_get_int(s, "width", &width) && gst_structure_get_int(s, "height", &height) && width == 640 &&
              height == 480);
    const GValue *all = gst_structure_get_value(s, "people");
    cr_assert(all && gst_value_array_get_size(all) == 3);
    for (int i = 0; i < count; i++)
        cr_expect(gst_structure_is_equal(gst_value_get_structure(gst_value_array_get_value(all, (guint)i)), poses[i]));
    gchar *text = gst_structure_to_string(s); /* what gst-launch -m prints reads back */
    GstStructure *again = gst_structure_from_string(text, NULL);
    cr_expect(again && gst_structure_has_field(again, "people"));
    gst_structure_free(again);
    g_free(text);
    gst_message_unref(message);
    gst_buffer_unref(out);
    end(&r);
    limber_image_free(&image);
    json_decref(line);
}

/* Every format and colorimetry: as limber.h sees the same bytes. */
Test(limberpose, formats_and_colorimetry)
{
    static const struct {
        const char *format, *colorimetry;
        limber_image image;
    } cases[] = {
        {"NV12", "bt601", {.format = LIMBER_NV12}},
        {"NV12", "bt709", {.format = LIMBER_NV12, .matrix = LIMBER_BT709}},
        {"NV12", "bt2020", {.format = LIMBER_NV12, .matrix = LIMBER_BT2020}},
        {"NV12", "1:4:0:0", {.format = LIMBER_NV12, .full_range = 1}}, /* JPEG's */
        {"NV12", NULL, {.format = LIMBER_NV12}},                       /* SD by its size */
        {"RGB", NULL, {.format = LIMBER_RGB}},
        {"BGR", NULL, {.format = LIMBER_BGR}},
        {"RGBA", NULL, {.format = LIMBER_RGBA}},
        {"BGRA", NULL, {.format = LIMBER_BGRA}},
        {"RGBx", NULL, {.format = LIMBER_RGBA}},
        {"BGRx", NULL, {.format = LIMBER_BGRA}},
        {"GRAY8", NULL, {.format = LIMBER_GRAY}},
    };
    limber_image image = read_picture(THREE);
    struct direct d = open_direct(NULL, false);
    const limber_box box = {477, 130, 111, 259};
    struct rig r = start("boxes=regions"); /* one, and the caps change under it */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int width = i % 2 ? 601 : 640, height = i % 2 ? 437 : 480; /* odd: strides and chroma round up */
        GstVideoInfo info = info_of(cases[i].format, width, height, cases[i].colorimetry);
        GstBuffer *in = buffer_of(&image, &info);
        gst_buffer_add_video_region_of_interest_meta(in, "person", 477, 130, 111, 259);
        GstVideoFrame frame;
        cr_assert(gst_video_frame_map(&frame, &info, in, GST_MAP_READ));
        limber_image view = cases[i].image;
        view.pixels = GST_VIDEO_FRAME_PLANE_DATA(&frame, 0);
        view.width = width, view.height = height;
        view.stride = (size_t)GST_VIDEO_FRAME_PLANE_STRIDE(&frame, 0);
        if (view.format == LIMBER_NV12) {
            view.chroma = GST_VIDEO_FRAME_PLANE_DATA(&frame, 1);
            view.chroma_stride = (size_t)GST_VIDEO_FRAME_PLANE_STRIDE(&frame, 1);
        }
        run_direct(&d, &view, &box, 1);
        gst_video_frame_unmap(&frame);
        set_caps(&r, &info);
        GstBuffer *out = through(&r, in, (int)i);
        const GstStructure *poses[16];
        cr_assert(poses_of(out, poses, NULL) == 1, "%s", cases[i].format);
        is_person(poses[0], &d.people.person[0], d.model);
        gst_buffer_unref(out);
    }
    end(&r);
    close_direct(&d);
    limber_image_free(&image);
}

Test(limberpose, regions_of_interest_are_boxes)
{
    limber_image image = read_picture(THREE);
    GstVideoInfo info = info_of("RGB", image.width, image.height, NULL);
    struct direct d = open_direct(TINY, false);
    /* of these the person is left out of the second run, the dog of the first; one more lies outside of the picture, one is nothing */
    const limber_box boxes[] = {{477, 130, 111, 259}, {20, 30, 200, 300}, {600, 400, 200, 200}};
    const char *const types[] = {"person", "dog", "person"};
    for (int run = 0; run < 2; run++) {
        GString *properties = g_string_new("model=" TINY " boxes=regions");
        if (run == 0)
            g_string_append(properties, " roi-type=person");
        struct rig r = start(properties->str);
        g_string_free(properties, TRUE);
        set_caps(&r, &info);
        GstBuffer *in = buffer_of(&image, &info);
        gst_buffer_add_video_region_of_interest_meta(in, "person", 640, 10, 20, 20);
        gst_buffer_add_video_region_of_interest_meta(in, "person", 10, 10, 0, 20);
        for (int i = 0; i < 3; i++)
            gst_buffer_add_video_region_of_interest_meta(in, types[i], (guint)boxes[i].x, (guint)boxes[i].y,
                                                         (guint)boxes[i].width, (guint)boxes[i].height)
                ->id = 40 + i;
        const limber_box persons[] = {boxes[0], boxes[2]};
        run_direct(&d, &image, run == 0 ? persons : boxes, run == 0 ? 2 : 3);
        GstBuffer *out = through(&r, in, 0);
        const GstStructure *poses[16];
        GstVideoRegionOfInterestMeta *regions[16];
        const int count = poses_of(out, poses, regions);
        cr_assert(count == d.people.count);
        for (int i = 0; i < count; i++) {
            is_person(poses[i], &d.people.person[i], d.model);
            cr_expect(regions[i]->id == (run == 0 ? 40 + 2 * i : 40 + i), "on the region it belongs to");
        }
        cr_expect(gst_buffer_get_n_meta(out, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE) == 5, "no regions of its own");
        gst_buffer_unref(out);
        out = through(&r, buffer_of(&image, &info), 1);
        cr_expect(gst_buffer_get_n_meta(out, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE) == 0, "no regions, nobody");
        gst_buffer_unref(out);
        end(&r);
    }
    close_direct(&d);
    limber_image_free(&image);
}

Test(limberpose, who_says_where_people_are)
{
    limber_image image = read_picture(THREE);
    GstVideoInfo info = info_of("RGB", image.width, image.height, NULL);
    struct direct d = open_direct(NULL, false);
    char between[40] = ""; /* the two highest scores of the first case */
    const struct {
        const char *properties;
        int with, without; /* people, with a region of interest and without one */
    } cases[] = {{"boxes=auto", 1, 3},
                 {"boxes=detector", 3, 3},
                 {"boxes=whole", 1, 1},
                 {"boxes=auto max-people=1", 1, 1},
                 {"boxes=detector min-box-score=1", 0, 0},
                 {between, 1, 1}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct rig r = start(cases[c].properties);
        set_caps(&r, &info);
        for (int with = 0; with < 2; with++) {
            GstBuffer *in = buffer_of(&image, &info);
            if (with)
                gst_buffer_add_video_region_of_interest_meta(in, "face", 477, 130, 111, 259);
            GstBuffer *out = through(&r, in, with);
            const GstStructure *poses[16];
            const int count = poses_of(out, poses, NULL), want = with ? cases[c].with : cases[c].without;
            cr_expect(count == want, "%s, %d regions: %d people, expected %d", cases[c].properties, with, count, want);
            if (c == 0 && !with) {
                double first = 0, second = 0;
                for (int i = 0; i < count; i++) {
                    const double score = number(poses[i], "person-score", -1);
                    second = score > first ? first : score > second ? score : second;
                    first = score > first ? score : first;
                }
                cr_assert(first > second);
                g_snprintf(between, sizeof between, "boxes=auto min-score=%.4f", (first + second) / 2);
            }
            if (c == 2 && count == 1) {
                run_direct(&d, &image, NULL, 0);
                is_person(poses[0], &d.people.person[0], d.model);
            }
            gst_buffer_unref(out);
        }
        end(&r);
    }
    close_direct(&d);
    limber_image_free(&image);
}

/* A buffer that somebody else has too stays as it was, and its pixels are not copied. */
Test(limberpose, passes_pictures_on)
{
    limber_image image = read_picture(THREE);
    GstVideoInfo info = info_of("RGB", image.width, image.height, NULL);
    struct rig r = start("model=" TINY " boxes=whole post-messages=false");
    set_caps(&r, &info);
    GstBuffer *in = buffer_of(&image, &info);
    GstMemory *memory = gst_buffer_peek_memory(in, 0);
    GST_BUFFER_PTS(in) = 5 * GST_SECOND, GST_BUFFER_OFFSET(in) = 77;
    cr_assert_eq(gst_harness_push(r.harness, gst_buffer_ref(in)), GST_FLOW_OK);
    GstBuffer *out = gst_harness_pull(r.harness);
    cr_expect(out != in && gst_buffer_get_n_meta(in, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE) == 0);
    cr_expect(gst_buffer_get_n_meta(out, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE) == 1);
    cr_expect(gst_buffer_peek_memory(out, 0) == memory && GST_BUFFER_PTS(out) == 5 * GST_SECOND && GST_BUFFER_OFFSET(out) == 77);
    gst_buffer_unref(out);
    cr_assert_eq(gst_harness_push(r.harness, in), GST_FLOW_OK); /* ours no more */
    out = gst_harness_pull(r.harness);
    cr_expect(out == in, "the same buffer where nobody else has it");
    gst_buffer_unref(out);
    cr_expect(!gst_bus_pop_filtered(r.bus, GST_MESSAGE_ELEMENT), "messages that nobody asked for");
    end(&r);
    limber_image_free(&image);
}

static int first_track(const struct rig *r, GstBuffer *in, int frame)
{
    GstBuffer *out = through(r, in, frame);
    const GstStructure *poses[16];
    const int track = poses_of(out, poses, NULL) ? track_of(poses[0]) : -1;
    gst_buffer_unref(out);
    return track;
}

Test(limberpose, numbers_people_until_a_flush)
{
    limber_image image = read_picture(THREE);
    GstVideoInfo info = info_of("NV12", image.width, image.height, NULL);
    GstBuffer *picture = buffer_of(&image, &info);
    struct rig r = start("track=true smooth=true boxes=auto min-box-score=0.01"); /* with many who are doubted */
    set_caps(&r, &info);
    int seen[4] = {0};
    GstVideoRegionOfInterestMeta third = {.w = 0}; /* where number 3 is */
    for (int frame = 0; frame < 4; frame++) {
        GstBuffer *out = through(&r, gst_buffer_copy(picture), frame == 3 ? -1 : frame); /* the last has no time */
        const GstStructure *poses[16];
        GstVideoRegionOfInterestMeta *regions[16];
        const int count = poses_of(out, poses, regions);
        cr_assert(count == 3);
        for (int i = 0; i < count; i++) {
            cr_assert_eq(regions[i]->id, track_of(poses[i]));
            cr_assert(track_of(poses[i]) >= 1 && track_of(poses[i]) <= 3, "frame %d: track %d", frame, track_of(poses[i]));
            seen[track_of(poses[i])]++;
            if (track_of(poses[i]) == 3)
                third = *regions[i];
        }
        gst_buffer_unref(out);
    }
    cr_expect(seen[1] == 4 && seen[2] == 4 && seen[3] == 4);
    GstBuffer *pointed = gst_buffer_copy(picture); /* upstream says where one of the three is */
    gst_buffer_add_video_region_of_interest_meta(pointed, "person", 477, 130, 111, 259);
    const int one = first_track(&r, pointed, 5);
    cr_expect(one >= 1 && one <= 3, "track %d", one);
    pointed = gst_buffer_copy(picture); /* and where nobody was */
    gst_buffer_add_video_region_of_interest_meta(pointed, "person", 0, 400, 40, 80);
    cr_expect(first_track(&r, pointed, 6) >= 0, "whom upstream points at is in the answer, with a number or without");
    const int again = first_track(&r, gst_buffer_copy(picture), 7);
    cr_expect(again >= 1 && again <= 3, "track %d", again);
    gst_harness_push_event(r.harness, gst_event_new_flush_start());
    gst_harness_push_event(r.harness, gst_event_new_flush_stop(TRUE));
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    gst_harness_push_event(r.harness, gst_event_new_segment(&segment));
    GstBuffer *moved = gst_buffer_copy(picture);
    gst_buffer_add_video_region_of_interest_meta(moved, "person", third.x, third.y, third.w, third.h);
    cr_expect(first_track(&r, moved, 0) == 1, "after a flush numbers begin anew");
    cr_expect(gst_harness_push_event(r.harness, gst_event_new_eos()));
    GstEvent *event;
    bool eos = false;
    while ((event = gst_harness_try_pull_event(r.harness))) {
        eos |= GST_EVENT_TYPE(event) == GST_EVENT_EOS;
        gst_event_unref(event);
    }
    cr_expect(eos, "the end of the stream goes on");
    gst_buffer_unref(picture);
    end(&r);
    limber_image_free(&image);
}

/* Either gives numbers. */
Test(limberpose, track_or_smooth)
{
    limber_image image = read_picture(THREE);
    GstVideoInfo info = info_of("RGB", 64, 64, NULL);
    static const char *const either[] = {"track=true", "smooth=true", ""};
    for (int i = 0; i < 3; i++) {
        gchar *properties = g_strconcat("model=" TINY " boxes=whole ", either[i], NULL);
        struct rig r = start(properties);
        g_free(properties);
        set_caps(&r, &info);
        cr_expect_eq(first_track(&r, buffer_of(&image, &info), 0), i < 2 ? 1 : 0, "%s", either[i]);
        end(&r);
    }
    limber_image_free(&image);
}

/* Started and stopped again and again, by other properties each time. */
Test(limberpose, starts_anew)
{
    limber_image image = read_picture(THREE);
    GstVideoInfo info = info_of("GRAY8", image.width, image.height, NULL);
    GstElement *element = gst_element_factory_make("limberpose", NULL);
    gst_object_ref_sink(element);
    for (int i = 0; i < 3; i++) {
        g_object_set(element, "model", i == 1 ? NULL : TINY, "threads", i, NULL);
        gst_util_set_object_arg(G_OBJECT(element), "boxes", "whole");
        struct rig r = {.element = element, .harness = gst_harness_new_with_element(element, "sink", "src")};
        set_caps(&r, &info);
        GstBuffer *out = through(&r, buffer_of(&image, &info), 0);
        const GstStructure *poses[16];
        cr_expect(poses_of(out, poses, NULL) == 1);
        gst_buffer_unref(out);
        gst_harness_teardown(r.harness);
        gst_element_set_state(element, GST_STATE_NULL);
    }
    gst_object_unref(element);
    limber_image_free(&image);
}

/* The error message on the bus: its domain, its code and words. */
static void says(const struct rig *r, GQuark domain, int code, const char *words)
{
    GstMessage *message = gst_bus_pop_filtered(r->bus, GST_MESSAGE_ERROR);
    cr_assert(message, "no error on the bus");
    GError *error;
    gst_message_parse_error(message, &error, NULL);
    cr_expect(error->domain == domain && error->code == code, "%s %d: %s", g_quark_to_string(error->domain), error->code,
              error->message);
    cr_expect(strstr(error->message, words), "\"%s\" lacks \"%s\"", error->message, words);
    g_error_free(error);
    gst_message_unref(message);
}

Test(limberpose, what_cannot_be_opened)
{
    const struct {
        const char *properties;
        GQuark domain;
        int code;
        const char *words;
    } cases[] = {
        {"model=/nowhere/model", GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_OPEN_READ, "model: /nowhere/model"},
        {"model=" LIMBER_TEST_DIR "/golden/processor", GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_OPEN_READ, "config.json"},
        {"detector=/nowhere/detector", GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_OPEN_READ, "detector: /nowhere/detector"},
        {"detector=" TINY, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_FAILED, "detector: "},
        {"backend=warp", GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_SETTINGS, "warp"},
        {"precision=fp3", GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_SETTINGS, "fp3"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rig r = make(cases[i].properties);
        gst_element_set_bus(r.element, r.bus);
        cr_expect_eq(gst_element_set_state(r.element, GST_STATE_PAUSED), GST_STATE_CHANGE_FAILURE, "%s", cases[i].properties);
        says(&r, cases[i].domain, cases[i].code, cases[i].words);
        /* and then rightly */
        g_object_set(r.element, "model", TINY, "detector", NULL, "backend", "auto", "precision", "auto", NULL);
        cr_expect(gst_element_set_state(r.element, GST_STATE_PAUSED) != GST_STATE_CHANGE_FAILURE);
        end(&r);
    }
}

Test(limberpose, a_buffer_that_is_no_picture)
{
    GstVideoInfo info = info_of("RGB", 64, 64, NULL);
    struct rig r = start("model=" TINY " boxes=whole");
    set_caps(&r, &info);
    cr_expect_eq(gst_harness_push(r.harness, gst_buffer_new_allocate(NULL, info.size - 1, NULL)), GST_FLOW_ERROR);
    says(&r, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT, "no picture");
    end(&r);
}

/* 1 x 1, and as long as it gets. */
Test(limberpose, strange_sizes)
{
    const int sizes[][2] = {{1, 1}, {1, 4000}, {4000, 1}, {3, 2}};
    struct rig r = start("model=" TINY " boxes=auto track=true");
    for (int i = 0; i < 4; i++) {
        const char *const formats[] = {"NV12", "RGB", "GRAY8", "NV12"};
        GstVideoInfo info = info_of(formats[i], sizes[i][0], sizes[i][1], NULL);
        GstBuffer *in = gst_buffer_new_allocate(NULL, info.size, NULL);
        gst_buffer_memset(in, 0, 0x5a, info.size);
        set_caps(&r, &info);
        gst_buffer_unref(through(&r, in, i));
        in = gst_buffer_new_allocate(NULL, info.size, NULL);
        gst_buffer_memset(in, 0, 0x5a, info.size);
        gst_buffer_add_video_region_of_interest_meta(in, "person", 0, 0, (guint)sizes[i][0], (guint)sizes[i][1]);
        gst_buffer_unref(through(&r, in, i));
    }
    end(&r);
}
