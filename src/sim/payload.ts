/**
 * Makes sure that sender and receiver share no memory that one of them can write: bytes are
 * copied, plain objects and arrays are frozen in place, all the way down. The sender that goes on
 * writing to what it sent gets a TypeError at that line. Costs a walk per message; off by default.
 */
export function isolatePayload(payload: unknown): unknown {
  if (payload instanceof Uint8Array) return payload.slice()
  freezeDeep(payload)
  return payload
}

function freezeDeep(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return
  if (ArrayBuffer.isView(value)) return // V8 refuses to freeze them; bytes within are shared
  Object.freeze(value)
  for (const key of Reflect.ownKeys(value)) freezeDeep(Reflect.get(value, key))
}
