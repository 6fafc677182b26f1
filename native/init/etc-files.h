#ifndef ETC_FILES_H
#define ETC_FILES_H
/* /etc/hostname, /etc/hosts (HOST [address, name, ...], appended to the image's lines once) and
 * /etc/resolv.conf (NAMESERVER, SEARCH). Each only if the configuration names something for it. */
int etc_files_write(void);
#endif
