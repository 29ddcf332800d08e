/* SPDX-License-Identifier: MIT */
/* model/skeleton.c - see model/skeleton.h. Facts of COCO (Lin et al. 2014), COCO-WholeBody (Jin et al. 2020: names and sigmas as its
 * evaluation has them; the face's 68 points are iBUG's) and AP-10K (Yu et al. 2021). */
#include "model/skeleton.h"

#include <stddef.h>

#define COUNT(array) (int)(sizeof(array) / sizeof *(array))

/* ---- COCO's 17 ---- */

const char *const coco_keypoint_names[COCO_KEYPOINTS] = {
    "nose",           "left_eye",   "right_eye",   "left_ear",   "right_ear",   "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip",
    "right_hip",      "left_knee",  "right_knee",  "left_ankle", "right_ankle"};

static const int coco_mirror[] = {0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15};
static const int coco_bones[][2] = {{15, 13}, {13, 11}, {16, 14}, {14, 12}, {11, 12}, {5, 11}, {6, 12}, {5, 6}, {5, 7}, {6, 8},
                                    {7, 9},   {8, 10},  {1, 2},   {0, 1},   {0, 2},   {1, 3},  {2, 4},  {3, 5}, {4, 6}};
static const double coco_sigmas_of_17[] = {.026, .025, .025, .035, .035, .079, .079, .072, .072,
                                           .062, .062, .107, .107, .087, .087, .089, .089};
static const struct skeleton_part coco_parts[] = {{"body", 0, COCO_KEYPOINTS, "keypoints"}};

const struct skeleton skeleton_coco = {
    .name = "COCO",
    .keypoints = COCO_KEYPOINTS,
    .names = coco_keypoint_names,
    .mirror = coco_mirror,
    .sides = "mlrlrlrlrlrlrlrlr",
    .bones = coco_bones,
    .bone_count = COUNT(coco_bones),
    .limb_count = SKELETON_LIMBS,
    .sigmas = coco_sigmas_of_17,
    .parts = coco_parts,
    .part_count = COUNT(coco_parts),
};

const int skeleton_limbs[SKELETON_LIMBS][2] = {{5, 7}, {6, 8}, {7, 9}, {8, 10}, {11, 13}, {12, 14}, {13, 15}, {14, 16}};

const struct skeleton_class_bone skeleton_class_bones[SKELETON_CLASS_BONES] = {
    {CLASS_HEAD, 0, 0},       {CLASS_HEAD, 0, 1},        {CLASS_HEAD, 0, 2},        {CLASS_HEAD, 1, 2},
    {CLASS_HEAD, 1, 3},       {CLASS_HEAD, 2, 4},        {CLASS_HEAD, 0, 3},        {CLASS_HEAD, 0, 4},
    {CLASS_HEAD, 3, 4},       {CLASS_TORSO, 5, 6},       {CLASS_TORSO, 11, 12},     {CLASS_TORSO, 5, 11},
    {CLASS_TORSO, 6, 12},     {CLASS_TORSO, 5, 12},      {CLASS_TORSO, 6, 11},      {CLASS_LEFT_ARM, 5, 7},
    {CLASS_LEFT_ARM, 7, 9},   {CLASS_RIGHT_ARM, 6, 8},   {CLASS_RIGHT_ARM, 8, 10},  {CLASS_LEFT_LEG, 11, 13},
    {CLASS_LEFT_LEG, 13, 15}, {CLASS_RIGHT_LEG, 12, 14}, {CLASS_RIGHT_LEG, 14, 16},
};

/* ---- COCO-WholeBody's 133: the 17, six of the feet, 68 of the face, 21 of each hand ---- */

