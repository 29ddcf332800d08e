# SPDX-License-Identifier: MIT
# What a program that opens files of strangers should be compiled and linked with, where compiler and linker have it: checks on the stack
# and in libc's copying functions, variables that begin as zero, tables of the linker that cannot be written, branch targets that
# are marked. limber_harden(TARGET) for what is compiled, limber_harden_link(TARGET) for what is linked. Not under sanitizers, which
# look at the same things, and would see zeros where nobody wrote.
include(CheckCCompilerFlag)
include(CheckCSourceCompiles)
option(LIMBER_HARDEN "Compile and link with stack protector, FORTIFY, full RELRO and the like" ON)

set(harden_compile "")
set(harden_link "")
if(LIMBER_HARDEN AND NOT LIMBER_SANITIZE)
  foreach(flag -fstack-protector-strong -fstack-clash-protection -fcf-protection -ftrivial-auto-var-init=zero)
    string(MAKE_C_IDENTIFIER "LIMBER_HAVE${flag}" known)
    set(CMAKE_REQUIRED_FLAGS -Werror)
    check_c_compiler_flag(${flag} ${known})
    unset(CMAKE_REQUIRED_FLAGS)
    if(${known})
      list(APPEND harden_compile ${flag})
    endif()
  endforeach()
  # Level 3 sees sizes that are known at run time only; older compilers have 2. It needs an optimising build.
  set(CMAKE_REQUIRED_FLAGS "-O2 -Werror -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3")
  check_c_source_compiles("#include <string.h>
    int main(void) { return __builtin_dynamic_object_size(\"a\", 0) == 0; }" LIMBER_HAVE_FORTIFY_3)
  unset(CMAKE_REQUIRED_FLAGS)
  set(fortify $<IF:$<BOOL:${LIMBER_HAVE_FORTIFY_3}>,3,2>)
  list(APPEND harden_compile "$<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE>" "$<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=${fortify}>")
  list(APPEND harden_link -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
endif()
# Kernels fill their tiles themselves, and are what must be fast.
set(harden_not_kernels "")
if(LIMBER_HAVE_ftrivial_auto_var_init_zero)
  set(harden_not_kernels -ftrivial-auto-var-init=uninitialized)
endif()
if(NOT CMAKE_CROSSCOMPILING)
  include(CheckPIESupported)
  check_pie_supported(LANGUAGES C)
endif()
# Where sources and build lie is nobody's business, and would make two builds of the same sources differ.
set(CMAKE_BUILD_RPATH_USE_ORIGIN ON)
set(harden_prefix -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)

function(limber_harden target)
  target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:C>:${harden_compile};${harden_prefix}>")
endfunction()
function(limber_harden_link target)
  target_link_options(${target} PRIVATE ${harden_link})
endfunction()
