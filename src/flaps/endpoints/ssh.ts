import { Type } from 'typebox'
import { timeText } from '#flyd'
import { Action } from '#macaroon'
import { ok } from '../answer.ts'
import { endpoint } from '../endpoint.ts'
import { optionalWhole } from './schemas.ts'

const tag = 'SSH'
const HOURS_DEFAULT = 1
/** As tokens name it that may do nothing else (profile `ssh`). */
const MUTATION = 'issueCertificate'

const body = Type.Object({
  public_key: Type.String({ description: 'an OpenSSH line: ssh-ed25519 AAAA...' }),
  principals: Type.Optional(Type.Array(Type.String(), { description: 'users; root and fly' })),
  valid_hours: optionalWhole(),
})

const answers = { 200: Type.Object({ certificate: Type.String(), expires_at: Type.String() }) }
const PRINCIPALS = ['root', 'fly']
const LINE = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIE5dw7oj9vJ3r0lYJDz2hhM0sMn1V8YgXjHhKb1QbTz'
const example = { body: { public_key: LINE, principals: ['root'], valid_hours: 1 } }

export const sshEndpoints = [
  endpoint({
    id: 'Apps_issue_ssh_certificate',
    method: 'POST',
    path: '/v1/apps/:app/ssh_certificates',
    tag,
    summary: "Signs a public key, which then opens the app's machines over ssh for some hours.",
    body,
    answers,
    access: { on: 'app', action: Action.control, mutation: MUTATION },
    limit: 'none',
    example,
    async handle(call) {
      const { organization, app, services, by } = call
      return answerOf(
        await services.directory.issueSshCertificate(
          { organization, app, ...asked(call.body) },
          by,
        ),
      )
    },
  }),

  endpoint({
    id: 'Orgs_issue_ssh_certificate',
    method: 'POST',
    path: '/v1/orgs/:org/ssh_certificates',
    tag,
    summary:
      'Signs a public key, which then opens the machines of all apps over ssh for some hours.',
    body,
    answers,
    access: { on: 'org', action: Action.control, slugFrom: 'path', mutation: MUTATION },
    limit: 'none',
    example,
    async handle(call) {
      const { organization, services, by } = call
      const input = { organization, app: undefined, ...asked(call.body) }
      return answerOf(await services.directory.issueSshCertificate(input, by))
    },
  }),
]

interface Asked {
  readonly public_key: string
  readonly principals?: readonly string[]
  readonly valid_hours?: number
}

const asked = ({ public_key, principals, valid_hours }: Asked) => ({
  publicKey: public_key,
  principals: principals ?? PRINCIPALS,
  validHours: valid_hours || HOURS_DEFAULT,
})

const answerOf = ({ certificate, expiresAtMs }: { certificate: string; expiresAtMs: number }) =>
  ok({ certificate, expires_at: timeText(expiresAtMs) })
