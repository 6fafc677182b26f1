import { refuse } from './errors.ts'

/** Where a page ended, opaque to clients: base64url of `<updatedAtMs>/<id>`. */
export const printCursor = (atMs: number, id: string): string =>
  Buffer.from(`${atMs}/${id}`).toString('base64url')

/** @throws FlapsError flaps.argument_bad */
export function parseCursor(text: string): { afterMs: number; afterId: string } {
  const match = /^(\d{1,15})\/(\w{1,40})$/.exec(Buffer.from(text, 'base64url').toString())
  if (match === null) throw refuse('flaps.argument_bad', 'invalid_argument: invalid cursor')
  return { afterMs: Number(match[1]), afterId: match[2] ?? '' }
}

/** @throws FlapsError flaps.argument_bad: no RFC 3339 time */
export function parseTime(text: string, name: string): number {
  const ms = /^\d{4}-\d\d-\d\dT/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isFinite(ms)) return ms
  throw refuse('flaps.argument_bad', `invalid_argument: invalid ${name}: '${text.slice(0, 40)}'`)
}
