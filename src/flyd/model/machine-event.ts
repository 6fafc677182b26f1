export interface EventJson {
  readonly id: string
  readonly type: string
  readonly status: string
  readonly source: EventSource
  /** Milliseconds. */
  readonly timestamp: number
  readonly request?: unknown
}

export type EventSource = 'user' | 'flyd' | 'proxy'

export type NewEvent = Pick<EventJson, 'type' | 'status' | 'source'> & {
  readonly request?: unknown
}

/** On the machine itself; the call for events has more. */
export const RECENT_EVENTS = 5
export const EVENTS_MAX = 100
