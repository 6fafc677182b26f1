import { createPrivateKey, generateKeyPairSync, sign } from 'node:crypto'
import type { Accounts } from './accounts.ts'
import { notFound } from './errors.ts'
import type { IdentityKey } from './signing-key.ts'
import type { Store } from './store.ts'

const DAY_MS = 86_400_000
/** After that tokens are signed with a new key. */
const SIGNS_MS = 30 * DAY_MS
/** So much longer than it signs a key is published: longer than any token lives, or any verifier keeps it. */
const PUBLISHED_MS = SIGNS_MS + DAY_MS
const MODULUS_BITS = 2_048
const KID_BYTES = 12

/** The keys that say to others which machine somebody is. RSA, because every verifier takes that. */
export const identityKeyReads = (
  store: Store,
): Pick<Accounts, 'identityKeys' | 'signIdentity'> => ({
  identityKeys: () =>
    store.database
      .prepare('SELECT * FROM identity_keys WHERE created_at_ms > ? ORDER BY sequence DESC')
      .all(store.clock.nowMs() - PUBLISHED_MS)
      .map((row): IdentityKey => {
        const createdAtMs = Number(row['created_at_ms'])
        return {
          kid: String(row['kid']),
          jwk: JSON.parse(String(row['public_jwk'])),
          isToSign: createdAtMs > store.clock.nowMs() - SIGNS_MS,
        }
      }),
  signIdentity(kid, text) {
    const row = store.database.prepare('SELECT sealed FROM identity_keys WHERE kid = ?').get(kid)
    if (row === undefined) throw notFound('identity key', { kid })
    const key = store.ring.open(row['sealed'] as Uint8Array, identityContext(kid))
    return sign(
      'sha256',
      Buffer.from(text),
      createPrivateKey({ key, format: 'der', type: 'pkcs8' }),
    )
  },
})

export const identityKeyWrites = (store: Store): Pick<Accounts, 'addIdentityKey'> => ({
  addIdentityKey() {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: MODULUS_BITS })
    const kid = Buffer.from(store.random.bytes(KID_BYTES)).toString('base64url')
    const jwk = { ...publicKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' }
    const sealed = store.ring.seal(
      privateKey.export({ format: 'der', type: 'pkcs8' }),
      identityContext(kid),
    )
    store.database
      .prepare(
        'INSERT INTO identity_keys (kid, public_jwk, sealed, created_at_ms) VALUES (?, ?, ?, ?)',
      )
      .run(kid, JSON.stringify(jwk), sealed, store.clock.nowMs())
    return { kid, jwk, isToSign: true }
  },
})

export const identityContext = (kid: string) => `identity:${kid}`
