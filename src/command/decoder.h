/* SPDX-License-Identifier: MIT */
/* command/decoder.h - pictures are decoded by other processes, so that one that crashes a decoder costs its own line and nothing else.
 *
 *     this process  ->  a keeper  ->  a decoder for each worker        (fork; the keeper is small, and forks a new one for one that died)
 *
 * A worker lays the bytes of a file where its decoder sees them, and finds the pixels there. The decoder holds nothing but that memory
 * and standard error, and can ask for nothing but memory and threads (sandbox_seal). What it answers is believed no more than a file.
 *
 * A decoder that is ended by a signal, that exits, or that works for longer than any picture takes, is an error that says so, of the
 * picture it was given. Where there is no decoder any more (somebody killed the keeper; there is no room for a process) the caller's
 * thread decodes itself. */
#ifndef LIMBER_CLI_DECODER_H
#define LIMBER_CLI_DECODER_H

#include <stdbool.h>
#include <stddef.h>

#include "image/image.h"

#define DECODER_SECONDS 300 /* of processor time, for one picture */

struct decoders; /* of a run */
struct decoder;  /* of one worker */

/* Starts the keeper of at most `count` decoders, each of which is started when it is first asked. To be called while this process is
 * small and has no other thread. sealed: decoders are confined as far as this machine can. LIMBER_E_UNSUPPORTED: not here; err says why. */
limber_status decoders_open(struct decoders **out, int count, bool sealed, limber_error *err);
void decoders_close(struct decoders **decoders); /* once no worker is left; waits for all of them to end */
/* NULL where decoders is, or has so many no more. */
struct decoder *decoders_at(struct decoders *decoders, int worker);

/* image_examine. `memory` counts what lies between the processes, too. decoder NULL: in this process. */
limber_status decoder_examine(struct decoder *decoder, struct image_about *out, const struct image_options *options,
                              const uint8_t *bytes, size_t size, limber_error *err);
/* image_decode_with, of the bytes that were examined last, and found good. */
limber_status decoder_decode(struct decoder *decoder, struct image *out, const struct image_options *options,
                             const uint8_t *bytes, size_t size, limber_error *err);

#endif
