#ifndef ACCEPT_H
#define ACCEPT_H
#include "stream.h"
/* PATH: of a unix socket, which is made at the first request for it; the stream is one connection to it. */
int accept_one(uint16_t id, const uint8_t *document, size_t n);
#endif
