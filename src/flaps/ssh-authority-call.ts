import { Type } from 'typebox'
import { Value } from 'typebox/value'
import type { Accounts } from '#accounts'
import { refuse, SSH_AUTHORITY_PATH } from '#flyd'
import type { GatewayCall } from './gateway-api.ts'

const askSchema = Type.Object({ organization: Type.String({ maxLength: 100 }) })

/** Tells hosts whose certificates open the machines of an organisation. */
export const sshAuthorityCall = (accounts: Accounts): GatewayCall => ({
  path: SSH_AUTHORITY_PATH,
  async answer(body) {
    if (!Value.Check(askSchema, body)) {
      throw refuse('flyd.argument_bad', 'invalid_argument: not what this call takes')
    }
    const key = accounts.sshAuthority(body.organization)
    return { keys: key === undefined ? [] : [Buffer.from(key).toString('base64')] }
  },
})
