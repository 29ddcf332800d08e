#!/bin/bash -eu
# SPDX-License-Identifier: MIT
# OSS-Fuzz's build script: $CC, $CFLAGS, $LIB_FUZZING_ENGINE, $OUT and $SRC are its own. Every target, its seeds and its words.
cmake -S "$SRC/limber" -B "$WORK/build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DLIMBER_CUDA=OFF -DLIMBER_BENCH=OFF -DLIMBER_HARDEN=OFF \
    -DLIMBER_CRITERION=OFF -DLIMBER_FUZZ=ON -DLIMBER_FUZZ_ENGINE="$LIB_FUZZING_ENGINE" -DLIMBER_FUZZ_LINKER=CXX \
    -DLIMBER_JPEG_TURBO=OFF -DLIMBER_WEBP=OFF -DLIMBER_TIFF=OFF -DLIMBER_HEIF=OFF
cmake --build "$WORK/build" --target fuzz_image fuzz_json fuzz_safetensors fuzz_labels fuzz_arguments
corpus=$SRC/limber/tests/corpus
for target in fuzz_image fuzz_json fuzz_safetensors fuzz_labels fuzz_arguments; do
    cp "$WORK/build/tests/fuzz/$target" "$OUT/"
done
zip -qjr "$OUT/fuzz_image_seed_corpus.zip" "$corpus/images"
zip -qjr "$OUT/fuzz_json_seed_corpus.zip" "$corpus/config" "$corpus/boxes" "$corpus/index"
zip -qjr "$OUT/fuzz_labels_seed_corpus.zip" "$corpus/labels"
zip -qjr "$OUT/fuzz_arguments_seed_corpus.zip" "$corpus/arguments"
zip -qjr "$OUT/fuzz_safetensors_seed_corpus.zip" "$corpus/safetensors"
