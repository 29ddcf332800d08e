/* SPDX-License-Identifier: MIT */
/* gstlimberpose.c - the GStreamer element `limberpose`, over limber.h and nothing else of limber. */

/**
 * SECTION:element-limberpose
 * @title: limberpose
 * @short_description: joints of the people in a stream of pictures
 *
 * Pictures pass through as they are. Each person in one becomes a #GstVideoRegionOfInterestMeta of its buffer, which has a parameter,
 * a #GstStructure:
 *
 *     keypoints, names=(string)< nose, left_eye, ... >, x=(double)< ... >, y=(double)< ... >, score=(double)< ... >,
 *         person-score=(double), box-score=(double), box=(double)< x, y, width, height >, track=(int)
 *
 * `x` and `y` are pixels of the picture, the centre of the top-left one is (0, 0). `track` is there with #GstLimberPose:track alone.
 * The same is posted as an element message, "limberpose", whose `people` are an array of these structures; the message has the picture's
 * times, `width` and `height` too.
 *
 * Where an element upstream has marked regions of interest, they are taken for the boxes of people, and the poses become parameters of
 * these very regions. Otherwise limber's detector looks for people, whose regions are of the type "person"; #GstLimberPose:boxes decides.
 *
 * A picture takes as long as the network does, and nothing is left out. Before a camera put a queue that forgets:
 *
 * |[
 * gst-launch-1.0 -m v4l2src ! videoconvert ! queue leaky=downstream max-size-buffers=1 ! limberpose track=true ! fakesink
 * ]|
 */
#include <math.h>

#include <gst/base/gstbasetransform.h>
#include <gst/gst.h>
#include <gst/video/video.h>

#include "limber.h"

GST_DEBUG_CATEGORY_STATIC(limber_pose_debug);
#define GST_CAT_DEFAULT limber_pose_debug

#define FORMATS "{ NV12, RGB, BGR, RGBA, BGRA, RGBx, BGRx, GRAY8 }"

typedef enum { BOXES_AUTO, BOXES_REGIONS, BOXES_DETECTOR, BOXES_WHOLE } GstLimberPoseBoxes;

typedef struct {
    gchar *model, *detector, *backend, *precision, *roi_type;
    GstLimberPoseBoxes boxes;
    gint threads, max_people;
    gdouble min_score, min_box_score;
    gboolean flip, track, smooth, post_messages;
} Settings;

struct _GstLimberPose {
    GstBaseTransform parent;
    Settings settings; /* under the object's lock */

    /* from start to stop, of the streaming thread */
    Settings now; /* model to precision are not copied */
    limber_model *model;
    limber_detector *detector;
    limber_session *session;
    limber_tracker *tracker;
    GValue names;    /* of the joints */
    gdouble seconds; /* of the last picture */

    GstVideoInfo info; /* of the caps */
};

#define GST_TYPE_LIMBER_POSE (gst_limber_pose_get_type())
G_DECLARE_FINAL_TYPE(GstLimberPose, gst_limber_pose, GST, LIMBER_POSE, GstBaseTransform)
G_DEFINE_TYPE(GstLimberPose, gst_limber_pose, GST_TYPE_BASE_TRANSFORM)
GST_ELEMENT_REGISTER_DECLARE(limberpose);
GST_ELEMENT_REGISTER_DEFINE(limberpose, "limberpose", GST_RANK_NONE, GST_TYPE_LIMBER_POSE)

#define GST_TYPE_LIMBER_POSE_BOXES (gst_limber_pose_boxes_get_type())
static GType gst_limber_pose_boxes_get_type(void)
{
    static gsize type;
    static const GEnumValue values[] = {
        {BOXES_AUTO, "Regions of interest where a picture has some, else the detector's", "auto"},
        {BOXES_REGIONS, "Regions of interest alone: a picture without them has nobody in it", "regions"},
        {BOXES_DETECTOR, "The detector's, whatever regions of interest there are", "detector"},
        {BOXES_WHOLE, "One person, who fills the picture; no detector is opened", "whole"},
        {0, NULL, NULL},
    };
    if (g_once_init_enter(&type))
        g_once_init_leave(&type, g_enum_register_static("GstLimberPoseBoxes", values));
    return type;
}

