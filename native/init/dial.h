#ifndef DIAL_H
#define DIAL_H
#include "stream.h"
/* TARGET [address, port]: a numeric IPv4 or IPv6 address as the guest sees it. */
int dial(uint16_t id, const uint8_t *document, size_t n);
#endif
