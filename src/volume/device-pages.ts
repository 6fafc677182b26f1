/** For tests: what a device holds, page by page, each filled with one number. */
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs'
import type { BlockDriver } from './block-driver.ts'
import { type DeviceId, parseDeviceId } from './device-id.ts'

export const PAGE_BYTES = 4096
const holder = parseDeviceId('148ed599c14189')

/** A device in the hands of a guest, which fills pages and does not flush. */
export interface OpenDevice extends AsyncDisposable {
  readonly path: string
  write(page: number, value: number): void
  /** The number in each of `pages`; NaN for a page that is torn. */
  read(...pages: readonly number[]): number[]
}

export async function openDevice(
  driver: BlockDriver,
  id: DeviceId,
  { readOnly = false } = {},
): Promise<OpenDevice> {
  const { path } = await driver.attach(id, { holder, readOnly })
  return {
    path,
    write: (page, value) => writeTo(path, page, value),
    read: (...pages) => readFrom(path, pages),
    [Symbol.asyncDispose]: () => driver.detach(id, holder),
  }
}

export function writeTo(path: string, page: number, value: number, flags = 0): void {
  const fd = openSync(path, constants.O_WRONLY | flags)
  try {
    writeSync(fd, pageOf(value), 0, PAGE_BYTES, page * PAGE_BYTES)
  } finally {
    closeSync(fd)
  }
}

function readFrom(path: string, pages: readonly number[]): number[] {
  const fd = openSync(path, 'r')
  try {
    return pages.map((page) => readPage(fd, page))
  } finally {
    closeSync(fd)
  }
}

function readPage(fd: number, page: number): number {
  const bytes = Buffer.alloc(PAGE_BYTES)
  const count = readSync(fd, bytes, 0, PAGE_BYTES, page * PAGE_BYTES)
  const value = bytes.readUInt32LE(0)
  return count === PAGE_BYTES && bytes.equals(pageOf(value)) ? value : Number.NaN
}

function pageOf(value: number): Buffer {
  const pattern = Buffer.alloc(4)
  pattern.writeUInt32LE(value)
  return Buffer.alloc(PAGE_BYTES, pattern)
}
