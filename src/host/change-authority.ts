/** How an operator gives a cluster another CA, step by step, in the folder that `godwit host found` made. */
import { existsSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '#base'
import {
  authoritiesIn,
  type CertificateAuthority,
  generateClusterCa,
  generateJoiningCa,
  LEAF_DAYS,
  mayMakeAuthorities,
  renewCertificate,
} from '#trust'
import { hostsIn, readClusterFile, secretsOf, signerIn, writeSecret } from './cluster-folder.ts'
import { HostError } from './errors.ts'

/**
 * `announce`: hosts are to trust the next one as well. `switch`: it signs from now on. `retire`: hosts are to trust the former
 * one no longer.
 */
export type AuthorityStep = 'announce' | 'switch' | 'retire'

/** How far it is: nothing is under way, the next is known, or it signs while the former is still trusted. */
export type AuthorityState = 'settled' | 'announced' | 'switched'

export interface FolderAuthorities {
  readonly state: AuthorityState
  /** All that hosts are to trust, fingerprints. */
  readonly trusted: readonly string[]
  /** The one of them that signs. */
  readonly signs: string
  /** Unix milliseconds. */
  readonly endsAtMs: number
}

/** How the cluster's authority stands in its folder. @throws HostError host.cluster_bad; TrustError trust.certificate_bad */
export function folderAuthorities(folder: string): FolderAuthorities {
  const at = placesIn(folder)
  const trusted = readClusterFile(at.ca)
  const signer = signerIn(trusted, readClusterFile(at.key))
  const [signs] = authoritiesIn(signer.certificatePem)
  return {
    state: stateOf(folder),
    trusted: authoritiesIn(trusted).map(({ fingerprint }) => fingerprint),
    signs: signs?.fingerprint ?? '',
    endsAtMs: signs?.notAfterMs ?? 0,
  }
}

/**
 * Takes a step, in the folder alone: what is to be copied to gateways stands in their folders then. A step that was taken, or
 * that ended half way, is taken again and comes to the same.
 *
 * @returns the gateways, and files of their secrets that are to be copied to them
 * @throws HostError host.ca_step_bad: another step is to come before; host.cluster_bad
 */
export async function changeAuthority(folder: string, step: AuthorityStep): Promise<ToCopy> {
  const state = stateOf(folder)
  if (!FROM[step].includes(state)) throw stepBad(step, state)
  if (step === 'announce') await announce(folder)
  else if (step === 'switch') await switchOver(folder)
  else retire(folder)
  return { files: FILES[step], gateways: hostsIn(folder).filter((host) => isGateway(folder, host)) }
}

export interface ToCopy {
  readonly gateways: readonly string[]
  readonly files: readonly string[]
}

const isGateway = (folder: string, host: string): boolean =>
  existsSync(join(folder, host, 'secrets', 'gateway.seed'))

const FROM: Readonly<Record<AuthorityStep, readonly AuthorityState[]>> = {
  announce: ['settled', 'announced'],
  switch: ['announced', 'switched'],
  retire: ['switched', 'settled'],
}

const FILES: Readonly<Record<AuthorityStep, string[]>> = {
  announce: ['ca.pem'],
  switch: ['joining.pem', 'joining.key'],
  retire: ['ca.pem'],
}

const placesIn = (folder: string) => ({
  ca: join(folder, 'ca.pem'),
  key: join(folder, 'ca.key'),
  nextCa: join(folder, 'next-ca.pem'),
  nextKey: join(folder, 'next-ca.key'),
  formerKey: join(folder, 'former-ca.key'),
})

function stateOf(folder: string): AuthorityState {
  const at = placesIn(folder)
  if (existsSync(at.nextKey)) return 'announced'
  return existsSync(at.formerKey) ? 'switched' : 'settled'
}

async function announce(folder: string): Promise<void> {
  const at = placesIn(folder)
  if (!existsSync(at.nextKey)) {
    const { certificatePem, privateKeyPem } = await generateClusterCa()
    writeSecret(at.nextCa, certificatePem)
    writeSecret(at.nextKey, privateKeyPem)
  }
  const present = signerIn(readClusterFile(at.ca), readClusterFile(at.key))
  trust(folder, `${present.certificatePem}${readClusterFile(at.nextCa)}`)
}

async function switchOver(folder: string): Promise<void> {
  const at = placesIn(folder)
  // The former key goes first: until the next one has its name, the step is still to be taken.
  if (existsSync(at.nextKey)) {
    if (existsSync(at.key)) renameSync(at.key, at.formerKey)
    renameSync(at.nextKey, at.key)
  }
  rmSync(at.nextCa, { force: true })
  const signer = signerIn(readClusterFile(at.ca), readClusterFile(at.key))
  for (const host of hostsIn(folder)) await signFor(folder, host, signer)
}

/** What stands in the folder is what a host that is lost comes back with. */
async function signFor(folder: string, host: string, signer: CertificateAuthority): Promise<void> {
  const secrets = secretsOf(folder, host)
  const write = (name: string, text: string) =>
    writeSecret(join(folder, host, 'secrets', name), text)
  for (const name of ['server.pem', 'client.pem']) {
    const present = secrets[name]
    if (present === undefined) continue
    write(name, await renewCertificate(signer, present, { days: LEAF_DAYS, clock: systemClock }))
  }
  if (!isGateway(folder, host) || !mayMakeAuthorities(signer.certificatePem)) return
  const joining = await generateJoiningCa(signer)
  write('joining.pem', joining.certificatePem)
  write('joining.key', joining.privateKeyPem)
}

function retire(folder: string): void {
  const at = placesIn(folder)
  const signer = signerIn(readClusterFile(at.ca), readClusterFile(at.key))
  trust(folder, signer.certificatePem)
  rmSync(at.formerKey, { force: true })
}

function trust(folder: string, trusted: string): void {
  for (const host of hostsIn(folder)) writeSecret(join(folder, host, 'secrets', 'ca.pem'), trusted)
  writeSecret(join(folder, 'ca.pem'), trusted)
}

const NEXT: Readonly<Record<AuthorityState, string>> = {
  settled: 'begin with: godwit host ca announce',
  announced: 'the next step is: godwit host ca switch',
  switched: 'the next step is: godwit host ca retire',
}

const stepBad = (step: AuthorityStep, state: AuthorityState) =>
  new HostError('host.ca_step_bad', {
    what: `this cluster's CA is not where \`${step}\` begins`,
    values: { state },
    fix: NEXT[state],
  })
