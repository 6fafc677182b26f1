import { CorrosionError } from '../errors.ts'

/** A node for life: 16 bytes, here as 32 lower-case hex digits (a UUID without dashes). */
export type ActorId = string & { readonly __actorId: true }

export const ACTOR_ID_BYTES = 16

/** Takes 32 hex digits, with or without the dashes of a UUID. @throws CorrosionError corrosion.actor_id_bad */
export function parseActorId(text: string): ActorId {
  const hex = text.replaceAll('-', '').toLowerCase()
  if (/^[0-9a-f]{32}$/.test(hex)) return hex as ActorId
  throw new CorrosionError('corrosion.actor_id_bad', {
    what: 'this is no actor id',
    values: { actorId: text.slice(0, 80) },
    fix: 'give a UUID',
  })
}

/** @throws CorrosionError corrosion.actor_id_bad */
export function actorIdOf(bytes: Uint8Array): ActorId {
  if (bytes.length === ACTOR_ID_BYTES) {
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex') as ActorId
  }
  throw new CorrosionError('corrosion.actor_id_bad', {
    what: 'an actor id has 16 bytes',
    values: { bytes: bytes.length },
  })
}

export function actorIdBytes(actorId: ActorId): Uint8Array {
  return Buffer.from(actorId, 'hex')
}

/** With dashes, as people and the CLI write it. */
export function dashed(actorId: ActorId): string {
  const { 1: a, 2: b, 3: c, 4: d, 5: e } = /^(.{8})(.{4})(.{4})(.{4})(.{12})$/.exec(actorId) ?? []
  return `${a}-${b}-${c}-${d}-${e}`
}