/* ---- properties ---- */

enum {
    PROP_0,
    PROP_MODEL,
    PROP_DETECTOR,
    PROP_BACKEND,
    PROP_PRECISION,
    PROP_THREADS,
    PROP_BOXES,
    PROP_ROI_TYPE,
    PROP_MAX_PEOPLE,
    PROP_MIN_BOX_SCORE,
    PROP_MIN_SCORE,
    PROP_FLIP,
    PROP_TRACK,
    PROP_SMOOTH,
    PROP_POST_MESSAGES
};

static void set_text(gchar **text, const GValue *value)
{
    g_free(*text);
    *text = g_value_dup_string(value);
}

static void gst_limber_pose_set_property(GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
    Settings *s = &GST_LIMBER_POSE(object)->settings;
    GST_OBJECT_LOCK(object);
    switch (id) {
    case PROP_MODEL:
        set_text(&s->model, value);
        break;
    case PROP_DETECTOR:
        set_text(&s->detector, value);
        break;
    case PROP_BACKEND:
        set_text(&s->backend, value);
        break;
    case PROP_PRECISION:
        set_text(&s->precision, value);
        break;
    case PROP_THREADS:
        s->threads = g_value_get_int(value);
        break;
    case PROP_BOXES:
        s->boxes = (GstLimberPoseBoxes)g_value_get_enum(value);
        break;
    case PROP_ROI_TYPE:
        set_text(&s->roi_type, value);
        break;
    case PROP_MAX_PEOPLE:
        s->max_people = g_value_get_int(value);
        break;
    case PROP_MIN_BOX_SCORE:
        s->min_box_score = g_value_get_double(value);
        break;
    case PROP_MIN_SCORE:
        s->min_score = g_value_get_double(value);
        break;
    case PROP_FLIP:
        s->flip = g_value_get_boolean(value);
        break;
    case PROP_TRACK:
        s->track = g_value_get_boolean(value);
        break;
    case PROP_SMOOTH:
        s->smooth = g_value_get_boolean(value);
        break;
    case PROP_POST_MESSAGES:
        s->post_messages = g_value_get_boolean(value);
        break;
    default:
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
    }
    GST_OBJECT_UNLOCK(object);
}

static void gst_limber_pose_get_property(GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
    const Settings *s = &GST_LIMBER_POSE(object)->settings;
    GST_OBJECT_LOCK(object);
    switch (id) {
    case PROP_MODEL:
        g_value_set_string(value, s->model);
        break;
    case PROP_DETECTOR:
        g_value_set_string(value, s->detector);
        break;
    case PROP_BACKEND:
        g_value_set_string(value, s->backend);
        break;
    case PROP_PRECISION:
        g_value_set_string(value, s->precision);
        break;
    case PROP_THREADS:
        g_value_set_int(value, s->threads);
        break;
    case PROP_BOXES:
        g_value_set_enum(value, (gint)s->boxes);
        break;
    case PROP_ROI_TYPE:
        g_value_set_string(value, s->roi_type);
        break;
    case PROP_MAX_PEOPLE:
        g_value_set_int(value, s->max_people);
        break;
    case PROP_MIN_BOX_SCORE:
        g_value_set_double(value, s->min_box_score);
        break;
    case PROP_MIN_SCORE:
        g_value_set_double(value, s->min_score);
        break;
    case PROP_FLIP:
        g_value_set_boolean(value, s->flip);
        break;
    case PROP_TRACK:
        g_value_set_boolean(value, s->track);
        break;
    case PROP_SMOOTH:
        g_value_set_boolean(value, s->smooth);
        break;
    case PROP_POST_MESSAGES:
        g_value_set_boolean(value, s->post_messages);
        break;
    default:
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
    }
    GST_OBJECT_UNLOCK(object);
}

