/* SPDX-License-Identifier: MIT */
/* pose/yolos.h - who is in a photograph, by a YOLOS model: one session of it, for one thread at a time.
 *
 *     photograph -> the input size of its aspect            model/yolos.c     yolos_input_size
 *                -> that many pixels                        pose/resample.c   resample_bilinear
 *                -> tokens -> blocks                        pose/vit.c        between a class token and the detection tokens
 *                -> a class and a box a detection token     yolos_forward
 *                -> persons, best first                     yolos_find
 *
 * Memory grows with the tokens of the largest input, not with their square: no attention map is ever whole. */
#ifndef LIMBER_POSE_YOLOS_H
#define LIMBER_POSE_YOLOS_H

#include "model/yolos.h"
#include "limber.h"
#include "pose/vit.h"

struct yolos {
    const struct yolos_model *model;
    struct vit vit;
    struct buf *last, *norm, *hidden[2], *class_buf, *box_buf; /* of the detection tokens alone */
    uint8_t *input;                                            /* of the largest input */
    float *logits;                                             /* [detections][classes] of the last yolos_forward */
    float *boxes; /* [detections][4]: centre x, y, width, height as shares of the picture, once yolos_forward is done */
};

limber_status yolos_session_open(struct yolos *y, const struct yolos_model *model, int threads, limber_error *err);
void yolos_session_close(struct yolos *y); /* fine on a half-opened or zeroed one */

/* input: uint8 [height][width][3], multiples of the patch. Fills y->logits and y->boxes: transformers' logits and pred_boxes. */
limber_status yolos_forward(struct yolos *y, const uint8_t *input, int height, int width, limber_error *err);

/* Persons of a photograph: transformers' post_process_object_detection (softmax; the best class but "nothing" is the label), those of
 * the label "person" that are scored above `least`; boxes clipped to the photograph. Best first, at most `room`. */
limber_status yolos_find(struct yolos *y, const limber_image *image, float least, limber_found *out, int room, int *count,
                         limber_error *err);

#endif
