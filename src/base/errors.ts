/**
 * What went wrong, as data, so that CLI, API and log each show it their own way.
 * `what` names the fault without its values; `values` holds them (never a secret);
 * `fix` says what the reader can do about it.
 */
export interface Fault {
  readonly what: string
  readonly values?: Readonly<Record<string, unknown>>
  readonly fix?: string
  readonly cause?: unknown
}

/** How one error code shows over HTTP. */
export interface ErrorTraits {
  /** HTTP status, 400 to 599 (RFC 9110, section 15). */
  readonly status: number
  /** True: the same call may succeed later without any change. */
  readonly transient?: boolean
}

/** Every code that a part can throw. Codes are API: never renamed, never reused. */
export type ErrorCatalogue<Code extends string = string> = Readonly<Record<Code, ErrorTraits>>

/** The wire form of an error: what `--json` and the HTTP APIs print. */
export interface ErrorJson {
  readonly code: string
  readonly error: string
  readonly what: string
  readonly values: Readonly<Record<string, unknown>>
  readonly fix?: string
}

/**
 * The base of every error that a part throws on purpose. A part has one subclass with its
 * catalogue; match on `code`, which survives a process boundary, not on `instanceof`.
 *
 * ```ts
 * export class VolumeError extends GodwitError<keyof typeof VolumeError.catalogue> {
 *   static readonly catalogue = { 'volume.not_found': { status: 404 } } as const
 * }
 * throw new VolumeError('volume.not_found', { what: 'no such volume', values: { volume } })
 * ```
 */
export class GodwitError<Code extends string = string> extends Error {
  static readonly catalogue: ErrorCatalogue = {}

  readonly code: Code
  readonly what: string
  readonly values: Readonly<Record<string, unknown>>
  readonly fix: string | undefined
  readonly traits: ErrorTraits

  constructor(code: Code, fault: Fault) {
    super(composeMessage(fault), fault.cause === undefined ? undefined : { cause: fault.cause })
    const traits = new.target.catalogue[code]
    if (traits === undefined) {
      throw new TypeError(`error code ${code} is missing from the catalogue of ${new.target.name}`)
    }
    this.name = new.target.name
    this.code = code
    this.what = fault.what
    this.values = fault.values ?? {}
    this.fix = fault.fix
    this.traits = traits
  }

  toJSON(): ErrorJson {
    return {
      code: this.code,
      error: this.message,
      what: this.what,
      values: JSON.parse(JSON.stringify(this.values, bigintAsText)),
      ...(this.fix === undefined ? {} : { fix: this.fix }),
    }
  }
}

/** "what (name=value, name=value); fix", the one-line form for people. */
function composeMessage({ what, values, fix }: Fault): string {
  const shown = Object.entries(values ?? {}).map(([name, value]) => `${name}=${showValue(value)}`)
  const head = shown.length === 0 ? what : `${what} (${shown.join(', ')})`
  return fix === undefined ? head : `${head}; ${fix}`
}

/** JSON has no integers beyond 2^53: they are written as digits in a string. */
const bigintAsText = (_key: string, value: unknown) =>
  typeof value === 'bigint' ? String(value) : value

const VALUE_CHARS_MAX = 200

function showValue(value: unknown): string {
  let text: string
  if (typeof value === 'string') text = /^[\w.:/@+-]+$/.test(value) ? value : JSON.stringify(value)
  else if (typeof value === 'bigint') text = String(value)
  else if (value instanceof Error) text = value.message
  else text = JSON.stringify(value, bigintAsText) ?? String(value)
  return text.length <= VALUE_CHARS_MAX ? text : `${text.slice(0, VALUE_CHARS_MAX)}…`
}

/** The stable code of any thrown value: ours, else a system error's (`ENOENT`), else undefined. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/** HTTP status of any thrown value: what its code says, and 500 for what nobody threw on purpose. */
export function httpStatusOf(error: unknown): number {
  return error instanceof GodwitError ? error.traits.status : 500
}