static void gst_limber_pose_finalize(GObject *object)
{
    Settings *s = &GST_LIMBER_POSE(object)->settings;
    g_free(s->model);
    g_free(s->detector);
    g_free(s->backend);
    g_free(s->precision);
    g_free(s->roi_type);
    G_OBJECT_CLASS(gst_limber_pose_parent_class)->finalize(object);
}

/* ---- from start to stop ---- */

/* What limber says becomes the element's error, as its kind is. */
static void post_error(GstLimberPose *self, const char *what, const limber_error *err)
{
    const char *detail = limber_status_name(err->status);
    if (err->status == LIMBER_E_IO)
        GST_ELEMENT_ERROR(self, RESOURCE, OPEN_READ, ("%s: %s", what, err->text), ("%s", detail));
    else if (err->status == LIMBER_E_FORMAT || err->status == LIMBER_E_MODEL)
        GST_ELEMENT_ERROR(self, RESOURCE, FAILED, ("%s: %s", what, err->text), ("%s", detail));
    else if (err->status == LIMBER_E_MEMORY)
        GST_ELEMENT_ERROR(self, RESOURCE, NO_SPACE_LEFT, ("%s: %s", what, err->text), ("%s", detail));
    else
        GST_ELEMENT_ERROR(self, LIBRARY, SETTINGS, ("%s: %s", what, err->text), ("%s", detail));
}

static gboolean open_tracker(GstLimberPose *self)
{
    limber_error err;
    limber_options o = limber_options_default();
    o.smooth = self->now.smooth;
    o.detector = self->detector;
    limber_tracker_close(&self->tracker);
    self->seconds = -1;
    if (!(self->now.track || self->now.smooth) || !limber_tracker_open(&self->tracker, self->model, &o, &err))
        return TRUE;
    post_error(self, "tracks", &err);
    return FALSE;
}

static gboolean gst_limber_pose_stop(GstBaseTransform *trans)
{
    GstLimberPose *self = GST_LIMBER_POSE(trans);
    limber_tracker_close(&self->tracker);
    limber_session_close(&self->session);
    limber_detector_close(&self->detector);
    limber_model_close(&self->model);
    if (G_IS_VALUE(&self->names))
        g_value_unset(&self->names);
    return TRUE;
}

static gboolean open_all(GstLimberPose *self, const Settings *s)
{
    limber_error err;
    limber_options o = limber_options_default();
    o.backend = s->backend;
    o.precision = s->precision;
    o.threads = s->threads;
    o.flip = s->flip;
    o.max_people = s->max_people;
    o.min_box_score = (float)s->min_box_score;
    o.track = s->track || s->smooth;
    if (limber_model_open(&self->model, s->model, &o, &err)) {
        post_error(self, "model", &err);
        return FALSE;
    }
    if ((s->boxes == BOXES_AUTO || s->boxes == BOXES_DETECTOR) && limber_detector_open(&self->detector, s->detector, &o, &err)) {
        post_error(self, "detector", &err);
        return FALSE;
    }
    o.detector = self->detector;
    if (limber_session_open(&self->session, self->model, &o, &err)) {
        post_error(self, "session", &err);
        return FALSE;
    }
    GST_INFO_OBJECT(self, "model on %s in %s", limber_model_backend(self->model), limber_model_precision(self->model));
    return open_tracker(self);
}

static gboolean gst_limber_pose_start(GstBaseTransform *trans)
{
    GstLimberPose *self = GST_LIMBER_POSE(trans);
    GST_OBJECT_LOCK(self);
    Settings s = self->settings;
    s.model = g_strdup(s.model);
    s.detector = g_strdup(s.detector);
    s.backend = g_strdup(s.backend);
    s.precision = g_strdup(s.precision);
    GST_OBJECT_UNLOCK(self);
    self->now = s;
    const gboolean fine = open_all(self, &s);
    g_free(s.model);
    g_free(s.detector);
    g_free(s.backend);
    g_free(s.precision);
    if (!fine) {
        gst_limber_pose_stop(trans);
        return FALSE;
    }
    const gint count = limber_model_keypoint_count(self->model);
    gst_value_array_init(&self->names, (guint)count);
    for (gint k = 0; k < count; k++) {
        GValue name = G_VALUE_INIT;
        g_value_init(&name, G_TYPE_STRING);
        g_value_set_string(&name, limber_model_keypoint_name(self->model, k));
        gst_value_array_append_and_take_value(&self->names, &name);
    }
    return TRUE;
}

