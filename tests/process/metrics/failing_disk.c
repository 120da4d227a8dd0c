/* Preloaded into optjournald: a disk that fails.
 *
 *   FAILING_DISK   while a file of this name exists, fdatasync() says EIO
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

int fdatasync(int fd) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  const char* sign = getenv("FAILING_DISK");
  if (sign != NULL && access(sign, F_OK) == 0) {
    errno = EIO;
    return -1;
  }
  return real(fd);
}
