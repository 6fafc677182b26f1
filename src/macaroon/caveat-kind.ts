import type { Access } from './access.ts'
import type { Codec } from './body-codec.ts'
import type { Caveat, CaveatBodies, CaveatType } from './caveat.ts'
import type { Denial } from './denial.ts'
import type { DischargeRequest } from './discharge-request.ts'

/** What is to be judged: an access by a token's caveats, or a discharge by a ticket's caveats. */
export type Subject =
  | { readonly type: 'access'; readonly access: Access; readonly nowMs: number }
  | { readonly type: 'discharge'; readonly request: DischargeRequest; readonly nowMs: number }

export type Answer = Denial | readonly Denial[] | undefined

/** Everything about one type of caveat. */
export interface CaveatKind<Body> {
  /** On the wire; never reused. */
  readonly number: number
  readonly type: CaveatType
  /** Older JSON names that are still read. */
  readonly aliases?: readonly string[]
  /** A statement about the user by a discharge: no restriction, never asked at top level. */
  readonly isAttestation?: true
  readonly body: Codec<Body>
  /**
   * @param evaluate judges caveats inside this one.
   * @returns undefined: nothing against it.
   */
  check(body: Body, subject: Subject, evaluate: EvaluateOne): Answer
}

export type EvaluateOne = (caveat: Caveat) => readonly Denial[]

/** The kind of one type; makes sure that number, name, codec and check speak of the same body. */
export function kind<Type extends CaveatType>(
  number: number,
  type: Type,
  rest: Omit<CaveatKind<CaveatBodies[Type]>, 'number' | 'type'>,
): CaveatKind<CaveatBodies[Type]> {
  return { number, type, ...rest }
}
