/**
 * The eBPF programs of a host: loaded once, pinned with their maps, and found again by whoever comes later.
 * Nothing here is kept in memory, so the programs outlive every daemon. A newer build is loaded beside the
 * old one with the same maps, and takes over interface by interface.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { errorCode } from '#base'
import { Net6Error } from '../errors.ts'
import type { System } from '../system.ts'
import {
  type Counters,
  decodeCounters,
  deviceEntry,
  type Entry,
  FLOWS_SHAPE,
  LAYOUT,
  type MapName,
  u32,
} from './map-layout.ts'

export const PROGRAMS_OBJECT = fileURLToPath(
  new URL('../../../build/bpf/network.o', import.meta.url),
)
export const BPF_FOLDER = '/sys/fs/bpf'

export type ProgramName =
  | 'from_machine'
  | 'to_machine'
  | 'wire'
  | 'from_mesh'
  | 'to_mesh'
  | 'from_peer'
  | 'to_peer'
  | 'from_ssh'

export interface ProgramsOptions {
  readonly system: System
  /** A BPF file system, mounted when it is none. @default BPF_FOLDER */
  readonly bpfFolder?: string
  /** @default what set-up built */
  readonly object?: string
}

export class Programs {
  readonly #system: System
  /** Of the maps, and above the programs of each build. */
  readonly #folder: string
  readonly #build: string

  private constructor(system: System, folder: string, build: string) {
    this.#system = system
    this.#folder = folder
    this.#build = build
  }

