import { GodwitError } from '#base'

export type WireErrorCode = keyof typeof WireError.catalogue

/** What the codecs refuse. Bytes from outside give no other error. */
export class WireError extends GodwitError<WireErrorCode> {
  static override readonly catalogue = {
    /** A frame is longer than its limit: the stream cannot go on, reset it. */
    'wire.frame_too_large': { status: 413 },
    /** The bytes are no message of this protocol. The frames after it can still be read. */
    'wire.malformed': { status: 400 },
    /** A message that other implementations may send and this one does not read. */
    'wire.unsupported': { status: 501 },
    /** The peer speaks of a checksum that its bytes do not have. */
    'wire.checksum_bad': { status: 400 },
    /** A value of ours has no form on the wire (too long, or beyond its field). */
    'wire.unencodable': { status: 422 },
  } as const
}

/** @param what ends the sentence "the message cannot be read: ..." */
export function malformed(what: string, values: Readonly<Record<string, unknown>>): WireError {
  return new WireError('wire.malformed', { what: `the message cannot be read: ${what}`, values })
}
