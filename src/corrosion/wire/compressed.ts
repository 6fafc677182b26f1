import { zstdDecompressSync } from 'node:zlib'
import { WireError } from './errors.ts'
import { FRAME_BYTES_MAX } from './frame.ts'

/**
 * A ChangeV1 out of its zstd frame, bounded by what a frame may hold. Frames that name a dictionary
 * cannot be read: nobody gave us one.
 * @throws WireError wire.malformed
 */
export function decompressChange(bytes: Uint8Array): Uint8Array {
  try {
    return zstdDecompressSync(bytes, { maxOutputLength: FRAME_BYTES_MAX })
  } catch (cause) {
    throw new WireError('wire.malformed', {
      what: 'a compressed change cannot be read',
      values: { bytes: bytes.length, outputBytesMax: FRAME_BYTES_MAX },
      cause,
    })
  }
}