static gboolean gst_limber_pose_set_caps(GstBaseTransform *trans, GstCaps *caps, GstCaps *out)
{
    (void)out; /* the same */
    return gst_video_info_from_caps(&GST_LIMBER_POSE(trans)->info, caps);
}

/* Another stream, or another place in it: who was there before is not who comes now. */
static gboolean gst_limber_pose_sink_event(GstBaseTransform *trans, GstEvent *event)
{
    GstLimberPose *self = GST_LIMBER_POSE(trans);
    if ((GST_EVENT_TYPE(event) == GST_EVENT_FLUSH_STOP || GST_EVENT_TYPE(event) == GST_EVENT_STREAM_START) && self->model)
        open_tracker(self);
    return GST_BASE_TRANSFORM_CLASS(gst_limber_pose_parent_class)->sink_event(trans, event);
}

/* ---- a picture ---- */

/* As limber sees it, without a copy. */
static limber_image image_of(const GstVideoFrame *frame)
{
    limber_image image = {
        .pixels = GST_VIDEO_FRAME_PLANE_DATA(frame, 0),
        .width = GST_VIDEO_FRAME_WIDTH(frame),
        .height = GST_VIDEO_FRAME_HEIGHT(frame),
        .stride = (size_t)GST_VIDEO_FRAME_PLANE_STRIDE(frame, 0),
    };
    switch (GST_VIDEO_FRAME_FORMAT(frame)) {
    case GST_VIDEO_FORMAT_BGR:
        image.format = LIMBER_BGR;
        break;
    case GST_VIDEO_FORMAT_RGBA:
    case GST_VIDEO_FORMAT_RGBx:
        image.format = LIMBER_RGBA;
        break;
    case GST_VIDEO_FORMAT_BGRA:
    case GST_VIDEO_FORMAT_BGRx:
        image.format = LIMBER_BGRA;
        break;
    case GST_VIDEO_FORMAT_GRAY8:
        image.format = LIMBER_GRAY;
        break;
    case GST_VIDEO_FORMAT_NV12:
        image.format = LIMBER_NV12;
        image.chroma = GST_VIDEO_FRAME_PLANE_DATA(frame, 1);
        image.chroma_stride = (size_t)GST_VIDEO_FRAME_PLANE_STRIDE(frame, 1);
        image.matrix = LIMBER_BT601;
        if (frame->info.colorimetry.matrix == GST_VIDEO_COLOR_MATRIX_BT709 ||
            frame->info.colorimetry.matrix == GST_VIDEO_COLOR_MATRIX_SMPTE240M) /* within a hundredth */
            image.matrix = LIMBER_BT709;
        else if (frame->info.colorimetry.matrix == GST_VIDEO_COLOR_MATRIX_BT2020)
            image.matrix = LIMBER_BT2020;
        image.full_range = frame->info.colorimetry.range == GST_VIDEO_COLOR_RANGE_0_255;
        break;
    default: /* the caps allow one more */
        image.format = LIMBER_RGB;
    }
    return image;
}

