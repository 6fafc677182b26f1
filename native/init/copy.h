/* File copies, run in a child of init: see process.h. PATH [path], MODE [octal], OWNER [uid, gid]. */
#ifndef COPY_H
#define COPY_H
#include <stddef.h>
#include <stdint.h>
/* Input to a new file that takes the name at once when the input ends; parents are made. */
int copy_put(const uint8_t *document, size_t n);
/* A regular file to the output. */
int copy_get(const uint8_t *document, size_t n);
#endif
