import { createReadStream } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { errorCode } from '#base'
import { PLATFORM_TABLES, type PlatformRow, TABLE_NAMES, type TableName } from './platform-rows.ts'
import type { RoutingTable } from './routing-table.ts'

/**
 * The table as a file, for a start without corrosion: a line for each row, `["machines",{...}]`, after a head
 * line `["godwit-routing",1]`, and `["end",<rows>]` as the last one. It is written beside and renamed: a reader finds
 * a whole file or the one before.
 */
const HEAD = ['godwit-routing', 1] as const
const CHUNK_CHARS = 256 * 1024

/** @returns how many rows it has. @throws what the system says */
export async function saveTable(table: RoutingTable, path: string): Promise<number> {
  const temporary = `${path}.${process.pid}.tmp`
  const file = await open(temporary, 'w', 0o600)
  let count = 0
  try {
    let chunk = `${JSON.stringify(HEAD)}\n`
    for (const name of TABLE_NAMES) {
      for (const row of table.rows(name).values()) {
        chunk += `${JSON.stringify([name, row], plainCell)}\n`
        count += 1
        if (chunk.length < CHUNK_CHARS) continue
        await file.write(chunk) // also lets others run: a large table takes a while
        chunk = ''
      }
    }
    await file.write(`${chunk}${JSON.stringify(['end', count])}\n`)
    await file.sync()
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  } finally {
    await file.close()
  }
  await rename(temporary, path)
  return count
}

const plainCell = (_key: string, value: unknown) => {
  if (typeof value === 'bigint') return Number(value)
  return value instanceof Uint8Array ? [...value] : value
}

/**
 * Puts the rows of a saved table. A file that is no whole one of this version counts as none: the rows that
 * it has are put all the same, for they were true.
 *
 * @returns how many rows it had; undefined: there is no such file
 * @throws what the system says of a file that is there
 */
export async function loadTable(
  table: RoutingTable,
  path: string,
  nowMs: number,
): Promise<number | undefined> {
  let count = 0
  const input = createReadStream(path, { encoding: 'utf8' })
  try {
    for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
      const entry = parseEntry(line)
      if (entry === undefined) continue
      table.put(entry[0], entry[1], nowMs)
      count += 1
    }
    return count
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  } finally {
    input.destroy()
  }
}

/** Undefined: the head, the end, or a torn line. */
function parseEntry(line: string): [TableName, PlatformRow] | undefined {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return undefined // torn: written by a machine that lost power between rename and data
  }
  if (!Array.isArray(value) || !Object.hasOwn(PLATFORM_TABLES, value[0])) return undefined
  const [name, row] = value as [TableName, unknown]
  return typeof row === 'object' && row !== null ? [name, row as PlatformRow] : undefined
}