/* The regions of interest that are boxes of people, and their metas in the same order. */
static void read_regions(GstLimberPose *self, GstBuffer *buffer, GArray *boxes, GPtrArray *regions)
{
    const gint width = GST_VIDEO_INFO_WIDTH(&self->info), height = GST_VIDEO_INFO_HEIGHT(&self->info);
    gpointer state = NULL;
    GstMeta *meta;
    GST_OBJECT_LOCK(self);
    gchar *type = g_strdup(self->settings.roi_type);
    GST_OBJECT_UNLOCK(self);
    while ((meta = gst_buffer_iterate_meta_filtered(buffer, &state, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE))) {
        GstVideoRegionOfInterestMeta *roi = (GstVideoRegionOfInterestMeta *)meta;
        if (type && *type && g_strcmp0(type, g_quark_to_string(roi->roi_type)))
            continue;
        if (roi->w == 0 || roi->h == 0 || roi->x >= (guint)width || roi->y >= (guint)height) {
            GST_WARNING_OBJECT(self, "a region of %ux%u at %u, %u is outside of the picture, %dx%d: left out", roi->w, roi->h,
                               roi->x, roi->y, width, height);
            continue;
        }
        const limber_box box = {(float)roi->x, (float)roi->y, (float)roi->w, (float)roi->h};
        g_array_append_val(boxes, box);
        g_ptr_array_add(regions, roi);
    }
    g_free(type);
}

static void take_numbers(GstStructure *s, const char *name, const float *from, gint count, gint step)
{
    GValue array = G_VALUE_INIT;
    gst_value_array_init(&array, (guint)count);
    for (gint i = 0; i < count; i++) {
        GValue v = G_VALUE_INIT;
        g_value_init(&v, G_TYPE_DOUBLE);
        g_value_set_double(&v, (gdouble)from[i * step]);
        gst_value_array_append_and_take_value(&array, &v);
    }
    gst_structure_take_value(s, name, &array);
}

static GstStructure *pose_of(const GstLimberPose *self, const limber_person *p, gint count)
{
    const gint step = (gint)(sizeof *p->keypoints / sizeof(float)); /* arrays of three floats, limber.h promises */
    const float box[] = {p->box.x, p->box.y, p->box.width, p->box.height};
    GstStructure *pose = gst_structure_new_empty("keypoints");
    gst_structure_set_value(pose, "names", &self->names);
    take_numbers(pose, "x", &p->keypoints[0].x, count, step);
    take_numbers(pose, "y", &p->keypoints[0].y, count, step);
    take_numbers(pose, "score", &p->keypoints[0].score, count, step);
    gst_structure_set(pose, "person-score", G_TYPE_DOUBLE, (gdouble)p->score, "box-score", G_TYPE_DOUBLE, (gdouble)p->box_score,
                      NULL);
    take_numbers(pose, "box", box, 4, 1);
    if (p->track)
        gst_structure_set(pose, "track", G_TYPE_INT, p->track, NULL);
    return pose;
}

/* Whole pixels around a box, inside the picture. */
static GstVideoRegionOfInterestMeta *add_region(const GstLimberPose *self, GstBuffer *buffer, const limber_person *p)
{
    const double width = GST_VIDEO_INFO_WIDTH(&self->info), height = GST_VIDEO_INFO_HEIGHT(&self->info);
    const double left = CLAMP(floor((double)p->box.x), 0, width - 1), top = CLAMP(floor((double)p->box.y), 0, height - 1);
    const double right = CLAMP(ceil((double)p->box.x + (double)p->box.width), left + 1, width);
    const double bottom = CLAMP(ceil((double)p->box.y + (double)p->box.height), top + 1, height);
    GstVideoRegionOfInterestMeta *roi = gst_buffer_add_video_region_of_interest_meta(
        buffer, "person", (guint)left, (guint)top, (guint)(right - left), (guint)(bottom - top));
    roi->id = p->track;
    return roi;
}

static void post_people(GstLimberPose *self, GstBuffer *buffer, GValue *people)
{
    const GstSegment *segment = &GST_BASE_TRANSFORM(self)->segment;
    const GstClockTime pts = GST_BUFFER_PTS(buffer);
    GstStructure *s = gst_structure_new("limberpose", "timestamp", G_TYPE_UINT64, pts, "stream-time", G_TYPE_UINT64,
                                        gst_segment_to_stream_time(segment, GST_FORMAT_TIME, pts), "running-time", G_TYPE_UINT64,
                                        gst_segment_to_running_time(segment, GST_FORMAT_TIME, pts), "duration", G_TYPE_UINT64,
                                        GST_BUFFER_DURATION(buffer), "width", G_TYPE_INT, GST_VIDEO_INFO_WIDTH(&self->info),
                                        "height", G_TYPE_INT, GST_VIDEO_INFO_HEIGHT(&self->info), NULL);
    gst_structure_take_value(s, "people", people);
    gst_element_post_message(GST_ELEMENT(self), gst_message_new_element(GST_OBJECT(self), s));
}

