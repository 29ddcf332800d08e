# SPDX-License-Identifier: MIT
# What is in this build, for those who must know: an SPDX 2.3 document, limber.spdx.json, installed beside the licence. The libraries are
# those that were found, the files of third_party/ are named with their sums (the build stops where they differ).
function(limber_sbom)
  set(packages "")
  set(relations "")
  function(sbom_package id name version supplier licence comment)
    string(APPEND packages ",\n    {\"SPDXID\": \"SPDXRef-${id}\", \"name\": \"${name}\", \"versionInfo\": \"${version}\", \"supplier\": \"${supplier}\", "
      "\"downloadLocation\": \"NOASSERTION\", \"filesAnalyzed\": false, \"licenseConcluded\": \"${licence}\", "
      "\"licenseDeclared\": \"${licence}\", \"copyrightText\": \"NOASSERTION\"${ARGN}, \"comment\": \"${comment}\"}")
    set(packages "${packages}" PARENT_SCOPE)
  endfunction()
  macro(sbom_relation kind id)
    string(APPEND relations ",\n    {\"spdxElementId\": \"SPDXRef-limber\", \"relationshipType\": \"${kind}\", \"relatedSpdxElement\": \"SPDXRef-${id}\"}")
  endmacro()
  set(link DYNAMIC_LINK)
  if(LIMBER_STATIC)
    set(link STATIC_LINK)
    sbom_package(libc libc NOASSERTION NOASSERTION LGPL-2.1-or-later "linked: GNU's, unless the compiler has another")
    sbom_relation(STATIC_LINK libc)
  endif()
  file(SHA256 ${PROJECT_SOURCE_DIR}/third_party/stb/stb_image.h stb)
  file(SHA256 ${PROJECT_SOURCE_DIR}/third_party/stb/stb_image_write.h stb_write)
  sbom_package(stb-image stb_image 2.30 "Person: Sean Barrett" "MIT OR Unlicense" "third_party/stb, mended: see its README"
    ", \"checksums\": [{\"algorithm\": \"SHA256\", \"checksumValue\": \"${stb}\"}]")
  sbom_relation(CONTAINS stb-image)
  sbom_package(stb-image-write stb_image_write 1.16 "Person: Sean Barrett" "MIT OR Unlicense" "third_party/stb, unchanged"
    ", \"checksums\": [{\"algorithm\": \"SHA256\", \"checksumValue\": \"${stb_write}\"}]")
  sbom_relation(CONTAINS stb-image-write)
  sbom_package(jansson jansson "${JANSSON_VERSION}" "Person: Petri Lehtinen" MIT "linked")
  sbom_relation(${link} jansson)
  if(JPEG_TURBO_FOUND)
    sbom_package(libjpeg-turbo libjpeg-turbo "${JPEG_TURBO_VERSION}" "Organization: libjpeg-turbo" "IJG AND BSD-3-Clause" "linked")
    sbom_relation(${link} libjpeg-turbo)
  endif()
  if(WEBP_FOUND)
    sbom_package(libwebp libwebp "${WEBP_libwebp_VERSION}" "Organization: WebM" BSD-3-Clause "linked, with libwebpdemux")
    sbom_relation(${link} libwebp)
  endif()
  if(TIFF_FOUND)
    sbom_package(libtiff libtiff "${TIFF_VERSION}" "Organization: LibTIFF" libtiff "linked")
    sbom_relation(${link} libtiff)
  endif()
  if(LIMBER_HEIF)
    sbom_package(libheif libheif NOASSERTION "Organization: struktur AG" LGPL-3.0-or-later "opened at run time where it is installed, never bundled")
    sbom_relation(OTHER libheif)
  endif()
  # The date of the sources, so that the same sources make the same document.
  if(DEFINED ENV{SOURCE_DATE_EPOCH})
    string(TIMESTAMP created "%Y-%m-%dT%H:%M:%SZ" UTC)
  else()
    execute_process(COMMAND git -C ${PROJECT_SOURCE_DIR} log -1 --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ OUTPUT_VARIABLE created
      ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(NOT created)
      set(created 1970-01-01T00:00:00Z)
    endif()
  endif()
  string(SUBSTRING "${packages}" 1 -1 packages) # without the first comma
  file(WRITE ${PROJECT_BINARY_DIR}/limber.spdx.json
"{
  \"spdxVersion\": \"SPDX-2.3\",
  \"dataLicense\": \"CC0-1.0\",
  \"SPDXID\": \"SPDXRef-DOCUMENT\",
  \"name\": \"limber-${PROJECT_VERSION}\",
  \"documentNamespace\": \"urn:limber:${PROJECT_VERSION}:${stb}\",
  \"creationInfo\": {\"created\": \"${created}\", \"creators\": [\"Tool: limber's CMakeLists.txt\"]},
  \"packages\": [
    {\"SPDXID\": \"SPDXRef-limber\", \"name\": \"limber\", \"versionInfo\": \"${PROJECT_VERSION}\", \"downloadLocation\": \"NOASSERTION\", \"filesAnalyzed\": false, \"licenseConcluded\": \"MIT\", \"licenseDeclared\": \"MIT\", \"copyrightText\": \"NOASSERTION\"},${packages}
  ],
  \"relationships\": [
    {\"spdxElementId\": \"SPDXRef-DOCUMENT\", \"relationshipType\": \"DESCRIBES\", \"relatedSpdxElement\": \"SPDXRef-limber\"}${relations}
  ]
}
")
endfunction()
