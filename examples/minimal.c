/* SPDX-License-Identifier: MIT */
/* minimal.c - joints of the people in one picture, with nothing but limber.h.
 *
 *     cc minimal.c $(pkg-config --cflags --libs limber) -o minimal
 *     ./minimal picture.ppm [x y width height] [model-directory]
 *
 * The picture is a binary PPM (P6, 8 bit), which any program writes and a dozen lines read; the library takes RGB from wherever
 * you have it. Without a box the whole picture is one person's. */
#include <limber.h>

#include <stdio.h>
#include <stdlib.h>

static unsigned char *read_ppm(const char *path, int *width, int *height)
{
    FILE *f = fopen(path, "rb");
    unsigned char *rgb = NULL;
    int depth = 0;
    if (f && fscanf(f, "P6 %d %d %d", width, height, &depth) == 3 && depth == 255 && fgetc(f) != EOF && *width > 0 &&
        *height > 0 && *width < 32768 && *height < 32768) {
        size_t bytes = 3 * (size_t)*width * (size_t)*height;
        rgb = malloc(bytes);
        if (rgb && fread(rgb, 1, bytes, f) != bytes) {
            free(rgb);
            rgb = NULL;
        }
    }
    if (f)
        fclose(f);
    return rgb;
}

int main(int argc, char **argv)
{
    int width, height;
    if (argc != 2 && argc != 3 && argc != 6 && argc != 7) {
        fprintf(stderr, "usage: %s picture.ppm [x y width height] [model-directory]\n", argv[0]);
        return 2;
    }
    unsigned char *rgb = read_ppm(argv[1], &width, &height);
    if (!rgb) {
        fprintf(stderr, "%s: not a binary PPM of 8 bits\n", argv[1]);
        return 1;
    }
    limber_image image = {.pixels = rgb, .width = width, .height = height, .stride = 3 * (size_t)width};
    limber_box box = {0};
    if (argc >= 6)
        box = (limber_box){strtof(argv[2], NULL), strtof(argv[3], NULL), strtof(argv[4], NULL), strtof(argv[5], NULL)};
    const char *directory = argc == 3 || argc == 7 ? argv[argc - 1] : NULL; /* NULL: the model inside the library */

    limber_error err;
    limber_model *model = NULL;
    limber_session *session = NULL;
    limber_people people = {0};
    int status = 1;
    if (limber_model_open(&model, directory, NULL, &err) || limber_session_open(&session, model, NULL, &err) ||
        limber_run(session, &image, argc >= 6 ? &box : NULL, argc >= 6, &people, &err)) {
        fprintf(stderr, "%s\n", err.text);
    } else {
        for (int p = 0; p < people.count; p++)
            for (int k = 0; k < people.keypoint_count; k++) {
                limber_keypoint joint = people.person[p].keypoints[k];
                printf("%-16s %7.1f %7.1f %6.3f\n", limber_model_keypoint_name(model, k), joint.x, joint.y, joint.score);
            }
        status = 0;
    }
    limber_people_free(&people);
    limber_session_close(&session);
    limber_model_close(&model);
    free(rgb);
    return status;
}
