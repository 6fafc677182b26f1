/** Owns what secrets at rest are sealed with: a ring of named keys in a file, and the layout of sealed bytes. */
export { newKeyLine, readRing, type SealRefusals, SealRing } from './seal-ring.ts'
