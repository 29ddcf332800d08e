/* SPDX-License-Identifier: MIT */
/* limber.h - the joints of the people in an image, from C.
 *
 *     limber_error err;
 *     limber_model *model = NULL;
 *     limber_session *session = NULL;
 *     limber_people people = {0};
 *     limber_image image = {.pixels = rgb, .width = w, .height = h, .stride = 3 * w}; // or limber_image_read
 *     limber_box box = {x, y, width, height};
 *
 *     if (limber_model_open(&model, "vitpose-base", NULL, &err) ||
 *         limber_session_open(&session, model, NULL, &err) ||
 *         limber_run(session, &image, &box, 1, &people, &err))
 *         fprintf(stderr, "%s\n", err.text);
 *     for (int p = 0; p < people.count; p++)
 *         for (int k = 0; k < people.keypoint_count; k++)
 *             printf("%s %.1f %.1f %.2f\n", limber_model_keypoint_name(model, k), people.person[p].keypoints[k].x,
 *                    people.person[p].keypoints[k].y, people.person[p].keypoints[k].score);
 *     limber_people_free(&people);
 *     limber_session_close(&session);
 *     limber_model_close(&model);
 *
 * A model is read-only once it is open: share it between threads. A session owns activations and worker threads and is used
 * by one thread at a time; open several for several callers. The library keeps no global state, never prints and never exits:
 * every failure comes back as a status with a sentence in limber_error.
 *
 * Coordinates: pixels of the upright image, x to the right, y down, the centre of the top-left pixel is (0, 0). */
#ifndef LIMBER_H
#define LIMBER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(LIMBER_BUILD) && defined(__GNUC__)
#define LIMBER_API __attribute__((visibility("default")))
#else
#define LIMBER_API
#endif

/* Version of this interface, of all limber*.h: major * 10000 + minor * 100 + patch. Every change of a header moves it:
 *
 *     major   a caller must be changed, or compiled anew; the library's soname moves with it
 *     minor   something was added: a function, a value of an enum, a field in the place of `reserved`. Programs that are compiled
 *             run on
 *     patch   words
 *
 * Below 1.0 (major 0) minor stands for both, and CHANGELOG.md says which it was. What was added at a version is marked "since" below
 * once there is a release. Ask limber_api_version() for the library that is running.
 *
 * How it can grow: structs keep their size, and their fields their place. What ends in `reserved` gets new fields there; a caller
 * sets reserved to zero (limber_options_default(), or {0} and designated initializers, do), and whatever is not known to the library
 * that runs is refused with LIMBER_E_ARGUMENT: nothing asked for is left out in silence. limber_box and limber_keypoint never
 * change: arrays of four and of three floats. */
#define LIMBER_API_VERSION 700

typedef struct limber_model limber_model;       /* weights, read-only, shared */
typedef struct limber_session limber_session;   /* activations and threads, one caller at a time */
typedef struct limber_detector limber_detector; /* finds people: weights, read-only, shared */
typedef struct limber_tracker limber_tracker;   /* who is who in a video, one caller at a time */

typedef enum {
    LIMBER_OK = 0,
    LIMBER_E_ARGUMENT,    /* a null pointer, a box that is not a number, an unknown option */
    LIMBER_E_IO,          /* the operating system refused to open, read or write */
    LIMBER_E_FORMAT,      /* a file is not what it claims to be, or is cut short */
    LIMBER_E_MODEL,       /* a checkpoint that lacks a tensor, or has one of another shape */
    LIMBER_E_UNSUPPORTED, /* understood, but not something this build or machine can do */
    LIMBER_E_MEMORY,      /* an allocation failed, or a stated limit would be passed */
    LIMBER_E_BACKEND,     /* the device reported an error; the text is its own */
} limber_status;

/* Filled by the callee on failure, left alone on success. Every function takes NULL where the text is not wanted. */
typedef struct {
    limber_status status;
    char text[1020];
} limber_error;

