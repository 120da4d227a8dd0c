# Cross-compiles for arm64, statically, so that qemu-user needs no libraries of that processor.
# OJ_ARM64_SYSROOT holds the distribution's arm64 -dev packages, unpacked (run.sh).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static)

set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES OJ_ARM64_SYSROOT)
set(CMAKE_FIND_ROOT_PATH ${OJ_ARM64_SYSROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static -L${OJ_ARM64_SYSROOT}/usr/lib/aarch64-linux-gnu")
