#ifndef NETWORK_H
#define NETWORK_H
#include <stdbool.h>
/* Loopback up; LINK [name, mtu] up; ADDRESS [link, address/bits, gateway or ""] with its default
 * route. By rtnetlink, safe to run twice. */
int network_configure(void);
#endif