/* Start from limber_options_default() and change what you need: fields are added at the place of `reserved`. */
typedef struct {
    const char *backend;   /* "auto" (fastest this machine has), "ref", "cpu", "cuda" */
    const char *precision; /* "auto", "fp32", "bf16", "fp16", "int8" (cpu) */
    const char *attention; /* "exact"; "window:W", "merge:R", "pool:P" are approximations */
    int threads;           /* of a session; 0: as many as the process may use */
    int batch;             /* people in one forward pass, 1..1024; 0: chosen by the backend. Results do not depend on it */
    int expert;            /* ViTPose+ only: 0 COCO, 1 AI Challenger, 2 MPII, 3 AP-10K, 4 APT-36K, 5 COCO-WholeBody */
    int flip;              /* 1: average with a second pass over the mirrored crop */
    int refine;            /* without boxes: how often to crop again around the confident joints (default 1) */
    int input_height;      /* of a model: 0, 0 for the size it was trained at; else multiples of its patch. Position embeddings */
    int input_width;       /* are then resized bicubically: it runs, but was not trained so */
    const char *prune; /* of a model: "LAYER.HEAD,...", both from 0: attention heads whose output counts as zero; NULL: none */
    /* Of a session: limber_find asks it, and limber_run where it gets no boxes. NULL: the whole image is one person's box then. It must
     * outlive the session. */
    const limber_detector *detector;
    int max_people;      /* of one image found, the surest, 1..300; 0: 300 */
    float min_box_score; /* a box that the detector is less sure of is nobody, 0..1; 0: 0.1, of a YOLOS 0.5 */
    int track;  /* of a session: 1: who is found with doubt is not left out by limber_run, for limber_tracker_update to judge */
    int smooth; /* of a tracker: 1: joints without jitter */
    int reserved[6]; /* zero */
} limber_options;

/* How a pixel lies in memory, 8 bits a channel. Only the pixels that a person's crop looks at are read and converted; the result is
 * that of the same colours as RGB, to the bit. */
typedef enum {
    LIMBER_RGB = 0,
    LIMBER_BGR,  /* OpenCV */
    LIMBER_RGBA, /* alpha is not looked at, here and in BGRA */
    LIMBER_BGRA, /* Cairo, Qt and Windows on little-endian machines */
    LIMBER_GRAY, /* one byte; R = G = B */
    LIMBER_NV12, /* Y in full size, then a plane of U, V pairs in half size (rounded up): what video decoders and cameras give */
} limber_pixel_format;

/* What Y, U and V of LIMBER_NV12 mean. With y in 0..1 and u, v in -0.5..0.5: R = y + 2 (1 - Kr) v, B = y + 2 (1 - Kb) u, and G from
 * y = Kr R + Kg G + Kb B (ITU-T H.273, MatrixCoefficients). R, G and B are clamped to 0..255 and rounded to the nearest. A pair
 * U, V holds for its four pixels alike: nothing is interpolated. */
typedef enum {
    LIMBER_BT601 = 0, /* Kr 0.299, Kb 0.114: standard definition, JPEG, webcams */
    LIMBER_BT709,     /* Kr 0.2126, Kb 0.0722: high definition */
    LIMBER_BT2020,    /* Kr 0.2627, Kb 0.0593, non-constant luminance: ultra high definition */
} limber_yuv_matrix;

/* A picture, row-major, top row first. Borrowed for the call and never kept, unless it comes from limber_image_read or
 * limber_image_decode: then release it with limber_image_free. Start from {0}; format 0 is RGB. */
typedef struct {
    const uint8_t *pixels; /* the top-left pixel; of LIMBER_NV12: of the plane of Y */
    int width, height;     /* at least 1 */
    size_t stride;         /* bytes from row to row, at least width times the bytes of a pixel (3, 4, 1; of NV12's Y: 1) */
    const uint8_t *chroma; /* of LIMBER_NV12: the plane of U, V; NULL: it follows `height` rows of Y, as in OpenCV. Else NULL */
    size_t chroma_stride;  /* bytes from row to row of chroma, at least 2 * ((width + 1) / 2); 0 where chroma is NULL: stride */
    limber_pixel_format format;
    limber_yuv_matrix matrix; /* of LIMBER_NV12; else 0 */
    int full_range;  /* of LIMBER_NV12; else 0. 0: Y 16..235, U and V 16..240 ("tv", "limited"); 1: 0..255 ("pc", "jpeg") */
    int reserved[9]; /* zero */
} limber_image;

/* Top-left corner and size, in pixels of the image. */
typedef struct {
    float x, y, width, height;
} limber_box;

/* score: the raw maximum of the joint's heatmap; about 0 where there is none, about 1 where the model is sure. */
typedef struct {
    float x, y, score;
} limber_keypoint;

/* A bone of one of the four limbs: upper arm, forearm, thigh or shin. */
typedef struct {
    int from, to;    /* keypoint indices */
    float length;    /* pixels */
    float angle;     /* degrees in (-180, 180], 0 = right, counter-clockwise, y up */
    float score;     /* the lower of the two joints' */
    int reserved[3]; /* zero */
} limber_limb;

