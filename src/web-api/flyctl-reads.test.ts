import assert from 'node:assert/strict'
import test from 'node:test'
import { assertShape, type Shape } from './fixture/shape.ts'
import { DIGEST, PEER_KEY, WebWorld } from './fixture/web-world.ts'

/** Queries of the shapes that commands of flyctl send, and what they decode of the answers. */
interface Read {
  readonly command: string
  readonly query: string
  readonly variables?: Readonly<Record<string, unknown>>
  readonly shape: Shape
}

const organization: Shape = {
  ...{ id: 'text', slug: 'text', rawSlug: 'text', name: 'text', type: 'text', paidPlan: 'flag' },
  ...{ billable: 'flag', viewerRole: 'text', internalNumericId: 'digits' },
}
const heron = { app: 'heron' }

const reads: readonly Read[] = [
  {
    command: 'auth whoami',
    query: '{ viewer { ... on User { id email enablePaidHobby } ... on Macaroon { email } } }',
    shape: { viewer: { email: 'text' } },
  },
  {
    command: 'orgs list',
    query: `query($mine: Boolean!) { organizations(admin: $mine) { nodes {
      id slug rawSlug name type paidPlan billable viewerRole internalNumericId } } }`,
    variables: { mine: false },
    shape: { organizations: { nodes: [organization] } },
  },
  {
    command: 'orgs show',
    query: `query($slug: String!) { details: organization(slug: $slug) {
      id slug rawSlug name type viewerRole internalNumericId remoteBuilderImage
      remoteBuilderApp { name }
      members { edges { cursor node { id name email } joinedAt role } } } }`,
    variables: { slug: 'birds' },
    shape: {
      details: {
        ...{ internalNumericId: 'digits', remoteBuilderImage: 'text', remoteBuilderApp: 'null' },
        members: {
          edges: [
            {
              ...{ cursor: 'text', role: 'text', joinedAt: 'time?' },
              node: { id: 'text', name: 'text', email: 'text' },
            },
          ],
        },
      },
    },
  },
  {
    command: 'launch',
    query: `query Launch($slug: String!) { organization(slug: $slug) { ...Data } }
      fragment Data on Organization { id slug rawSlug paidPlan, addOnSsoLink
        provisionsBetaExtensions name billable billingStatus }`,
    variables: { slug: 'personal' },
    shape: {
      organization: {
        ...{ slug: 'text', rawSlug: 'text', billable: 'flag', billingStatus: 'text' },
        ...{ provisionsBetaExtensions: 'flag', addOnSsoLink: 'null' },
      },
    },
  },
  {
    command: 'launch, volumes create: regions',
    query: `{ platform { requestRegion regions {
      name code latitude longitude gatewayAvailable requiresPaidPlan deprecated } } }`,
    shape: {
      platform: {
        requestRegion: 'text',
        regions: [
          {
            ...{ name: 'text', code: 'text', latitude: 'any', longitude: 'any' },
            ...{ gatewayAvailable: 'flag', requiresPaidPlan: 'flag', deprecated: 'flag' },
          },
        ],
      },
    },
  },
  {
    command: 'apps list',
    query: `query($org: ID, $after: String) {
      apps(type: "container", first: 200, after: $after, organizationId: $org) {
        pageInfo { hasNextPage endCursor }
        nodes { id name deployed hostname platformVersion network organization { slug name }
          currentRelease { createdAt status } status } } }`,
    shape: {
      apps: {
        pageInfo: { hasNextPage: 'flag', endCursor: 'text?' },
        nodes: [
          {
            ...{ id: 'text', name: 'text', deployed: 'flag', hostname: 'text', network: 'text' },
            ...{ status: 'text', platformVersion: 'text' },
            organization: { slug: 'text', name: 'text' },
            currentRelease: { createdAt: 'time', status: 'text' },
          },
        ],
      },
    },
  },
  {
    command: 'apps create --json: the whole app',
    query: `query($app: String!) { app(name: $app) { id internalNumericId name hostname deployed
      status version appUrl platformVersion
      currentRelease { evaluationId status inProgress version } config { definition }
      organization { id slug paidPlan } services { description protocol internalPort
      ports { port handlers } } ipAddresses { nodes { id address type createdAt } }
      sharedIpAddress cnameTarget imageDetails { registry repository tag digest version }
      machines { nodes { id name config state region createdAt app { name }
        ips { nodes { family kind ip maskSize } } host { id } } }
      postgresAppRole: role { name } } }`,
    variables: heron,
    shape: {
      app: {
        ...{ id: 'text', internalNumericId: 'number', name: 'text', deployed: 'flag' },
        ...{ status: 'text', version: 'number', platformVersion: 'text', appUrl: 'text' },
        ...{ cnameTarget: 'null', postgresAppRole: 'null', sharedIpAddress: 'text' },
        currentRelease: { status: 'text', inProgress: 'flag', version: 'number' },
        config: { definition: { app: 'text' } },
        services: [
          {
            protocol: 'text',
            internalPort: 'number',
            ports: [{ port: 'number', handlers: ['text'] }],
          },
        ],
        ipAddresses: { nodes: [{ id: 'text', address: 'text', type: 'text', createdAt: 'time' }] },
        imageDetails: { repository: 'text' },
        machines: {
          nodes: [
            {
              ...{ id: 'text', name: 'text', state: 'text', region: 'text', createdAt: 'time' },
              ...{ config: { image: 'text' }, app: { name: 'text' }, host: { id: 'text' } },
              ips: { nodes: [{ family: 'text', kind: 'text', ip: 'text', maskSize: 'number' }] },
            },
          ],
        },
      },
    },
  },
  {
    command: 'status, ssh, machine run: the compact app',
    query: `query($app: String!) { compact: app(name: $app) { id internalNumericId name hostname
      cnameTarget deployed network status appUrl platformVersion
      organization { id internalNumericId slug paidPlan } postgresAppRole: role { name } } }`,
    variables: heron,
    shape: {
      compact: {
        ...{ internalNumericId: 'number', deployed: 'flag', network: 'text', status: 'text' },
        organization: { id: 'text', internalNumericId: 'digits', slug: 'text', paidPlan: 'flag' },
      },
    },
  },
  {
    command: 'machine commands without an app',
    query: `query($machine: String!) { found: machine(machineId: $machine) {
      id name app { name organization { id slug } } } }`,
    shape: { found: { id: 'text', name: 'text', app: { name: 'text' } } },
  },
  {
    command: 'volumes show without an app',
    query: 'query($volume: ID!) { volume(id: $volume) { ... on Volume { app { name } } } }',
    shape: { volume: { app: { name: 'text' } } },
  },
  {
    command: 'releases, scale count',
    query: `query($app: String!, $limit: Int!) { app(name: $app) {
      releases: releasesUnprocessed(first: $limit) { nodes { id version description reason status
        imageRef stable user { id email name } createdAt } } } }`,
    variables: { ...heron, limit: 25, status: 'complete' }, // which the document does not declare
    shape: {
      app: {
        releases: {
          nodes: [
            {
              ...{ id: 'text', version: 'number', status: 'text', imageRef: 'text' },
              ...{ stable: 'flag', createdAt: 'time', description: 'text', reason: 'text' },
              user: { id: 'text', email: 'text', name: 'text' },
            },
          ],
        },
      },
    },
  },
  {
    command: 'config show, secrets set: the newest release',
    query: `query($app: String!) { app(name: $app) {
      currentReleaseUnprocessed { id version imageRef configDefinition } } }`,
    variables: heron,
    shape: {
      app: {
        currentReleaseUnprocessed: {
          ...{ id: 'text', version: 'number', imageRef: 'text', configDefinition: { app: 'text' } },
        },
      },
    },
  },
  {
    command: 'deploy --image, machine run: what a reference means',
    query: `query($app: String!, $image: String!) { app(name: $app) { id image(ref: $image) {
      id digest ref compressedSize: compressedSizeFull manifest } } }`,
    variables: { ...heron, image: 'registry.example/heron:1' },
    shape: {
      app: {
        image: {
          ...{ id: 'text', digest: 'text', ref: 'text', compressedSize: 'digits' },
          manifest: { annotations: 'any' },
        },
      },
    },
  },
  {
    command: 'ips list',
    query: `query($app: String!) { app(name: $app) { ipAddresses { nodes { id address type region
      createdAt network { name organization { slug } } serviceName } } sharedIpAddress } }`,
    variables: heron,
    shape: {
      app: {
        sharedIpAddress: 'text',
        ipAddresses: {
          nodes: [
            { address: 'text', type: 'text', region: 'text', createdAt: 'time', network: 'null' },
          ],
        },
      },
    },
  },
  {
    command: 'tokens list',
    query: `query($app: String!) { tokens: app(name: $app) { limitedAccessTokens { nodes {
      id name token expiresAt revokedAt user { email } } } } }`,
    variables: heron,
    shape: {
      tokens: {
        limitedAccessTokens: {
          nodes: [
            {
              ...{ id: 'text', name: 'text', token: 'text', expiresAt: 'time?', revokedAt: 'null' },
              user: { email: 'text' },
            },
          ],
        },
      },
    },
  },
  {
    command: 'wireguard list',
    query: `query($slug: String!) { organization(slug: $slug) { wireGuardPeers { nodes {
      id name pubkey region peerip } } } }`,
    variables: { slug: 'birds' },
    shape: {
      organization: {
        wireGuardPeers: {
          nodes: [{ id: 'text', name: 'text', pubkey: 'text', region: 'text', peerip: 'text' }],
        },
      },
    },
  },
  {
    command: 'wireguard create: where from',
    query: '{ nearestRegion(wireguardGateway: true) { code name gatewayAvailable deprecated } }',
    shape: {
      nearestRegion: { code: 'text', name: 'text', gatewayAvailable: 'flag', deprecated: 'flag' },
    },
  },
]

