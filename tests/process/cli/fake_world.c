/* Preloaded into `optjournal doctor`: a file system and a clock that a test cannot come by.
 *
 *   FAKE_FILE_SYSTEM   f_type that fstatfs() gives, hexadecimal
 *   FAKE_BYTES_FREE    what is free by fstatvfs() and statvfs(), in bytes
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

int fstatfs(int fd, struct statfs* out) {
  int (*real)(int, struct statfs*) = (int (*)(int, struct statfs*))dlsym(RTLD_NEXT, "fstatfs");
  const int result = real(fd, out);
  const char* type = getenv("FAKE_FILE_SYSTEM");
  if (type != NULL) out->f_type = (__typeof__(out->f_type))strtoul(type, NULL, 16);
  return result;
}

static void shrink(struct statvfs* out) {
  const char* bytes = getenv("FAKE_BYTES_FREE");
  if (bytes == NULL) return;
  out->f_frsize = 4096;
  out->f_blocks = 1u << 20;
  out->f_bavail = strtoull(bytes, NULL, 10) / 4096;
}

int fstatvfs(int fd, struct statvfs* out) {
  int (*real)(int, struct statvfs*) = (int (*)(int, struct statvfs*))dlsym(RTLD_NEXT, "fstatvfs");
  const int result = real(fd, out);
  shrink(out);
  return result;
}

int statvfs(const char* path, struct statvfs* out) {
  int (*real)(const char*, struct statvfs*) =
      (int (*)(const char*, struct statvfs*))dlsym(RTLD_NEXT, "statvfs");
  const int result = real(path, out);
  shrink(out);
  return result;
}
