/** What an agent answers to a command: any number of logs and JSON, then success or an error. */
export type AdminFrame =
  | { readonly Log: { readonly level: string; readonly msg: string; readonly ts: string } }
  | { readonly Json: unknown }
  | { readonly Error: { readonly msg: string } }
  | 'Success'

export const ADMIN_FRAME_BYTES_MAX = 64 * 1_048_576

/** JSON behind its length, four bytes, big-endian. */
export function encodeAdmin(value: unknown): Buffer {
  const text = Buffer.from(JSON.stringify(value))
  const head = Buffer.alloc(4)
  head.writeUInt32BE(text.length)
  return Buffer.concat([head, text])
}
