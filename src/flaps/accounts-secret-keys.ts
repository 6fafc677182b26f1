import type { Accounts } from '#accounts'
import { errorCode } from '#base'
import type { AppSecretKeys } from './directory.ts'
import { refuse } from './errors.ts'

/** Secret keys as the API uses them: their bytes stay in the accounts. */
export const accountsSecretKeys = (accounts: Accounts): AppSecretKeys => ({
  async list({ name }, { minVersion }) {
    const keys = orRefused(() => accounts.secretKeys(name))
    if (accounts.secrets(name).version >= minVersion) return keys
    const text = `deadline_exceeded: secrets version ${minVersion} is not here yet`
    throw refuse('flaps.deadline_exceeded', text)
  },
  set: async (app, { name, type, key }, { who, requestId }) =>
    orRefused(() => accounts.setSecretKey({ who, requestId }, { app: app.name, name, type, key })),
  remove: async (app, name, { who, requestId }) =>
    orRefused(() => accounts.removeSecretKey({ who, requestId }, { app: app.name, name })).version,
  use: async (app, name, use) => orRefused(() => accounts.useSecretKey(app.name, name, use)),
})

function orRefused<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    const text = (error as Error).message
    if (errorCode(error) === 'accounts.bad_input') {
      throw refuse('flaps.argument_bad', `invalid_argument: ${text}`, error)
    }
    if (errorCode(error) !== 'accounts.not_found') throw error
    throw refuse('flaps.not_found', `not_found: ${text}`, error)
  }
}
