/**
 * The direction of imports between parts, as ARCHITECTURE.md section 3 draws it: a part imports
 * only parts of the rows below its own, except for the side steps listed here.
 */
export const layers: readonly (readonly string[])[] = [
  ['cli', 'dashboard'],
  ['planet', 'setup'],
  ['flaps', 'accounts', 'builder', 'postgres'],
  ['proxy', 'dns', 'flyd', 'registry', 'litefs', 'observe'],
  ['guest', 'image', 'volume', 'net6'],
  ['corrosion', 'macaroon', 'market'],
  ['sim', 'supervise', 'bird'],
  ['base'],
]

/** `from` may import `to` although both stand in the same row. Each needs its reason here. */
export const sideSteps: readonly { from: string; to: string; why: string }[] = [
  { from: 'flaps', to: 'accounts', why: 'the API shows and changes what accounts own' },
]

/** The row of a part, 0 at the top; undefined for a part that nobody placed. */
export function layerOf(part: string): number | undefined {
  const row = layers.findIndex((parts) => parts.includes(part))
  return row < 0 ? undefined : row
}