/* When a picture is shown, for tracks. One without a time comes a frame after the one before. */
static gdouble seconds_of(GstLimberPose *self, GstBuffer *buffer)
{
    const GstSegment *segment = &GST_BASE_TRANSFORM(self)->segment;
    GstClockTime time = GST_CLOCK_TIME_NONE;
    if (segment->format == GST_FORMAT_TIME)
        time = gst_segment_to_running_time(segment, GST_FORMAT_TIME, GST_BUFFER_PTS(buffer));
    const gint n = GST_VIDEO_INFO_FPS_N(&self->info), d = GST_VIDEO_INFO_FPS_D(&self->info);
    const gdouble frame = GST_BUFFER_DURATION_IS_VALID(buffer) ? (gdouble)GST_BUFFER_DURATION(buffer) / GST_SECOND
                          : n > 0 && d > 0                     ? (gdouble)d / n
                                                               : 1.0 / 30;
    self->seconds = GST_CLOCK_TIME_IS_VALID(time) ? (gdouble)time / GST_SECOND : self->seconds < 0 ? 0 : self->seconds + frame;
    return self->seconds;
}

/* regions: upstream's, one a person; empty where the detector looked. */
static void put_people(GstLimberPose *self, GstBuffer *buffer, const limber_people *people, const GPtrArray *regions)
{
    GST_OBJECT_LOCK(self);
    const gboolean post = self->settings.post_messages;
    const gdouble least = self->settings.min_score;
    GST_OBJECT_UNLOCK(self);
    GValue all = G_VALUE_INIT;
    gst_value_array_init(&all, (guint)people->count);
    for (gint i = 0; i < people->count; i++) {
        const limber_person *p = &people->person[i];
        if ((least > 0 && (gdouble)p->score < least) || (self->tracker && !regions->len && !p->track))
            continue;
        GstStructure *pose = pose_of(self, p, people->keypoint_count);
        if (post) {
            GValue one = G_VALUE_INIT;
            g_value_init(&one, GST_TYPE_STRUCTURE);
            gst_value_set_structure(&one, pose);
            gst_value_array_append_and_take_value(&all, &one);
        }
        GstVideoRegionOfInterestMeta *roi =
            regions->len ? (GstVideoRegionOfInterestMeta *)g_ptr_array_index(regions, (guint)i) : add_region(self, buffer, p);
        gst_video_region_of_interest_meta_add_param(roi, pose);
    }
    if (post)
        post_people(self, buffer, &all);
    else
        g_value_unset(&all);
}

static GstFlowReturn gst_limber_pose_transform_ip(GstBaseTransform *trans, GstBuffer *buffer)
{
    GstLimberPose *self = GST_LIMBER_POSE(trans);
    GstVideoFrame frame;
    if (!gst_video_frame_map(&frame, &self->info, buffer, GST_MAP_READ)) {
        GST_ELEMENT_ERROR(self, STREAM, FORMAT, ("a buffer holds no picture of its caps"),
                          ("%" G_GSIZE_FORMAT " bytes, %" G_GSIZE_FORMAT " expected", gst_buffer_get_size(buffer),
                           GST_VIDEO_INFO_SIZE(&self->info)));
        return GST_FLOW_ERROR;
    }
    const limber_image image = image_of(&frame);
    GArray *boxes = g_array_new(FALSE, FALSE, sizeof(limber_box));
    GPtrArray *regions = g_ptr_array_new();
    if (self->now.boxes == BOXES_AUTO || self->now.boxes == BOXES_REGIONS)
        read_regions(self, buffer, boxes, regions);
    limber_people people = {0};
    limber_error err;
    limber_status st = LIMBER_OK;
    if (boxes->len || self->now.boxes != BOXES_REGIONS)
        st = limber_run(self->session, &image, boxes->len ? (const limber_box *)(void *)boxes->data : NULL, (int)boxes->len,
                        &people, &err);
    gst_video_frame_unmap(&frame);
    if (!st && self->tracker)
        st = limber_tracker_update(self->tracker, &people, seconds_of(self, buffer), &err);
    if (!st)
        put_people(self, buffer, &people, regions);
    else
        GST_ELEMENT_ERROR(self, STREAM, FAILED, ("%s", err.text), ("%s", limber_status_name(err.status)));
    limber_people_free(&people);
    g_array_unref(boxes);
    g_ptr_array_unref(regions);
    return st ? GST_FLOW_ERROR : GST_FLOW_OK;
}

