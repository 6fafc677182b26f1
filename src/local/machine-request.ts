import type { RuntimeKind } from '#guest'
import type { OnProgress } from '#image'
import type { ImageSourceName, MachineConfig } from '#machine'
import type { PublishedPort } from './machine-record.ts'

/** When the registry is asked: for each run, only for what is not here, or not at all. */
export type PullPolicy = 'always' | 'missing' | 'never'

/** A machine as somebody at a terminal asks for it. */
export interface MachineRequest {
  readonly image: Exclude<ImageSourceName, { kind: 'cached' }>
  /** @default one made of the image's name */
  readonly name?: string
  readonly runtime: RuntimeKind
  /** Without its network, which `network` decides. */
  readonly config: Omit<MachineConfig, 'network'>
  /** `none`: loopback alone. Published ports work with both. */
  readonly network: 'nat' | 'none'
  readonly ports: readonly PublishedPort[]
  readonly pull: PullPolicy
  readonly isTemporary: boolean
  readonly isBound: boolean
  /** @default the image's */
  readonly stopSignal?: string
}

/** What is told while a machine is prepared. */
export interface PreparationView {
  readonly onPull?: OnProgress
  readonly onUnpack?: OnProgress
  /** Another process is at the images. */
  readonly onWait?: () => void
}
