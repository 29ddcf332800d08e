/* SPDX-License-Identifier: MIT */
/* command/export/cvat.c - "CVAT for images 1.1": XML with an <image> each and people as skeletons, whose points carry the joints'
 * names. The labels stand in <meta> as CVAT writes them; a task wants the same ones (a skeleton `person` with these points). A joint
 * that is not seen is outside. */
#include "command/export/export.h"

static int begin(struct export *e)
{
    export_text(e, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<annotations>\n  <version>1.1</version>\n  <meta>\n    <task>\n"
                   "      <labels>\n        <label>\n          <name>person</name>\n          <type>skeleton</type>\n"
                   "          <attributes></attributes>\n        </label>\n");
    for (size_t k = 0; k < e->joint_count; k++) {
        export_text(e, "        <label>\n          <name>");
        export_xml(e, e->joints[k]);
        export_text(
            e, "</name>\n          <type>points</type>\n          <attributes></attributes>\n          <parent>person</parent>\n"
               "        </label>\n");
    }
    export_text(e, "      </labels>\n    </task>\n  </meta>\n");
    return export_put(e);
}

static int image(struct export *e, const struct pose_image *image)
{
    export_print(e, "  <image id=\"%lld\" name=\"", image->number - 1);
    export_xml(e, image->name);
    export_print(e, "\" width=\"%d\" height=\"%d\">\n", image->width, image->height);
    for (size_t p = 0; p < image->people_count; p++) {
        export_text(e, "    <skeleton label=\"person\" source=\"auto\" z_order=\"0\">\n");
        for (size_t k = 0; k < e->joint_count; k++) {
            const struct pose_joint *joint = &image->people[p].joints[k];
            export_text(e, "      <points label=\"");
            export_xml(e, e->joints[k]);
            export_print(e, "\" source=\"auto\" outside=\"%d\" occluded=\"0\" points=\"", !joint->seen);
            export_number(e, joint->x, 2);
            export_text(e, ",");
            export_number(e, joint->y, 2);
            export_text(e, "\"></points>\n");
        }
        export_text(e, "    </skeleton>\n");
    }
    export_text(e, "  </image>\n");
    return export_put(e);
}

static int end(struct export *e)
{
    export_text(e, "</annotations>\n");
    return export_put(e);
}

const struct export_format export_cvat = {"cvat", false, NULL, false, false, 1, begin, image, end};