test('each query of a command is answered with every field that the client decodes', async () => {
  await using world = await WebWorld.open()
  const ids = await fill(world)
  for (const { command, query, variables, shape } of reads) {
    const data = await world.get(query, { ...ids, ...variables })
    assertShape(data, shape, command)
  }
})

/** Something of everything, for heron. */
async function fill(world: WebWorld): Promise<{ machine: string; volume: string }> {
  const by = { who: 'cli:test', requestId: 'r' }
  const services = [
    { protocol: 'tcp', internal_port: 8080, ports: [{ port: 443, handlers: ['tls', 'http'] }] },
  ]
  const machine = await world.call('POST', '/apps/heron/machines', {
    region: 'ams',
    config: { image: 'nginx', services },
  })
  const volume = await world.call('POST', '/apps/heron/volumes', { name: 'nest', region: 'ams' })
  const release = { image: 'registry.example/heron:1', strategy: 'rolling' }
  world.accounts.createRelease(by, { app: 'heron', ...release, definition: { app: 'heron' } })
  for (const type of ['v4', 'v6', 'shared_v4']) {
    await world.call('POST', '/apps/heron/ip_assignments', { type })
  }
  world.newToken('deploy', 'birds', { app: 'heron' })
  await world.call('POST', '/orgs/birds/wireguard_peers', { name: 'laptop', pubkey: PEER_KEY })
  const ref = 'registry.example/heron:1'
  world.images.set(ref, { ref, digest: DIGEST, bytes: 5_000_000_000 })
  return { machine: machine.body.id, volume: volume.body.id }
}

