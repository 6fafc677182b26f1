import { join } from 'node:path'
import { type Clock, type Log, parseMachineId, type Random } from '#base'
import type { Guest, Runtime } from '#guest'
import { formatReference, parseReference } from '#image'
import {
  type MachineConfig,
  MachineDisks,
  type MachineImages,
  type MachinePlan,
  type PreparedDisks,
  type PreparedImage,
  planMachine,
} from '#machine'
import { type BlockDriver, isDeviceId, type MachineRoots, parseDeviceId } from '#volume'
import type { SshAuthorities } from '../access/gateway-authorities.ts'
import { openHostKey } from '../access/host-key.ts'
import { MachineAccess } from '../access/machine-access.ts'
import type { ConnectOptions, ExecOptions } from '../host.ts'
import type { LogSink } from '../logs/machine-logs.ts'
import type { AskApi } from '../machine-api/serve-api-socket.ts'
import type { ImageRefJson } from '../model/image-ref.ts'
import type { MachineSubject } from '../model/machine-subject.ts'
import type { MachineLink, MachineLinks } from '../network/machine-links.ts'
import type { PolicySource } from '../network/network-policies.ts'
import { ExitRecords } from './exit-records.ts'
import { act, fatal } from './fatal-errors.ts'
import { GuestActs } from './guest-acts.ts'
import type { MachineEffects } from './machine-effects.ts'
import { machineConfigOf, platformEnv } from './machine-plan.ts'
import type { SecretSource } from './secret-source.ts'
import { VolumeActs } from './volume-acts.ts'

export interface HostEffectsOptions {
  /** Of its own, for what must outlive this process. */
  readonly folder: string
  readonly images: MachineImages
  readonly driver: BlockDriver
  readonly roots: MachineRoots
  readonly links: MachineLinks
  readonly policies: PolicySource
  readonly runtime: Runtime
  readonly secrets: SecretSource
  readonly authorities: SshAuthorities
  readonly logs: LogSink
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Absent: machines have no socket of the API. */
  readonly askApi?: AskApi | undefined
}

/** Images, disks, networks and guests of this host: what state machines act on. */
export class HostEffects extends VolumeActs implements MachineEffects, Disposable {
  readonly #options: HostEffectsOptions
  readonly #disks: MachineDisks
  readonly #guests: GuestActs
  readonly #access: MachineAccess
  readonly #exits: ExitRecords
  readonly #links = new Map<string, MachineLink>()
  readonly #prepared = new Set<string>()
  readonly #facts = new Map<string, ImageFacts>()

