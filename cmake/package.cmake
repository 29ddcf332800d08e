# SPDX-License-Identifier: MIT
# package.cmake - `cpack -G DEB` in a build that was configured with -DCMAKE_INSTALL_PREFIX=/usr: limber, liblimber0, liblimber-dev, and,
# where they were built, limber-video, limber-cuda and gstreamer1.0-limber. The models lie in liblimber0 alone. scripts/deb.sh builds, checks and
# installs them.
set(LIMBER_MAINTAINER "the limber authors <limber@debian.invalid>" CACHE STRING "Name and address in packages; whoever builds them for others sets it")
set(CPACK_PACKAGE_NAME limber)
set(CPACK_PACKAGE_VENDOR limber)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "human pose estimation by Vision Transformers")
set(CPACK_PACKAGING_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})
set(CPACK_COMPONENTS_ALL command library development)
if(TARGET limber_video)
  list(APPEND CPACK_COMPONENTS_ALL video)
endif()
if(TARGET limber_cuda)
  list(APPEND CPACK_COMPONENTS_ALL cuda)
endif()
if(TARGET gstlimber)
  list(APPEND CPACK_COMPONENTS_ALL gstreamer)
endif()
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER ${LIMBER_MAINTAINER})
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR})
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(limber_about "limber finds the joints and limbs of the people in photographs with
published ViTPose checkpoints, or with a small model of its own: without
a GPU, Python or a download.
.")

set(CPACK_DEBIAN_COMMAND_PACKAGE_NAME limber)
set(CPACK_DEBIAN_COMMAND_PACKAGE_SECTION graphics)
set(CPACK_DEBIAN_COMMAND_DESCRIPTION "${limber_about}\nThis is the command.")
set(CPACK_DEBIAN_COMMAND_PACKAGE_DEPENDS "liblimber0 (= ${PROJECT_VERSION})")

set(CPACK_DEBIAN_COMMAND_PACKAGE_SUGGESTS "limber-video, limber-cuda") # FFmpeg's hundred packages and cuBLAS: only for those who ask

set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME liblimber0)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIBRARY_DESCRIPTION "${limber_about}\nThis is the library, with the built-in models.")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_RECOMMENDS libheif1) # opened at run time, for HEIC and AVIF
# CPack would call ldconfig from scripts; a trigger does it once for all packages of an installation.
file(WRITE ${PROJECT_BINARY_DIR}/package/triggers "activate-noawait ldconfig\n")
file(WRITE ${PROJECT_BINARY_DIR}/package/shlibs "liblimber 0 liblimber0 (>= ${PROJECT_VERSION})\n")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA ${PROJECT_BINARY_DIR}/package/triggers ${PROJECT_BINARY_DIR}/package/shlibs)

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME liblimber-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_DESCRIPTION "${limber_about}\nThese are the headers, and what pkg-config and CMake want.")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "liblimber0 (= ${PROJECT_VERSION})")

# The plugins are opened by a command, or a library, of their own version.
set(CPACK_DEBIAN_VIDEO_PACKAGE_NAME limber-video)
set(CPACK_DEBIAN_VIDEO_PACKAGE_SECTION video)
set(CPACK_DEBIAN_VIDEO_DESCRIPTION "${limber_about}\nThis is the plugin for videos, cameras and streams, by FFmpeg.")
set(CPACK_DEBIAN_VIDEO_PACKAGE_DEPENDS "limber (= ${PROJECT_VERSION})") # FFmpeg's libraries: by dpkg-shlibdeps
string(REGEX MATCH "^[0-9]+" ffmpeg "${FFMPEG_libavformat_VERSION}")
set(CPACK_DEBIAN_VIDEO_PACKAGE_SUGGESTS libavdevice${ffmpeg}) # opened at run time, for cameras

set(CPACK_DEBIAN_CUDA_PACKAGE_NAME limber-cuda)
set(CPACK_DEBIAN_CUDA_PACKAGE_SECTION contrib/graphics) # cuBLAS is not free
set(CPACK_DEBIAN_CUDA_DESCRIPTION "${limber_about}\nThis is the plugin that computes on NVIDIA's GPUs. It wants their driver\nand cuBLAS.")
set(CPACK_DEBIAN_CUDA_PACKAGE_DEPENDS "liblimber0 (= ${PROJECT_VERSION})")
if(TARGET limber_cuda)
  # Not a dependency: drivers, and toolkits for many, come without packages. NVIDIA's names, or Debian's.
  set(CPACK_DEBIAN_CUDA_PACKAGE_RECOMMENDS
    "libcublas-${CUDAToolkit_VERSION_MAJOR}-${CUDAToolkit_VERSION_MINOR} | libcublaslt${CUDAToolkit_VERSION_MAJOR}")
  get_filename_component(cublas "${CUDA_cublasLt_LIBRARY}" DIRECTORY) # dpkg-shlibdeps wants to see it
  list(APPEND CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${cublas})
endif()

set(CPACK_DEBIAN_GSTREAMER_PACKAGE_NAME gstreamer1.0-limber)
set(CPACK_DEBIAN_GSTREAMER_PACKAGE_SECTION video)
set(CPACK_DEBIAN_GSTREAMER_DESCRIPTION "${limber_about}\nThis is limberpose, an element of GStreamer's.")
set(CPACK_DEBIAN_GSTREAMER_PACKAGE_DEPENDS "liblimber0 (= ${PROJECT_VERSION})")

# What Debian's policy wants in each package: licence and changes.
find_program(LIMBER_GZIP gzip)
mark_as_advanced(LIMBER_GZIP)
if(LIMBER_GZIP AND CMAKE_INSTALL_PREFIX STREQUAL "/usr")
  file(READ ${PROJECT_SOURCE_DIR}/LICENSE licence)
  string(REGEX REPLACE "\n\n" "\n.\n" licence "${licence}")
  string(REGEX REPLACE "\n([^\n])" "\n \\1" licence "${licence}")
  file(WRITE ${PROJECT_BINARY_DIR}/package/copyright
"Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: limber

Files: *
Copyright: 2026 the limber authors
License: Expat
 ${licence}")
  string(TIMESTAMP released "%a, %d %b %Y %H:%M:%S +0000" UTC) # SOURCE_DATE_EPOCH is obeyed
  set(parts command=limber library=liblimber0 development=liblimber-dev video=limber-video cuda=limber-cuda gstreamer=gstreamer1.0-limber)
  foreach(part ${parts})
    string(REGEX MATCH "^[^=]+" component ${part})
    string(REGEX REPLACE "^[^=]+=" "" name ${part})
    if(NOT component IN_LIST CPACK_COMPONENTS_ALL)
      continue()
    endif()
    file(WRITE ${PROJECT_BINARY_DIR}/package/${name}/changelog
"limber (${PROJECT_VERSION}) unstable; urgency=medium

  * ${PROJECT_VERSION}, as CHANGELOG.md tells.

 -- ${LIMBER_MAINTAINER}  ${released}
")
    execute_process(COMMAND ${LIMBER_GZIP} -9nf changelog WORKING_DIRECTORY ${PROJECT_BINARY_DIR}/package/${name} COMMAND_ERROR_IS_FATAL ANY)
    install(FILES ${PROJECT_BINARY_DIR}/package/copyright ${PROJECT_BINARY_DIR}/package/${name}/changelog.gz
      DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/${name} COMPONENT ${component})
  endforeach()
endif()

# An archive of everything, for systems without these packages.
set(CPACK_GENERATOR TGZ)
set(CPACK_ARCHIVE_COMPONENT_INSTALL OFF)
include(CPack)
