import { existsSync, readFileSync } from 'node:fs'
import { errorCode } from '#base'
import { ApiInputError } from './input-error.ts'
import type { MachineSettings } from './machine-settings.ts'

interface MachineFile {
  readonly guest_path: string
  readonly [key: string]: unknown
}

/** The files of a machine: one of the same path is written over. @throws ApiInputError */
export function filesOf(
  before: unknown,
  { fileLocal, fileLiteral, fileSecret }: MachineSettings,
): readonly MachineFile[] {
  const present = Array.isArray(before) ? (before as MachineFile[]) : []
  const added = [
    ...fileLocal.map((text) => {
      const [path, file] = split(text)
      return { guest_path: path, raw_value: read(file).toString('base64') }
    }),
    ...fileLiteral.map((text) => {
      const [path, value] = split(text)
      return { guest_path: path, raw_value: Buffer.from(value).toString('base64') }
    }),
    ...fileSecret.map((text) => {
      const [path, name] = split(text)
      return { guest_path: path, secret_name: name }
    }),
  ]
  const paths = new Set(added.map((one) => one.guest_path))
  return [...present.filter((one) => !paths.has(one.guest_path)), ...added]
}

/** An object in JSON, or in a file. @throws ApiInputError cli.bad_value, cli.file_unreadable */
export function readJson(text: string): Readonly<Record<string, unknown>> {
  const isFile = !text.trimStart().startsWith('{')
  if (isFile && !existsSync(text)) {
    throw bad('--machine-config is neither an object in JSON nor a file', text)
  }
  const value = parse(isFile ? read(text).toString() : text)
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  throw bad('--machine-config is no object in JSON', text)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // the caller says so
  }
}

function split(text: string): [string, string] {
  const at = text.indexOf('=')
  if (at > 0 && text.startsWith('/')) return [text.slice(0, at), text.slice(at + 1)]
  throw new ApiInputError('cli.bad_value', {
    what: 'not a path in the machine and what it holds',
    values: { value: text.slice(0, VALUE_CHARS_MAX) },
    fix: 'write it as /etc/app.conf=./app.conf',
  })
}

const VALUE_CHARS_MAX = 60

function read(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (cause) {
    throw new ApiInputError('cli.file_unreadable', {
      what: 'cannot read a file',
      values: { file, why: errorCode(cause) },
      fix: 'name a file that is there and that you may read',
      cause,
    })
  }
}

const bad = (what: string, value: string) =>
  new ApiInputError('cli.bad_value', {
    what,
    values: { value: value.slice(0, VALUE_CHARS_MAX) },
    fix: `write it as '{"stop_config": {"signal": "SIGTERM"}}', or name a file; docs/machines-api.md has the keys`,
  })