test('what clients are misled by is never said', async () => {
  await using world = await WebWorld.open()
  const query = 'query($name: String!) { app(name: $name) { id network config { definition } } }'
  const { app } = await world.get(query, { name: 'heron' })
  assert.deepEqual(app, { id: 'heron', network: '', config: { definition: {} } })
  const { errors, data } = await world.ask(query, { name: 'nobodys' })
  assert.match(errors[0]?.message ?? '', /Could not find App/)
  assert.equal(errors[0]?.extensions.code, 'NOT_FOUND')
  assert.deepEqual(data, { app: null })
  const image = await world.ask('{ latestImageDetails(image: "nginx", flyVersion: "") { tag } }')
  assert.match(image.errors[0]?.message ?? '', /Unknown repository/)
  const empty = await world.get(
    `query($slug: String!, $type: AddOnType) {
    organization(slug: $slug) { addOns(type: $type) { nodes { id } } } }`,
    {
      ...{ slug: 'birds', type: 'tigris' },
    },
  )
  assert.deepEqual(empty, { organization: { addOns: { nodes: [] } } })
})

test('apps come in pages, by name', async () => {
  await using world = await WebWorld.open()
  const by = { who: 'cli:test', requestId: 'r' }
  for (const app of ['owl', 'wren', 'auk']) {
    world.accounts.createApp(by, { organization: 'birds', app })
  }
  const query = `query($after: String) { apps(first: 2, after: $after) {
    pageInfo { hasNextPage endCursor } nodes { name } } }`
  const names: string[] = []
  let after: string | null = null
  do {
    const { apps } = await world.get(query, { after })
    names.push(...apps.nodes.map(({ name }: { name: string }) => name))
    after = apps.pageInfo.hasNextPage ? apps.pageInfo.endCursor : null
  } while (after !== null)
  assert.deepEqual(names, ['auk', 'heron', 'owl', 'wren'])
})

test('the personal organisation is that of the token, for clients that name none', async () => {
  await using world = await WebWorld.open()
  const { organizations } = await world.get('{ organizations { nodes { id slug rawSlug type } } }')
  const [first, personal] = organizations.nodes
  assert.deepEqual([first.slug, first.type], ['birds', 'SHARED'])
  assert.deepEqual(
    [personal.slug, personal.rawSlug, personal.type],
    ['personal', 'birds', 'PERSONAL'],
  )
  assert.equal(personal.id, first.id)
  const made = await world.call('POST', '/apps', { name: 'owl', org_slug: 'personal' })
  assert.deepEqual([made.status, made.body.organization.slug], [201, 'birds'])
})
