/* replay.c - runs a fuzz target over files and folders of files, as an ordinary test: fuzz_image tests/corpus/images
 *
 * Each file is handed over in memory of exactly its size, so that the address sanitizer sees the first byte read too far; and
 * then cut at a few places, because half a file is what strangers send. */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

static int files;

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
        run_path(argv[i]);
    if (files == 0) {
        fprintf(stderr, "usage: %s FILE_OR_FOLDER...\n", argv[0]);
        return 1;
    }
    printf("%d files, each whole and cut in 7 places\n", files);
    return 0;
}
