import { isIPv6 } from 'node:net'

/** An address as the kernel and node:net print it (RFC 5952); text that is none stays as it is. */
export const canonicalAddress = (text: string): string =>
  isIPv6(text) ? new URL(`http://[${text}]`).hostname.slice(1, -1) : text
