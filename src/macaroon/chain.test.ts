import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import { type Random, systemRandom } from '#base'
import { fc } from '#property'
import { parseBundle, permissionTokens } from './bundle.ts'
import type { Caveat } from './caveat.ts'
import { attenuate, mint, startChain } from './chain.ts'
import { MacaroonError } from './errors.ts'
import { hmacCaveat, hmacSha256 } from './hmac.ts'
import { TOKEN_BYTES_MAX } from './limits.ts'
import { decodeMacaroon, encodeMacaroon, type Macaroon, printMacaroon } from './macaroon.ts'
import { tokenUuid } from './nonce.ts'
import { addThirdParty, bindingId, mintDischarge } from './third-party.ts'
import { openTicket } from './ticket.ts'
import { verifyMacaroon } from './verify.ts'

const LOCATION = 'https://api.fly.io/v1'
const key = Buffer.alloc(32, 0x11)
const kid = Buffer.from('000000000000002a', 'hex')
const sharedKey = Buffer.alloc(32, 0x66)

/** Gives runs of one byte, in order: what the published vector was made with. */
function scripted(...fills: number[]): Random {
  return { ...systemRandom, bytes: (length) => Buffer.alloc(length, fills.shift() ?? 0) }
}

const hexOf = (bytes: Uint8Array | null | undefined) => Buffer.from(bytes ?? []).toString('hex')

const code = (expected: string) => (error: unknown) =>
  error instanceof MacaroonError && error.code === expected

const organization: Caveat = { type: 'Organization', body: { id: 123, mask: 0x1f } }
const apps = {
  type: 'Apps',
  body: {
    apps: new Map([
      [1, 1],
      [2, 0x1f],
    ]),
  },
} as const
const readOnly: Caveat = { type: 'Action', body: 1 }

function mintExample(): Macaroon {
  const minted = mint({ key, kid, location: LOCATION, random: scripted(0x22) })
  return attenuate(minted, [organization, apps])
}

test('the worked example has the original chain, token and id', () => {
  const bare = mint({ key, kid, location: LOCATION, random: scripted(0x22) })
  assert.equal(
    hexOf(bare.nonce.packed),
    '93c408000000000000002ac41022222222222222222222222222222222c2',
  )
  const t0 = '510afb9fbd00fac6b8a314e576530b6c35966aaa122d092e20a911ff4c4b4bfa'
  assert.equal(hexOf(startChain(key, bare.nonce)), t0)
  const t1 = 'e90b29346a62736351537f41b243cb90ba1e3590e726e69d693e853ac0861425'
  assert.equal(hexOf(attenuate(bare, [organization]).tail), t1)
  assert.equal(
    printMacaroon(mintExample()),
    'fm2_lJPECAAAAAAAAAAqxBAiIiIiIiIiIiIiIiIiIiIiwrVodHRwczovL2FwaS5mbHkuaW8vdjGUAJJ7HwORggEBAh/EIDxY8wlBHt7365eIyhpepVQuLS6ykoFcS+KwzqMlNYqQ',
  )
  assert.equal(tokenUuid(bare.nonce), '03e85a60-6543-5d42-997f-40607fe6e717')
})

test('the worked third party has the original ticket, verifier key, discharge and binding', () => {
  const random = scripted(0x33, 0x44, 0x55)
  const token = addThirdParty(mintExample(), { location: 'https://auth.fly.io', sharedKey, random })
  const t3 = 'a0b5a741ca1dc3790223a4cf9ccce9c98ed621325c51f14b79940fa213e28257'
  assert.equal(hexOf(token.tail), t3)
  const party = token.caveats.at(-1)
  assert.ok(party?.type === '3P')
  assert.equal(
    hexOf(party.body.ticket),
    '44444444444444444444444410b58a08e4be8bf65e1f8a231cfd9f6f6608d21a2713a5ca4ec1eff00ccdd4e876f04b790ae60cf08029af7171be411e2672db8e',
  )
  assert.equal(
    hexOf(party.body.verifierKey),
    '5555555555555555555555551f106ffbab0efb36032328c1491a51e3b5e0cdd9ee590b6583a6a515dc03c3de1c7f1c69b01fcbd7f2b5729c0ebb3b39',
  )
  assert.equal(hexOf(bindingId(token)), '0b2bb3c4f0d487782cc839f175ba2e64')
  const sealedTicket = party.body.ticket ?? Buffer.alloc(0)
  const discharge = mintDischarge({
    location: 'https://auth.fly.io',
    sealedTicket,
    ticket: openTicket(sharedKey, sealedTicket),
    caveats: [{ type: 'FlyioUserID', body: 123 }],
    random: scripted(0x77),
  })
  const d0 = 'e1f458c5e22401196b3d1aa06679839914e1100d1dc7835eced089ce48c51a2d'
  assert.equal(hexOf(startChain(Buffer.alloc(32, 0x33), discharge.nonce)), d0)
  const finalTail = 'c942e5449895f4f2ad779a523336348ea9003f7cccbb298e07ed5b63880eef11'
  assert.equal(hexOf(discharge.tail), finalTail)
  assert.equal(verifyMacaroon(token, key, [discharge]).verified, true)
})

