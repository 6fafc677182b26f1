/* One session lasts from HELLO to the loss of the host. */
#ifndef SESSION_H
#define SESSION_H
#include <stdbool.h>
/* A host said HELLO: what was before is over, and it is told what there is. */
void session_begin(void);
bool session_is_open(void);
void session_lose(void);
/* Puts what there is to say into the outbox. */
void session_emit(void);
#endif
