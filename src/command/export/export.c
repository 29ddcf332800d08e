/* SPDX-License-Identifier: MIT */
/* command/export/export.c - `limber export`: poses.jsonl in the forms that other tools read. */
#define _GNU_SOURCE
#include "command/export/export.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command/commands.h"
#include "command/options.h"
#include "command/output.h"
#include "base/error.h"
#include "base/file.h"
#include "command/run/lines.h"

static const struct export_format *const formats[] = {
    &export_openpose, &export_coco, &export_ultralytics, &export_cvat, &export_labelstudio, &export_csv,
};
#define FORMATS (sizeof formats / sizeof *formats)

/* ---- where it goes ---- */

struct export_target {
    struct output file;     /* one file */
    char *folder, *partial; /* many: written below `partial`, which becomes `folder` when all is there */
    bool fresh;             /* `partial` was made */
};

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

static int open_folder(struct export_target *t, const char *dir)
{
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/')
        n--;
    t->folder = strndup(dir, n);
    char *parent = t->folder ? strdup(t->folder) : NULL;
    if (!parent || asprintf(&t->partial, "%s.partial-XXXXXX", t->folder) < 0) {
        t->partial = NULL;
        free(parent);
        return cli_fail("no memory");
    }
    char *slash = strrchr(parent, '/');
    int status = CLI_DONE;
    if (slash && slash > parent) {
        *slash = 0;
        status = output_folder(parent);
    }
    free(parent);
    if (status)
        return status;
    /* rename() takes the place of a folder that is not there or is empty, and of nothing else */
    if (rmdir(t->folder) && errno != ENOENT)
        return cli_fail("%s: %s: choose an --out that is not there", t->folder,
                        errno == ENOTEMPTY || errno == EEXIST ? "is there and not empty" : strerror(errno));
    if (!mkdtemp(t->partial))
        return cli_fail("%s: %s", t->partial, strerror(errno));
    t->fresh = true;
    const mode_t mask = umask(0);
    umask(mask);
    if (chmod(t->partial, 0777 & ~mask))
        return cli_fail("%s: %s", t->partial, strerror(errno));
    return CLI_DONE;
}

static int target_open(struct export_target *t, const struct export_format *format, const char *out)
{
    if (format->folder) {
        int status = open_folder(t, out);
        char *path = status || !format->stream ? NULL : output_path(t->partial, format->stream);
        if (!status && format->stream) {
            t->file = (struct output){
                .fd = path ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666) : -1, .name = path, .whole = -1};
            if (t->file.fd < 0)
                status = cli_fail("%s: %s", path ? path : out, path ? strerror(errno) : "no memory");
        }
        return status;
    }
    if (!out)
        return output_stdout(&t->file);
    const char *slash = strrchr(out, '/');
    char *dir = slash ? strndup(out, (size_t)(slash - out) + (slash == out)) : strdup(".");
    int status = dir ? output_folder(dir) : cli_fail("no memory");
    if (!status)
        status = output_replace(&t->file, dir, slash ? slash + 1 : out);
    free(dir);
    return status;
}