test('our HMAC is HMAC-SHA256 for any key and message', () => {
  const lengths = fc.uint8Array({ maxLength: 1200, size: 'max' })
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100, size: 'max' }), lengths, (anyKey, message) => {
      const plain = (...parts: Uint8Array[]) =>
        createHmac('sha256', anyKey).update(Buffer.concat(parts)).digest()
      assert.deepEqual(hmacSha256(anyKey, message), plain(message))
      assert.deepEqual(hmacCaveat(anyKey, message), plain(Buffer.of(0x92), message))
    }),
  )
})

test('attenuating leaves the original as it was and keeps the id', () => {
  const token = mintExample()
  const before = printMacaroon(token)
  const narrowed = attenuate(token, [readOnly])
  assert.equal(printMacaroon(token), before)
  assert.equal(tokenUuid(narrowed.nonce), tokenUuid(token.nonce))
  assert.equal(verifyMacaroon(narrowed, key).verified, true)
})

test('a caveat that is there already is not added again', () => {
  const once = attenuate(mintExample(), [readOnly])
  assert.equal(printMacaroon(attenuate(once, [readOnly])), printMacaroon(once))
})

test('a second third party of one location is refused, also inside a condition', () => {
  const options = { location: 'https://auth.fly.io', sharedKey }
  const token = addThirdParty(mintExample(), options)
  const party = token.caveats.at(-1) as Caveat
  assert.throws(() => addThirdParty(token, options), code('macaroon.third_party_repeated'))
  const condition: Caveat = { type: 'IfPresent', body: { ifs: [party], else: 0 } }
  assert.throws(() => attenuate(token, [condition]), code('macaroon.third_party_repeated'))
})

test('a finalised discharge takes no caveat, and a forged one breaks it', () => {
  const ticket = { dischargeKey: Buffer.alloc(32, 1), caveats: [] }
  const discharge = mintDischarge({ location: 'x', sealedTicket: Buffer.of(1), ticket })
  assert.throws(() => attenuate(discharge, [readOnly]), code('macaroon.finalized'))
  const forged = attenuate({ ...discharge, nonce: { ...discharge.nonce, isProof: false } }, [
    readOnly,
  ])
  const withProofNonce = { ...forged, nonce: discharge.nonce }
  assert.equal(verifyMacaroon(withProofNonce, ticket.dischargeKey).verified, false)
  assert.equal(verifyMacaroon(discharge, ticket.dischargeKey).verified, true)
})

test('attestations go into proofs only', () => {
  const attestation: Caveat = { type: 'FlyioUserID', body: 1 }
  assert.throws(
    () => attenuate(mintExample(), [attestation]),
    code('macaroon.attestation_misplaced'),
  )
})

test('a token that we would not accept is not made', () => {
  const huge: Caveat = { type: 'ConfineGoogleHD', body: 'x'.repeat(TOKEN_BYTES_MAX) }
  assert.throws(() => attenuate(mintExample(), [huge]), code('macaroon.over_limit'))
})

test('a token cut off anywhere says that it was cut off', () => {
  const bytes = encodeMacaroon(mintExample())
  for (let length = 0; length < bytes.length; length += 1) {
    assert.throws(() => decodeMacaroon(bytes.subarray(0, length)), code('macaroon.truncated'))
  }
})

