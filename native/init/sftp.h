/* An SFTP server, run in a child of init: see process.h. As root, on input and output, until the input's end. */
#ifndef SFTP_H
#define SFTP_H
#include <stddef.h>
#include <stdint.h>
/* Version 3, as every client speaks it. Source: draft-ietf-secsh-filexfer-02; OpenSSH PROTOCOL, section 4. */
int sftp_serve(const uint8_t *document, size_t n);
#endif