static const char *const whole_body_names[] = {"nose",
                                               "left_eye",
                                               "right_eye",
                                               "left_ear",
                                               "right_ear",
                                               "left_shoulder",
                                               "right_shoulder",
                                               "left_elbow",
                                               "right_elbow",
                                               "left_wrist",
                                               "right_wrist",
                                               "left_hip",
                                               "right_hip",
                                               "left_knee",
                                               "right_knee",
                                               "left_ankle",
                                               "right_ankle",
                                               "left_big_toe",
                                               "left_small_toe",
                                               "left_heel",
                                               "right_big_toe",
                                               "right_small_toe",
                                               "right_heel",
                                               "face-0",
                                               "face-1",
                                               "face-2",
                                               "face-3",
                                               "face-4",
                                               "face-5",
                                               "face-6",
                                               "face-7",
                                               "face-8",
                                               "face-9",
                                               "face-10",
                                               "face-11",
                                               "face-12",
                                               "face-13",
                                               "face-14",
                                               "face-15",
                                               "face-16",
                                               "face-17",
                                               "face-18",
                                               "face-19",
                                               "face-20",
                                               "face-21",
                                               "face-22",
                                               "face-23",
                                               "face-24",
                                               "face-25",
                                               "face-26",
                                               "face-27",
                                               "face-28",
                                               "face-29",
                                               "face-30",
                                               "face-31",
                                               "face-32",
                                               "face-33",
                                               "face-34",
                                               "face-35",
                                               "face-36",
                                               "face-37",
                                               "face-38",
                                               "face-39",
                                               "face-40",
                                               "face-41",
                                               "face-42",
                                               "face-43",
                                               "face-44",
                                               "face-45",
                                               "face-46",
                                               "face-47",
                                               "face-48",
                                               "face-49",
                                               "face-50",
                                               "face-51",
                                               "face-52",
                                               "face-53",
                                               "face-54",
                                               "face-55",
                                               "face-56",
                                               "face-57",
                                               "face-58",
                                               "face-59",
                                               "face-60",
                                               "face-61",
                                               "face-62",
                                               "face-63",
                                               "face-64",
                                               "face-65",
                                               "face-66",
                                               "face-67",
                                               "left_hand_root",
                                               "left_thumb1",
                                               "left_thumb2",
                                               "left_thumb3",
                                               "left_thumb4",
                                               "left_forefinger1",
                                               "left_forefinger2",
                                               "left_forefinger3",
                                               "left_forefinger4",
                                               "left_middle_finger1",
                                               "left_middle_finger2",
                                               "left_middle_finger3",
                                               "left_middle_finger4",
                                               "left_ring_finger1",
                                               "left_ring_finger2",
                                               "left_ring_finger3",
                                               "left_ring_finger4",
                                               "left_pinky_finger1",
                                               "left_pinky_finger2",
                                               "left_pinky_finger3",
                                               "left_pinky_finger4",
                                               "right_hand_root",
                                               "right_thumb1",
                                               "right_thumb2",
                                               "right_thumb3",
                                               "right_thumb4",
                                               "right_forefinger1",
                                               "right_forefinger2",
                                               "right_forefinger3",
                                               "right_forefinger4",
                                               "right_middle_finger1",
                                               "right_middle_finger2",
                                               "right_middle_finger3",
                                               "right_middle_finger4",
                                               "right_ring_finger1",
                                               "right_ring_finger2",
                                               "right_ring_finger3",
                                               "right_ring_finger4",
                                               "right_pinky_finger1",
                                               "right_pinky_finger2",
                                               "right_pinky_finger3",
                                               "right_pinky_finger4"};
static const int whole_body_mirror[] = {
    0,   2,   1,   4,   3,   6,   5,   8,   7,   10,  9,   12,  11,  14,  13,  16,  15,  20,  21,  22,  17, 18, 19,
    39,  38,  37,  36,  35,  34,  33,  32,  31,  30,  29,  28,  27,  26,  25,  24,  23,  49,  48,  47,  46, 45, 44,
    43,  42,  41,  40,  50,  51,  52,  53,  58,  57,  56,  55,  54,  68,  67,  66,  65,  70,  69,  62,  61, 60, 59,
    64,  63,  77,  76,  75,  74,  73,  72,  71,  82,  81,  80,  79,  78,  87,  86,  85,  84,  83,  90,  89, 88, 112,
    113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 130, 131, 132, 91, 92, 93,
    94,  95,  96,  97,  98,  99,  100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111};
/* COCO's, the feet, the face (jaw, brows, nose, eyes, lips), the hands */
static const int whole_body_bones[][2] = {
    {15, 13},   {13, 11},   {16, 14},   {14, 12},   {11, 12},   {5, 11},    {6, 12},    {5, 6},     {5, 7},     {6, 8},
    {7, 9},     {8, 10},    {1, 2},     {0, 1},     {0, 2},     {1, 3},     {2, 4},     {3, 5},     {4, 6},     {15, 17},
    {15, 18},   {15, 19},   {16, 20},   {16, 21},   {16, 22},   {23, 24},   {24, 25},   {25, 26},   {26, 27},   {27, 28},
    {28, 29},   {29, 30},   {30, 31},   {31, 32},   {32, 33},   {33, 34},   {34, 35},   {35, 36},   {36, 37},   {37, 38},
    {38, 39},   {40, 41},   {41, 42},   {42, 43},   {43, 44},   {45, 46},   {46, 47},   {47, 48},   {48, 49},   {50, 51},
    {51, 52},   {52, 53},   {54, 55},   {55, 56},   {56, 57},   {57, 58},   {59, 60},   {60, 61},   {61, 62},   {62, 63},
    {63, 64},   {64, 59},   {65, 66},   {66, 67},   {67, 68},   {68, 69},   {69, 70},   {70, 65},   {71, 72},   {72, 73},
    {73, 74},   {74, 75},   {75, 76},   {76, 77},   {77, 78},   {78, 79},   {79, 80},   {80, 81},   {81, 82},   {82, 71},
    {83, 84},   {84, 85},   {85, 86},   {86, 87},   {87, 88},   {88, 89},   {89, 90},   {90, 83},   {9, 91},    {91, 92},
    {92, 93},   {93, 94},   {94, 95},   {91, 96},   {96, 97},   {97, 98},   {98, 99},   {91, 100},  {100, 101}, {101, 102},
    {102, 103}, {91, 104},  {104, 105}, {105, 106}, {106, 107}, {91, 108},  {108, 109}, {109, 110}, {110, 111}, {10, 112},
    {112, 113}, {113, 114}, {114, 115}, {115, 116}, {112, 117}, {117, 118}, {118, 119}, {119, 120}, {112, 121}, {121, 122},
    {122, 123}, {123, 124}, {112, 125}, {125, 126}, {126, 127}, {127, 128}, {112, 129}, {129, 130}, {130, 131}, {131, 132}};