test('nonces of one or four fields, odd caveat arrays and short tokens are malformed', () => {
  const tail = `c420${'00'.repeat(32)}`
  const nonce = `93c40101c410${'22'.repeat(16)}c2`
  const tokens = [
    `9491c40101a178 90${tail}`,
    `9494c40101c410${'22'.repeat(16)}c2c2a17890${tail}`,
    `94${nonce}a1789100${tail}`,
    `95${nonce}a17890${tail}c0`,
    `94c0a17890${tail}`,
    '90',
    'c0',
    `9493c40101c40122c2a17890${tail}`, // one random byte
  ]
  for (const token of tokens) {
    const bytes = Buffer.from(token.replaceAll(' ', ''), 'hex')
    assert.throws(() => decodeMacaroon(bytes), code('macaroon.malformed'), token)
  }
})

test('what is not signed is read leniently and written in one way', () => {
  const token = mintExample()
  const [nonce, tail] = [hexOf(token.nonce.packed), hexOf(token.tail)]
  const location = hexOf(Buffer.from(LOCATION))
  const caveats = `dd00000004${token.packed.map(hexOf).join('')}`
  const loose = Buffer.from(`94${nonce}c415${location}${caveats}d920${tail}ffff`, 'hex')
  const decoded = decodeMacaroon(loose)
  assert.equal(verifyMacaroon(decoded, key).verified, true)
  assert.deepEqual(encodeMacaroon(decoded), encodeMacaroon(token))
})

interface RealToken {
  readonly token: string
  readonly location: string
  readonly key: string
  readonly expected: string
  readonly discharges: readonly string[]
}

/** Made by the original. */
const realTokens = (
  JSON.parse(
    readFileSync(
      new URL('../../test/fixtures/macaroon/macaroon-cases.json', import.meta.url),
      'utf8',
    ),
  ) as { cases: RealToken[] }
).cases.filter(({ expected, discharges }) => expected === 'allow' && discharges.length === 0)

test('a mutated real token verifies only when nothing signed has changed', () => {
  const mutation = fc.record({
    token: fc.constantFrom(...realTokens),
    edits: fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), {
      minLength: 1,
      maxLength: 3,
    }),
    cut: fc.nat({ max: 3 }),
  })
  fc.assert(
    fc.property(mutation, ({ token, edits, cut }) => {
      const [first] = permissionTokens(parseBundle(token.token, token.location))
      assert.ok(first !== undefined)
      const bytes = encodeMacaroon(first.macaroon)
      const rootKey = Buffer.from(token.key, 'base64')
      const mutated = Buffer.from(bytes.subarray(0, bytes.length - cut))
      for (const [at, bits] of edits)
        mutated[at % mutated.length] = (mutated[at % mutated.length] ?? 0) ^ bits
      let decoded: Macaroon
      try {
        decoded = decodeMacaroon(mutated)
      } catch (error) {
        assert.ok(error instanceof MacaroonError, String(error))
        return
      }
      const verdict = verifyMacaroon(decoded, rootKey)
      if (!verdict.verified) return
      const original = decodeMacaroon(bytes)
      assert.deepEqual({ ...decoded, location: '' }, { ...original, location: '' })
    }),
    { numRuns: 3000 },
  )
})

test('every single bit of a real token counts, but for those of its location', () => {
  const bytes = encodeMacaroon(mintExample())
  const start = bytes.indexOf(LOCATION) - 1 // its header, too: another string type reads the same
  const end = start + 1 + LOCATION.length
  for (let bit = 0; bit < 8 * bytes.length; bit += 1) {
    const at = bit >> 3
    if (at >= start && at < end) continue
    const flipped = Buffer.from(bytes)
    flipped[at] = (flipped[at] ?? 0) ^ (1 << (bit & 7))
    assert.equal(isGenuine(flipped), false, `bit ${bit}`)
  }
})

function isGenuine(bytes: Buffer): boolean {
  try {
    return verifyMacaroon(decodeMacaroon(bytes), key).verified
  } catch (error) {
    assert.ok(error instanceof MacaroonError, String(error))
    return false
  }
}
