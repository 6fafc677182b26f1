import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import test from 'node:test'
import { nkeys } from '@nats-io/transport-node'
import { type Clock, createLog, systemClock } from '#base'
import {
  authoritiesIn,
  type CertificateAuthority,
  generateClientCertificate,
  generateClusterCa,
  generateJoiningCa,
  generateServerCertificate,
  rootOf,
  type SignedRenewal,
  signRenewal,
  type TrustRow,
} from '#trust'
import { FlapsWorld } from '../fixture/flaps-world.ts'
import { buildServer } from '../server.ts'
import type { ClusterMember } from './cluster-member.ts'
import type { JoinAuthority } from './join-authority.ts'
import { RenewalAuthority } from './renewal-authority.ts'

const log = createLog({ part: 'flaps', level: 'silent', format: 'json' })
const DAY_MS = 86_400_000
const former = await generateClusterCa()
const next = await generateClusterCa()
const printOf = (ca: CertificateAuthority) => authoritiesIn(ca.certificatePem)[0]?.fingerprint ?? ''

/** A host as it was founded, and its keys. */
async function newHost(host: string, address: string, names: string[] = []) {
  const pair = nkeys.createUser()
  const seed = new TextDecoder().decode(pair.getSeed())
  const server = await generateServerCertificate(former, { names: [address, ...names] })
  const client = await generateClientCertificate(former)
  const member: ClusterMember = {
    ...{ host, region: 'ams', address, roles: ['worker'], nkey: pair.getPublicKey() },
  }
  const ask = (
    atMs: number,
    changes: { host?: string; server?: string; client?: string; seed?: string } = {},
  ) =>
    signRenewal(
      {
        host: changes.host ?? host,
        at_ms: atMs,
        server: changes.server ?? server.certificatePem,
        client: changes.client ?? client.certificatePem,
      },
      { seed: changes.seed ?? seed, serverKeyPem: server.privateKeyPem },
    )
  return { host, member, server, client, seed, ask }
}

const api = await newHost('ams-1', '192.0.2.1', ['api.example'])
const worker = await newHost('nrt-1', '192.0.2.2')
const row = (host: string, trusts: string[]): TrustRow => ({
  ...{ host, trusts, signedBy: printOf(former), endsAtMs: 0, signsUntilMs: undefined, shares: '' },
})

async function open() {
  const state = {
    caPem: former.certificatePem,
    joining: await generateJoiningCa(former),
    root: printOf(former),
    members: [api.member, worker.member],
    trust: [row('ams-1', [printOf(former)]), row('nrt-1', [printOf(former)])],
    nowMs: Date.now(),
  }
  const clock: Clock = { ...systemClock, nowMs: () => state.nowMs }
  const renewal = new RenewalAuthority({
    files: () => ({
      ...{ caPem: state.caPem, joining: state.joining, root: state.root },
      shared: { 'cluster.key': 'k' },
    }),
    ...{ members: () => state.members, trust: () => state.trust, clock, log },
  })
  const world = await FlapsWorld.open()
  const join = { renewal, authority: {} as JoinAuthority }
  const fastify = buildServer({ services: world.newServices(), endpoints: [], log, join })
  return {
    state,
    async renew(signed: SignedRenewal) {
      const url = '/v1/cluster/renew'
      const reply = await fastify.inject({ method: 'POST', url, payload: JSON.stringify(signed) })
      return { status: reply.statusCode, body: reply.json() }
    },
    async announce() {
      state.caPem = `${former.certificatePem}${next.certificatePem}`
      state.joining = await generateJoiningCa(next)
      state.root = printOf(next)
    },
    async [Symbol.asyncDispose]() {
      await fastify.close()
      await world[Symbol.asyncDispose]()
    },
  }
}