static const double whole_body_sigmas[] = {
    .026, .025, .025, .035, .035, .079, .079, .072, .072, .062, .062, .107, .107, .087, .087, .089, .089, .068, .066,
    .066, .092, .094, .094, .042, .043, .044, .043, .040, .035, .031, .025, .020, .023, .029, .032, .037, .038, .043,
    .041, .045, .013, .012, .011, .011, .012, .012, .011, .011, .013, .015, .009, .007, .007, .007, .012, .009, .008,
    .016, .010, .017, .011, .009, .011, .009, .007, .013, .008, .011, .012, .010, .034, .008, .008, .009, .008, .008,
    .007, .010, .008, .009, .009, .009, .007, .007, .008, .011, .008, .008, .008, .010, .008, .029, .022, .035, .037,
    .047, .026, .025, .024, .035, .018, .024, .022, .026, .017, .021, .021, .032, .020, .019, .022, .031, .029, .022,
    .035, .037, .047, .026, .025, .024, .035, .018, .024, .022, .026, .017, .021, .021, .032, .020, .019, .022, .031};
static const struct skeleton_part whole_body_parts[] = {{"body", 0, COCO_KEYPOINTS, "keypoints"},
                                                        {"foot", 17, 6, "foot_kpts"},
                                                        {"face", 23, 68, "face_kpts"},
                                                        {"left_hand", 91, 21, "lefthand_kpts"},
                                                        {"right_hand", 112, 21, "righthand_kpts"}};
_Static_assert(COUNT(whole_body_names) == SKELETON_MAX_KEYPOINTS && COUNT(whole_body_mirror) == SKELETON_MAX_KEYPOINTS &&
                   COUNT(whole_body_sigmas) == SKELETON_MAX_KEYPOINTS,
               "one of each for every joint");

const struct skeleton skeleton_whole_body = {
    .name = "COCO-WholeBody",
    .keypoints = SKELETON_MAX_KEYPOINTS,
    .names = whole_body_names,
    .mirror = whole_body_mirror,
    .sides = "mlrlrlrlrlrlrlrlrlllrrrrrrrrrrrmllllllllrrrrrlllllmmmmrrmllrrrrrrllllllrrrmlllrrmllrrmllrmllllllllll"
             "llllllllllllrrrrrrrrrrrrrrrrrrrrr",
    .bones = whole_body_bones,
    .bone_count = COUNT(whole_body_bones),
    .limb_count = SKELETON_LIMBS,
    .sigmas = whole_body_sigmas,
    .parts = whole_body_parts,
    .part_count = COUNT(whole_body_parts),
};

/* ---- AP-10K's animals ---- */

static const char *const animal_names[] = {"left_eye",        "right_eye",     "nose",           "neck",           "root_of_tail",
                                           "left_shoulder",   "left_elbow",    "left_front_paw", "right_shoulder", "right_elbow",
                                           "right_front_paw", "left_hip",      "left_knee",      "left_back_paw",  "right_hip",
                                           "right_knee",      "right_back_paw"};
static const int animal_mirror[] = {1, 0, 2, 3, 4, 8, 9, 10, 5, 6, 7, 14, 15, 16, 11, 12, 13};
static const int animal_bones[][2] = {{0, 1}, {0, 2},  {1, 2},  {2, 3},   {3, 4},   {3, 5},  {5, 6},   {6, 7},  {3, 8},
                                      {8, 9}, {9, 10}, {4, 11}, {11, 12}, {12, 13}, {4, 14}, {14, 15}, {15, 16}};
static const double animal_sigmas[] = {.025, .025, .026, .035, .035, .079, .079, .072, .072,
                                       .062, .062, .107, .107, .087, .087, .089, .089};
static const struct skeleton_part animal_parts[] = {{"body", 0, COUNT(animal_names), "keypoints"}};

const struct skeleton skeleton_animal = {
    .name = "AP-10K",
    .keypoints = COUNT(animal_names),
    .names = animal_names,
    .mirror = animal_mirror,
    .sides = "lrmmmlllrrrlllrrr",
    .bones = animal_bones,
    .bone_count = COUNT(animal_bones),
    .sigmas = animal_sigmas,
    .parts = animal_parts,
    .part_count = COUNT(animal_parts),
};

const struct skeleton *const skeletons[] = {&skeleton_coco, &skeleton_whole_body, &skeleton_animal, NULL};