  private constructor(options: HostEffectsOptions) {
    super(options.driver)
    const { folder, runtime, logs, clock, random, log, askApi } = options
    this.#options = options
    this.#disks = new MachineDisks(options)
    this.#exits = new ExitRecords(join(folder, 'exits'))
    const planOf = this.#planOf.bind(this)
    const exits = this.#exits
    this.#guests = new GuestActs({ runtime, planOf, exits, logs, clock, random, log, askApi })
    this.#access = new MachineAccess({
      agentOf: (id, signal) => this.#guests.agentOf(id, signal),
      addressesOf: (id) => this.addressesOf(id),
      authorities: options.authorities,
      hostKey: openHostKey(join(folder, 'ssh_host_key')),
      ...{ clock, log },
    })
  }

  static async open(options: HostEffectsOptions, signal: AbortSignal): Promise<HostEffects> {
    const effects = new HostEffects(options)
    for (const link of await options.links.standing(signal)) effects.#links.set(link.id, link)
    return effects
  }

  /** Guests that this process looks after. */
  get guestCount(): number {
    return this.#guests.count
  }

  /** Lets go of the guests: they run on. */
  [Symbol.dispose](): void {
    this.#guests[Symbol.dispose]()
  }

  /** It was prepared by this process: what was before it costs a bid nothing but a place. */
  hasImage(reference: string): boolean {
    return this.#prepared.has(reference)
  }

  /** Where this host reaches a machine. Empty: it has no network now. */
  addressesOf(id: string): string[] {
    const link = this.#links.get(id)
    return link === undefined ? [] : [link.privateIp, link.privateIpv4]
  }

  prepareImage({ config, imageRef }: MachineSubject, signal: AbortSignal): Promise<ImageRefJson> {
    return act(async () => {
      const text = config.image
      if (text === undefined || text === '') throw fatal('the machine has no image')
      // A version keeps the image that it was made with, whatever its tag names now.
      using image = await this.#image(imageRef?.digest ? referenceOf(imageRef) : text, signal)
      if (this.#prepared.size >= PREPARED_MAX) this.#prepared.clear()
      this.#prepared.add(text)
      const { registry, repository, tag = '' } = parseReference(text)
      this.#keepFacts(image)
      const { labels = {} } = image.config as { labels?: Readonly<Record<string, string>> }
      return { registry, repository, tag, digest: image.digest, labels }
    })
  }

  makeRoot(subject: MachineSubject, keepRoot: boolean, signal: AbortSignal): Promise<void> {
    return act(async () => {
      const id = parseMachineId(subject.id)
      const { roots } = this.#options
      const isThere = await this.#options.driver.find(rootDevice(id), signal)
      if (isThere !== undefined && keepRoot) return
      if (isThere !== undefined) await roots.remove(id, signal)
      using image = await this.#imageOf(subject, signal)
      await roots.ensure(id, { path: image.basePath }, rootfsOf(subject), signal)
    })
  }

  removeRoot(id: string, signal: AbortSignal): Promise<void> {
    return act(async () => {
      this.#exits.forget(id)
      await this.#disks.remove(parseMachineId(id), signal)
    })
  }

  attachVolumes({ id, config }: MachineSubject, signal: AbortSignal): Promise<void> {
    return act(async () => {
      const volumes = (config.mounts ?? []).map(({ volume }) => String(volume))
      for (const volume of volumes) {
        if (!isDeviceId(volume)) throw fatal('not the id of a volume', { volume })
      }
      await this.prepareMounts(volumes, id, signal)
      for (const volume of volumes) {
        const options = { holder: parseDeviceId(id) }
        await this.#options.driver.attach(parseDeviceId(volume), options, signal)
      }
    })
  }

  detachVolumes(id: string, signal: AbortSignal): Promise<void> {
    return act(() => this.#disks.releaseVolumes(parseMachineId(id), signal))
  }

  makeNetwork({ id, appId, networkId, config }: MachineSubject, signal: AbortSignal) {
    return act(async () => {
      const { links, policies } = this.#options
      const { metadata = {} } = config
      const policy = await policies.policyOf({ id, appId, metadata }, signal)
      const link = await links.make({ id, networkId, policy }, signal)
      this.#links.set(id, link)
      return { privateIp: link.privateIp, privateIpv4: link.privateIpv4 }
    })
  }

  removeNetwork(id: string, keepAddress: boolean, signal: AbortSignal): Promise<void> {
    return act(async () => {
      const { links } = this.#options
      await (keepAddress ? links.takeDown(id, signal) : links.remove(id, signal))
      this.#links.delete(id)
    })
  }

  boot = (subject: MachineSubject, signal: AbortSignal) => this.#guests.boot(subject, signal)
  startEntrypoint = (subject: MachineSubject, signal: AbortSignal) =>
    this.#guests.startEntrypoint(subject, signal)
  stopEntrypoint = (
    id: string,
    options: { readonly signal: string; readonly timeoutMs: number },
    signal: AbortSignal,
  ) => this.#guests.stopEntrypoint(id, options, signal)
  removeGuest = (id: string, signal: AbortSignal) => this.#guests.removeGuest(id, signal)
  suspend = (id: string, signal: AbortSignal) => this.#guests.suspend(id, signal)
  resume = (subject: MachineSubject, signal: AbortSignal) => this.#guests.resume(subject, signal)
  adopt = (subject: MachineSubject, signal: AbortSignal) => this.#guests.adopt(subject, signal)
  onGuestEnd: GuestActs['onGuestEnd'] = (listener) => this.#guests.onGuestEnd(listener)
  signal = (id: string, name: string, signal: AbortSignal) => this.#guests.signal(id, name, signal)
  exec = (id: string, options: ExecOptions, signal: AbortSignal) =>
    this.#guests.exec(id, options, signal)
  connect = (subject: MachineSubject, options: ConnectOptions, signal: AbortSignal) =>
    this.#access.connect(subject, options, signal)
  processes = (id: string, signal: AbortSignal) => this.#guests.processes(id, signal)
  memory = (id: string, signal: AbortSignal) => this.#guests.memory(id, signal)
  stats = (id: string, signal: AbortSignal) => this.#guests.stats(id, signal)
  limitMemory = (id: string, limitMb: number, signal: AbortSignal) =>
    this.#guests.limitMemory(id, limitMb, signal)
  reclaimMemory = (id: string, amountMb: number, signal: AbortSignal) =>
    this.#guests.reclaimMemory(id, amountMb, signal)

  async list(signal: AbortSignal): Promise<readonly string[]> {
    const { links, driver } = this.#options
    const devices = await driver.list(signal)
    return [
      ...new Set([
        ...(await this.#guests.list()),
        ...(await links.ids(signal)),
        ...devices.flatMap(({ id }) => /^(?:root|swap)-([0-9a-f]{14})$/.exec(id)?.[1] ?? []),
        ...devices.flatMap(({ holders }) =>
          holders.map(({ holder }) => holder).filter((holder) => /^[0-9a-f]{14}$/.test(holder)),
        ),
        ...this.#exits.list(),
      ]),
    ]
  }

  /** Of a guest that runs its disks are what it was booted with. */
  async #planOf(
    subject: MachineSubject,
    running: Guest | undefined,
    signal: AbortSignal,
  ): Promise<MachinePlan> {
    const id = parseMachineId(subject.id)
    const network = this.#links.get(id)?.guest
    const config =
      running === undefined
        ? machineConfigOf(withoutSecrets(subject), {}, network) // a boot needs none
        : machineConfigOf(subject, await this.#secretsOf(subject, signal), network)
    const image = await this.#factsOf(subject, signal)
    const disks =
      running === undefined
        ? await this.#prepareDisks(subject, config, signal)
        : disksOf(running, config)
    return planMachine({ id, config, image, disks, platformEnv: platformEnv(subject) })
  }

  /** A root that was kept may be of another image than the present one. */
  async #prepareDisks(
    subject: MachineSubject,
    config: MachineConfig,
    signal: AbortSignal,
  ): Promise<PreparedDisks> {
    const { driver } = this.#options
    const id = parseMachineId(subject.id)
    const root = await driver.find(rootDevice(id), signal)
    if (root === undefined) {
      using image = await this.#imageOf(subject, signal)
      return await this.#disks.prepare(id, config, image.basePath, signal)
    }
    const { path } = await driver.attach(root.id, { holder: parseDeviceId(id) }, signal)
    const beside = await this.#disks.prepareBeside(id, config, signal)
    return { root: { path, readOnly: false }, ...beside }
  }

  async #secretsOf(
    { skipSecrets, appName, minSecretsVersion }: MachineSubject,
    signal: AbortSignal,
  ): Promise<Readonly<Record<string, string>>> {
    if (skipSecrets) return {}
    return await this.#options.secrets.secretsOf(appName, minSecretsVersion, signal)
  }

  /** What never changes of an image: read once. */
  async #factsOf(subject: MachineSubject, signal: AbortSignal): Promise<ImageFacts> {
    const known = this.#facts.get(subject.imageRef?.digest ?? '')
    if (known !== undefined) return known
    using image = await this.#imageOf(subject, signal)
    return this.#keepFacts(image)
  }

  #keepFacts({ digest, config, userFiles }: PreparedImage): ImageFacts {
    if (this.#facts.size >= FACTS_MAX) this.#facts.clear()
    const facts = { config, userFiles }
    this.#facts.set(digest, facts)
    return facts
  }

  #image(reference: string, signal: AbortSignal) {
    return this.#options.images.prepare({ kind: 'registry', reference }, { signal })
  }

  async #imageOf({ imageRef, config }: MachineSubject, signal: AbortSignal) {
    return await this.#image(
      imageRef?.digest ? referenceOf(imageRef) : String(config.image ?? ''),
      signal,
    )
  }
}

