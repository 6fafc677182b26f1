#ifndef CLOCK_H
#define CLOCK_H
#include <stddef.h>
#include <stdint.h>
/* TIME [seconds, nanoseconds]: after a resume the guest still has the time of its suspension. */
int clock_set(const uint8_t *document, size_t n);
/* ENTROPY [hex]: two guests that resume from one template must not draw the same numbers. */
int clock_reseed(const uint8_t *document, size_t n);
#endif
