import { spawn } from 'node:child_process'
import { join, relative } from 'node:path'
import { Command, Option } from 'commander'
import type { BoxRuntime, Web } from '#box'
import type { Machine, Profile } from '#flaps-client'
import { acceleratorFor } from './accelerator.ts'
import { ApiInputError } from './api/input-error.ts'
import { interruption } from './interruption.ts'

const GODWIT = join(import.meta.dirname, '../../bin/godwit')
const APP = 'hello'
const HOST = `${APP}.godwit.localhost`
const VISIT_MS = 20_000

const planetOption = () =>
  new Option('-p, --planet <name>', 'name of the planet').default('box').env('GODWIT_PLANET')

interface UpOptions {
  readonly planet: string
  readonly latency: boolean
  readonly runtime?: BoxRuntime
  readonly apiPort: string
  readonly webPort: string
}

/** `godwit up`: the whole platform on this machine, with an app in every region. */
export function upCommand(): Command {
  return new Command('up')
    .summary('the whole platform on this machine: three regions, and an app in each')
    .description(
      'Builds a planet of three regions with two hosts each, runs the platform on all of them, and deploys a demo app to ' +
        'every region. What stands already is left as it is: run it again after whatever stopped it. Needs root.',
    )
    .addOption(planetOption())
    .option('--no-latency', 'every link is immediate, for speed')
    .addOption(
      new Option(
        '--runtime <kind>',
        'runc: containers; qemu: virtual machines, emulated without KVM (default: qemu where a guest boots with KVM)',
      ).choices(['runc', 'qemu']),
    )
    .option(
      '--api-port <port>',
      "of the API on this machine's loopback; 0: any that is free",
      '4280',
    )
    .option(
      '--web-port <port>',
      "of the apps on this machine's loopback; 0: any that is free",
      '8443',
    )
    .action(async ({ planet, latency, runtime, apiPort, webPort }: UpOptions) => {
      const { BOX_TOPOLOGY, buildPlanet, loadTopology, planWorld } = await import('#planet')
      const { HELLO_APP, HELLO_LAYOUT, makeHelloImage, ORGANIZATION, raisePlatform } = await import(
        '#box'
      )
      const signal = interruption()
      const progress = progressLines()
      const topology = { ...loadTopology(BOX_TOPOLOGY), ...(latency ? {} : { latency: false }) }
      const kind = runtime === undefined ? await runtimeHere(signal, progress) : { runtime }
      const world = await buildPlanet(planWorld(planet, topology), { progress, signal })
      const { profile, web } = await raisePlatform(world, {
        ...{ topology, progress, signal, ...kind },
        apiPort: Number(apiPort),
        webPort: Number(webPort),
      })
      progress('making the demo image out of images/hello and busybox')
      const digest = await makeHelloImage()
      const regions = topology.regions.filter(({ hosts = 0 }) => hosts > 0).map(({ code }) => code)
      const { isMade, image, there } = await appSeen(profile)
      if (!isMade) await shown('apps', 'create', APP, '--org', ORGANIZATION)
      if (image?.endsWith(digest)) progress('the image is deployed already')
      else {
        await shown('deploy', '-c', near(HELLO_APP), '--image', near(HELLO_LAYOUT), '--no-ha')
      }
      if (regions.some((region) => !there.has(region))) {
        const count = ['scale', 'count', `${regions.length}`, '--region', regions.join(',')]
        await shown(...count, '--max-per-region', '1', '-a', APP, '--yes')
      }
      progress(`visiting https://${HOST} through the nearest edge`)
      const visited = await visitedOf(web, signal)
      process.stdout.write(summary(await pagesOf(profile), { planet, profile, web, visited }))
    })
    .addHelpText(
      'after',
      '\nExamples:\n  $ godwit up\n  $ godwit up --no-latency\n  $ godwit up --runtime qemu\n  $ godwit down',
    )
}

/** `godwit down`: nothing of it is left. */
export function downCommand(): Command {
  return new Command('down')
    .summary('remove what godwit up built')
    .description(
      'Removes the planet that `godwit up` built, and all that runs on it. Other planets stay: `godwit planet list` shows ' +
        'them. May run twice.',
    )
    .addOption(planetOption())
    .action(async ({ planet }: Pick<UpOptions, 'planet'>) => {
      const { removePlanet } = await import('#planet')
      const { removeProfile } = await import('#flaps-client')
      const isRemoved = await removePlanet(planet)
      removeProfile()
      process.stdout.write(isRemoved ? `removed ${planet}\n` : 'there is nothing to remove\n')
    })
    .addHelpText('after', '\nExample:\n  $ godwit down')
}

