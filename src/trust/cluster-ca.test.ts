import assert from 'node:assert/strict'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { systemClock } from '#base'
import { rootOf } from './ca-bundle.ts'
import { isDue } from './certificate-times.ts'
import { generateClusterCa, generateJoiningCa, mayMakeAuthorities } from './cluster-ca.ts'
import { TrustError } from './errors.ts'
import {
  generateCertificateRequest,
  generateClientCertificate,
  generateServerCertificate,
  namesIn,
  renewCertificate,
  signCertificateRequest,
} from './host-certificate.ts'

const DAY_MS = 86_400_000
const daysOf = (certificate: X509Certificate) =>
  Math.round((certificate.validToDate.getTime() - Date.now()) / DAY_MS)

test('a cluster CA lives five years, and has a key of P-384', async () => {
  const ca = await generateClusterCa()
  const certificate = new X509Certificate(ca.certificatePem)
  assert.equal(certificate.ca, true)
  assert.equal(daysOf(certificate), 5 * 365)
  assert(certificate.verify(certificate.publicKey))
  const key = createPrivateKey(ca.privateKeyPem)
  assert.equal(key.asymmetricKeyDetails?.namedCurve, 'secp384r1')
  assert(certificate.checkPrivateKey(key))
})

test('a server certificate is of its CA, for its addresses and names, for one year', async () => {
  const ca = await generateClusterCa()
  const names = ['127.0.0.1', '2001:db8::1', 'ams-1.example']
  const server = await generateServerCertificate(ca, { names })
  const certificate = new X509Certificate(server.certificatePem)
  assert(certificate.checkIssued(new X509Certificate(ca.certificatePem)))
  assert(certificate.verify(new X509Certificate(ca.certificatePem).publicKey))
  assert(certificate.checkPrivateKey(createPrivateKey(server.privateKeyPem)))
  assert.equal(certificate.checkIP('127.0.0.1'), '127.0.0.1')
  assert.equal(certificate.checkIP('2001:db8::1'), '2001:db8::1')
  assert.equal(certificate.checkHost('ams-1.example'), 'ams-1.example')
  assert.equal(certificate.checkIP('127.0.0.2'), undefined)
  assert.equal(daysOf(certificate), 365)
  assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1'])
  assert.equal(certificate.ca, false)
})

test('a client certificate may be used by clients alone', async () => {
  const client = await generateClientCertificate(await generateClusterCa())
  assert.deepEqual(new X509Certificate(client.certificatePem).keyUsage, ['1.3.6.1.5.5.7.3.2'])
})

test('names that no certificate can hold, and an authority that is none, are refused', async () => {
  const ca = await generateClusterCa()
  const isBad = (error: unknown) =>
    error instanceof TrustError && error.code === 'trust.certificate_bad'
  for (const name of ['', '127.0.0.1:8787', 'a b', '-a', 'a..b', 'x'.repeat(254)]) {
    await assert.rejects(generateServerCertificate(ca, { names: [name] }), isBad, name)
  }
  await assert.rejects(async () => generateServerCertificate(ca, { names: [] }), isBad)
  await assert.rejects(generateClientCertificate({ ...ca, privateKeyPem: 'nothing' }), isBad)
})

test('a joining authority signs what a request has the key of, for the names that it says, and makes no other', async () => {
  const ca = await generateClusterCa()
  const joining = await generateJoiningCa(ca)
  const [root, authority] = [ca, joining].map((one) => new X509Certificate(one.certificatePem))
  assert(root !== undefined && authority !== undefined)
  assert(authority.verify(root.publicKey) && authority.ca)
  assert(mayMakeAuthorities(ca.certificatePem) && !mayMakeAuthorities(joining.certificatePem))
  const { requestPem, privateKeyPem } = await generateCertificateRequest()
  const signed = await signCertificateRequest(joining, requestPem, { names: ['192.0.2.7'] })
  const certificate = new X509Certificate(signed)
  assert(certificate.verify(authority.publicKey))
  assert(certificate.checkPrivateKey(createPrivateKey(privateKeyPem)))
  assert.equal(certificate.checkIP('192.0.2.7'), '192.0.2.7')
  assert.equal(certificate.subjectAltName, 'IP Address:192.0.2.7')
  assert(signed.endsWith(joining.certificatePem), 'whoever checks it needs both')
  await assert.rejects(generateJoiningCa(joining), { code: 'trust.certificate_bad' })
  const broken = requestPem.replace(/[A-Za-z0-9](?=[^\n]*\n-----END)/, (c) =>
    c === 'A' ? 'B' : 'A',
  )
  for (const bad of ['', 'nothing', ca.certificatePem, broken]) {
    await assert.rejects(signCertificateRequest(joining, bad), {
      code: 'trust.certificate_bad',
    })
  }
})

