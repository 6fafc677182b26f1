#include "machine-kind.h"

static bool is_virtual = true;

bool machine_is_virtual(void) { return is_virtual; }

void machine_is_container(void) { is_virtual = false; }
