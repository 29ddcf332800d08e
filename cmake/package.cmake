# SPDX-License-Identifier: MIT
# package.cmake - `cpack -G DEB` in a build that was configured with -DCMAKE_INSTALL_PREFIX=/usr: limber, liblimber0, liblimber-dev. The
# models lie in liblimber0 alone. scripts/deb.sh builds, checks and installs them.
set(LIMBER_MAINTAINER "the limber authors <limber@debian.invalid>" CACHE STRING "Name and address in packages; whoever builds them for others sets it")
set(CPACK_PACKAGE_NAME limber)
set(CPACK_PACKAGE_VENDOR limber)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "human pose estimation by Vision Transformers")
set(CPACK_PACKAGING_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})
set(CPACK_COMPONENTS_ALL command library development)
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
  foreach(name limber liblimber0 liblimber-dev)
    file(WRITE ${PROJECT_BINARY_DIR}/package/${name}/changelog
"limber (${PROJECT_VERSION}) unstable; urgency=medium

  * ${PROJECT_VERSION}, as CHANGELOG.md tells.

 -- ${LIMBER_MAINTAINER}  ${released}
")
    execute_process(COMMAND ${LIMBER_GZIP} -9nf changelog WORKING_DIRECTORY ${PROJECT_BINARY_DIR}/package/${name} COMMAND_ERROR_IS_FATAL ANY)
  endforeach()
  foreach(part command=limber library=liblimber0 development=liblimber-dev)
    string(REGEX MATCH "^[^=]+" component ${part})
    string(REGEX REPLACE "^[^=]+=" "" name ${part})
    install(FILES ${PROJECT_BINARY_DIR}/package/copyright ${PROJECT_BINARY_DIR}/package/${name}/changelog.gz
      DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/${name} COMPONENT ${component})
  endforeach()
endif()

# An archive of everything, for systems without these packages.
set(CPACK_GENERATOR TGZ)
set(CPACK_ARCHIVE_COMPONENT_INSTALL OFF)
include(CPack)
