import { errorCode } from '#base'
import { type CapacityBook, type Hold, refusalText } from '#market'
import { refuse } from './errors.ts'

/** @throws FlydError flyd.conflict, as the API documents it: clients then go elsewhere */
export function takeRoom(book: CapacityBook, holder: string, hold: Hold): void {
  const refusal = book.hold(holder, hold)
  if (refusal === undefined) return
  throw refuse(
    'flyd.conflict',
    `aborted: could not reserve resource for machine: ${refusalText(refusal)}`,
  )
}

/** The reservation becomes the holder's. @throws FlydError flyd.conflict: it has ended */
export function spendReservation(
  book: CapacityBook,
  { reservation, holder, hold }: { reservation: string; holder: string; hold: Hold },
  nowMs: number,
): void {
  try {
    book.confirm(reservation, holder, nowMs)
  } catch (cause) {
    if (!errorCode(cause)?.startsWith('market.')) throw cause
    throw refuse(
      'flyd.conflict',
      'aborted: could not reserve resource for machine: the reservation has ended',
      cause,
    )
  }
  const { exclusive } = book.heldBy(holder) ?? {}
  try {
    takeRoom(book, holder, { ...hold, exclusive }) // what is made may differ from what was asked for
  } catch (error) {
    book.release(holder)
    throw error
  }
}
