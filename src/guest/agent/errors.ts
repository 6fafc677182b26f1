import { GodwitError } from '#base'

/** What talking to the init of a machine can end in. */
export class AgentError extends GodwitError<keyof typeof AgentError.catalogue> {
  static override readonly catalogue = {
    /** Bytes that are no frame, or a frame that its reader must refuse. Begin a new session. */
    'guest.protocol_broken': { status: 502, transient: true },
    /** The channel ended. What ran as an exec or a copy has ended with it. */
    'guest.channel_lost': { status: 503, transient: true },
    /** Init refused or failed; `values` has its step, errno and words. */
    'guest.request_failed': { status: 422 },
    /** The program or file is not there. */
    'guest.not_found': { status: 404 },
    /** As many streams or requests are open as init has room for. */
    'guest.too_many_streams': { status: 429, transient: true },
    /** A value that cannot be written: a zero byte in a text, a request larger than a frame. */
    'guest.value_bad': { status: 422 },
    /** A file copy broke off; the file under the name is as it was. */
    'guest.copy_failed': { status: 500 },
  } as const
}

export function protocolBroken(what: string, values: Record<string, unknown> = {}): AgentError {
  return new AgentError('guest.protocol_broken', { what, values, fix: 'begin a new session' })
}

export function channelLost(cause?: unknown): AgentError {
  return new AgentError('guest.channel_lost', {
    what: 'the channel to the machine ended',
    fix: 'connect again',
    ...(cause === undefined ? {} : { cause }),
  })
}
