/** A cluster as an operator keeps it: a plan, and a folder with what each host is given. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { Type } from 'typebox'
import { loadConfig } from '#base'
import { authoritiesIn, type CertificateAuthority } from '#trust'
import { HostError } from './errors.ts'
import {
  type FoundedHost,
  foundCluster,
  type PlannedHost,
  type StandingCluster,
} from './found-cluster.ts'
import { hostSchema, memberSchema } from './host-config.ts'

const closed = { additionalProperties: false }
const { host, address, roles } = memberSchema.properties

const planSchema = Type.Object(
  {
    hosts: Type.Array(
      Type.Object(
        {
          ...{ host, address, roles },
          region: hostSchema.properties.region,
          /** Other names and addresses of its API, for its certificate. */
          names: Type.Array(Type.String(), { default: [] }),
          /** What else its file is to say. */
          settings: Type.Optional(
            Type.Partial(
              Type.Pick(hostSchema, ['folder', 'run_folder', 'worker', 'gateway', 'edge', 'nats']),
              closed,
            ),
          ),
        },
        closed,
      ),
      { minItems: 1 },
    ),
  },
  closed,
)

export interface FoundedCluster {
  readonly hosts: readonly string[]
  /** That were not there before. */
  readonly added: readonly string[]
}

/**
 * Makes the files of a cluster's hosts in a folder, a folder for each host, and the cluster's CA beside them. Hosts that
 * were made there before keep their secrets, and learn of the others.
 *
 * @throws BaseError base.config_unreadable, base.config_bad; HostError host.config_bad, host.cluster_bad
 */
export async function foundInFolder(planFile: string, folder: string): Promise<FoundedCluster> {
  const { hosts } = loadConfig({ schema: planSchema, file: planFile })
  checkPlan(hosts)
  return await foundHosts(hosts, folder)
}

/** The same of a plan that is no file. @throws HostError host.cluster_bad */
export async function foundHosts(
  hosts: readonly PlannedHost[],
  folder: string,
): Promise<FoundedCluster> {
  const standing = readStanding(folder)
  const { ca, hosts: founded } = await foundCluster({ hosts, standing })
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  if (standing === undefined) {
    writeSecret(join(folder, 'ca.pem'), ca.certificatePem)
    writeSecret(join(folder, 'ca.key'), ca.privateKeyPem)
  }
  for (const one of founded) writeHost(join(folder, one.host), one)
  const names = founded.map((one) => one.host)
  return { hosts: names, added: names.filter((name) => standing?.secrets.has(name) !== true) }
}

function checkPlan(hosts: readonly { host: string; address: string; roles: string[] }[]): void {
  const twice = (values: readonly string[]) => values.filter((one, at) => values.indexOf(one) < at)
  const problems = [
    ...twice(hosts.map((one) => one.host)).map((name) => `two hosts are named ${name}`),
    ...twice(hosts.map((one) => one.address)).map((ip) => `two hosts have the address ${ip}`),
    ...(hosts.filter((one) => one.roles.includes('nats')).length === 1
      ? []
      : ['one host must have the role nats, and no more']),
    ...(hosts.some((one) => one.roles.includes('gateway')) ? [] : ['no host is a gateway']),
  ]
  if (problems.length === 0) return
  throw new HostError('host.config_bad', {
    what: problems.join('; '),
    fix: 'mend the plan of the cluster',
  })
}

function readStanding(folder: string): StandingCluster | undefined {
  if (!existsSync(join(folder, 'ca.key'))) return undefined
  const trusted = readClusterFile(join(folder, 'ca.pem'))
  const ca = signerIn(trusted, readClusterFile(join(folder, 'ca.key')))
  return {
    ca,
    trusted,
    secrets: new Map(hostsIn(folder).map((host) => [host, secretsOf(folder, host)])),
  }
}

/** The one of a bundle whose key it is. @throws HostError host.cluster_bad */
export function signerIn(trusted: string, privateKeyPem: string): CertificateAuthority {
  const key = createPrivateKey(privateKeyPem)
  const found = authoritiesIn(trusted).find(({ certificatePem }) =>
    new X509Certificate(certificatePem).checkPrivateKey(key),
  )
  if (found !== undefined) return { certificatePem: found.certificatePem, privateKeyPem }
  throw new HostError('host.cluster_bad', {
    what: 'ca.key is the key of no authority in ca.pem',
    fix: 'bring the folder of the cluster back from a backup',
  })
}

/** Hosts that have a folder in that of the cluster. */
export const hostsIn = (folder: string): string[] =>
  readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)

export const secretsOf = (folder: string, host: string): Record<string, string> =>
  readSecrets(join(folder, host, 'secrets'))

const readSecrets = (folder: string): Record<string, string> =>
  Object.fromEntries(readdirSync(folder).map((name) => [name, readClusterFile(join(folder, name))]))

/** @throws HostError host.cluster_bad */
export function readClusterFile(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new HostError('host.cluster_bad', {
      what: 'the folder of the cluster lacks a file, or it cannot be read',
      values: { file },
      fix: 'bring the folder back from a backup; a new folder would be another cluster',
      cause,
    })
  }
}

function writeHost(folder: string, { config, secrets }: FoundedHost): void {
  mkdirSync(join(folder, 'secrets'), { recursive: true, mode: 0o700 })
  writeSecret(join(folder, 'host.toml'), config)
  for (const [name, text] of Object.entries(secrets)) {
    writeSecret(join(folder, 'secrets', name), text)
  }
}

/** Whole or not at all, and for its owner alone. */
export function writeSecret(file: string, text: string): void {
  writeFileSync(`${file}.new`, text, { mode: 0o600 })
  renameSync(`${file}.new`, file)
}
