#ifndef DEVICES_H
#define DEVICES_H
/* Lets the drivers of disks go, before a machine becomes a template: all that start from it are spared
 * that. Nothing of them may be in use yet. */
int devices_let_disks_go(void);
/* Finds disks and links anew, and lets go before that what was not: of a machine that was started from a template,
 * whose devices were another machine's. */
int devices_find_anew(void);
#endif
