import { errorCode } from '#base'
import type { RuntimeCall } from '../runtime.ts'
import type { QmpClient } from './qmp-client.ts'

const READ_BYTES_MAX = 65_536
const SAID_CHARS_MAX = 1_000
const PANIC = /Kernel panic - not syncing: ([^\r\n]*)/

/**
 * What the machine's kernel wrote to its serial console last. QEMU keeps that in memory, in a ring, so a
 * machine that floods its console harms nobody. Reading takes it out. Empty when QEMU is gone.
 */
export async function readConsole(qmp: QmpClient, call: RuntimeCall = {}): Promise<string> {
  try {
    const request = { device: 'console', size: READ_BYTES_MAX, format: 'base64' }
    const answer = await qmp.ask('ringbuf-read', request, call)
    return typeof answer === 'string' ? Buffer.from(answer, 'base64').toString() : ''
  } catch (error) {
    if (errorCode(error) === 'guest.qmp_lost') return ''
    throw error
  }
}

/** @returns the reason of a kernel's panic, if its console tells of one. */
export const panicIn = (console: string): string | undefined => PANIC.exec(console)?.[1]

export const lastLines = (console: string): string =>
  console.replaceAll('\r', '').trim().slice(-SAID_CHARS_MAX)
