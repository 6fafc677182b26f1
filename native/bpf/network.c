/*
 * The programs that keep machines apart and carry their packets, one object: they share their maps. The
 * kernel functions in use are open to code under the GPL alone, which the second licence is for.
 */
#include "gateway.h"
#include "machine.h"
#include "mesh.h"

char _license[] SEC("license") = "Dual BSD/GPL";
