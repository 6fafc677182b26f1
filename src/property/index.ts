/** Owns where random tests start from: fast-check by its own name, and the seed of the run. */
export { fc, testSeed } from './seed.ts'
