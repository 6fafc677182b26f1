import type acme from 'acme-client'
import type { AuthorizationView, ChallengeView, OrderView } from './acme-order.ts'
import { CertificateError } from './errors.ts'

/** A certificate authority that speaks ACME, as orders use it. Every call asks it anew. */
export interface AcmeAuthority {
  /** @returns the order's URL */
  order(hostname: string): Promise<string>
  /** Undefined: it does not know the order any more. */
  view(orderUrl: string): Promise<OrderView | undefined>
  keyAuthorization(challenge: ChallengeView): Promise<string>
  /** The answer is published: look at it. */
  answer(challenge: ChallengeView): Promise<void>
  /** @param csr PEM */
  finalize(orderUrl: string, csr: string): Promise<void>
  /** PEM, leaf first. */
  download(orderUrl: string): Promise<string>
}

export interface AcmeAuthorityOptions {
  /** As `https://acme-v02.api.letsencrypt.org/directory`. */
  readonly directoryUrl: string
  /** PEM. The same one finds the same account again. */
  readonly accountKey: string
  readonly email?: string | undefined
}

const CALL_MS_MAX = 30_000

type Challenge = Parameters<acme.Client['completeChallenge']>[0]
type Library = typeof acme

let library: Promise<Library> | undefined

/** Loaded when the first order is made: it is large, and most processes never order. */
function loadLibrary(): Promise<Library> {
  library ??= import('acme-client').then(({ default: loaded }) => {
    const { defaults, interceptors } = loaded.axios
    const { acmeSettings } = defaults as unknown as { acmeSettings: { retryMaxAttempts: number } }
    acmeSettings.retryMaxAttempts = 0 // the order's own state machine comes again
    defaults.timeout = CALL_MS_MAX
    interceptors.response.use(refuseSome)
    return loaded
  })
  return library
}

/** @returns the authority at a directory URL; nothing is asked before the first call */
export function acmeAuthority(options: AcmeAuthorityOptions): AcmeAuthority {
  const { directoryUrl, accountKey, email } = options
  let ready: Promise<acme.Client> | undefined
  const open = async () => {
    const { Client } = await loadLibrary()
    const client = new Client({ directoryUrl, accountKey })
    await client.createAccount({
      termsOfServiceAgreed: true,
      ...(email === undefined ? {} : { contact: [`mailto:${email}`] }),
    })
    return client
  }
  const withAccount = async <T>(call: (client: acme.Client) => Promise<T>): Promise<T> => {
    ready ??= open()
    try {
      await ready
    } catch (error) {
      ready = undefined
      throw failure(error)
    }
    try {
      return await call(await ready)
    } catch (error) {
      throw failure(error)
    }
  }
  const orderOf = (client: acme.Client, url: string) => client.getOrder({ url } as acme.Order)
  return {
    order: (hostname) =>
      withAccount(async (client) => {
        const identifiers = [{ type: 'dns', value: hostname }]
        return (await client.createOrder({ identifiers })).url
      }),
    view: (orderUrl) =>
      withAccount(async (client) => {
        const order = await orderOf(client, orderUrl)
        const authorizations = await client.getAuthorizations(order)
        return { status: order.status, authorizations: authorizations.map(authorizationOf) }
      }).catch((error) => {
        if (error instanceof CertificateError && error.values['status'] === 404) return undefined
        throw error
      }),
    keyAuthorization: (challenge) =>
      withAccount((client) =>
        client.getChallengeKeyAuthorization(challenge as unknown as Challenge),
      ),
    answer: async (challenge) => {
      await withAccount((client) => client.completeChallenge(challenge as unknown as Challenge))
    },
    finalize: async (orderUrl, csr) => {
      await withAccount(async (client) =>
        client.finalizeOrder(await orderOf(client, orderUrl), csr),
      )
    },
    download: (orderUrl) =>
      withAccount(async (client) => client.getCertificate(await orderOf(client, orderUrl))),
  }
}

function authorizationOf(authorization: acme.Authorization): AuthorizationView {
  return {
    name: authorization.identifier.value,
    status: authorization.status,
    challenges: authorization.challenges.map((challenge) => ({
      type: challenge.type,
      status: challenge.status,
      url: challenge.url,
      token: challenge.token,
      error: (challenge as { error?: { detail?: string } }).error?.detail,
    })),
  }
}

/** The client's own errors keep the text only: when to come again, or that an order is gone, is taken here. */
function refuseSome(response: AcmeResponse): AcmeResponse {
  if (response.status !== 429 && response.status !== 404) return response
  const retryAfterS = Number(response.headers['retry-after'])
  throw new CertificateError('certificates.order_failed', {
    what: 'the certificate authority refused a request',
    values: {
      reason: String((response.data as { detail?: unknown })?.detail ?? response.statusText),
      status: response.status,
      ...(Number.isFinite(retryAfterS) ? { retryAfterMs: retryAfterS * 1_000 } : {}),
    },
  })
}

type AcmeResponse = Parameters<
  NonNullable<Parameters<Library['axios']['interceptors']['response']['use']>[0]>
>[0]

function failure(error: unknown): CertificateError {
  if (error instanceof CertificateError) return error
  return new CertificateError('certificates.order_failed', {
    what: 'the certificate authority refused a request',
    values: { reason: error instanceof Error ? error.message : String(error) },
    cause: error,
  })
}

/** A certificate request for one name, PEM. @param key PKCS #8, PEM */
export async function makeRequest(hostname: string, key: string): Promise<string> {
  const { crypto } = await loadLibrary()
  const [, csr] = await crypto.createCsr({ commonName: hostname, altNames: [hostname] }, key)
  return csr.toString()
}
