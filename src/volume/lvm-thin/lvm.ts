import { existsSync } from 'node:fs'
import { type Static, type TSchema, Type } from 'typebox'
import { Value } from 'typebox/value'
import { VolumeError } from '../errors.ts'
import { runTool } from '../run-tool.ts'

/**
 * No event daemon: this host's own watches the pool. No archive of each change, which are many. What a
 * guest writes to its device is never taken for LVM's own. Source: lvm.conf(5).
 */
const CONFIG = [
  'activation { monitoring=0 thin_pool_autoextend_threshold=100 }',
  'backup { archive=0 }',
  'devices { scan_lvs=0 }',
].join(' ')

/**
 * Runs one command of LVM. Killed in the middle, it would leave the group and the kernel in disagreement; it
 * puts off every other signal by itself while it changes something.
 *
 * @throws VolumeError volume.in_use, volume.tool_failed
 */
export async function lvm(
  command: string,
  words: readonly string[],
  signal?: AbortSignal,
): Promise<string> {
  const all = [command, '--config', CONFIG, ...words]
  try {
    return (await runTool('lvm', all, { signal, env: environment(), isDelicate: true })).stdout
  } catch (error) {
    const said = error instanceof VolumeError ? String(error.values['said']) : ''
    if (!/\bin use\b|is used by another device/.test(said)) throw error
    throw new VolumeError('volume.in_use', {
      what: 'the device is open',
      values: { said },
      fix: 'stop the machine, or unmount it',
      cause: error,
    })
  }
}

export async function dmsetup(words: readonly string[], signal?: AbortSignal): Promise<string> {
  return (await runTool('dmsetup', words, { signal, env: environment() })).stdout
}

/** Where no udev runs, LVM makes the device nodes itself. */
const environment = (): Record<string, string> =>
  existsSync('/run/udev/control') ? {} : { DM_DISABLE_UDEV: '1' }

const Row = Type.Object({
  lv_name: Type.String(),
  lv_size: Type.String(),
  lv_attr: Type.String(),
  lv_tags: Type.String(),
  thin_id: Type.String(),
  lv_when_full: Type.String(),
  transaction_id: Type.String(),
})
const Groups = Type.Array(Type.Object({ vg_name: Type.String(), vg_tags: Type.String() }))

export interface LogicalVolume {
  readonly name: string
  readonly sizeBytes: number
  readonly tags: readonly string[]
  readonly isReadOnly: boolean
  readonly isActive: boolean
  /** Number of the device within its pool; NaN of what is in none. */
  readonly thinId: number
  /** Of a pool: what happens to writes when it is full. */
  readonly whenFull: string
  /** Of a pool: number of its last change. Of a volume: that number before its making was the next. */
  readonly transaction: string
}

/** The logical volumes of a group, or those that `select` takes. Source: lvmreport(7), lvs(8) for attributes. */
export async function logicalVolumes(
  group: string,
  select: string,
  signal?: AbortSignal,
): Promise<LogicalVolume[]> {
  const fields = Object.keys(Row.properties).join(',')
  const words = ['-o', fields, '-S', `vg_name=${group} && (${select})`, ...REPORT]
  const rows = parseReport(await lvm('lvs', words, signal), 'lv', Type.Array(Row))
  return rows.map((row) => ({
    name: row.lv_name,
    sizeBytes: Number(row.lv_size),
    tags: row.lv_tags.split(',').filter(Boolean),
    isReadOnly: row.lv_attr[1]?.toLowerCase() === 'r',
    isActive: row.lv_attr[4] === 'a',
    thinId: row.thin_id === '' ? Number.NaN : Number(row.thin_id),
    whenFull: row.lv_when_full,
    transaction: row.transaction_id,
  }))
}

/** The tags of a volume group; undefined when there is none of that name. */
export async function groupTags(
  group: string,
  signal?: AbortSignal,
): Promise<readonly string[] | undefined> {
  const words = ['-o', 'vg_name,vg_tags', '-S', `vg_name=${group}`, ...REPORT]
  const [row] = parseReport(await lvm('vgs', words, signal), 'vg', Groups)
  return row?.vg_tags.split(',')
}

const REPORT = ['--reportformat', 'json', '--units', 'b', '--nosuffix']

function parseReport<T extends TSchema>(text: string, kind: string, schema: T): Static<T> {
  try {
    const { report } = JSON.parse(text) as { report: readonly Record<string, unknown>[] }
    return Value.Parse(schema, report[0]?.[kind])
  } catch (cause) {
    throw new VolumeError('volume.tool_failed', {
      what: 'the report of LVM cannot be read',
      values: { kind, text },
      cause,
    })
  }
}
