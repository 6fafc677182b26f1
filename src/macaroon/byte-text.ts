import { isUtf8 } from 'node:buffer'

/**
 * Text whose bytes must survive. Ids inside tokens are signed as bytes and need not be UTF-8, so a
 * byte that is no UTF-8 becomes the lone surrogate U+DC00 + byte and turns back when written.
 * Valid text is itself. Two texts are equal when their bytes are.
 * Source of the mapping: Python PEP 383 (surrogateescape).
 */
export function decodeText(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return isUtf8(bytes) ? buffer.toString('utf8') : decodeDamaged(buffer)
}

/** The bytes that `decodeText` came from. A lone surrogate of other origin becomes U+FFFD. */
export function encodeText(text: string): Buffer {
  if (text.isWellFormed()) return Buffer.from(text, 'utf8')
  return Buffer.concat(Array.from(text, encodeCharacter))
}

const ESCAPE = 0xdc00

function encodeCharacter(character: string): Buffer {
  const code = character.codePointAt(0) ?? 0
  if (code >= ESCAPE + 0x80 && code <= ESCAPE + 0xff) return Buffer.of(code - ESCAPE)
  return Buffer.from(character, 'utf8')
}

function decodeDamaged(bytes: Buffer): string {
  let text = ''
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes, at)
    if (length === 0) text += String.fromCharCode(ESCAPE + (bytes[at] ?? 0))
    else text += bytes.toString('utf8', at, at + length)
    at += Math.max(1, length)
  }
  return text
}

/** Bytes of the valid UTF-8 sequence at `at`; 0 when there is none. */
function sequenceLength(bytes: Buffer, at: number): number {
  for (let length = 1; length <= 4 && at + length <= bytes.length; length += 1) {
    if (isUtf8(bytes.subarray(at, at + length))) return length
  }
  return 0
}

/** What people and JSON see: each byte that is no UTF-8 as U+FFFD. */
export function showText(text: string): string {
  return text.toWellFormed()
}
