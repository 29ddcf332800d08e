/* SPDX-License-Identifier: MIT */
/* model/skeleton.h - the body in one table, a row a label set: what joints are called and which mirror which, the bones that are drawn,
 * the limbs that are measured, the parts that are evaluated, and how exactly each joint can be told. Who draws, measures, masks or
 * evaluates reads a row; a new label set is a new row. */
#ifndef LIMBER_SKELETON_H
#define LIMBER_SKELETON_H

#define COCO_KEYPOINTS 17
#define SKELETON_LIMBS 8
#define SKELETON_MAX_KEYPOINTS 133
#define SKELETON_MAX_PARTS 5

/* What a bone of COCO's body belongs to: the classes of limber_heads.h, in its order. */
enum skeleton_class { CLASS_HEAD, CLASS_TORSO, CLASS_LEFT_ARM, CLASS_RIGHT_ARM, CLASS_LEFT_LEG, CLASS_RIGHT_LEG };

struct skeleton {
    const char *name; /* "COCO", "COCO-WholeBody", "AP-10K" */
    int keypoints;
    const char *const *names; /* [keypoints] */
    const int *mirror;        /* [keypoints]: the joint on the other side, itself in the middle */
    const char *sides;        /* [keypoints] of 'l', 'r', 'm': the person's left, right, middle */
    const int (*bones)[2];    /* [bone_count]: the lines of a drawing */
    int bone_count;
    int limb_count;       /* 0, or SKELETON_LIMBS in the order of limber_limb_name; their joints: skeleton_limbs */
    const double *sigmas; /* [keypoints]: how far annotators are apart, in square roots of the person's area */
    const struct skeleton_part {
        const char *name;  /* "body" */
        int first, count;  /* keypoints */
        const char *field; /* where COCO's files have them: "keypoints", "foot_kpts" */
    } * parts;             /* [part_count]; the whole is not among them */
    int part_count;
};

/* AP-10K's sigmas are mmpose's, which takes them over from COCO by number: nobody has measured them. */
extern const struct skeleton skeleton_coco, skeleton_whole_body, skeleton_animal;
extern const struct skeleton *const skeletons[]; /* all rows; ends with NULL */

/* COCO's 17 names in order: "nose", "left_eye", ... "right_ankle". */
extern const char *const coco_keypoint_names[COCO_KEYPOINTS];

/* {from, to}: shoulder to elbow, elbow to wrist, hip to knee, knee to ankle, left before right. Of COCO's 17, and of whatever
 * begins with them. */
extern const int skeleton_limbs[SKELETON_LIMBS][2];

/* COCO's bones by class, for masks: thicker than a drawing's, so that a head and a torso are filled. From a joint to itself: a disc. */
struct skeleton_class_bone {
    signed char class, from, to;
};
#define SKELETON_CLASS_BONES 23
extern const struct skeleton_class_bone skeleton_class_bones[SKELETON_CLASS_BONES];

#endif
