/* SPDX-License-Identifier: MIT */
/* limber bench attention|model|pipeline: which benchmark. */
#include <stdio.h>
#include <string.h>

#include "command/commands.h"
#include "command/options.h"
#include "command/bench/bench.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *about;
} benches[] = {
    {"attention", bench_attention, "how the cost of attention grows with resolution"},
    {"model", bench_model, "one forward pass: by batch, threads, precision and operation"},
    {"pipeline", bench_pipeline, "images a second over a folder, by stage"},
};
#define BENCHES (sizeof benches / sizeof *benches)

const char *bench_name(size_t i, const char **about)
{
    *about = i < BENCHES ? benches[i].about : NULL;
    return i < BENCHES ? benches[i].name : NULL;
}

int cli_bench(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < BENCHES; i++)
        if (strcmp(argv[1], benches[i].name) == 0)
            return benches[i].run(argc - 1, argv + 1);
    const bool help = argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"));
    if (!help && argc > 1)
        cli_warn("bench %s: expected attention, model or pipeline", argv[1]);
    FILE *to = help ? stdout : stderr;
    fprintf(to, "usage: limber bench attention|model|pipeline [options]\n\n");
    for (size_t i = 0; i < BENCHES; i++)
        fprintf(to, "  %-10s %s\n", benches[i].name, benches[i].about);
    fprintf(to, "\n`limber bench NAME --help` lists the options of one.\n");
    return help ? CLI_DONE : CLI_NOTHING;
}
