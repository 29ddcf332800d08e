/* SPDX-License-Identifier: MIT */
/* image/jpeg_turbo.c - JPEG, read and written, through libjpeg-turbo's libjpeg interface (jpeglib.h; libjpeg.txt of its sources), where the build found it.
 *
 * libjpeg reports an error by a call that must not return, and would otherwise end the process: here it jumps back. A warning is a
 * message and a number; it says which file is cut short or damaged, although pixels can be made of it, and which merely has odd
 * bytes where none belong. Nothing is printed. What the markers say was checked by jpeg_file.c before. */
#include <setjmp.h>
#include <stdio.h> /* jpeglib.h wants it */
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "base/error.h"
#include "image/format.h"
#include "image/jpeg.h"

struct session {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    jmp_buf failed;
    bool cut, damaged;
    char text[JMSG_LENGTH_MAX];
};

static void fail(j_common_ptr jpeg)
{
    struct session *s = jpeg->client_data;
    jpeg->err->format_message(jpeg, s->text);
    longjmp(s->failed, 1);
}

/* level < 0: data are not as they should be. Extraneous bytes between segments, padding before a restart marker, and odd version
 * numbers harm nobody. */
static void warn(j_common_ptr jpeg, int level)
{
    struct session *s = jpeg->client_data;
    if (level >= 0)
        return;
    switch (jpeg->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_ADOBE_XFORM:
    case JWRN_JFIF_MAJOR:
    case JWRN_NOT_SEQUENTIAL: /* three numbers of a scan that mean nothing in a sequential file */
    case JWRN_TOO_MUCH_DATA:
        return;
    case JWRN_HIT_MARKER:
    case JWRN_JPEG_EOF:
        s->cut = true;
        return;
    default:
        if (!s->damaged)
            jpeg->err->format_message(jpeg, s->text);
        s->damaged = true;
    }
}

static void say_nothing(j_common_ptr jpeg)
{
    (void)jpeg;
}

static void source_nothing(j_decompress_ptr jpeg)
{
    (void)jpeg;
}

/* Past the file's end: an end mark, so that what is missing is noticed where it is missing. */
static boolean source_end(j_decompress_ptr jpeg)
{
    static const JOCTET end[] = {0xff, JPEG_EOI};
    jpeg->src->next_input_byte = end;
    jpeg->src->bytes_in_buffer = sizeof end;
    return TRUE;
}

static void source_skip(j_decompress_ptr jpeg, long n)
{
    if (n <= 0)
        return;
    if ((size_t)n > jpeg->src->bytes_in_buffer) {
        source_end(jpeg);
        return;
    }
    jpeg->src->next_input_byte += n;
    jpeg->src->bytes_in_buffer -= (size_t)n;
}

/* Four components, inverted as Adobe writes them, also where no marker says so. In place: 4 bytes a pixel become 3. */
static void cmyk_to_rgb(uint8_t *row, int width)
{
    const uint8_t *in = row;
    for (int x = 0; x < width; x++, in += 4, row += 3)
        for (int c = 0; c < 3; c++)
            row[c] = (uint8_t)((in[c] * in[3] + 127) / 255);
}

/* Everything that may jump. False: it did, or pixels are not to be trusted. */
static bool decompress(struct session *s, struct image_pixels *out, const struct image_facts *f, int reduce, uint8_t **line)
{
    struct jpeg_decompress_struct *j = &s->jpeg;
    if (setjmp(s->failed))
        return false;
    jpeg_create_decompress(j);
    j->client_data = s;
    j->src = &s->source;
    j->mem->max_memory_to_use = (long)(f->memory + (4 << 20));
    jpeg_read_header(j, TRUE);
    j->scale_num = 1;
    j->scale_denom = (unsigned)reduce;
    j->out_color_space = j->num_components == 4 ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(j);
    out->width = (int)j->output_width;
    out->height = (int)j->output_height;
    out->channels = 3;
    const size_t row = 3 * (size_t)out->width;
    out->p = out->into && row * (size_t)out->height <= out->room ? out->into : malloc(row * (size_t)out->height);
    *line = j->num_components == 4 ? malloc(4 * (size_t)out->width) : NULL;
    if (!out->p || (j->num_components == 4 && !*line)) {
        snprintf(s->text, sizeof s->text, "no memory");
        return false;
    }
    while (j->output_scanline < j->output_height && !s->cut && !s->damaged) {
        uint8_t *to = out->p + row * j->output_scanline;
        JSAMPROW into[1] = {*line ? *line : to};
        if (jpeg_read_scanlines(j, into, 1) != 1)
            return false;
        if (*line) {
            cmyk_to_rgb(*line, out->width);
            memcpy(to, *line, row);
        }
    }
    return !s->cut && !s->damaged;
}

