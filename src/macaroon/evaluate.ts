import { type Access, checkAccessShape } from './access.ts'
import type { Caveat } from './caveat.ts'
import type { Answer, Subject } from './caveat-kind.ts'
import { kindOf } from './caveat-set.ts'
import { badCaveat, type Denial } from './denial.ts'
import type { DischargeRequest } from './discharge-request.ts'

/**
 * What the verified caveats of one token say about an access. All that refuse are reported, in the
 * order of the token; an access of impossible shape is refused before any caveat is asked.
 *
 * @param nowMs milliseconds since the epoch; fractions count.
 * @returns nothing: allowed.
 */
export function evaluateAccess(
  caveats: readonly Caveat[],
  access: Access,
  nowMs: number,
): readonly Denial[] {
  const misshapen = checkAccessShape(access)
  if (misshapen !== undefined) return [misshapen]
  return evaluateAll(caveats, { type: 'access', access, nowMs })
}

/** What the caveats of a ticket say about a discharge. Caveats about accesses refuse. */
export function evaluateTicket(
  caveats: readonly Caveat[],
  request: DischargeRequest,
  nowMs: number,
): readonly Denial[] {
  return evaluateAll(caveats, { type: 'discharge', request, nowMs })
}

function evaluateAll(caveats: readonly Caveat[], subject: Subject): readonly Denial[] {
  const denials: Denial[] = []
  caveats.forEach((caveat, caveatIndex) => {
    if (kindOf(caveat)?.isAttestation) return
    for (const denial of evaluateOne(caveat, subject)) {
      denials.push({ ...denial, caveat, caveatIndex })
    }
  })
  return denials
}

function evaluateOne(caveat: Caveat, subject: Subject): readonly Denial[] {
  const kind = kindOf(caveat)
  if (kind === undefined) return [badCaveat(' (unregistered)')]
  return listOf(kind.check(caveat.body, subject, (inner) => evaluateOne(inner, subject)))
}

function listOf(answer: Answer): readonly Denial[] {
  if (answer === undefined) return []
  return Array.isArray(answer) ? answer : [answer as Denial]
}
