/* What init is PID 1 of: a virtual machine, unless it was started for a container. */
#ifndef MACHINE_KIND_H
#define MACHINE_KIND_H
#include <stdbool.h>
bool machine_is_virtual(void);
void machine_is_container(void);
#endif
