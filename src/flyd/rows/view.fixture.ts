import type { MachineSeen } from '../model/machine-seen.ts'
import type { Change, MachineView } from '../model/machine-view.ts'
import type { VolumeSeen } from '../model/volume-seen.ts'

/** A view whose machines and volumes a test decides. */
export class TestView implements MachineView {
  readonly #machines = new Map<string, MachineSeen>()
  readonly #volumes = new Map<string, VolumeSeen>()
  readonly #listeners = new Set<(change: Change) => void>()

  machines = () => this.#machines.values()
  machine = (id: string) => this.#machines.get(id)
  volumes = () => this.#volumes.values()
  volume = (id: string) => this.#volumes.get(id)
  countOfApp = (appId: string) =>
    this.#machines
      .values()
      .filter((one) => one.appId === appId && one.state !== 'destroyed')
      .toArray().length

  onChange(listener: (change: Change) => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) }
  }

  put(machine: MachineSeen): void {
    this.#machines.set(machine.id, machine)
    this.#tell({ kind: 'machine', id: machine.id, machine })
  }

  forget(id: string): void {
    this.#machines.delete(id)
    this.#tell({ kind: 'machine_forgotten', id })
  }

  putVolume(volume: VolumeSeen): void {
    this.#volumes.set(volume.id, volume)
    this.#tell({ kind: 'volume', id: volume.id, volume })
  }

  forgetVolume(id: string): void {
    this.#volumes.delete(id)
    this.#tell({ kind: 'volume_forgotten', id })
  }

  #tell(change: Change): void {
    for (const listener of this.#listeners) listener(change)
  }
}

export function machineSeen(id: string, changes: Partial<MachineSeen> = {}): MachineSeen {
  return {
    id,
    name: `name-${id}`,
    appId: 'app1',
    appName: 'heron',
    orgId: 'org1',
    orgSlug: 'birds',
    networkId: 7,
    region: 'ams',
    state: 'started',
    version: '01HEPA330HZ37A78TK080NAK1M',
    config: { image: 'nginx', metadata: { fly_process_group: 'web' } },
    imageRef: undefined,
    privateIp: undefined,
    isCordoned: false,
    lease: undefined,
    events: [],
    createdAtMs: 1_000,
    updatedAtMs: 1_000,
    ...changes,
  }
}

export function volumeSeen(id: string, changes: Partial<VolumeSeen> = {}): VolumeSeen {
  return {
    id,
    name: 'data',
    appId: 'app1',
    orgId: 'org1',
    region: 'ams',
    state: 'created',
    sizeGb: 1,
    isEncrypted: false,
    fstype: 'ext4',
    machineId: undefined,
    snapshotRetention: 5,
    autoBackupEnabled: true,
    createdAtMs: 1_000,
    updatedAtMs: 1_000,
    ...changes,
  }
}
