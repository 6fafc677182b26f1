/* What frames of the host mean: each goes to whoever does what it asks for. */
#ifndef DISPATCH_H
#define DISPATCH_H
#include "frame.h"
/* False: the host broke the protocol, the session is over. */
bool dispatch_frame(const struct frame *frame);
#endif
