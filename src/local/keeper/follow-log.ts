import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs'
import { errorCode, systemClock } from '#base'
import { type LogLine, logPaths, parseLog } from './log-file.ts'

const LOOK_MS = 100
const PIECE_BYTES = 1 << 16

/**
 * Lines that are written from now on, until `isOver` says that there will be no more. Survives the change
 * to a new file.
 *
 * @param fromStart also those that the present file has.
 */
export async function* followLog(
  folder: string,
  isOver: () => boolean,
  { fromStart = false, signal }: { fromStart?: boolean; signal?: AbortSignal } = {},
): AsyncGenerator<LogLine> {
  const path = logPaths(folder)[1]
  let fd: number | undefined
  let rest = Buffer.alloc(0)
  let at = 0
  try {
    for (;;) {
      const isLast = isOver() // before the look: what was written until then is read
      if (fd === undefined) {
        fd = openIfThere(path)
        if (fd !== undefined && !fromStart && at === 0) at = fstatSync(fd).size
      }
      const piece = fd === undefined ? Buffer.alloc(0) : readFrom(fd, at)
      at += piece.length
      rest = Buffer.concat([rest, piece])
      const end = rest.lastIndexOf('\n') + 1
      yield* parseLog(rest.subarray(0, end).toString()).lines
      rest = rest.subarray(end)
      if (piece.length > 0) continue
      if (fd !== undefined && isReplaced(fd, path)) {
        closeSync(fd)
        fd = undefined
        at = 0
        fromStart = true
        continue
      }
      if (isLast) return
      await systemClock.sleep(LOOK_MS, signal)
    }
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}

function readFrom(fd: number, at: number): Buffer<ArrayBuffer> {
  const piece = Buffer.alloc(PIECE_BYTES)
  return piece.subarray(0, readSync(fd, piece, 0, PIECE_BYTES, at))
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, 'r')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

function isReplaced(fd: number, path: string): boolean {
  try {
    return statSync(path).ino !== fstatSync(fd).ino
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false // in between, or removed
    throw error
  }
}
