/* SPDX-License-Identifier: MIT */
/* command/export/csv.c - a row a joint, as RFC 4180 has it: image,person,joint,x,y,score,person_score. People are counted from 0 in
 * every image. Of videos: video,frame,time,person,track,joint,...; track is empty where nobody was numbered. All joints are there: --min-score leaves the x and y of those below it empty, which pandas reads as NaN. */
#include <string.h>

#include "command/export/export.h"

static int begin(struct export *e)
{
    export_text(e, e->frames ? "video,frame,time,person,track" : "image,person");
    export_text(e, ",joint,x,y,score,person_score\r\n");
    return export_put(e);
}

static void field(struct export *e, const char *text)
{
    const bool plain = !strpbrk(text, ",\"\r\n");
    export_text(e, plain ? "" : "\"");
    for (const char *quote; !plain && (quote = strchr(text, '"')); text = quote + 1) {
        put_bytes(&e->text, text, (size_t)(quote - text));
        export_text(e, "\"\"");
    }
    export_text(e, text);
    export_text(e, plain ? "" : "\"");
}

static int image(struct export *e, const struct pose_image *image)
{
    for (size_t p = 0; p < image->people_count; p++) {
        const struct pose_person *person = &image->people[p];
        for (size_t k = 0; k < e->joint_count; k++) {
            const struct pose_joint *joint = &person->joints[k];
            field(e, image->path);
            if (e->frames) {
                export_print(e, ",%lld,", image->frame);
                export_number(e, image->time, 6);
            }
            export_print(e, ",%zu,", p);
            if (e->frames && person->track)
                export_print(e, "%d", person->track);
            if (e->frames)
                export_text(e, ",");
            field(e, e->joints[k]);
            export_text(e, ",");
            if (joint->seen)
                export_number(e, joint->x, 2);
            export_text(e, ",");
            if (joint->seen)
                export_number(e, joint->y, 2);
            export_text(e, ",");
            export_number(e, joint->score, 4);
            export_text(e, ",");
            export_number(e, person->score, 4);
            export_text(e, "\r\n");
        }
    }
    return export_put(e);
}

const struct export_format export_csv = {"csv", false, NULL, true, false, 1, begin, image, NULL};
