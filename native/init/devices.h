#ifndef DEVICES_H
#define DEVICES_H
/* Lets the drivers of disks and links go and find them anew: of a machine that was started from a
 * template, whose devices were another machine's. Nothing of them may be in use yet. */
int devices_find_anew(void);
#endif
