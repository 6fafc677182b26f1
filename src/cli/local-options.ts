import { existsSync, readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { InvalidArgumentError, Option } from 'commander'
import { errorCode, parseByteSize } from '#base'
import { type RuntimeKind, runtimeKinds } from '#guest'
import { DEFAULT_ROOT, LocalError, type MachineRequest, type PublishedPort } from '#local'
import type { MachineFile, MachineMount } from '#machine'

const DEFAULT_VOLUME_SIZE = '1gb'
const NAME = /^[a-z0-9][a-z0-9_-]{0,40}$/

/** What `godwit run` takes, as commander gives it. */
export interface RunFlags {
  readonly name?: string
  readonly publish: PublishedPort[]
  readonly env: Record<string, string>
  readonly envFile: Record<string, string>
  readonly user?: string
  readonly workdir?: string
  readonly entrypoint?: string
  readonly hostname?: string
  readonly fileLocal: MachineFile[]
  readonly fileLiteral: MachineFile[]
  readonly volume: MachineMount[]
  readonly volumeSize: number
  readonly memory: number
  readonly cpus: number
  readonly swap: number
  readonly rootSize?: number
  readonly readOnly?: true
  readonly network: 'nat' | 'none'
  readonly runtime: RuntimeKind
  readonly pull: MachineRequest['pull']
  readonly stopSignal?: string
  readonly rm?: true
  readonly detach?: true
  readonly tty?: true
  readonly interactive?: true
  readonly json?: true
}

export const stateDirOption = () =>
  new Option('--state-dir <folder>', 'where machines, volumes and images are kept')
    .env('GODWIT_LOCAL_DIR')
    .default(DEFAULT_ROOT)

export const runOptions = (): Option[] => [
  new Option('--name <name>', 'its name; else one made of the image'),
  collected(
    '-p, --publish <port>',
    'as [address:]port:machine-port; address: 127.0.0.1',
    parsePort,
  ),
  new Option('-e, --env <name=value>', 'a variable; NAME alone takes its value from here')
    .default({}, 'none')
    .argParser(addVariable),
  new Option('--env-file <file>', 'variables, one NAME=value a line')
    .default({}, 'none')
    .argParser((path: string, before: Record<string, string>) => ({ ...before, ...readEnv(path) })),
  new Option('-u, --user <user>', 'user[:group], names of the image or numbers'),
  new Option('-w, --workdir <path>', 'where the command starts'),
  new Option('--entrypoint <program>', "instead of the image's; drops its arguments"),
  new Option('--hostname <name>', 'what the machine calls itself'),
  collected('--file-local <path=file>', 'a file in the machine, from one here', localFile),
  collected('--file-literal <path=text>', 'a file in the machine, with that text', literalFile),
  collected(
    '-v, --volume <name:path>',
    'a volume, kept between runs; :ro to only read',
    parseMount,
  ),
  sized('--volume-size <size>', 'of volumes that are made', DEFAULT_VOLUME_SIZE),
  sized('-m, --memory <size>', 'its RAM', '256mb'),
  new Option('--cpus <count>', 'its CPUs').default(1).argParser(parseCount),
  sized('--swap <size>', 'swap space (virtual machines only)', '0'),
  sized('--root-size <size>', 'of its root file system, 8gb at most'),
  new Option('--read-only', 'its root file system may not be written'),
  new Option('--network <kind>', 'nat: reaches what this computer reaches; none: loopback alone')
    .choices(['nat', 'none'])
    .default('nat'),
  new Option('--runtime <kind>', 'what machines are made with')
    .choices(runtimeKinds)
    .default(runtimeKinds[0]),
  new Option('--pull <when>', 'when to ask the registry')
    .choices(['missing', 'always', 'never'])
    .default('missing'),
  new Option('--stop-signal <signal>', 'how it is told to stop; else as the image says'),
  new Option('--rm', 'remove it, with all that it wrote, when it has ended'),
  new Option('-d, --detach', 'let it run on by itself, and print its id'),
  new Option('-t, --tty', 'give the command a terminal: this one'),
  new Option('-i, --interactive', 'pass input on: a pipe, a file, or with -t what is typed'),
  new Option('--json', 'with -d: print what was started as JSON'),
]

/** The request that the flags and arguments of one `godwit run` make. @throws LocalError local.value_bad */
export function requestOf(
  image: string,
  command: readonly string[],
  flags: RunFlags,
  size: { columns: number; rows: number } | undefined,
): MachineRequest {
  if (flags.detach && (flags.tty || flags.interactive)) {
    throw bad('input and a terminal cannot be detached', {}, 'leave out -t and -i, or -d')
  }
  const term = process.env['TERM']
  return {
    image: imageSource(image),
    ...(flags.name === undefined ? {} : { name: flags.name }),
    ...{ runtime: flags.runtime, network: flags.network, ports: flags.publish, pull: flags.pull },
    ...{ isTemporary: flags.rm === true, isBound: flags.detach !== true },
    ...(flags.stopSignal === undefined ? {} : { stopSignal: flags.stopSignal }),
    config: {
      cpu: { kind: 'performance', count: flags.cpus },
      memoryMib: Math.ceil(flags.memory / 2 ** 20),
      swapMib: Math.ceil(flags.swap / 2 ** 20),
      process: {
        ...(flags.entrypoint === undefined ? {} : { entrypoint: [flags.entrypoint] }),
        cmd: command,
        env: { ...(size && term ? { TERM: term } : {}), ...flags.envFile, ...flags.env },
        ...(flags.user === undefined ? {} : { user: flags.user }),
        ...(flags.workdir === undefined ? {} : { workingDir: flags.workdir }),
        ...(size === undefined ? {} : { tty: size }),
        ...(size === undefined && flags.interactive ? { hasInput: true } : {}),
      },
      ...(flags.hostname === undefined ? {} : { hostname: flags.hostname }),
      files: [...flags.fileLocal, ...flags.fileLiteral],
      mounts: flags.volume.map((mount) => ({ ...mount, sizeBytes: flags.volumeSize })),
      rootfs: {
        ...(flags.readOnly ? { readOnly: true } : {}),
        ...(flags.rootSize === undefined ? {} : { sizeBytes: flags.rootSize }),
      },
    },
  }
}

/** `oci:FOLDER[:NAME]`, `docker-archive:FILE[:NAME]`, a path, or a reference to a registry. */
function imageSource(text: string): MachineRequest['image'] {
  const archive = /^(?:oci|oci-archive|docker-archive):([^:]+)(?::(.+))?$/.exec(text)
  if (archive?.[1] !== undefined) {
    const [, path, name] = archive
    return { kind: 'archive', path, ...(name === undefined ? {} : { name }) }
  }
  if (/^[./]/.test(text) && existsSync(text)) return { kind: 'archive', path: text }
  return { kind: 'registry', reference: text }
}

function collected<T>(flags: string, description: string, parse: (text: string) => T): Option {
  return new Option(flags, description)
    .default([], 'none')
    .argParser((text: string, before: T[]) => [...before, parse(text)])
}

function sized(flags: string, description: string, byDefault?: string): Option {
  const option = new Option(flags, description).argParser(parseSize)
  return byDefault === undefined ? option : option.default(parseByteSize(byDefault), byDefault)
}

export function parseSize(text: string): number {
  try {
    return parseByteSize(text)
  } catch {
    throw new InvalidArgumentError('write one like 512mb or 2gb.')
  }
}

function parseCount(text: string): number {
  if (/^[1-9]\d?$/.test(text)) return Number(text)
  throw new InvalidArgumentError('write a whole number.')
}

function parsePort(text: string): PublishedPort {
  const match = /^(?:(.+):)?(\d{1,5}):(\d{1,5})(?:\/tcp)?$/.exec(text)
  const address = match?.[1]?.replace(/^\[|\]$/g, '') ?? '127.0.0.1'
  const [hostPort, machinePort] = [Number(match?.[2] ?? 0), Number(match?.[3] ?? 0)]
  const isFine = [hostPort, machinePort].every((one) => one >= 1 && one <= 65_535)
  if (match !== null && isFine && isIP(address) !== 0) return { address, hostPort, machinePort }
  throw new InvalidArgumentError(
    'write one like 8080:80 or 0.0.0.0:8080:80. Only TCP is published.',
  )
}

export function addVariable(text: string, before: Record<string, string>): Record<string, string> {
  const equals = text.indexOf('=')
  if (equals === 0 || text === '') throw new InvalidArgumentError('write NAME=value.')
  if (equals > 0) return { ...before, [text.slice(0, equals)]: text.slice(equals + 1) }
  const value = process.env[text]
  return value === undefined ? before : { ...before, [text]: value }
}

function readEnv(path: string): Record<string, string> {
  const lines = readLocal(path).toString().split('\n')
  const kept = lines.map((line) => line.trim()).filter((line) => !/^(?:#|$)/.test(line))
  return kept.reduce((all, line) => addVariable(line, all), {})
}

function localFile(text: string): MachineFile {
  const [path, file] = splitFile(text)
  return { path, content: readLocal(file) }
}

function literalFile(text: string): MachineFile {
  const [path, content] = splitFile(text)
  return { path, content: Buffer.from(content) }
}

function splitFile(text: string): [string, string] {
  const equals = text.indexOf('=')
  if (equals > 0 && text.startsWith('/')) return [text.slice(0, equals), text.slice(equals + 1)]
  throw new InvalidArgumentError('write one like /etc/app.conf=./app.conf.')
}

function readLocal(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (cause) {
    throw new InvalidArgumentError(`${path} cannot be read (${errorCode(cause)}).`)
  }
}

function parseMount(text: string): MachineMount {
  const [name = '', path = '', mode, ...rest] = text.split(':')
  const isMode = mode === undefined || mode === 'ro' || mode === 'rw'
  if (!NAME.test(name)) {
    throw new InvalidArgumentError(
      'write one like data:/data. Folders of this computer are not shared; --file-local brings files in.',
    )
  }
  if (!path.startsWith('/') || !isMode || rest.length > 0) {
    throw new InvalidArgumentError('write one like data:/data or data:/data:ro.')
  }
  return { volume: `volume-${name}`, path, ...(mode === 'ro' ? { readOnly: true } : {}) }
}

const bad = (what: string, values: Record<string, unknown>, fix: string) =>
  new LocalError('local.value_bad', { what, values, fix })