test('a host is told what all share, and signed for anew when two thirds of the time are over', async () => {
  await using at = await open()
  const early = await at.renew(worker.ask(at.state.nowMs))
  assert.equal(early.status, 200, JSON.stringify(early.body))
  assert.deepEqual(early.body, {
    secrets: { 'cluster.key': 'k', 'ca.pem': former.certificatePem },
    waiting_for: [],
  })
  at.state.nowMs += 250 * DAY_MS
  at.state.joining = await generateJoiningCa(former, {
    clock: { ...systemClock, nowMs: () => at.state.nowMs },
  })
  const due = await at.renew(api.ask(at.state.nowMs))
  const { 'server.pem': server, 'client.pem': client } = due.body.secrets
  const certificate = new X509Certificate(server)
  assert.equal(certificate.subjectAltName, 'IP Address:192.0.2.1, DNS:api.example')
  assert.deepEqual(certificate.publicKey, new X509Certificate(api.server.certificatePem).publicKey)
  const days = (certificate.validToDate.getTime() - at.state.nowMs) / DAY_MS
  assert(days > 89 && days < 91, `${days} days`)
  for (const pem of [server, client]) {
    assert.equal(rootOf(pem, former.certificatePem, at.state.nowMs), printOf(former))
  }
})

test('by another authority it signs when all hosts know that one, and for nobody before', async () => {
  await using at = await open()
  await at.announce()
  const waiting = await at.renew(api.ask(at.state.nowMs))
  assert.deepEqual(waiting.body.waiting_for, ['ams-1', 'nrt-1'])
  assert.deepEqual(Object.keys(waiting.body.secrets).sort(), ['ca.pem', 'cluster.key'])
  const both = [printOf(former), printOf(next)]
  at.state.trust = [row('ams-1', both), row('removed', [])]
  assert.deepEqual((await at.renew(api.ask(at.state.nowMs))).body.waiting_for, ['nrt-1'])
  at.state.trust = [row('ams-1', both), row('nrt-1', both)]
  const { body } = await at.renew(worker.ask(at.state.nowMs))
  assert.deepEqual(body.waiting_for, [])
  assert.equal(rootOf(body.secrets['server.pem'], next.certificatePem, Date.now()), printOf(next))
  const { 'server.pem': server, 'client.pem': client } = body.secrets
  const half = await at.renew(worker.ask(at.state.nowMs, { server }))
  assert.notEqual(half.body.secrets['client.pem'], undefined, 'it died before it wrote this one')
  const again = await at.renew(worker.ask(at.state.nowMs, { server, client }))
  assert.deepEqual(Object.keys(again.body.secrets).sort(), ['ca.pem', 'cluster.key'])
})

test('who lacks one of the keys, is no member, or shows what has ended is told nothing', async () => {
  await using at = await open()
  const { nowMs } = at.state
  const stranger = await newHost('ams-1', '192.0.2.9')
  const good = worker.ask(nowMs)
  const cases: [number, SignedRenewal, string][] = [
    [401, worker.ask(nowMs, { host: 'ams-1' }), 'another host'],
    [401, worker.ask(nowMs, { seed: stranger.seed }), 'an nkey that is not its own'],
    [401, worker.ask(nowMs, { server: api.server.certificatePem }), 'the certificate of another'],
    [401, worker.ask(nowMs, { host: 'ams-9' }), 'no member'],
    [401, worker.ask(nowMs - 6 * 60_000), 'too old'],
    [401, { ...good, text: good.text.replace('nrt-1', 'nrt-2') }, 'another text'],
    [401, { ...good, by_server: 'AAAA' }, 'no signature'],
    [400, { text: good.text } as SignedRenewal, 'half of it'],
  ]
  for (const [status, signed, what] of cases) {
    const answer = await at.renew(signed)
    assert.equal(answer.status, status, `${what}: ${JSON.stringify(answer.body)}`)
    assert.equal(answer.body.secrets, undefined, what)
  }
  at.state.members = [api.member, { ...worker.member, nkey: stranger.member.nkey }]
  assert.equal((await at.renew(good)).status, 401, 'another server has its name')
  at.state.members = [api.member, { ...worker.member, address: '192.0.2.7' }]
  assert.equal((await at.renew(good)).status, 403, 'its certificate is of another address')
  at.state.members = [api.member, worker.member]
  at.state.nowMs += 366 * DAY_MS
  assert.equal((await at.renew(worker.ask(at.state.nowMs))).status, 403, 'it has ended')
})
