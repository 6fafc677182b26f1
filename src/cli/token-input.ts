import { readFileSync } from 'node:fs'
import { GodwitError } from '#base'

export type TokenInputErrorCode = keyof typeof TokenInputError.catalogue

/** What the command line of `godwit tokens` was given and could not use. */
export class TokenInputError extends GodwitError<TokenInputErrorCode> {
  static override readonly catalogue = {
    'tokens.input_missing': { status: 400 },
    'tokens.input_repeated': { status: 400 },
    'tokens.input_unreadable': { status: 400 },
    'tokens.input_too_long': { status: 400 },
    'tokens.key_bad': { status: 400 },
    'tokens.time_bad': { status: 400 },
  } as const
}

/** The world of the command, so that tests bring their own. */
export interface TokensIo {
  readonly stdin: AsyncIterable<Uint8Array | string>
  readonly env: Readonly<Record<string, string | undefined>>
  /** @throws as node:fs */
  readFile(path: string): string
  print(text: string): void
  nowMs(): number
}

export const processIo: TokensIo = {
  stdin: process.stdin,
  env: process.env,
  readFile: (path) => readFileSync(path, 'utf8'),
  print: (text) => void process.stdout.write(text),
  nowMs: () => Date.now(),
}

const INPUT_CHARS_MAX = 1024 * 1024

/** One command's inputs. Standard input is one stream, so only one of them may be `-`. */
export class TokenInput {
  readonly #io: TokensIo
  #stdinUser: string | undefined

  constructor(io: TokensIo) {
    this.#io = io
  }

  /** A token: the argument, or standard input for `-`, or `tokenFile`. */
  async token(argument: string | undefined, tokenFile: string | undefined): Promise<string> {
    if (argument !== undefined && tokenFile !== undefined) {
      throw new TokenInputError('tokens.input_repeated', {
        what: 'a token as an argument and in a file',
        fix: 'give one of them',
      })
    }
    const text = tokenFile === undefined ? argument : await this.file('the token', tokenFile)
    if (text === undefined) {
      throw new TokenInputError('tokens.input_missing', {
        what: 'no token was given',
        fix: 'pass it as the argument, through standard input with -, or with --token-file',
      })
    }
    return (text === '-' && tokenFile === undefined ? await this.#stdin('the token') : text).trim()
  }

  /** A file's text, or standard input for `-`. `what` names it in errors. */
  async file(what: string, path: string): Promise<string> {
    if (path === '-') return this.#stdin(what)
    try {
      return bounded(what, this.#io.readFile(path))
    } catch (cause) {
      if (cause instanceof TokenInputError) throw cause
      throw new TokenInputError('tokens.input_unreadable', {
        what: `${what} can't be read`,
        values: { path, problem: cause instanceof Error ? cause.message : String(cause) },
        cause,
      })
    }
  }

  /** A secret key: padded base64 in a file, or in an environment variable. */
  async key(file: string | undefined, variable: string): Promise<Uint8Array> {
    const text = file === undefined ? this.#io.env[variable] : await this.file('the key', file)
    if (text === undefined || text.trim() === '') {
      throw new TokenInputError('tokens.input_missing', {
        what: 'no key was given',
        fix: `name a file that holds it in base64 with --key-file, or set ${variable}`,
      })
    }
    return decodeKey(text.trim())
  }

  async #stdin(what: string): Promise<string> {
    if (this.#stdinUser !== undefined) {
      throw new TokenInputError('tokens.input_repeated', {
        what: `${this.#stdinUser} and ${what} can't both come from standard input`,
        fix: 'put one of them into a file',
      })
    }
    this.#stdinUser = what
    const chunks: Buffer[] = []
    let bytes = 0
    for await (const chunk of this.#io.stdin) {
      chunks.push(Buffer.from(chunk))
      bytes += chunk.length
      if (bytes > INPUT_CHARS_MAX) break
    }
    return bounded(what, Buffer.concat(chunks).toString('utf8'))
  }
}

function bounded(what: string, text: string): string {
  if (text.length <= INPUT_CHARS_MAX) return text
  throw new TokenInputError('tokens.input_too_long', {
    what: `${what} is too long`,
    values: { limit: INPUT_CHARS_MAX },
  })
}

const KEY_BYTES_MIN = 16

/** Never shows the text: it is a secret even when it is no key. */
function decodeKey(text: string): Uint8Array {
  const key = Buffer.from(text, 'base64')
  if (key.toString('base64') === text && key.length >= KEY_BYTES_MIN) return key
  throw new TokenInputError('tokens.key_bad', {
    what: `a key is padded base64 of ${KEY_BYTES_MIN} bytes or more`,
    fix: 'make one with: openssl rand -base64 32',
  })
}