test('nothing outlasts the certificate of who signed it, and one that has ended signs nothing', async () => {
  const startMs = Date.now()
  const at = (days: number) => ({ ...systemClock, nowMs: () => startMs + days * DAY_MS })
  const endOf = (pem: string) => new X509Certificate(pem).validToDate.getTime()
  const ca = await generateClusterCa()
  const joining = await generateJoiningCa(ca, { clock: at(4 * 365 + 100) })
  assert.equal(endOf(joining.certificatePem), endOf(ca.certificatePem))
  const early = await generateJoiningCa(ca)
  const clock = at(100)
  const { requestPem } = await generateCertificateRequest()
  const signed = [
    await signCertificateRequest(early, requestPem, { clock: at(300) }),
    (await generateServerCertificate(early, { names: ['192.0.2.7'], clock })).certificatePem,
    (await generateClientCertificate(early, { clock })).certificatePem,
  ]
  for (const pem of signed) assert.equal(endOf(pem), endOf(early.certificatePem))
  const late = { clock: at(366) }
  const isBad = { code: 'trust.certificate_bad' }
  await assert.rejects(signCertificateRequest(early, requestPem, late), isBad)
  await assert.rejects(generateClientCertificate(early, late), isBad)
  await assert.rejects(generateJoiningCa(ca, { clock: at(5 * 365 + 1) }), isBad)
})

test('a certificate is made anew of the same key, for the same names and purpose', async () => {
  const [ca, next] = [await generateClusterCa(), await generateClusterCa()]
  const joining = await generateJoiningCa(next)
  const names = ['192.0.2.7', '2001:db8::7', 'api.example']
  const server = await generateServerCertificate(ca, { names })
  const client = await generateClientCertificate(ca)
  assert.deepEqual(namesIn(server.certificatePem), names)
  for (const before of [server, client]) {
    const chain = await renewCertificate(joining, before.certificatePem)
    const [old, renewed] = [before.certificatePem, chain].map((pem) => new X509Certificate(pem))
    assert.equal(renewed?.checkPrivateKey(createPrivateKey(before.privateKeyPem)), true)
    assert.deepEqual(renewed?.keyUsage, old?.keyUsage)
    assert.deepEqual(namesIn(chain), namesIn(before.certificatePem))
    assert.notEqual(rootOf(chain, next.certificatePem, Date.now()), undefined)
    const days = ((renewed?.validToDate.getTime() ?? 0) - Date.now()) / DAY_MS
    assert(days > 89 && days < 91)
  }
  const direct = await renewCertificate(next, server.certificatePem, { names: ['192.0.2.8'] })
  assert.deepEqual(namesIn(direct), ['192.0.2.8'])
  assert.equal(direct.match(/BEGIN CERTIFICATE/g)?.length, 1, 'the authority itself is not shown')
  await assert.rejects(renewCertificate(next, 'nothing'), { code: 'trust.certificate_bad' })
})

test('another is wanted in the last third of its time, if the next lasts longer', async () => {
  const startMs = Date.now()
  const at = (days: number) => ({ ...systemClock, nowMs: () => startMs + days * DAY_MS })
  const ca = await generateClusterCa()
  const { certificatePem } = await generateClientCertificate(ca)
  const due = (days: number, signer = ca.certificatePem) =>
    isDue(certificatePem, signer, at(days).nowMs())
  assert.deepEqual(
    [1, 242, 245, 400].map((days) => due(days)),
    [false, false, true, true],
  )
  const joining = await generateJoiningCa(ca)
  assert.equal(due(300, joining.certificatePem), false, 'it would end with this one')
})
