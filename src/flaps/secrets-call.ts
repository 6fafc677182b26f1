import { Type } from 'typebox'
import { Value } from 'typebox/value'
import type { Accounts } from '#accounts'
import { refuse, SECRETS_PATH, sealAnswer } from '#flyd'
import type { GatewayCall } from './gateway-api.ts'

const askSchema = Type.Object({
  app: Type.String({ maxLength: 100 }),
  minVersion: Type.Integer({ minimum: 0 }),
  host: Type.String({ maxLength: 64 }),
  /** The public key of a SealedAsk. */
  sealTo: Type.String({ maxLength: 64 }),
})

/** Gives hosts the secrets of apps whose machines they start: sealed to who asked, and written to the audit log. */
export const secretsCall = (accounts: Accounts): GatewayCall => ({
  path: SECRETS_PATH,
  async answer(body, { requestId }) {
    if (!Value.Check(askSchema, body)) {
      throw refuse('flyd.argument_bad', 'invalid_argument: not what this call takes')
    }
    const { app, minVersion, host, sealTo } = body
    const { version } = accounts.secrets(app)
    if (version < minVersion) {
      throw refuse('flyd.conflict', `aborted: secrets of version ${minVersion} are not here yet`)
    }
    const opened = accounts.openSecrets({ who: `host:${host}`, requestId }, { app, host })
    return sealAnswer(sealTo, JSON.stringify(Object.fromEntries(opened)), requestId)
  },
})
