/* What frames mean. One session lasts from HELLO to the loss of the host. */
#ifndef SESSION_H
#define SESSION_H
#include "frame.h"
/* False: the host broke the protocol, the session is over. */
bool session_take(const struct frame *frame);
bool session_is_open(void);
void session_lose(void);
/* Puts what there is to say into the outbox. */
void session_emit(void);
#endif