type ImageFacts = Pick<PreparedImage, 'config' | 'userFiles'>

const FACTS_MAX = 1_000
/** References that are remembered. */
const PREPARED_MAX = 10_000

/** What of a configuration names secrets is for init alone. */
function withoutSecrets(subject: MachineSubject): MachineSubject {
  const { files: _, processes: __, ...config } = subject.config
  return { ...subject, config }
}

const rootDevice = (id: string) => parseDeviceId(`root-${id}`)

const referenceOf = ({ registry, repository, digest }: ImageRefJson) =>
  formatReference(parseReference(`${registry}/${repository}@${digest}`))

function rootfsOf(subject: MachineSubject): MachineConfig['rootfs'] & object {
  const { size_gb: sizeGb } = (subject.config['rootfs'] ?? {}) as { size_gb?: unknown }
  return typeof sizeGb === 'number' && sizeGb > 0 ? { sizeBytes: sizeGb * 2 ** 30 } : {}
}

function disksOf({ spec }: Guest, { mounts = [] }: MachineConfig): PreparedDisks {
  const disks = spec.disks ?? []
  const pathOf = (serial: string) => disks.find((disk) => disk.serial === serial)?.path
  return {
    root: { path: spec.rootfs.path, readOnly: spec.rootfs.readOnly ?? false },
    volumes: mounts.map((mount, index) => ({
      mount,
      path: pathOf(`volume${index}`) ?? '',
      type: 'ext4',
    })),
    swapPath: pathOf('swap'),
  }
}