/** Virtual machines where the hardware runs them, else containers, and says so. What stands keeps what it has. */
async function runtimeHere(
  signal: AbortSignal,
  progress: (step: string) => void,
): Promise<{ readonly foundRuntime?: BoxRuntime }> {
  if ((await acceleratorFor('qemu', signal)) === 'kvm') return { foundRuntime: 'qemu' }
  progress('no guest boots with KVM here: machines are containers (--runtime qemu emulates)')
  return {}
}

/** As one would write it here. */
function near(path: string): string {
  const short = relative(process.cwd(), path)
  return short.startsWith('..') ? path : `./${short}`
}

function progressLines(): (step: string) => void {
  const startedMs = performance.now()
  return (step) => {
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
    process.stderr.write(`${seconds.padStart(6)} s  ${step}\n`)
  }
}

/** A command as the user would give it, and what it prints. @throws ApiInputError cli.failed */
async function shown(...words: readonly string[]): Promise<void> {
  process.stderr.write(`\n$ godwit ${words.join(' ')}\n`)
  const child = spawn(GODWIT, words, { stdio: ['ignore', 'inherit', 'inherit'] })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', resolve)
  })
  if (code === 0) return
  throw new ApiInputError('cli.failed', {
    what: `godwit ${words[0]} failed`,
    values: { exitCode: code },
    fix: 'mend what it says, and run this again: it goes on where it stopped',
  })
}

async function openClient({ api: url, token, ca }: Profile) {
  const { FlapsClient } = await import('#flaps-client')
  return new FlapsClient({ url, token, ...(ca === undefined ? {} : { ca }) })
}

/** How far an earlier run came. */
async function appSeen(profile: Profile) {
  const { ORGANIZATION } = await import('#box')
  using client = await openClient(profile)
  const isMade = (await client.apps(ORGANIZATION)).some(({ name }) => name === APP)
  if (!isMade) return { isMade, image: undefined, there: new Set<string>() }
  const release = await client.releases(APP).latest()
  const machines = await client.machines(APP).list()
  return {
    isMade,
    image: release?.status === 'complete' ? release.image_ref : undefined,
    there: new Set(machines.map(({ region }) => region)),
  }
}

interface Page {
  readonly machine: Machine
  readonly text: string
}

/** What each machine answers, asked inside of it. */
async function pagesOf(profile: Profile): Promise<Page[]> {
  using client = await openClient(profile)
  const machines = client.machines(APP)
  const pages: Page[] = []
  for (const machine of await machines.list()) {
    const command = ['wget', '-q', '-O', '-', 'http://127.0.0.1:8080/']
    const { exit_code: code, stdout, stderr } = await machines.exec(machine.id, { command })
    pages.push({ machine, text: code === 0 ? stdout.trim() : `no answer: ${stderr.trim()}` })
  }
  return pages.sort((a, b) => (a.machine.region < b.machine.region ? -1 : 1))
}

/** The page as a visitor sees it, or why there is none: the edges may have to learn of the app first. */
async function visitedOf(web: Web, signal: AbortSignal): Promise<Visited> {
  const { retry } = await import('#base')
  const { visit } = await import('#box')
  try {
    const page = await retry(() => visit(web, HOST), {
      ...{ operation: `visiting ${HOST}`, baseMs: 250, capMs: 1_000, deadlineMs: VISIT_MS },
      ...{ isTransient: () => true, signal },
    })
    return { page }
  } catch (error) {
    signal.throwIfAborted()
    return { why: error instanceof Error ? error.message : String(error) }
  }
}

type Visited = { readonly page: string } | { readonly why: string }

function summary(
  pages: readonly Page[],
  {
    planet,
    profile: { api },
    web,
    visited,
  }: { planet: string; profile: Profile; web: Web; visited: Visited },
): string {
  const answers = pages.map(({ machine: { region }, text }) => `  ${region}  ${text}`)
  const on = planet === 'box' ? '' : ` -p ${planet}`
  const url = `https://${HOST}:${web.port}`
  const reach =
    'page' in visited
      ? `Visit it, from this machine and from cities of the planet:

  curl --cacert ${web.caFile} ${url}
  bin/godwit planet exec${on} nrt-client -- curl -s -H 'host: ${HOST}' http://${web.address}
  ${url}    in a browser that trusts that file

`
      : `No edge leads to it yet (${visited.why}); commands in its machines reach it:

  bin/godwit machine exec -a ${APP} ${pages[0]?.machine.id} -- wget -qO- http://127.0.0.1:8080/

`
  return `
The platform stands: ${pages.length} regions, and the app ${APP} in each. Its machines say:

${answers.join('\n')}

${reach}The API is at ${api}; the command line knows that, and has a token.

  bin/godwit status -a ${APP}
  bin/godwit logs -a ${APP}
  bin/godwit planet exec${on} ams-1 -- godwit host status
  bin/godwit planet exec${on} ams-1 -- godwit host list
  bin/godwit planet status${on}
  ${planet === 'box' ? 'npm run down' : `bin/godwit down${on}`}
`
}