/* keypoints and limbs are part of the limber_people that the person came in, and are freed with it. */
typedef struct {
    limber_box box;             /* as given, or as found by detection or refinement */
    float box_score;            /* how sure the detector was of the box, 0..1; 1 where the caller gave the box, or nobody asked */
    float score;                /* box_score times the mean of the keypoints' scores */
    limber_keypoint *keypoints; /* [keypoint_count of limber_people], in the model's order */
    limber_limb *limbs;         /* [limb_count], in the order of limber_limb_name; NULL where limb_count is 0 */
    int limb_count;             /* 8 where the model has COCO's joints (COCO, COCO-WholeBody), else 0 */
    int track;                  /* the same number for the same person from frame to frame, from 1; 0: not tracked */
    int reserved[8];            /* zero */
} limber_person;

/* Owned by the caller after a successful limber_run; released by limber_people_free. Persons may be sorted, moved within the array
 * and dropped from its end (count lowered) before that. */
typedef struct {
    limber_person *person; /* [count] */
    int count;
    int keypoint_count;
    int reserved[4]; /* zero */
} limber_people;

LIMBER_API int limber_api_version(void);                         /* LIMBER_API_VERSION of the library that is running */
LIMBER_API const char *limber_version(void);                     /* of the release, "0.1.0" */
LIMBER_API const char *limber_status_name(limber_status status); /* "ok", "format", ... never NULL */
LIMBER_API limber_options limber_options_default(void);

/* Opens the checkpoint directory `path` (config.json, model.safetensors or its index with shards, preprocessor_config.json, as
 * Hugging Face lays out ViTPose), checks every tensor and packs the weights for the backend. path NULL: the default model that
 * is built into the library. options NULL: the defaults; backend, precision, attention, expert,
 * input_height, input_width and prune are read.
 * On failure *out is NULL and err says which file, tensor or byte is wrong. */
LIMBER_API limber_status limber_model_open(limber_model **out, const char *path, const limber_options *options,
                                           limber_error *err);
LIMBER_API void limber_model_close(limber_model **model); /* NULL and *NULL are fine; leaves *model NULL. Close sessions first */

LIMBER_API int limber_model_keypoint_count(const limber_model *model);
LIMBER_API const char *limber_model_keypoint_name(const limber_model *model,
                                                  int k); /* "left_elbow"; NULL where k is out of range */
/* The set of joints, where it is a known one: "COCO" (17), "COCO-WholeBody" (133: body, feet, face, hands), "AP-10K" (17 of animals),
 * in any spelling of the labels; else NULL. keypoint_mirror: the joint on the other side of the body, k itself in the middle or
 * where no label tells; -1 where k is out of range. */
LIMBER_API const char *limber_model_label_set(const limber_model *model);
LIMBER_API int limber_model_keypoint_mirror(const limber_model *model, int k);
/* The lines of a drawing: *from and *to become keypoint indices, 0 <= bone < limber_model_bone_count. 1 where there is such a bone,
 * else 0. */
LIMBER_API int limber_model_bone_count(const limber_model *model);
LIMBER_API int limber_model_bone(const limber_model *model, int bone, int *from, int *to);
LIMBER_API const char *limber_model_backend(const limber_model *model);   /* what "auto" became: "cpu" */
LIMBER_API const char *limber_model_precision(const limber_model *model); /* what "auto" became: "bf16" */
LIMBER_API const char *limber_limb_name(int limb); /* 0..7: "left_upper_arm", "right_upper_arm", "left_forearm", ... */

/* Everything a session will ever need is allocated here, from sizes the model knows. threads, batch, flip, refine, detector, max_people
 * and min_box_score are read. model NULL: a session that only finds people (limber_find), with the detector of the options. */
LIMBER_API limber_status limber_session_open(limber_session **out, const limber_model *model, const limber_options *options,
                                             limber_error *err);
LIMBER_API void limber_session_close(limber_session **session);

/* What limber_image_read and limber_image_decode may do. NULL or {0}: the defaults. */
typedef struct {
    int64_t
        max_pixels; /* a larger picture is refused before memory is taken for it; 0: LIMBER_MAX_PIXELS, which is also the most */
    int64_t max_bytes; /* a larger file is refused; 0: LIMBER_MAX_FILE_BYTES, which is also the most */
    int portable;      /* 1: only the decoders that every build of limber has: the same pixels on every machine */
    int reserved[11];  /* zero */
} limber_image_options;
#define LIMBER_MAX_PIXELS (1 << 28)     /* 256 Mi: 768 MiB of RGB */
#define LIMBER_MAX_FILE_BYTES (1 << 29) /* 512 MiB */