  /**
   * Loads the programs, unless this very build is loaded. May run twice.
   *
   * @throws Net6Error net6.host_unable: no build, or the kernel refuses; net6.tool_failed
   */
  static async open(
    { system, bpfFolder = BPF_FOLDER, object = PROGRAMS_OBJECT }: ProgramsOptions,
    signal?: AbortSignal,
  ): Promise<Programs> {
    const build = createHash('sha256').update(readObject(object)).digest('hex').slice(0, 16)
    const folder = `${bpfFolder}/godwit-net6-${LAYOUT}`
    const programs = new Programs(system, folder, build)
    await system.run('sh', ['-ec', MOUNT_SCRIPT, 'sh', bpfFolder, folder], { signal })
    if (!(await programs.#isLoaded(signal))) await programs.#load(object, signal)
    return programs
  }

  /** What is loaded on the host, changing nothing. @returns undefined: nothing is */
  static async find(
    { system, bpfFolder = BPF_FOLDER }: Omit<ProgramsOptions, 'object'>,
    signal?: AbortSignal,
  ): Promise<Programs | undefined> {
    const programs = new Programs(system, `${bpfFolder}/godwit-net6-${LAYOUT}`, '')
    const path = programs.mapPath('counters')
    const { exitCode } = await system.run('test', ['-e', path], { okCodes: [0, 1], signal })
    return exitCode === 0 ? programs : undefined
  }

  /** Removes all that is pinned; the kernel forgets it with the last interface that uses it. */
  static async remove(system: System, bpfFolder = BPF_FOLDER): Promise<void> {
    await system.run('sh', ['-ec', 'rm -rf "$1"/godwit-net6-*', 'sh', bpfFolder])
  }

  /** Where a program is pinned, as the host sees it. */
  pathOf(program: ProgramName | 'from_mesh_frame' | 'from_peer_frame' | 'to_peer_frame'): string {
    return `${this.#folder}/${this.#build}/${program}`
  }

  mapPath(map: MapName): string {
    return `${this.#folder}/maps/${map}`
  }

  async #isLoaded(signal?: AbortSignal): Promise<boolean> {
    const { exitCode } = await this.#system.run('test', ['-e', this.pathOf('to_mesh')], {
      okCodes: [0, 1],
      signal,
    })
    return exitCode === 0
  }

  async #load(object: string, signal?: AbortSignal): Promise<void> {
    const script = [object, this.#folder, this.#build]
    try {
      await this.#system.run('sh', ['-ec', LOAD_SCRIPT, 'sh', ...script], { signal })
    } catch (cause) {
      if (errorCode(cause) !== 'net6.tool_failed') throw cause
      throw new Net6Error('net6.host_unable', {
        what: 'the kernel does not take the network programs',
        values: { object, said: lastLines((cause as Net6Error).values['said']) },
        fix: 'see what is missing: godwit doctor',
        cause,
      })
    }
  }

  /** Lines of `tc -batch` that let programs decide at an interface. May run twice. */
  attachLines(device: string, ingress: ProgramName, egress?: ProgramName): string[] {
    const line = (direction: string, program: ProgramName) =>
      `filter replace dev ${device} ${direction} prio 1 handle 1 bpf direct-action object-pinned ${this.pathOf(program)}`
    return [line('ingress', ingress), ...(egress === undefined ? [] : [line('egress', egress)])]
  }

  /** Sets entries, in their order, in one go. */
  async set(entries: readonly Entry[], signal?: AbortSignal): Promise<void> {
    await this.#batch(
      entries.map((entry) => this.#updateLine(entry)),
      signal,
    )
  }

  /** Removes keys, whether they are there or not: each is set first, for removing what is absent fails. */
  async remove(entries: readonly Entry[], signal?: AbortSignal): Promise<void> {
    const lines = entries.flatMap((entry) => [
      this.#updateLine({ ...entry, value: Buffer.alloc(entry.value.length) }),
      `map delete pinned ${this.mapPath(entry.map)} key hex ${hexBytes(entry.key)}`,
    ])
    await this.#batch(lines, signal)
  }

  /** Gives a machine that is policed a memory of its connections: an empty one in place of one that it had. */
  async makeFlows(ifindex: number, signal?: AbortSignal): Promise<void> {
    const pin = `${this.#folder}/flows-${ifindex}`
    const key = hexBytes(u32(ifindex))
    const lines = [
      `map create ${pin} ${FLOWS_SHAPE}`,
      `map update pinned ${this.mapPath('flows')} key hex ${key} value pinned ${pin}`,
    ]
    const input = `${lines.join('\n')}\n`
    await this.#system.run('sh', ['-ec', FLOWS_SCRIPT, 'sh', pin], { input, signal })
  }

  /** Takes it away, whether it is there or not. */
  async removeFlows(ifindex: number, signal?: AbortSignal): Promise<void> {
    await this.makeFlows(ifindex, signal) // removing what is absent fails
    const key = hexBytes(u32(ifindex))
    await this.#batch([`map delete pinned ${this.mapPath('flows')} key hex ${key}`], signal)
  }

  /** Makes a map hold exactly these entries, touching only what differs. @returns the number of changes */
  async reconcile(map: MapName, wanted: readonly Entry[], signal?: AbortSignal): Promise<number> {
    const desired = new Map(wanted.map((entry) => [entry.key.toString('hex'), entry]))
    const present = await this.#dump(map, signal)
    const stale = [...present.keys()].filter((key) => !desired.has(key))
    const changed = [...desired].filter(([key, { value }]) => {
      const old = present.get(key)?.[0]
      return old === undefined || !old.equals(value)
    })
    const lines = [
      ...changed.map(([, entry]) => this.#updateLine(entry)),
      ...stale.map((key) => {
        const bytes = hexBytes(Buffer.from(key, 'hex'))
        return `map delete pinned ${this.mapPath(map)} key hex ${bytes}`
      }),
    ]
    await this.#batch(lines, signal)
    return lines.length
  }

  /** Counters by interface index. */
  async counters(signal?: AbortSignal): Promise<Map<number, Counters>> {
    const dumped = await this.#dump('counters', signal)
    return new Map(
      [...dumped].map(([key, cpus]) => [
        Buffer.from(key, 'hex').readUInt32LE(),
        decodeCounters(cpus),
      ]),
    )
  }

  /** Gives a device its counters, unless it has them: counts go on over restarts. */
  async ensureCounted(ifindex: number, signal?: AbortSignal): Promise<void> {
    const entry = deviceEntry(ifindex)
    if ((await this.lookup(entry, signal)) === undefined) await this.set([entry], signal)
  }

  /** What stands at an entry's key; of a map per CPU, that of the first. @returns undefined: nothing */
  async lookup({ map, key }: Entry, signal?: AbortSignal): Promise<Buffer | undefined> {
    const at = ['pinned', this.mapPath(map), 'key', 'hex', ...hexBytes(key).split(' ')]
    const { exitCode, stdout } = await this.#system.run('bpftool', ['-j', 'map', 'lookup', ...at], {
      okCodes: [0, ...NOT_FOUND_CODES],
      signal,
    })
    if (exitCode === 0) {
      const { value, values } = JSON.parse(stdout) as DumpedRow
      return bytesOf(value ?? values?.[0]?.value ?? [])
    }
    if (stdout.trim() === 'null') return undefined
    throw new Net6Error('net6.tool_failed', {
      what: 'a map of the network programs cannot be read',
      values: { map, said: stdout.trim() },
    })
  }

  /** Values by key in hex; those of a map per CPU have one value for each. */
  async #dump(map: MapName, signal?: AbortSignal): Promise<Map<string, Buffer[]>> {
    const args = ['-j', 'map', 'dump', 'pinned', this.mapPath(map)]
    const { stdout } = await this.#system.run('bpftool', args, { signal })
    const rows = JSON.parse(stdout) as DumpedRow[]
    return new Map(
      rows.map(({ key, value, values }) => [
        bytesOf(key).toString('hex'),
        value === undefined ? (values ?? []).map((one) => bytesOf(one.value)) : [bytesOf(value)],
      ]),
    )
  }

  #updateLine({ map, key, value }: Entry): string {
    const bytes = `key hex ${hexBytes(key)} value hex ${hexBytes(value)}`
    return `map update pinned ${this.mapPath(map)} ${bytes}`
  }

  async #batch(lines: readonly string[], signal?: AbortSignal): Promise<void> {
    if (lines.length === 0) return
    const input = `${lines.join('\n')}\n`
    await this.#system.run('bpftool', ['batch', 'file', '-'], { input, signal })
  }
}

