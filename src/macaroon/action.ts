/**
 * What a token may do to a resource: a 16-bit mask. JSON has letters; `*` is every bit, also those
 * without a letter, so an access for `*` does not fit into `rwcdC`.
 */
export type ActionMask = number

export const Action = { none: 0, read: 1, write: 2, create: 4, delete: 8, control: 16 } as const
/** The five actions that have letters. Control starts, stops and signals. */
export const ACTIONS_LETTERED: ActionMask = 0x1f
/** `*`, as the wire has it. */
export const ACTIONS_ALL: ActionMask = 0xffff

const letters: readonly (readonly [string, ActionMask])[] = [
  ['r', Action.read],
  ['w', Action.write],
  ['c', Action.create],
  ['d', Action.delete],
  ['C', Action.control],
]

/** `rw`, `*` (only when it stands alone). Letters that nobody knows are ignored, as in Go. */
export function parseActions(text: string): ActionMask {
  if (text === '*') return ACTIONS_ALL
  return letters.reduce((mask, [letter, bit]) => (text.includes(letter) ? mask | bit : mask), 0)
}

/** Letters in the order rwcdC; bits without a letter do not show. */
export function printActions(mask: ActionMask): string {
  return letters.map(([letter, bit]) => ((mask & bit) === 0 ? '' : letter)).join('')
}

/** True when every bit of `asked` is in `granted`. Nothing asked fits anywhere. */
export function actionsFit(asked: ActionMask, granted: ActionMask): boolean {
  return (asked & ~granted) === 0
}