/* A picture file, or the bytes of one, to upright RGB: EXIF's orientation applied, alpha drawn over white, grey, CMYK and more than
 * 8 bits converted. JPEG, PNG, GIF and WebP (first frame), BMP, TGA, PSD, PNM, HDR, TIFF, HEIC and AVIF; the last three and WebP
 * where their library is there (LIMBER_E_UNSUPPORTED where it is not). A file cut short is an error (LIMBER_E_FORMAT), even where
 * pixels could be made of it. On success *out owns its pixels, rows without gaps: release it with limber_image_free. On failure it
 * is all zero; the error names the path. Any thread may call them. */
LIMBER_API limber_status limber_image_read(limber_image *out, const char *path, const limber_image_options *options,
                                           limber_error *err);
LIMBER_API limber_status limber_image_decode(limber_image *out, const uint8_t *bytes, size_t size,
                                             const limber_image_options *options, limber_error *err);
LIMBER_API void limber_image_free(limber_image *image); /* of these two only; NULL and zero are fine; leaves it all zero */

/* Opens a detector: a YOLOS directory as Hugging Face lays it out (persons by the label "person"), or a ViTPose checkpoint whose maps are
 * center, left, top, right and bottom ("limber": {"task": "boxes"} in config.json); path NULL: the one built into the library. Of
 * options (NULL: the defaults) backend and precision are read. On failure *out is NULL and err says what is wrong, a pose model by its name. Errors as limber_model_open. */
LIMBER_API limber_status limber_detector_open(limber_detector **out, const char *path, const limber_options *options,
                                              limber_error *err);
LIMBER_API void limber_detector_close(limber_detector **detector); /* NULL and *NULL are fine. Close sessions first */

/* Somebody found: box in pixels of the image, inside it; score 0..1. */
typedef struct {
    limber_box box;
    float score;
    int reserved[3]; /* zero */
} limber_found;

/* Who is in an image, surest first, at most `room` of them into found; *count says how many (0 is no error). The session must have a
 * detector; its min_box_score and max_people hold. On failure *count is 0. */
LIMBER_API limber_status limber_find(limber_session *session, const limber_image *image, limber_found *found, int room,
                                     int *count, limber_error *err);

/* The people in `boxes` [count] of one image. boxes NULL: those that the session's detector finds, best score first, each person once
 * (answers of OKS above 0.9 are one), and with limber's own kind of detector nobody where the joints speak against it (low maps).
 * Without a detector the whole image is one box, refined as the options say.
 * A box must be finite and have a positive width and height; it may reach outside the image.
 * On success *people is filled (release it with limber_people_free); on failure it is all zero. */
LIMBER_API limber_status limber_run(limber_session *session, const limber_image *image, const limber_box *boxes, int count,
                                    limber_people *people, limber_error *err);

/* The same over several images at once, so that all their people share batches: boxes[i] has counts[i] boxes of images[i]
 * (boxes NULL, or boxes[i] NULL: as in limber_run), people[i] receives the result. All succeed or all are zero. */
LIMBER_API limber_status limber_run_images(limber_session *session, const limber_image *images, const limber_box *const *boxes,
                                           const int *counts, int image_count, limber_people *people, limber_error *err);
LIMBER_API void limber_people_free(limber_people *people); /* leaves it all zero */

/* Who is who from frame to frame of one video, by positions and times alone (docs/video.md). `model` is the one that the people come
 * from; it must outlive the tracker. Of options (NULL: the defaults) smooth is read, and detector: the session's, or NULL where the
 * caller brings the boxes. On failure *out is NULL. Errors: LIMBER_E_ARGUMENT, LIMBER_E_MEMORY. */
LIMBER_API limber_status limber_tracker_open(limber_tracker **out, const limber_model *model, const limber_options *options,
                                             limber_error *err);
LIMBER_API void limber_tracker_close(limber_tracker **tracker); /* NULL and *NULL are fine */

/* The people of the next frame, which limber_run gave, get their track: a number from 1, the same for the same person, never given
 * twice. Somebody unseen for 1.5 seconds is forgotten. `seconds` is when the frame is shown; frames may be left out and come at any
 * rate, and one that is not later than the last counts as no time passed. 0 stays with those whom the detector doubts and no track
 * is for: they are best taken for nobody. With the option smooth the joints are moved (One-Euro filter) and limbs measured again. */
LIMBER_API limber_status limber_tracker_update(limber_tracker *tracker, limber_people *people, double seconds, limber_error *err);

#ifdef __cplusplus
}
#endif
#endif
