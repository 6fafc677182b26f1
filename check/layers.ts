/**
 * The direction of imports between parts, as ARCHITECTURE.md section 3 draws it: a part imports
 * only parts of the rows below its own, except for the side steps listed here.
 */
export const layers: readonly (readonly string[])[] = [
  ['cli', 'dashboard', 'chaos'],
  ['box'],
  ['planet', 'setup', 'deploy', 'host', 'web-api'],
  ['flaps', 'accounts', 'builder', 'postgres', 'app-config'],
  ['proxy', 'dns', 'flyd', 'registry', 'litefs', 'observe', 'local'],
  ['machine'],
  ['guest', 'image', 'volume', 'net6'],
  ['corrosion', 'macaroon', 'market'],
  ['sim', 'supervise', 'bird', 'flaps-client', 'seal', 'ssh', 'trust'],
  ['native'],
  ['base'],
  ['property'],
]

/** `from` may import `to` although both stand in the same row. Each needs its reason here. */
export const sideSteps: readonly { from: string; to: string; why: string }[] = [
  { from: 'flaps', to: 'accounts', why: 'the API shows and changes what accounts own' },
  { from: 'flyd', to: 'observe', why: 'a host sends what its machines say' },
]

/** The row of a part, 0 at the top; undefined for a part that nobody placed. */
export function layerOf(part: string): number | undefined {
  const row = layers.findIndex((parts) => parts.includes(part))
  return row < 0 ? undefined : row
}
