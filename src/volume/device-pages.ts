/** For tests: what a device holds, page by page, each filled with one number. */
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs'
import type { BlockDriver } from './block-driver.ts'
import { type DeviceId, parseDeviceId } from './device-id.ts'

export const PAGE_BYTES = 4096
const reader = parseDeviceId('test-reader')
const writer = parseDeviceId('test-writer')

/** Fills a page as a guest does that has not flushed yet. */
export async function writePage(driver: BlockDriver, id: DeviceId, page: number, value: number) {
  const { path } = await driver.attach(id, { holder: writer })
  writeTo(path, page, value)
  await driver.detach(id, writer)
}

export function writeTo(path: string, page: number, value: number, flags = 0): void {
  const fd = openSync(path, constants.O_WRONLY | flags)
  try {
    writeSync(fd, pageOf(value), 0, PAGE_BYTES, page * PAGE_BYTES)
  } finally {
    closeSync(fd)
  }
}

/** The number in each of `pages`; NaN for a page that is torn. */
export async function readPages(
  driver: BlockDriver,
  id: DeviceId,
  pages: readonly number[],
): Promise<number[]> {
  const { path } = await driver.attach(id, { holder: reader, readOnly: true })
  const fd = openSync(path, 'r')
  try {
    return pages.map((page) => readPage(fd, page))
  } finally {
    closeSync(fd)
    await driver.detach(id, reader)
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
