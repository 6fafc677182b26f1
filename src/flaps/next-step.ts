import type { GodwitError } from '#base'

/** What the path of a call names. */
export interface Named {
  readonly app?: string
  readonly machine?: string
  readonly volume?: string
}

const BY_CODE: Readonly<Record<string, string>> = {
  'flaps.capacity_lacking':
    'give another region (`godwit platform regions`) or a smaller size; an operator sees the room with `godwit region list`',
  'flaps.volume_host_full':
    'the host of the volume is full: give a smaller size, or make a copy elsewhere with `godwit volumes fork`, and use that one',
  'flaps.app_name_taken': 'choose another name: names of apps are one for the whole platform',
}

/**
 * What the caller can do about a refusal that does not say so itself: beside its text, not in it, for clients match on
 * that. Undefined: nothing is known beyond the text.
 */
export function nextStepOf({ code, what }: GodwitError, named: Named): string | undefined {
  const { app, machine, volume } = named
  const [, kind = ''] = code.split('.')
  if (kind === 'not_found') {
    if (volume !== undefined) return `\`godwit volumes list -a ${app}\` shows those that there are`
    if (machine !== undefined) return `\`godwit machine list -a ${app}\` shows those that there are`
  }
  return BY_CODE[code] ?? (machine === undefined ? undefined : ofMachine(kind, what, named))
}

function ofMachine(kind: string, what: string, { app, machine }: Named): string | undefined {
  if (what.includes('could not reserve')) {
    return `its host has no room for that: give a smaller size, or make another with \`godwit machine clone ${machine} -a ${app}\` and destroy this one`
  }
  if (kind === 'conflict' && what.includes('lease')) {
    return `wait for it to end; \`godwit machine leases view ${machine} -a ${app}\` says who holds it`
  }
  if (kind === 'state_bad') {
    return `\`godwit machine status ${machine} -a ${app}\` shows its state; \`godwit machine wait ${machine}\` waits until it has settled`
  }
  if (kind === 'deadline_exceeded' || kind === 'cancelled') {
    return `\`godwit machine status ${machine} -a ${app}\` shows what became of it, \`godwit logs -a ${app}\` what it said`
  }
  return undefined
}
