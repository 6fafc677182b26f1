import type { ApiErrorCode } from './errors.ts'

export interface RefusedCall {
  readonly code: ApiErrorCode
  readonly path: string
  /** The server's own words. */
  readonly text: string
  readonly label: string | undefined
}

const BY_LABEL: Readonly<Record<string, string>> = {
  insufficient_capacity:
    'give another region (`godwit platform regions`) or a smaller size; an operator sees the room with `godwit region list`',
  volume_placement_capacity:
    'the host of the volume is full: give a smaller size, or make a copy elsewhere with `godwit volumes fork`, and use that one',
  name_taken: 'choose another name: names of apps are one for the whole platform',
}

/**
 * What to do about an answer that is no success, by what the server says. The texts are those that the Machines API
 * documents, and that clients match on. Undefined: nothing is known beyond the server's words.
 */
export function nextStepOf({ code, path, text, label }: RefusedCall): string | undefined {
  const named = label === undefined ? undefined : BY_LABEL[label]
  if (named !== undefined) return named
  const { app = 'APP', kind, id = 'ID' } = partsOf(path)
  if (code === 'api.not_found') {
    if (/could not find app/i.test(text)) {
      return 'look at the name (--app, FLY_APP, fly.toml); `godwit apps list --org ORG` shows those that there are'
    }
    if (kind === 'volumes') return `\`godwit volumes list -a ${app}\` shows those that there are`
    if (kind === 'machines') return `\`godwit machine list -a ${app}\` shows those that there are`
    return undefined
  }
  if (kind !== 'machines') return undefined
  if (code === 'api.conflict' && /lease/.test(text)) {
    return `wait for it to end; \`godwit machine leases view ${id} -a ${app}\` says who holds it`
  }
  if (code === 'api.state_bad') {
    return `\`godwit machine status ${id} -a ${app}\` shows its state; \`godwit machine wait ${id}\` waits until it has settled`
  }
  if (code === 'api.not_reached') {
    return `\`godwit machine status ${id} -a ${app}\` shows what became of it, \`godwit logs -a ${app}\` what it said`
  }
  return undefined
}

function partsOf(path: string) {
  const [, app, kind, id] = /^\/v1\/apps\/([^/?]+)(?:\/([a-z_]+)(?:\/([^/?]+))?)?/.exec(path) ?? []
  const known = {
    ...(app === undefined ? {} : { app: decodeURIComponent(app) }),
    ...(id === undefined ? {} : { id }),
  }
  return { ...known, kind }
}