/* ---- the class ---- */

static void add_property(GObjectClass *class, guint id, GParamSpec *spec)
{
    g_object_class_install_property(class, id, spec);
}

static void gst_limber_pose_class_init(GstLimberPoseClass *class)
{
    static GstStaticPadTemplate sink =
        GST_STATIC_PAD_TEMPLATE("sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS(GST_VIDEO_CAPS_MAKE(FORMATS)));
    static GstStaticPadTemplate source =
        GST_STATIC_PAD_TEMPLATE("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS(GST_VIDEO_CAPS_MAKE(FORMATS)));
    const GParamFlags flags = (GParamFlags)(G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS);
    const GParamFlags ready = flags | GST_PARAM_MUTABLE_READY, playing = flags | GST_PARAM_MUTABLE_PLAYING;
    GObjectClass *object = G_OBJECT_CLASS(class);
    GstElementClass *element = GST_ELEMENT_CLASS(class);
    GstBaseTransformClass *transform = GST_BASE_TRANSFORM_CLASS(class);
    object->set_property = gst_limber_pose_set_property;
    object->get_property = gst_limber_pose_get_property;
    object->finalize = gst_limber_pose_finalize;

    /**
     * GstLimberPose:model:
     *
     * Directory of a ViTPose checkpoint, as Hugging Face lays it out; %NULL: the model that is built into limber.
     */
    add_property(
        object, PROP_MODEL,
        g_param_spec_string("model", "Model", "Directory of a ViTPose checkpoint (NULL: the built-in one)", NULL, ready));
    /**
     * GstLimberPose:detector:
     *
     * Directory of a YOLOS, or of limber's own kind of detector; %NULL: the one that is built into limber. Not opened where
     * #GstLimberPose:boxes is "regions" or "whole".
     */
    add_property(
        object, PROP_DETECTOR,
        g_param_spec_string("detector", "Detector", "Directory of a detector of people (NULL: the built-in one)", NULL, ready));
    /**
     * GstLimberPose:backend:
     *
     * Where the networks are computed: "auto", "cpu", "cuda" or "ref".
     */
    add_property(object, PROP_BACKEND,
                 g_param_spec_string("backend", "Backend", "Where to compute: auto, cpu, cuda or ref", "auto", ready));
    /**
     * GstLimberPose:precision:
     *
     * How exactly: "auto", "fp32", "bf16", "fp16" or "int8".
     */
    add_property(object, PROP_PRECISION,
                 g_param_spec_string("precision", "Precision", "How exactly: auto, fp32, bf16, fp16 or int8", "auto", ready));
    /**
     * GstLimberPose:threads:
     *
     * Threads that compute; 0: as many as the process may use.
     */
    add_property(
        object, PROP_THREADS,
        g_param_spec_int("threads", "Threads", "Threads that compute (0: as many as the process may use)", 0, 1024, 0, ready));
    /**
     * GstLimberPose:boxes:
     *
     * Who says where people are.
     */
    add_property(object, PROP_BOXES,
                 g_param_spec_enum("boxes", "Boxes", "Who says where people are", GST_TYPE_LIMBER_POSE_BOXES, BOXES_AUTO, ready));
    /**
     * GstLimberPose:roi-type:
     *
     * Only regions of interest of this type are boxes of people; %NULL: all are.
     */
    add_property(object, PROP_ROI_TYPE,
                 g_param_spec_string("roi-type", "Type of regions",
                                     "Only regions of interest of this type are boxes of people (NULL: all)", NULL, playing));
    /**
     * GstLimberPose:max-people:
     *
     * At most so many people that the detector finds in a picture, the surest; 0: 300.
     */
    add_property(object, PROP_MAX_PEOPLE,
                 g_param_spec_int("max-people", "Most people", "People found in a picture at most, the surest (0: 300)", 0, 300,
                                  0, ready));
    /**
     * GstLimberPose:min-box-score:
     *
     * A box that the detector is less sure of is nobody; 0: as the detector needs it.
     */
    add_property(object, PROP_MIN_BOX_SCORE,
                 g_param_spec_double("min-box-score", "Least score of a box",
                                     "A box that the detector is less sure of is nobody (0: as the detector needs it)", 0, 1, 0,
                                     ready));
    /**
     * GstLimberPose:min-score:
     *
     * People of a lower score are left out; 0: nobody is.
     */
    add_property(object, PROP_MIN_SCORE,
                 g_param_spec_double("min-score", "Least score of a person",
                                     "People of a lower score are left out (0: nobody is)", 0, 1, 0, playing));
    /**
     * GstLimberPose:flip:
     *
     * Average with a second pass over the mirrored picture: a little better, half as fast.
     */
    add_property(object, PROP_FLIP,
                 g_param_spec_boolean("flip", "Flip", "Average with a second pass over the mirrored person", FALSE, ready));
    /**
     * GstLimberPose:track:
     *
     * Give people numbers, the same for the same person from picture to picture. A flush and another stream begin anew.
     */
    add_property(object, PROP_TRACK,
                 g_param_spec_boolean("track", "Track", "Give people numbers, the same from picture to picture", FALSE, ready));
    /**
     * GstLimberPose:smooth:
     *
     * Joints without jitter, at the price of a lag of about 15 ms. It gives people numbers, too.
     */
    add_property(object, PROP_SMOOTH,
                 g_param_spec_boolean("smooth", "Smooth", "Joints without jitter; gives people numbers, too", FALSE, ready));
    /**
     * GstLimberPose:post-messages:
     *
     * Post an element message for each picture.
     */
    add_property(
        object, PROP_POST_MESSAGES,
        g_param_spec_boolean("post-messages", "Post messages", "Post an element message for each picture", TRUE, playing));

    gst_element_class_set_static_metadata(element, "Human pose estimator", "Filter/Analyzer/Video",
                                          "Joints of the people in pictures, by Vision Transformers (ViTPose)",
                                          "the limber authors");
    gst_element_class_add_static_pad_template(element, &sink);
    gst_element_class_add_static_pad_template(element, &source);
    gst_type_mark_as_plugin_api(GST_TYPE_LIMBER_POSE_BOXES, (GstPluginAPIFlags)0);
    transform->start = gst_limber_pose_start;
    transform->stop = gst_limber_pose_stop;
    transform->set_caps = gst_limber_pose_set_caps;
    transform->sink_event = gst_limber_pose_sink_event;
    transform->transform_ip = gst_limber_pose_transform_ip;
    transform->transform_ip_on_passthrough = FALSE;
    GST_DEBUG_CATEGORY_INIT(limber_pose_debug, "limberpose", 0, "joints of people");
}

static void gst_limber_pose_init(GstLimberPose *self)
{
    self->settings = (Settings){.backend = g_strdup("auto"), .precision = g_strdup("auto"), .post_messages = TRUE};
    gst_base_transform_set_in_place(GST_BASE_TRANSFORM(self), TRUE);
}

static gboolean plugin_init(GstPlugin *plugin)
{
    return GST_ELEMENT_REGISTER(limberpose, plugin);
}

#define PACKAGE "limber"
GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, limber, "human pose estimation by Vision Transformers", plugin_init,
                  LIMBER_VERSION, "MIT/X11", "limber", "unknown")