static int target_close(struct export_target *t)
{
    const bool stream = t->file.fd >= 0;
    const int status = stream ? output_close(&t->file) : CLI_DONE;
    if (status || !t->folder)
        return status;
    const int fd = open(t->partial, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool synced = fd >= 0 && !syncfs(fd); /* once for all files: one by one a million of them would take a day */
    const int failure = errno;
    if (fd >= 0)
        close(fd);
    if (!synced)
        return cli_fail("%s: %s", t->partial, strerror(failure));
    if (rename(t->partial, t->folder))
        return cli_fail("%s: %s", t->folder, strerror(errno));
    t->fresh = false;
    return CLI_DONE;
}

static void target_abandon(struct export_target *t)
{
    output_abandon(&t->file);
    if (t->fresh)
        nftw(t->partial, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(t->folder);
    free(t->partial);
}

int export_put(struct export *e)
{
    if (e->text.failed)
        return cli_fail("no memory");
    int status = e->text.length ? output_write(&e->target->file, e->text.text, e->text.length) : CLI_DONE;
    put_clear(&e->text);
    return status;
}

int export_file(struct export *e, const char *name, const char *image)
{
    char *path = e->text.failed ? NULL : output_path(e->target->partial, name);
    if (!path)
        return cli_fail("no memory");
    int status = CLI_DONE;
    for (char *slash = path + strlen(e->target->partial) + 1; !status && (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = 0;
        if (mkdir(path, 0777) && errno != EEXIST)
            status = cli_fail("%s: %s", path, strerror(errno));
    }
    const int fd = status ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (!status && fd < 0)
        status = errno == EEXIST && image
                     ? cli_fail("%s: another image has the same name but for its ending; this format would put both into %s",
                                image, name)
                     : cli_fail("%s: %s", path, strerror(errno));
    struct output o = {.fd = fd, .name = path, .whole = -1};
    if (!status)
        status = output_write(&o, e->text.text ? e->text.text : "", e->text.length);
    if (fd >= 0 && close(fd) && !status)
        status = cli_fail("%s: %s", path, strerror(errno));
    free(path);
    put_clear(&e->text);
    return status;
}

char *export_name(const char *image_name, const char *ending)
{
    const char *slash = strrchr(image_name, '/'), *base = slash ? slash + 1 : image_name, *dot = strrchr(base, '.');
    const size_t stem = dot && dot > base ? (size_t)(dot - image_name) : strlen(image_name);
    char *name = malloc(stem + strlen(ending) + 1);
    if (name) {
        memcpy(name, image_name, stem);
        strcpy(name + stem, ending);
    }
    return name;
}

void export_text(struct export *e, const char *text)
{
    put_bytes(&e->text, text, strlen(text));
}

void export_print(struct export *e, const char *format, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    export_text(e, text);
}

void export_number(struct export *e, double value, int decimals)
{
    put_clear(&e->number);
    put_number(&e->number, value, decimals);
    if (e->number.failed)
        e->text.failed = true;
    else
        put_bytes(&e->text, e->number.text, e->number.length);
}

void export_xml(struct export *e, const char *bytes)
{
    put_clear(&e->number);
    put_string(&e->number, bytes); /* escapes what is no text: \uXXXX */
    if (e->number.failed) {
        e->text.failed = true;
        return;
    }
    const char *last = e->number.text + e->number.length - 1;
    for (const char *p = e->number.text + 1; p < last; p++) {
        if (*p == '\\') {
            p++;
            export_text(e, *p == 'u' ? "\xef\xbf\xbd" : *p == 'n' ? "&#10;" : *p == 't' ? "&#9;" : *p == '"' ? "&quot;" : "\\");
            p += *p == 'u' ? 4 : 0;
        } else if (*p == '&' || *p == '<' || *p == '>') {
            export_text(e, *p == '&' ? "&amp;" : *p == '<' ? "&lt;" : "&gt;");
        } else {
            put_bytes(&e->text, p, 1);
        }
    }
}

/* ---- the lines ---- */

struct source {
    char *path;
    FILE *file;
    char *line;
    size_t room, number; /* of the line, from 1 */
    double min_score;
    char *common; /* the folder that all images share, with its slash: what their names are cut of */
    const char *joints[EXPORT_JOINTS];
    char *joint_text[EXPORT_JOINTS]; /* what joints[] points to */
    size_t joint_count;
    size_t images, failed, people;
    const struct export_format *format;
    bool frames;              /* the lines are of videos */
    struct pose_joint *joint; /* of one image */
    struct pose_person *person;
    size_t joint_room, person_room;
};

static int bad(const struct source *s, const char *what)
{
    return cli_fail("%s: line %zu: %s", s->path, s->number, what);
}

static bool number_of(const json_t *value, double *to)
{
    *to = json_number_value(value);
    return json_is_number(value) && isfinite(*to);
}

/* The joints' names are those of the first person; every other must have the same. */
static int name_joints(struct source *s, json_t *keypoints)
{
    const char *name;
    json_t *joint;
    const bool first = s->joint_count == 0;
    size_t k = 0;
    if (json_object_size(keypoints) == 0)
        return bad(s, "a person without keypoints");
    json_object_foreach(keypoints, name, joint)
    {
        if (k == EXPORT_JOINTS)
            return bad(s, "more joints than 1024");
        if (first && !(s->joints[k] = s->joint_text[k] = strdup(name)))
            return cli_fail("no memory");
        if (first)
            s->joint_count = k + 1;
        else if (k >= s->joint_count || strcmp(s->joints[k], name))
            break;
        k++;
    }
    return k == json_object_size(keypoints) && k == s->joint_count
               ? CLI_DONE
               : bad(s, "a person with other joints than those before: lines of two models?");
}

static int read_person(struct source *s, const json_t *object, struct pose_person *person, struct pose_joint *joint)
{
    const json_t *box = json_object_get(object, "box");
    json_t *keypoints = json_object_get(object, "keypoints"), *value;
    const char *name;
    int status = json_is_object(keypoints) ? name_joints(s, keypoints) : bad(s, "a person without keypoints");
    if (status)
        return status;
    if (json_array_size(box) != 4 || !number_of(json_object_get(object, "score"), &person->score))
        return bad(s, "a person needs a box of four numbers and a score");
    for (size_t i = 0; i < 4; i++)
        if (!number_of(json_array_get(box, i), &person->box[i]))
            return bad(s, "a person needs a box of four numbers and a score");
    size_t k = 0;
    json_object_foreach(keypoints, name, value)
    {
        struct pose_joint *j = &joint[k++];
        if (json_array_size(value) != 3 || !number_of(json_array_get(value, 0), &j->x) ||
            !number_of(json_array_get(value, 1), &j->y) || !number_of(json_array_get(value, 2), &j->score))
            return bad(s, "a joint is three numbers: x, y, score");
        j->seen = j->score >= s->min_score;
    }
    const json_t *track = json_object_get(object, "track");
    if (track && (!json_is_integer(track) || json_integer_value(track) < 1 || json_integer_value(track) > INT_MAX))
        return bad(s, "a track is a number from 1");
    person->track = (int)json_integer_value(track);
    person->joints = joint;
    return CLI_DONE;
}

/* Room for `count` people; joints are known once the first person was read. */
static int make_room(struct source *s, size_t count, size_t joints)
{
    if (count > s->person_room) {
        struct pose_person *more = realloc(s->person, count * sizeof *more);
        if (!more)
            return cli_fail("no memory");
        s->person = more;
        s->person_room = count;
    }
    if (count * joints > s->joint_room) {
        struct pose_joint *more = realloc(s->joint, count * joints * sizeof *more);
        if (!more)
            return cli_fail("no memory");
        s->joint = more;
        s->joint_room = count * joints;
    }
    return CLI_DONE;
}

/* {"width":...,"height":...,"people":[...]}; of a frame {"frame":...,"time":...,"width":... */
static int read_people(struct source *s, const json_t *object, struct pose_image *image)
{
    if (s->frames && !number_of(json_object_get(object, "time"), &image->time))
        return bad(s, "a frame needs a time");
    const json_t *width = json_object_get(object, "width"), *height = json_object_get(object, "height");
    const json_t *people = json_object_get(object, "people");
    if (!json_is_integer(width) || !json_is_integer(height) || json_integer_value(width) < 1 || json_integer_value(height) < 1 ||
        json_integer_value(width) > INT_MAX || json_integer_value(height) > INT_MAX || !json_is_array(people))
        return bad(s, "an image needs a width, a height and people");
    image->width = (int)json_integer_value(width);
    image->height = (int)json_integer_value(height);
    image->people_count = json_array_size(people);
    const size_t joints =
        image->people_count ? json_object_size(json_object_get(json_array_get(people, 0), "keypoints")) : s->joint_count;
    int status = joints > EXPORT_JOINTS ? bad(s, "more joints than 1024") : make_room(s, image->people_count, joints);
    for (size_t i = 0; !status && i < image->people_count; i++)
        status = read_person(s, json_array_get(people, i), &s->person[i], s->joint + i * joints);
    image->people = s->person;
    return status;
}

/* Names are relative to the folder that they share, so that neither "/home/..." nor "../" leaves the output. */
static int share_folder(struct source *s, const char *path)
{
    if (!s->common)
        return (s->common = strdup(path)) ? CLI_DONE : cli_fail("no memory");
    size_t same = 0;
    while (s->common[same] && s->common[same] == path[same])
        same++;
    s->common[same] = 0;
    return CLI_DONE;
}

static void end_share(struct source *s)
{
    char *slash = s->common ? strrchr(s->common, '/') : NULL;
    if (s->common)
        *(slash ? slash + 1 : s->common) = 0;
}

/* What is left of a path below the shared folder, to free: "./" is dropped, "../" becomes "up/". */
static char *image_name(const struct source *s, const char *path)
{
    const char *from = path + (s->common ? strlen(s->common) : 0);
    char *name = malloc(strlen(from) + 2), *to = name;
    while (name && *from) {
        const size_t n = strcspn(from, "/");
        if (n == 2 && !memcmp(from, "..", 2))
            to += sprintf(to, "up/");
        else if (n && !(n == 1 && *from == '.'))
            to += sprintf(to, "%.*s/", (int)n, from);
        from += n;
        from += *from == '/';
    }
    if (name)
        *(to > name ? to - 1 : to) = 0;
    return name;
}

/* A line of a picture or of a video; all must be of one kind. */
static int parse_line(struct source *s, struct line *l, size_t length)
{
    const bool frame = !strncmp(s->line, "{\"video\":", 9);
    if (!(frame ? line_parse_frame(l, s->line, length) : line_parse(l, s->line, length)))
        return bad(s, "is not one that limber run writes");
    if (frame && !s->format->frames)
        return bad(s, "is of a video, and this form is for pictures: openpose and csv take videos");
    if (s->number == 1)
        s->frames = frame;
    return frame == s->frames
               ? CLI_DONE
               : bad(s, frame ? "is of a video, those before are of pictures" : "is of a picture, those before are of videos");
}

/* The next line that is no failure: 1, 0 at the end, -1 with the reason on stderr. image->path and ->name are to free. */
static int next_image(struct source *s, struct pose_image *image)
{
    ssize_t n;
    while ((n = file_line(&s->line, &s->room, s->file)) > 0) {
        struct line l;
        json_error_t error;
        s->number++;
        if (cli_stopped)
            return -1;
        if (s->line[n - 1] != '\n')
            return bad(s, "is cut short; `limber run --resume` goes on with it"), -1;
        s->line[n - 1] = 0;
        const int status = parse_line(s, &l, (size_t)n - 1);
        if (status)
            return -1;
        if (l.failed) {
            s->failed++;
            continue;
        }
        char *path = line_path(&l), *name = path ? image_name(s, path) : NULL;
        s->line[l.rest - s->line] = '{'; /* ,"width":... becomes {"width":... */
        json_t *rest = json_loads(l.rest, JSON_REJECT_DUPLICATES, &error);
        int read = !path || !name ? cli_fail("no memory") : rest ? CLI_DONE : bad(s, error.text);
        *image =
            (struct pose_image){.path = path, .name = name, .number = (long long)++s->images, .frame = s->frames ? l.frame : -1};
        if (!read)
            read = read_people(s, rest, image);
        json_decref(rest);
        if (!read) {
            s->people += image->people_count;
            return 1;
        }
        free(path);
        free(name);
        return -1;
    }
    return n < 0 ? (cli_fail("%s: %s", s->path, error_text(errno)), -1) : 0;
}

static void rewind_source(struct source *s)
{
    rewind(s->file);
    s->number = s->images = s->failed = s->people = 0;
}

/* The first reading: is every line whole, what are the joints, which folder do the images share? */
static int check_lines(struct source *s)
{
    struct pose_image image;
    int more;
    char *common = NULL;
    while ((more = next_image(s, &image)) > 0) {
        struct source shared = {.common = common};
        const int status = share_folder(&shared, image.path);
        common = shared.common;
        free((char *)image.path);
        free((char *)image.name);
        if (status) {
            free(common);
            return status;
        }
    }
    s->common = common;
    end_share(s);
    if (!s->joint_count) { /* nobody anywhere: as the built-in model names them */
        memcpy(s->joints, coco_keypoint_names, sizeof coco_keypoint_names);
        s->joint_count = COCO_KEYPOINTS;
    }
    return more ? CLI_NOTHING : CLI_DONE;
}

static int source_open(struct source *s, const char *path)
{
    struct stat st;
    s->path = stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? output_path(path, "poses.jsonl") : strdup(path);
    if (!s->path)
        return cli_fail("no memory");
    s->file = fopen(s->path, "re");
    if (!s->file)
        return cli_fail("%s: %s", s->path, strerror(errno));
    if (fseek(s->file, 0, SEEK_SET))
        return cli_fail("%s: is read more than once, so it must be a file: %s", s->path, strerror(errno));
    return CLI_DONE;
}

static void source_close(struct source *s)
{
    if (s->file)
        fclose(s->file);
    for (size_t k = 0; k < EXPORT_JOINTS; k++)
        free(s->joint_text[k]);
    free(s->path);
    free(s->line);
    free(s->common);
    free(s->joint);
    free(s->person);
}

/* ---- the command ---- */

static int write_all(struct export *e, const struct export_format *format, struct source *s)
{
    int status = format->begin ? format->begin(e) : CLI_DONE;
    for (e->pass = 0; !status && e->pass < format->passes; e->pass++) {
        struct pose_image image;
        int more = 0;
        rewind_source(s);
        e->row = 0;
        while (!status && (more = next_image(s, &image)) > 0) {
            status = format->image(e, &image);
            free((char *)image.path);
            free((char *)image.name);
        }
        if (more < 0)
            status = CLI_NOTHING;
    }
    return !status && format->end ? format->end(e) : status;
}

/* The label set that has these names in this order, or NULL. */
static const struct skeleton *skeleton_of(const struct source *s)
{
    for (const struct skeleton *const *row = skeletons; *row; row++) {
        size_t k = 0;
        while (k < s->joint_count && k < (size_t)(*row)->keypoints && !strcmp(s->joints[k], (*row)->names[k]))
            k++;
        if (k == s->joint_count && k == (size_t)(*row)->keypoints)
            return *row;
    }
    return NULL;
}

static int export_lines(struct export *e, const struct export_format *format, struct source *s, const char *out)
{
    int status = check_lines(s);
    if (status)
        return status;
    e->joints = s->joints;
    e->joint_count = s->joint_count;
    e->images = s->images;
    e->frames = s->frames;
    e->skeleton = skeleton_of(s);
    if (format->coco && e->skeleton != &skeleton_coco)
        return cli_fail("%s: %s has places for COCO's 17 joints, these are %zu others (%s, ...)", s->path, format->name,
                        s->joint_count, s->joints[0]);
    struct export_target target = {.file = OUTPUT_CLOSED};
    e->target = &target;
    status = target_open(&target, format, out);
    if (!status)
        status = write_all(e, format, s);
    if (!status)
        status = target_close(&target);
    target_abandon(&target);
    return status;
}

int cli_export(int argc, char **argv)
{
    const char *to = NULL, *out = NULL;
    double min_score = 0;
    bool quiet = false;
    struct export e = {0};
    const struct cli_option options[] = {
        CLI_CHOICE("--to", "openpose|coco|ultralytics|cvat|labelstudio|csv", &to, "the form to write"),
        CLI_OPTION("--out", "PATH", &out, "file, or new folder for openpose, ultralytics and labelstudio [standard output]"),
        CLI_NUMBER("--min-score", "S", &min_score, -1e9, 1e9, "joints below are written as not seen [0]"),
        CLI_OPTION("--image-prefix", "TEXT", &e.prefix, "labelstudio: before every image's name [/data/local-files/?d=]"),
        CLI_FLAG("--quiet", &quiet, "no summary"),
        CLI_END,
    };
    const struct cli_command command = {
        "export", "--to FORMAT poses.jsonl [options]",
        "Lines of `limber run` (or the folder they are in) in the forms other tools read:\n"
        "  openpose     a folder of NAME_keypoints.json, BODY_25 with neck and mid-hip; a file a frame of videos\n"
        "  coco         a COCO keypoint dataset (run --coco writes COCO's results)\n"
        "  ultralytics  a folder: labels/NAME.txt and data.yaml, as YOLO pose is trained on\n"
        "  cvat         CVAT for images 1.1, people as skeletons\n"
        "  labelstudio  a folder: tasks.json with predictions, config.xml\n"
        "  csv          a row a joint; of videos with frame, time and track\n"
        "Written whole, or not at all.",
        options};
    int inputs, status = cli_parse(&command, argc, argv, &inputs);
    if (status != CLI_GO)
        return status;
    if (!to)
        return cli_usage(&command, "--to says which form");
    if (inputs != 1)
        return cli_usage(&command, inputs ? "one poses.jsonl at a time: %s (`limber merge` joins several)" : "no input",
                         inputs ? argv[2] : "");
    const struct export_format *format = NULL;
    for (size_t i = 0; i < FORMATS; i++)
        if (!strcmp(to, formats[i]->name))
            format = formats[i];
    if (format->folder && !out)
        return cli_usage(&command, "--to %s writes a folder: --out DIR names it", to);
    cli_catch_signals();
    struct source source = {.min_score = min_score, .format = format};
    status = source_open(&source, argv[1]);
    if (!status)
        status = export_lines(&e, format, &source, out);
    if (!status && !quiet)
        fprintf(stderr, "%zu %s%s, %zu %s\n", source.images, source.frames ? "frame" : "image", source.images == 1 ? "" : "s",
                source.people, source.people == 1 ? "person" : "people");
    if (!status && source.failed)
        cli_warn("%s: %zu %s%s that failed left out", source.path, source.failed, source.frames ? "line" : "image",
                 source.failed == 1 ? "" : "s");
    source_close(&source);
    put_free(&e.text);
    put_free(&e.number);
    return status && cli_stopped ? CLI_INTERRUPTED : status;
}
