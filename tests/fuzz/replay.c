/* SPDX-License-Identifier: MIT */
/* replay.c - runs a fuzz target over files and folders of files, as an ordinary test: fuzz_image tests/corpus/images
 *
 * Each file is handed over in memory of exactly its size, so that the address sanitizer sees the first byte read too far; then
 * cut at a few places, because half a file is what strangers send; and then changed in as many ways as -mutations=N says. */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

#define GROWTH 4096 /* bytes that changes may add to a file */

static int files;
static unsigned mutations;

static void hand_over(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    fuzz_check(copy);
    memcpy(copy, bytes, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void run_file(const char *path, size_t size)
{
    uint8_t *bytes = malloc(size + 1);
    FILE *f = fopen(path, "rb");
    if (!f || !bytes || fread(bytes, 1, size, f) != size) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(1);
    }
    fclose(f);
    hand_over(bytes, size);
    for (size_t part = 1; part < 8; part++)
        hand_over(bytes, size * part / 8);
    uint8_t *changed = malloc(size + GROWTH);
    fuzz_check(changed);
    for (unsigned i = 0; i < mutations; i++) {
        memcpy(changed, bytes, size);
        hand_over(changed, LLVMFuzzerCustomMutator(changed, size, size + GROWTH, 1 + i + 1000003u * (unsigned)files));
    }
    free(changed);
    free(bytes);
    files++;
}

static void run_path(const char *path)
{
    struct stat s;
    if (stat(path, &s) != 0) {
        fprintf(stderr, "cannot find %s\n", path);
        exit(1);
    }
    if (!S_ISDIR(s.st_mode)) {
        run_file(path, (size_t)s.st_size);
        return;
    }
    struct dirent **list;
    int n = scandir(path, &list, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char below[4096];
        if (list[i]->d_name[0] != '.' && (size_t)snprintf(below, sizeof below, "%s/%s", path, list[i]->d_name) < sizeof below)
            run_path(below);
        free(list[i]);
    }
    if (n >= 0)
        free(list);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strncmp(argv[i], "-mutations=", 11))
            mutations = (unsigned)strtoul(argv[i] + 11, NULL, 10);
        else
            run_path(argv[i]);
    if (files == 0) {
        fprintf(stderr, "usage: %s [-mutations=N] FILE_OR_FOLDER...\n", argv[0]);
        return 1;
    }
    printf("%d files, each whole, cut in 7 places, and changed in %u ways\n", files, mutations);
    return 0;
}
