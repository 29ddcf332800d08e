#!/bin/sh
# SPDX-License-Identifier: MIT
# test_build.sh CASE - what the linker made, looked at from outside: that the compiler's guards are there, that liblimber exports its
# interface and nothing else, that the list of what is inside is true. LIBRARY is liblimber, BUILD_DIR where it was built.
set -eu
. "$LIMBER_TEST_DIR/shell.sh"
command -v readelf >/dev/null 2>&1 || skip "no readelf"

test_hardening() {
    for file in "$LIMBER" "$LIBRARY"; do
        readelf -W -h -l -d --dyn-syms "$file" >elf
        has elf "GNU_RELRO"
        grep -q 'BIND_NOW\|Flags:.*NOW' elf || fail "$file: not all symbols are bound before the tables are write-protected"
        grep 'GNU_STACK' elf | grep -q RWE && fail "$file: the stack is executable"
        grep -q ' DYN ' elf || fail "$file: not position independent"
        has elf "__stack_chk_fail"
        grep -q '__[a-z]*_chk' elf || fail "$file: no checked copy of libc's functions"
        readelf -W -d "$file" | grep -q TEXTREL && fail "$file: its code is written to when it is loaded"
    done
    if command -v objdump >/dev/null 2>&1 && uname -m | grep -q x86_64; then
        objdump -d "$LIBRARY" | grep -q endbr64 || fail "no marked branch targets"
    fi
}
test_exports() {
    readelf -W --dyn-syms "$LIBRARY" | awk '$7 != "UND" && $4 != "OBJECT" && $5 != "LOCAL" && NR > 3 && NF >= 8 { sub(/@.*/, "", $8); print $8 }' |
        sort -u >exported
    cat "$LIMBER_TEST_DIR"/../include/*.h | tr '\n' ' ' | grep -oE 'LIMBER_API [^;]*' | grep -oE '\blimber_[a-z_]+\(' | tr -d '(' | sort -u >promised
    echo limber_built_in_model >>promised # of src/model/built_in.h, for the command alone
    sort -o promised promised
    same exported promised
    readelf -W -V "$LIBRARY" | grep -q LIMBER_0 || fail "the exported names have no version"
}
test_sbom() {
    sbom=$BUILD_DIR/limber.spdx.json
    has "$sbom" '"spdxVersion": "SPDX-2.3"'
    for file in stb_image.h stb_image_write.h; do
        has "$sbom" "$(sha256sum "$LIMBER_TEST_DIR/../third_party/stb/$file" | cut -d' ' -f1)"
    done
    # every library that is linked is in it, but those of the system
    readelf -W -d "$LIBRARY" "$LIMBER" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | sort -u >needed
    while read -r library; do
        case $library in
        libc.so* | libm.so* | libdl.so* | libpthread.so* | ld-linux* | liblimber.so*) continue ;;
        libjansson.so*) name=jansson ;;
        libjpeg.so*) name=libjpeg-turbo ;;
        libwebp*.so*) name=libwebp ;;
        libtiff.so*) name=libtiff ;;
        *) fail "$library is linked, and not known here" ;;
        esac
        has "$sbom" "\"name\": \"$name\""
    done <needed
    ! grep -q heif needed || fail "libheif must not be linked"
}

"test_$1"
