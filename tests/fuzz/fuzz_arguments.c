/* SPDX-License-Identifier: MIT */
/* Bytes as a command line, a word a line. What is accepted is what the table of options allows. */
#include <math.h>
#include <string.h>

#include "command/options.h"
#include "fuzz.h"

#define WORDS_MAX 200

FUZZ_MUTATE_BY(mutate_words)

/* What is said of a wrong line is for people: half a million of them are not. The sanitizers speak past stdio. */
__attribute__((constructor)) static void be_silent(void)
{
#ifdef __GLIBC__
    stdout = stderr = fopen("/dev/null", "w");
#endif
}

static bool is_word_of(const char *text, char *const *words, int count)
{
    for (int i = 0; i < count; i++)
        if (text >= words[i] && text <= words[i] + strlen(words[i]))
            return true;
    return false;
}

static void check_layers(const struct cli_command *c, const char *text)
{
    int layers[CLI_MAX_LAYERS], count;
    if (cli_read_layers(c, text, layers, &count) != CLI_DONE)
        return;
    fuzz_check(count > 0 && count <= CLI_MAX_LAYERS);
    for (int i = 0; i < count; i++)
        fuzz_check(layers[i] >= 0 && layers[i] < CLI_MAX_LAYERS && (i == 0 || layers[i] > layers[i - 1]));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = malloc(size + 1), *words[WORDS_MAX + 2] = {"test"}, *first[WORDS_MAX + 2];
    int count = 1;
    fuzz_check(text);
    memcpy(text, bytes, size);
    text[size] = 0;
    for (char *p = text; p < text + size && count < WORDS_MAX;) {
        char *end = strchr(p, '\n');
        words[count++] = p;
        if (!end)
            break;
        *end = 0;
        p = end + 1;
    }
    memcpy(first, words, sizeof words);
    struct cli_common common = cli_common_default();
    const char *out = NULL, *kind = "jpeg", *decoder = "auto";
    bool quiet = false, draw = false;
    double score = 0;
    int shown = 1, inputs = 0;
    const struct cli_option options[] = {
        CLI_OPTION("--out", "DIR", &out, ""),
        CLI_FLAG("--resume", &quiet, ""),
        CLI_FLAG_CHOICE("--overlay", "jpeg|png", &draw, &kind, ""),
        CLI_CHOICE("--decoder", "auto|stb", &decoder, ""),
        CLI_NUMBER("--min-score", "S", &score, -1e9, 1e9, ""),
        CLI_INT("--show", "N", &shown, 1, 100, ""),
        CLI_COMMON_OPTIONS(common),
        CLI_END,
    };
    const struct cli_command command = {"test", "INPUT... [options]", "A test.", options};
    if (cli_parse(&command, count, words, &inputs) == CLI_GO) {
        fuzz_check(inputs >= 0 && inputs < count);
        for (int i = 1; i <= inputs; i++)
            fuzz_check(is_word_of(words[i], first, count));
        fuzz_check(!out || is_word_of(out, first, count));
        fuzz_check(!strcmp(kind, "jpeg") || !strcmp(kind, "png"));
        fuzz_check(!strcmp(decoder, "auto") || !strcmp(decoder, "stb"));
        fuzz_check(isfinite(score) && fabs(score) <= 1e9 && shown >= 1 && shown <= 100);
        fuzz_check(common.options.threads >= 0 && common.options.threads <= 1024 && common.options.expert >= 0);
        limber_options all;
        if (cli_model_options(&common, &all) == CLI_DONE)
            fuzz_check(all.input_height >= 0 && all.input_width >= 0);
        for (int i = 1; i <= inputs; i++)
            check_layers(&command, words[i]);
    }
    free(text);
    return 0;
}
