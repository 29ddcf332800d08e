/* SPDX-License-Identifier: MIT */
/* Weights so large that the network overflows: an error of each picture, not people who vanish. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "limber.h"

#define MODEL LIMBER_TEST_DIR "/golden/simple-hd32"

/* A copy of the model in `dir` whose last layernorm is +-3e38. */
static void spoil(const char *dir)
{
    char command[1024], path[256];
    snprintf(command, sizeof command, "cp %s/*.json %s/model.safetensors %s && chmod u+w %s/*", MODEL, MODEL, dir, dir);
    cr_assert_eq(system(command), 0);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    FILE *f = fopen(path, "r+b");
    unsigned char length[8];
    cr_assert(f && fread(length, 1, 8, f) == 8);
    size_t header = (size_t)length[0] | (size_t)length[1] << 8 | (size_t)length[2] << 16;
    char *text = calloc(1, header + 1), *at;
    cr_assert_eq(fread(text, 1, header, f), header);
    cr_assert_not_null(at = strstr(text, "\"backbone.layernorm.weight\""));
    cr_assert_not_null(at = strstr(at, "\"data_offsets\":["));
    long begin, end;
    cr_assert_eq(sscanf(at, "\"data_offsets\":[%ld,%ld]", &begin, &end), 2);
    fseek(f, 8 + (long)header + begin, SEEK_SET);
    for (long i = 0; i < (end - begin) / 4; i++) {
        float huge = i % 2 ? 3e38f : -3e38f;
        cr_assert_eq(fwrite(&huge, sizeof huge, 1, f), 1);
    }
    cr_assert_eq(fclose(f), 0);
    free(text);
}

Test(not_finite, is_an_error_of_the_picture)
{
    char dir[] = "/tmp/limber-finite-XXXXXX", command[1024], line[1024] = "";
    cr_assert_not_null(mkdtemp(dir));
    spoil(dir);
    limber_error err = {0};
    limber_model *model = NULL;
    limber_session *session = NULL;
    limber_people people = {0};
    uint8_t rgb[32 * 32 * 3];
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(i * 7);
    const limber_image image = {.pixels = rgb, .width = 32, .height = 32, .stride = 96};
    cr_assert_eq(limber_model_open(&model, dir, NULL, &err), LIMBER_OK, "%s", err.text);
    cr_assert_eq(limber_session_open(&session, model, NULL, &err), LIMBER_OK, "%s", err.text);
    cr_expect_eq(limber_run(session, &image, NULL, 0, &people, &err), LIMBER_E_MODEL);
    cr_expect(strstr(err.text, "not finite") && people.count == 0 && !people.person, "%s", err.text);
    limber_session_close(&session);
    limber_model_close(&model);
    /* a line each, and the run goes on */
    snprintf(command, sizeof command,
             LIMBER_COMMAND
             " run --quiet --whole --model %s %s/corpus/images/ok_rgb8.png %s/corpus/images/ok_1x1.jpg 2>/dev/null",
             dir, LIMBER_TEST_DIR, LIMBER_TEST_DIR);
    FILE *f = popen(command, "r");
    int lines = 0;
    while (fgets(line, sizeof line, f))
        lines += strstr(line, "\"error\":\"person 1 of 1: ") != NULL;
    cr_expect_eq(lines, 2, "%s", line);
    cr_expect_eq(WEXITSTATUS(pclose(f)), 1);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_expect_eq(system(command), 0);
}
