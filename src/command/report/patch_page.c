#include "command/report/patch_report.h"
void patch_report_page(FILE *f, const struct effects_result *r, const struct patch_reading *reading,
                       const struct patch_about *about, enum effect_metric metric, const struct patch_picture *pictures,
                       int picture_count)
{
    (void)r, (void)reading, (void)about, (void)metric, (void)pictures, (void)picture_count;
    fputs("<!doctype html>", f);
}
