/* limber bench pipeline: images a second over a folder, and where their time goes.
 *
 * First one image after the other through every stage, each timed alone; then as `limber run` works: worker threads decode and
 * crop while the network computes. Nothing is written. The first pass has already brought the files into the page cache. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "cli_bench.h"
#include "cli_bench_util.h"
#include "cli_inputs.h"
#include "cli_stream.h"
#include "pipeline.h"

enum stage { STAGE_DECODE, STAGE_CROP, STAGE_FORWARD, STAGE_FINISH, STAGES };
static const char *const stage_names[STAGES] = {"decode", "crop", "network", "people"};

struct tally {
    double *seconds[STAGES];
    size_t images, people, failed;
};

/* One image, stage by stage. */
static limber_status one_by_one(struct tally *t, limber_session *session, const char *path, limber_error *err)
{
    struct image image = {0};
    struct job job = {0}, *jobs[] = {&job};
    limber_people people = {0};
    double at[STAGES + 1] = {bench_now()};
    limber_status st = image_open(&image, path, err);
    at[1] = bench_now();
    if (!st)
        st = job_prepare(&job, session->model, &image.view, NULL, 0, err);
    at[2] = bench_now();
    if (!st)
        st = jobs_forward(session, jobs, 1, err);
    at[3] = bench_now();
    if (!st) {
        const int count = job.count;
        st = job_finish(&job, session->model, &people, err);
        at[4] = bench_now();
        t->people += st ? 0 : (size_t)count;
    } else {
        job_free(&job);
    }
    limber_people_free(&people);
    image_close(&image);
    if (st) {
        t->failed++;
        return st;
    }
    for (int s = 0; s < STAGES; s++)
        t->seconds[s][t->images] = at[s + 1] - at[s];
    t->images++;
    return LIMBER_OK;
}

static limber_status whole_image(void *context, const struct stream_item *item, const limber_box **boxes, int *count, limber_error *err)
{
    (void)context, (void)item, (void)err;
    *boxes = NULL;
    *count = 0;
    return LIMBER_OK;
}

/* Wall-clock seconds of all inputs with decoding beside the network; negative after a failure that was said. */
static double overlapped(limber_session *session, const struct inputs *inputs, int workers)
{
    enum { HOLD = 16 };
    const struct stream_calls calls = {.boxes = whole_image};
    struct stream *stream = NULL;
    struct stream_item *held[HOLD], *item;
    limber_error err = {0};
    size_t taken = 0;
    double start = bench_now();
    if (stream_open(&stream, session->model, inputs, workers, 4 * HOLD, &calls, &err)) {
        cli_warn("%s", err.text);
        return -1;
    }
    const int most = session->batch < HOLD ? session->batch : HOLD;
    limber_status st = LIMBER_OK;
    while (taken < inputs->count && st == LIMBER_OK) {
        struct job *jobs[HOLD];
        int n = 0, good = 0;
        while (n < most && (item = stream_next(stream, n > 0))) {
            held[n++] = item;
            if (item->status == LIMBER_OK)
                jobs[good++] = &item->job;
        }
        if (!n)
            break;
        if (good)
            st = jobs_forward(session, jobs, good, &err);
        for (int i = 0; i < n; i++) {
            if (st == LIMBER_OK && held[i]->status == LIMBER_OK)
                st = job_finish(&held[i]->job, session->model, &held[i]->people, &err);
            stream_release(stream, held[i]);
        }
        taken += (size_t)n;
    }
    stream_close(&stream);
    if (st)
        cli_warn("%s", err.text);
    return st ? -1 : bench_now() - start;
}

int bench_pipeline(int argc, char **argv)
{
    struct cli_common common = cli_common_default();
    int workers = 0;
    const struct cli_option options[] = {
        CLI_INT("--workers", "N", &workers, 0, 64, "threads that decode and crop [half of the CPUs]"),
        CLI_INT("--refine", "N", &common.options.refine, 0, 16, "passes after the first, the whole image being the box [1]"),
        CLI_COMMON_OPTIONS(common),
        CLI_END,
    };
    const struct cli_command command = {"bench pipeline", "INPUT... [options]",
                                        "Times the way from files to people, by stage and as a whole. The whole image is the box.", options};
    int count, status = cli_parse(&command, argc, argv, &count);
    if (status != CLI_GO)
        return status;
    if (count < 1)
        return cli_usage(&command, "bench pipeline wants files or folders");
    struct inputs inputs = {0};
    limber_model *model = NULL;
    limber_session *session = NULL;
    struct tally tally = {0};
    double start = bench_now(), opened;
    if ((status = inputs_list(&inputs, argv + 1, count)) || (status = cli_model_open(&common, &model)) ||
        (status = cli_session_open(&common, model, &session)))
        goto done;
    opened = bench_now() - start;
    for (int s = 0; s < STAGES; s++)
        if (!(tally.seconds[s] = malloc(inputs.count * sizeof(double)))) {
            status = cli_fail("no memory");
            goto done;
        }
    for (size_t i = 0; i < inputs.count && !cli_stopped; i++) {
        limber_error err = {0};
        if (inputs.v[i].failure || one_by_one(&tally, session, inputs.v[i].path, &err))
            cli_warn("%s: %s", inputs.v[i].path, inputs.v[i].failure ? strerror(inputs.v[i].failure) : err.text);
    }
    if (!tally.images) {
        status = cli_fail("none of %zu inputs could be used", inputs.count);
        goto done;
    }
    char machine[512];
    bench_machine(machine, sizeof machine);
    printf("%s\n%s, %s %s, %d threads, batch %d; model and session opened in %.1f ms\n", machine, model->config.model_name,
           limber_model_backend(model), limber_model_precision(model), session->threads, session->batch, 1e3 * opened);
    printf("%zu images, %zu people, %zu could not be used\n\n  %-10s %10s %10s %10s %8s\n", tally.images, tally.people, tally.failed, "stage",
           "median ms", "p10", "p90", "share");
    double total[STAGES], all = 0;
    for (int s = 0; s < STAGES; s++) {
        total[s] = 0;
        for (size_t i = 0; i < tally.images; i++)
            total[s] += tally.seconds[s][i];
        all += total[s];
    }
    for (int s = 0; s < STAGES; s++) {
        const struct bench_times t = bench_times_of(tally.seconds[s], (int)tally.images);
        printf("  %-10s %10.3f %10.3f %10.3f %7.1f%%\n", stage_names[s], 1e3 * t.median, 1e3 * t.p10, 1e3 * t.p90, 100 * total[s] / all);
    }
    printf("\n  one after the other: %.1f images a second\n", (double)tally.images / all);
    fflush(stdout);
    const double together = overlapped(session, &inputs, workers ? workers : bench_cpus() > 1 ? bench_cpus() / 2 : 1);
    if (together > 0)
        printf("  decoding beside the network, batches across images: %.1f images a second\n", (double)inputs.count / together);
    status = together > 0 ? tally.failed ? CLI_SOME_FAILED : CLI_DONE : CLI_NOTHING;
done:
    for (int s = 0; s < STAGES; s++)
        free(tally.seconds[s]);
    limber_session_close(&session);
    limber_model_close(&model);
    inputs_free(&inputs);
    return status;
}
