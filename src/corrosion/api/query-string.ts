import { ApiError } from './api-error.ts'

/** Reads parameters of a URL. Unknown ones are left alone. */
export class QueryString {
  readonly #values: URLSearchParams

  constructor(search: string) {
    this.#values = new URLSearchParams(search)
  }

  /** A whole number from 0 on. @throws ApiError 400 */
  count(name: string): number | undefined {
    const text = this.#values.get(name)
    if (text === null) return undefined
    if (!/^\d{1,15}$/.test(text)) throw this.#bad(name, 'invalid digit found in string')
    return Number(text)
  }

  /** @throws ApiError 400 */
  integer(name: string): number | undefined {
    const text = this.#values.get(name)
    if (text === null) return undefined
    if (!/^-?\d{1,15}$/.test(text)) throw this.#bad(name, 'invalid digit found in string')
    return Number(text)
  }

  /** @throws ApiError 400 */
  real(name: string): number | undefined {
    const text = this.#values.get(name)
    if (text === null) return undefined
    if (!/^-?\d+(\.\d+)?$/.test(text)) throw this.#bad(name, 'invalid float literal')
    return Number(text)
  }

  /** @throws ApiError 400 */
  flag(name: string): boolean {
    const text = this.#values.get(name)
    if (text === null || text === 'false') return false
    if (text === 'true') return true
    throw this.#bad(name, 'provided string was not `true` or `false`')
  }

  #bad(name: string, why: string): ApiError {
    return ApiError.text(400, `Failed to deserialize query string: ${name}: ${why}`)
  }
}
