import { actionsFit } from '../action.ts'
import { actions, boolean, listOf, signed, struct, text } from '../body-codec.ts'
import type { CaveatBodies, CommandRule } from '../caveat.ts'
import { kind } from '../caveat-kind.ts'
import { forAction, forResource, invalidAccess, unauthorized, unspecified } from '../denial.ts'
import type { WireInteger } from '../wire-integer.ts'

/** The caveats that say when, which actions, and which mutations and commands. */

const validityWindow = kind(4, 'ValidityWindow', {
  body: struct<CaveatBodies['ValidityWindow']>('ValidityWindow', [
    { key: 'notBefore', json: 'not_before', codec: signed },
    { key: 'notAfter', json: 'not_after', codec: signed },
  ]),
  check({ notBefore, notAfter }, { nowMs }) {
    const nowS = nowMs / 1000 // a fraction of a second counts
    if (nowS > notAfter) {
      return unauthorized(`token only valid until ${showTime(notAfter)}`, { notAfter })
    }
    if (nowS < notBefore) {
      return unauthorized(`token not valid until ${showTime(notBefore)}`, { notBefore })
    }
    return undefined
  },
})

const DATE_SECONDS_MAX = 8.64e12 // ECMA-262, section 21.4.1.1

/** As Go prints a time: `2023-11-14 22:13:20 +0000 UTC`. */
function showTime(seconds: WireInteger): string {
  if (seconds > DATE_SECONDS_MAX || seconds < -DATE_SECONDS_MAX) return `second ${seconds}`
  const iso = new Date(Number(seconds) * 1000).toISOString()
  return `${iso.slice(0, -5).replace('T', ' ')} +0000 UTC`
}

const action = kind(26, 'Action', {
  body: actions,
  check(mask, subject) {
    if (subject.type !== 'access') return invalidAccess()
    const asked = subject.access.action
    return actionsFit(asked, mask) ? undefined : forAction(asked, mask)
  },
})

const mutations = kind(6, 'Mutations', {
  body: struct<CaveatBodies['Mutations']>('Mutations', [
    { key: 'mutations', json: 'mutations', codec: listOf(text) },
  ]),
  check({ mutations: listed }, subject) {
    if (subject.type !== 'access') return invalidAccess()
    const { mutation } = subject.access
    if (mutation === undefined) return unspecified(': only authorized for graphql mutations')
    if (listed?.includes(mutation)) return undefined
    return forResource(`mutation ${mutation}`, { mutation, only: listed ?? [] })
  },
})

const commands = kind(27, 'Commands', {
  body: listOf(
    struct<CommandRule>('Command', [
      { key: 'args', json: 'args', codec: listOf(text) },
      { key: 'isExact', json: 'exact', codec: boolean, omitsZero: true },
    ]),
  ),
  check(rules, subject) {
    if (subject.type !== 'access') return invalidAccess()
    const { command } = subject.access
    if (command === undefined) return unspecified(': only authorized for command execution')
    if (rules?.some((rule) => commandMatches(rule, command))) return undefined
    return forResource(`commands [${command.join(' ')}]`, { command })
  },
})

/** Argument by argument: `ls -l` never matches the single argument "ls -l". */
function commandMatches({ args, isExact }: CommandRule, command: readonly string[]): boolean {
  const wanted = args ?? []
  if (isExact ? wanted.length !== command.length : wanted.length > command.length) return false
  return wanted.every((arg, index) => arg === command[index])
}

export const operationKinds = [validityWindow, action, mutations, commands] as const
