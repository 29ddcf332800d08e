/* SPDX-License-Identifier: MIT */
/* minimal.c - opens a picture, finds the people in it, prints their joints: nothing but limber.h.
 *
 *     cc minimal.c $(pkg-config --cflags --libs limber) -o minimal
 *     ./minimal photo.jpg [model-directory] */
#include <limber.h>

#include <stdio.h>

int main(int argc, char **argv)
{
    if (argc != 2 && argc != 3) {
        fprintf(stderr, "usage: %s photo.jpg [model-directory]\n", argv[0]);
        return 2;
    }
    limber_error err;
    limber_image image = {0};
    limber_detector *detector = NULL;
    limber_model *model = NULL;
    limber_session *session = NULL;
    limber_people people = {0};
    limber_options options = limber_options_default();
    int status = limber_image_read(&image, argv[1], NULL, &err) || limber_detector_open(&detector, NULL, NULL, &err) ||
                 limber_model_open(&model, argc == 3 ? argv[2] : NULL, NULL, &err);
    options.detector = detector; /* without one, the whole picture is one person */
    if (status || limber_session_open(&session, model, &options, &err) || limber_run(session, &image, NULL, 0, &people, &err)) {
        fprintf(stderr, "%s\n", err.text);
        status = 1;
    }
    for (int p = 0; p < people.count; p++)
        for (int k = 0; k < people.keypoint_count; k++) {
            limber_keypoint joint = people.person[p].keypoints[k];
            printf("%d %-16s %7.1f %7.1f %6.3f\n", p + 1, limber_model_keypoint_name(model, k), joint.x, joint.y, joint.score);
        }
    limber_people_free(&people);
    limber_session_close(&session);
    limber_model_close(&model);
    limber_detector_close(&detector);
    limber_image_free(&image);
    return status;
}
