import type { RouteRequest } from '../route.ts'
import type { RoutedEntrance } from './entrances.ts'

/** What of a request is needed after the machine answered: the data plane refills its own object. */
export interface RequestSubject {
  readonly entrance: RoutedEntrance
  readonly requestId: string
  readonly host: string
  readonly target: string
  readonly isHttp: boolean
  /** The machine's `statics` may have it: a first attempt, which reads. */
  readonly mayBeStatic: boolean
  /** The client asked not to use the replay cache, and was allowed to. */
  readonly isBypass: boolean
  /** What the session rules of the replay cache look at; only kept where there are any. */
  readonly sessionHeaders: ReadonlyMap<string, string> | undefined
}

export function subjectOf(
  request: RouteRequest,
  entrance: RoutedEntrance,
  isBypass: boolean,
): RequestSubject {
  const { requestId, host, target, method } = request
  const isHttp = request.kind === 'http'
  const isRead = method === 'GET' || method === 'HEAD'
  const mayBeStatic = isHttp && isRead && request.attempts.length === 0
  const rules = entrance.spec.http.replayCache
  const sessionHeaders = rules.length === 0 || !isHttp ? undefined : new Map<string, string>()
  if (sessionHeaders !== undefined) {
    for (const { kind, name } of rules) {
      const header = kind === 'cookie' ? 'cookie' : name
      const value = request.header(header)
      if (value !== undefined) sessionHeaders.set(header, value)
    }
  }
  return { entrance, requestId, host, target, isHttp, mayBeStatic, isBypass, sessionHeaders }
}
