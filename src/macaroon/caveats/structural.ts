import { actionsFit } from '../action.ts'
import { actions, badJson, bytes, type Codec, struct, text } from '../body-codec.ts'
import type { Caveat, CaveatBodies } from '../caveat.ts'
import { type CaveatKind, kind } from '../caveat-kind.ts'
import { badCaveat, forAction, invalidAccess } from '../denial.ts'

/**
 * The caveats that are made of other things: third parties, bindings and conditions. The first two
 * are settled by verification; one that is still there when accesses are judged can't be satisfied.
 */

const thirdParty = kind(11, '3P', {
  body: struct<CaveatBodies['3P']>('3P', [
    { key: 'location', json: 'Location', codec: text },
    { key: 'verifierKey', json: 'VerifierKey', codec: bytes },
    { key: 'ticket', json: 'Ticket', codec: bytes },
  ]),
  check: () => badCaveat(' (3rd party caveat)'),
})

const bindToParentToken = kind(12, 'BindToParentToken', {
  body: bytes,
  check: () => badCaveat(' (bind-to-parent)'),
})

/**
 * @param caveatSet the codec of caveat-set.ts, which needs this kind and is needed by it.
 */
function ifPresent(
  caveatSet: Codec<readonly Caveat[] | null>,
): CaveatKind<CaveatBodies['IfPresent']> {
  const body = struct<CaveatBodies['IfPresent']>('IfPresent', [
    { key: 'ifs', json: 'ifs', codec: caveatSet },
    { key: 'else', json: 'else', codec: actions },
  ])
  return kind(13, 'IfPresent', {
    body: { ...body, fromJson: (json) => refuseNoCaveats(body.fromJson(json)) },
    /**
     * Inner caveats that speak of something absent have no say. When any other spoke, yes or no,
     * the refusals decide; else the mask does.
     */
    check({ ifs, else: mask }, subject, evaluate) {
      if (ifs === null) return badCaveat(': IfPresent without caveats')
      const answers = ifs.map((caveat) => evaluate(caveat))
      const spoken = answers.filter((denials) => !denials.some(isAbsence))
      if (spoken.length > 0) return spoken.flat()
      if (subject.type !== 'access') return invalidAccess()
      const { action } = subject.access
      return actionsFit(action, mask) ? undefined : forAction(action, mask)
    },
  })
}

/** Without `ifs` the caveat would refuse everything for ever: surely a mistake of its writer. */
function refuseNoCaveats(body: CaveatBodies['IfPresent']): CaveatBodies['IfPresent'] {
  if (body.ifs === null) throw badJson('"ifs", a list of caveats, in IfPresent', null)
  return body
}

const isAbsence = ({ kind: denialKind }: { kind: string }) => denialKind === 'unspecified'

export const structuralKinds = (caveatSet: Codec<readonly Caveat[] | null>) =>
  [thirdParty, bindToParentToken, ifPresent(caveatSet)] as const
