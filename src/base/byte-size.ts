import { BaseError } from './base-error.ts'

const UNIT_BYTES: Readonly<Record<string, number>> = {
  b: 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
}

/**
 * Bytes of a size as people write it: `512mb`, `8GB`, `1.5g`, `64KiB`, `4096`. Powers of 1024, with or
 * without the `i`, as memory sizes are written in fly.toml.
 *
 * @throws BaseError base.value_bad
 */
export function parseByteSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(?:([kmgt])i?)?b?$/i.exec(text.trim())
  if (match === null) {
    throw new BaseError('base.value_bad', {
      what: 'not a size',
      values: { value: text },
      fix: 'write one like 512mb, 8GB or 1.5g',
    })
  }
  return Math.round(Number(match[1]) * (UNIT_BYTES[(match[2] ?? 'b').toLowerCase()] ?? 1))
}