/** A row of `bpftool -j map dump`: bytes as "0xff". */
interface DumpedRow {
  readonly key: readonly string[]
  readonly value?: readonly string[]
  readonly values?: readonly { readonly value: readonly string[] }[]
}

const bytesOf = (texts: readonly string[]) => Buffer.from(texts.map(Number))

/** Of bpftool, for what is not there (by version) and for other faults: what it prints tells them apart. */
const NOT_FOUND_CODES = [254, 255]

const hexBytes = (bytes: Buffer) => bytes.toString('hex').replace(/../g, '$& ').trim()

const MOUNT_SCRIPT = `
mkdir -p "$1"
[ "$(stat -f -c %T "$1")" = bpf_fs ] || mount -t bpf -o mode=0700 bpf "$1"
mkdir -p "$2/maps"`

/** The map lives on without a name, as long as the map of maps has it. */
const FLOWS_SCRIPT = `
rm -f "$1"
trap 'rm -f "$1"' EXIT
bpftool batch file -`

/** Maps that are pinned already are used again: counters go on. A half-loaded build is loaded anew. */
const LOAD_SCRIPT = `
object=$1 folder=$2 build=$3
exec 9<"$folder"
flock 9
[ ! -e "$folder/$build/to_mesh" ] || exit 0
rm -rf "$folder/$build" "$folder/new"
maps=
for map in "$folder"/maps/*; do
  [ ! -e "$map" ] || maps="$maps map name \${map##*/} pinned $map"
done
if [ -n "$maps" ]; then bpftool prog loadall "$object" "$folder/new" $maps
else bpftool prog loadall "$object" "$folder/new" pinmaps "$folder/maps"; fi
mv "$folder/new" "$folder/$build"
for old in "$folder"/*; do # what interfaces still use lives on without a name
  case $old in */maps | */"$build") ;; *) rm -rf "$old" ;; esac
done`

function readObject(object: string): Buffer {
  try {
    return readFileSync(object)
  } catch (cause) {
    throw new Net6Error('net6.host_unable', {
      what: 'the network programs are not built',
      values: { object },
      fix: 'npm run setup',
      cause,
    })
  }
}

const lastLines = (said: unknown) => String(said).split('\n').slice(-4).join('\n')
