# SPDX-License-Identifier: MIT
# limber as a container (docs/install.md):
#
#     docker build -t limber .                                           with videos: --target video -t limber-video
#     docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" limber run photos/ --out result
#
# Where there is no Docker, scripts/docker.sh takes these steps in a chroot.
FROM debian:bookworm-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
        gcc libc6-dev cmake ninja-build pkg-config dpkg-dev file gzip \
        libjansson-dev libjpeg-dev libwebp-dev libtiff-dev libavformat-dev libavcodec-dev libswscale-dev
WORKDIR /src
COPY . .
RUN cmake -S . -B build -G Ninja -DCMAKE_INSTALL_PREFIX=/usr -DLIMBER_TESTS=OFF -DLIMBER_BENCH=OFF \
    && cmake --build build \
    && cd build && cpack -G DEB \
    && mkdir /packages && mv *.deb /packages

# What the packages depend on is theirs to know.
FROM debian:bookworm-slim AS base
RUN --mount=type=bind,from=build,source=/packages,target=/packages \
    apt-get update && apt-get install -y --no-install-recommends /packages/limber_*.deb /packages/liblimber0_*.deb libheif1 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /data
ENTRYPOINT ["limber"]
CMD ["--help"]

FROM base AS video
RUN --mount=type=bind,from=build,source=/packages,target=/packages \
    apt-get update && apt-get install -y --no-install-recommends /packages/limber-video_*.deb \
    && rm -rf /var/lib/apt/lists/*
USER 1000:1000

FROM base AS limber
USER 1000:1000
