#ifndef MODULES_H
#define MODULES_H
/* Loads the kernel modules that /modules/order names, one file a line, in that order. Without the
 * file the kernel has all it needs built in. */
int modules_load(void);
/* The same for /modules/NAME.order, before the initramfs is out of reach. */
int modules_load_for(const char *file_system);
#endif
