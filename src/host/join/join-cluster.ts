import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { nkeys } from '@nats-io/transport-node'
import { stringify } from 'smol-toml'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { generateCertificateRequest } from '#trust'
import { HostError } from '../errors.ts'
import { type HostSettings, memberSchema } from '../host-config.ts'
import { askCa, askToJoin } from './ask-gateway.ts'
import { parseJoinToken } from './join-token.ts'

export interface JoinOptions {
  /** Of a gateway: `https://192.0.2.1:4280`. */
  readonly url: string
  readonly token: string
  /** Of the host. */
  readonly name: string
  /** @default the one under which the gateway sees it */
  readonly address?: string | undefined
  /** State of the host; its file is `host.toml` in it. */
  readonly folder: string
  /** What else its file is to say. */
  readonly settings?: HostSettings
  readonly signal: AbortSignal
}

export interface Joined {
  readonly host: string
  readonly region: string
  readonly roles: readonly string[]
  readonly configFile: string
}

const answerSchema = Type.Object({
  host: Type.String(),
  region: Type.Object({
    code: Type.String(),
    name: Type.String(),
    latitude: Type.Number(),
    longitude: Type.Number(),
  }),
  app_domain: Type.Optional(Type.String()),
  members: Type.Array(memberSchema, { minItems: 1 }),
  secrets: Type.Record(
    Type.Union(
      ['ca.pem', 'server.pem', 'client.pem', 'cluster.key', 'edge-keys'].map((name) =>
        Type.Literal(name),
      ),
    ),
    Type.String(),
  ),
})

/**
 * Makes this server a host of the cluster: keys of its own, and what a gateway tells who has the token. `host.toml` is
 * written last; until it is there the same call goes on where it ended, with the same keys.
 *
 * @throws HostError host.running: it is a host already; host.join_refused, host.gateway_away
 */
export async function joinCluster(options: JoinOptions): Promise<Joined> {
  const { url, name, address, folder, signal } = options
  const { region: place = {}, ...settings } = options.settings ?? {}
  const configFile = join(folder, 'host.toml')
  if (existsSync(configFile)) {
    throw new HostError('host.running', {
      what: 'this server is a host already',
      values: { file: configFile },
      fix: 'look at it with: godwit host status; or give another --folder',
    })
  }
  const { ca: fingerprint, ...token } = parseJoinToken(options.token)
  const ca = await askCa(url, fingerprint, signal)
  const secrets = join(folder, 'secrets')
  mkdirSync(secrets, { recursive: true, mode: 0o700 })
  const own = await ownKeys(secrets)
  const answer = await askToJoin(
    url,
    ca,
    {
      ...{ token, host: name, nkey: own.nkey },
      ...(address === undefined ? {} : { address }),
      ...{ server_request: own.serverRequest, client_request: own.clientRequest },
    },
    signal,
  )
  if (!Value.Check(answerSchema, answer)) {
    throw new HostError('host.answer_bad', {
      what: 'the gateway answered what this version does not understand',
      fix: 'use the same version of godwit on both',
    })
  }
  const told = answer
  for (const [file, text] of Object.entries(told.secrets)) writeSecret(join(secrets, file), text)
  const { app_domain: appDomain } = told
  const edge = { ...(appDomain === undefined ? {} : { app_domain: appDomain }), ...settings.edge }
  writeSecret(
    configFile,
    stringify({
      host: told.host,
      folder,
      ...settings,
      edge,
      region: { ...told.region, ...place },
      members: told.members,
    }),
  )
  const roles = told.members.find(({ host }) => host === told.host)?.roles ?? []
  return { host: told.host, region: told.region.code, roles, configFile }
}

/** Keys that never leave this server. That by which the gateway knows it is the same in each attempt. */
async function ownKeys(folder: string) {
  const seed = keep(join(folder, 'nats.seed'), () =>
    new TextDecoder().decode(nkeys.createUser().getSeed()),
  )
  const server = await generateCertificateRequest()
  const client = await generateCertificateRequest()
  writeSecret(join(folder, 'server.key'), server.privateKeyPem)
  writeSecret(join(folder, 'client.key'), client.privateKeyPem)
  return {
    nkey: nkeys.fromSeed(new TextEncoder().encode(seed.trim())).getPublicKey(),
    serverRequest: server.requestPem,
    clientRequest: client.requestPem,
  }
}

function keep(file: string, make: () => string): string {
  if (!existsSync(file)) writeSecret(file, make())
  return readFileSync(file, 'utf8')
}

/** Whole or not at all, and for its owner alone. */
function writeSecret(file: string, text: string): void {
  writeFileSync(`${file}.new`, text, { mode: 0o600 })
  renameSync(`${file}.new`, file)
}