IMAGE_DECODE(jpeg_turbo_decode)
{
    struct session *s = calloc(1, sizeof *s); /* not on a stack that a jump may have changed */
    if (!s)
        return limber_fail(err, LIMBER_E_MEMORY, "JPEG: no memory for %dx%d pixels", f->width, f->height);
    s->jpeg.err = jpeg_std_error(&s->errors);
    s->jpeg.client_data = s;
    s->errors.error_exit = fail;
    s->errors.emit_message = warn;
    s->errors.output_message = say_nothing;
    s->source = (struct jpeg_source_mgr){.next_input_byte = bytes,
                                         .bytes_in_buffer = size,
                                         .init_source = source_nothing,
                                         .fill_input_buffer = source_end,
                                         .skip_input_data = source_skip,
                                         .resync_to_restart = jpeg_resync_to_restart,
                                         .term_source = source_nothing};
    uint8_t *line = NULL;
    limber_status st = LIMBER_OK;
    if (!decompress(s, out, f, reduce, &line)) {
        if (out->p != out->into)
            free(out->p);
        *out = (struct image_pixels){0};
        if (s->cut)
            st = limber_fail(err, LIMBER_E_FORMAT, "JPEG: cut short, %zu bytes do not hold %dx%d pixels", size, f->width,
                             f->height);
        else if (s->errors.msg_code == JERR_OUT_OF_MEMORY || s->errors.msg_code == JERR_NO_BACKING_STORE)
            st = limber_fail(err, LIMBER_E_MEMORY, "JPEG: no memory for %dx%d pixels", f->width, f->height);
        else
            st = limber_fail(err, LIMBER_E_FORMAT, "JPEG: damaged or of an unusual kind (%s)", s->text);
    }
    jpeg_destroy_decompress(&s->jpeg);
    free(line);
    free(s);
    return st;
}

/* ---- writing ---- */

struct writer {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_destination_mgr destination; /* jpeg_mem_dest loses track of its memory where an error jumps out of it */
    jmp_buf failed;
    uint8_t *bytes;
    size_t size, room;
};

static void writer_fail(j_common_ptr jpeg)
{
    longjmp(((struct writer *)jpeg->client_data)->failed, 1);
}

static void writer_warn(j_common_ptr jpeg, int level)
{
    (void)jpeg, (void)level;
}

static void destination_nothing(j_compress_ptr jpeg)
{
    (void)jpeg;
}

/* All room is used: twice as much. */
static boolean destination_full(j_compress_ptr jpeg)
{
    struct writer *w = jpeg->client_data;
    const size_t room = w->room ? 2 * w->room : (size_t)1 << 16;
    uint8_t *more = realloc(w->bytes, room);
    if (!more)
        longjmp(w->failed, 1);
    w->destination.next_output_byte = more + w->room;
    w->destination.free_in_buffer = room - w->room;
    w->bytes = more;
    w->room = room;
    return TRUE;
}

static void destination_end(j_compress_ptr jpeg)
{
    struct writer *w = jpeg->client_data;
    w->size = w->room - w->destination.free_in_buffer;
}

/* Everything that may jump. */
static bool compress(struct writer *w, const limber_image *image, int quality)
{
    struct jpeg_compress_struct *j = &w->jpeg;
    if (setjmp(w->failed))
        return false;
    jpeg_create_compress(j);
    j->client_data = w;
    j->dest = &w->destination;
    destination_full(j);
    j->image_width = (JDIMENSION)image->width;
    j->image_height = (JDIMENSION)image->height;
    j->input_components = 3;
    j->in_color_space = JCS_RGB;
    jpeg_set_defaults(j);
    jpeg_set_quality(j, quality, TRUE);
    jpeg_start_compress(j, TRUE);
    while (j->next_scanline < j->image_height) {
        JSAMPROW row[1] = {(uint8_t *)image->pixels + j->next_scanline * image->stride};
        jpeg_write_scanlines(j, row, 1);
    }
    jpeg_finish_compress(j);
    return true;
}

uint8_t *jpeg_turbo_encode(const limber_image *image, int quality, size_t *bytes)
{
    struct writer *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->jpeg.err = jpeg_std_error(&w->errors);
    w->jpeg.client_data = w;
    w->errors.error_exit = writer_fail;
    w->errors.emit_message = writer_warn;
    w->errors.output_message = say_nothing;
    w->destination = (struct jpeg_destination_mgr){
        .init_destination = destination_nothing, .empty_output_buffer = destination_full, .term_destination = destination_end};
    const bool fine = compress(w, image, quality);
    jpeg_destroy_compress(&w->jpeg);
    uint8_t *out = w->bytes;
    *bytes = w->size;
    if (!fine) {
        free(out);
        out = NULL;
    }
    free(w);
    return out;
}
