/** The frames of HTTP/2 (RFC 9113, section 6): their names, flags, and the codes that end things (section 7). */

export const FRAME_HEADER_BYTES = 9
/** What we take, and what every peer takes (section 4.2). */
export const FRAME_BYTES_MAX: number = 16 << 10
export const WINDOW_MAX = 0x7fffffff
/** Before any SETTINGS (section 6.9.2). */
export const WINDOW_DEFAULT = 65_535

export const Type = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const

export const Flag = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 32 } as const

export const Setting = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
  /** RFC 8441. */
  enableConnectProtocol: 8,
} as const

export const Code = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  settingsTimeout: 4,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  cancel: 8,
  compressionError: 9,
  enhanceYourCalm: 11,
} as const
export type Code = (typeof Code)[keyof typeof Code]

/** What a client says first (section 3.4). */
export const PREFACE: Buffer = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

export const readUint24 = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number)

/** Without the reserved bit of stream numbers and window increments: 31 bits. */
export const readUint31 = (bytes: Uint8Array, at: number): number =>
  (((bytes[at] as number) & 0x7f) << 24) | readUint24(bytes, at + 1)

export const readUint32 = (bytes: Uint8Array, at: number): number =>
  (bytes[at] as number) * 2 ** 24 + readUint24(bytes, at + 1)
