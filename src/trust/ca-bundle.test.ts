import assert from 'node:assert/strict'
import { createHash, webcrypto, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import 'reflect-metadata' // which the next one needs to be there first
import * as x509 from '@peculiar/x509'
import { systemClock } from '#base'
import { authoritiesIn, rootOf } from './ca-bundle.ts'
import { generateClusterCa, generateJoiningCa } from './cluster-ca.ts'
import { generateClientCertificate, generateServerCertificate } from './host-certificate.ts'
import type { CertificateAuthority } from './issuing.ts'

const DAY_MS = 86_400_000
const now = Date.now()
const [older, newer, stranger] = [
  await generateClusterCa(),
  await generateClusterCa(),
  await generateClusterCa(),
]
const bundle = older.certificatePem + newer.certificatePem
const joining = await generateJoiningCa(newer)
const isBad = { code: 'trust.certificate_bad' }

const fingerprint = (pem: string) =>
  createHash('sha256').update(new X509Certificate(pem).raw).digest('hex')

const clockAt = (nowMs: number) => ({ ...systemClock, nowMs: () => nowMs })

test('the authorities of a bundle are all there, in its order, whatever stands between them', () => {
  const text = `# old\n${older.certificatePem}\n# new\r\n${newer.certificatePem.replaceAll('\n', '\r\n')}`
  assert.deepEqual(
    authoritiesIn(text),
    [older, newer].map(({ certificatePem }) => ({
      certificatePem,
      fingerprint: fingerprint(certificatePem),
      notAfterMs: new X509Certificate(certificatePem).validToDate.getTime(),
    })),
  )
})

test('a bundle that holds none, or one that cannot be read, is refused', () => {
  const { certificatePem, privateKeyPem } = older
  const broken = certificatePem.replace(/\n.{20}/, '\nAAAAAAAAAAAAAAAAAAAA')
  const cut = certificatePem.slice(0, -40)
  for (const bad of [
    '',
    'nothing',
    privateKeyPem,
    broken,
    cut,
    certificatePem + cut,
    bundle + broken,
  ]) {
    assert.throws(() => authoritiesIn(bad), isBad, bad)
    assert.throws(() => rootOf(certificatePem, bad, now), isBad)
    assert.throws(() => rootOf(bad, certificatePem, now), isBad)
  }
})

test('a chain holds under the one of two authorities of one name that signed it', async () => {
  const byOld = await generateServerCertificate(older, { names: ['127.0.0.1'] })
  const byNew = await generateClientCertificate(newer)
  assert.equal(rootOf(byOld.certificatePem, bundle, now), fingerprint(older.certificatePem))
  assert.equal(rootOf(byNew.certificatePem, bundle, now), fingerprint(newer.certificatePem))
  assert.equal(rootOf(byOld.certificatePem, newer.certificatePem, now), undefined)
  assert.equal(rootOf(byNew.certificatePem, stranger.certificatePem, now), undefined)
  assert.equal(
    rootOf(newer.certificatePem, bundle, now),
    fingerprint(newer.certificatePem),
    'an authority of the bundle, under itself',
  )
})

test('a chain through a joining authority holds only with it, and in any order', async () => {
  const { certificatePem: leaf } = await generateClientCertificate(joining)
  const root = fingerprint(newer.certificatePem)
  assert.equal(rootOf(leaf + joining.certificatePem, bundle, now), root)
  assert.equal(rootOf(leaf + older.certificatePem + joining.certificatePem, bundle, now), root)
  assert.equal(rootOf(leaf, bundle, now), undefined)
  assert.equal(rootOf(leaf + joining.certificatePem, older.certificatePem, now), undefined)
})

test('what may not sign for others does not, whatever it signed', async () => {
  const leaf = await generateClientCertificate(older)
  const under = await generateClientCertificate(leaf)
  assert.equal(rootOf(under.certificatePem + leaf.certificatePem, bundle, now), undefined)
  assert.equal(rootOf(under.certificatePem, leaf.certificatePem, now), undefined)
  const greedy = await authorityUnder(joining)
  const deep = await generateClientCertificate(greedy)
  const chain = deep.certificatePem + greedy.certificatePem
  assert.equal(rootOf(chain + joining.certificatePem, bundle, now), undefined)
  assert.equal(rootOf(chain, joining.certificatePem, now), undefined)
  const forged = await generateClientCertificate({
    ...newer,
    privateKeyPem: joining.privateKeyPem,
  })
  assert.equal(rootOf(forged.certificatePem, bundle, now), undefined)
})

/** As nothing of ours makes it, where the one that signs may sign for hosts alone. */
async function authorityUnder(signer: CertificateAuthority): Promise<CertificateAuthority> {
  const free = await generateClusterCa()
  const algorithm = { name: 'ECDSA', namedCurve: 'P-384' }
  const certificate = await x509.X509CertificateGenerator.create({
    subject: 'CN=greedy',
    notBefore: new Date(now - DAY_MS),
    notAfter: new Date(now + DAY_MS),
    issuer: new x509.X509Certificate(signer.certificatePem).subject,
    publicKey: new x509.X509Certificate(free.certificatePem).publicKey,
    signingKey: await webcrypto.subtle.importKey(
      'pkcs8',
      x509.PemConverter.decodeFirst(signer.privateKeyPem),
      algorithm,
      false,
      ['sign'],
    ),
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-384' },
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
  })
  return { ...free, certificatePem: `${certificate.toString('pem')}\n` }
}

test('a chain holds while all of it is in date', async () => {
  const early = await generateClusterCa({ clock: clockAt(now - 300 * DAY_MS) })
  const between = await generateJoiningCa(early, { clock: clockAt(now - 200 * DAY_MS) })
  const leaf = await generateClientCertificate(between, { clock: clockAt(now - 100 * DAY_MS) })
  const chain = leaf.certificatePem + between.certificatePem
  const holds = (day: number) =>
    rootOf(chain, early.certificatePem, now + day * DAY_MS) !== undefined
  assert.deepEqual(
    [-310, -210, -110, -99, 0, 164, 166].map(holds),
    [false, false, false, true, true, true, false],
    'as long as the authority between them, which ends first',
  )
})
