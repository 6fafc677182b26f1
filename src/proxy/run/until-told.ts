import { randomBytes } from 'node:crypto'
import type { Log } from '#base'
import { TICKET_KEY_BYTES } from '../tls/tls-context.ts'
import { childReady, startChild } from './child.ts'
import type { ListeningSocket } from './sockets.ts'

export const TICKET_VARIABLE = 'GODWIT_PROXY_TICKET_KEY'

export const ticketKeyOf = (text: string | undefined): Buffer =>
  text === undefined ? randomBytes(TICKET_KEY_BYTES) : Buffer.from(text, 'base64')

export interface TakeoverOptions {
  /** Of a crew: it is not for it to be followed by another. */
  readonly isWorker: boolean
  /** What a successor is handed, at that moment. */
  readonly sockets: () => readonly ListeningSocket[]
  readonly ticketKey: Buffer
  /** See startChild. @default false */
  readonly isDetached?: boolean
  readonly log: Log
}

/** Why a process is to drain: it was told to, or the successor that it started serves. */
export type Told = 'to_end' | 'followed'

/** Resolves when this process is to drain. */
export function untilTold(options: TakeoverOptions): Promise<Told> {
  const { isWorker, sockets, ticketKey, isDetached: detached, log } = options
  return new Promise((resolve) => {
    process.once('SIGTERM', () => resolve('to_end')).once('SIGINT', () => resolve('to_end'))
    if (isWorker) return
    let isUpgrading = false
    process.on('SIGUSR2', () => {
      if (isUpgrading) return
      isUpgrading = true
      const env = { [TICKET_VARIABLE]: ticketKey.toString('base64') }
      const successor = startChild(sockets(), env, { detached })
      childReady(successor).then(
        () => {
          successor.unref() // it outlives this process
          resolve('followed')
        },
        (error: unknown) => {
          isUpgrading = false
          log.error({ err: error }, 'no upgrade')
        },
      )
    })
  })
}
