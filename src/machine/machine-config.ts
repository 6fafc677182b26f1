import type { CpuSpec, TerminalSize } from '#guest'

/**
 * What a machine is to be, whoever asks: the Machines API by way of flyd, or `godwit run`. Names are still
 * names here: users of the image, volumes of the host.
 */
export interface MachineConfig {
  readonly cpu: CpuSpec
  readonly memoryMib: number
  /** @default the runtime's */
  readonly pidsMax?: number
  readonly process?: MachineProcess
  /** @default the machine's id */
  readonly hostname?: string
  /** Written at every start, before the command. */
  readonly files?: readonly MachineFile[]
  readonly mounts?: readonly MachineMount[]
  /** 0: none. */
  readonly swapMib?: number
  readonly rootfs?: {
    /** The image's base itself, shared with other machines. @default false */
    readonly readOnly?: boolean
    /** @default 8 GiB */
    readonly sizeBytes?: number
  }
  readonly network?: MachineNetwork
}

/** The command and how it runs. Of the three ways to say it, `exec` beats the others. */
export interface MachineProcess {
  /** The whole command line: nothing of the image's. */
  readonly exec?: readonly string[]
  /** Instead of the image's entrypoint, whose cmd is then dropped. */
  readonly entrypoint?: readonly string[]
  readonly cmd?: readonly string[]
  /** Wins over the image's. */
  readonly env?: Readonly<Record<string, string>>
  /** `user[:group]`, names of the image or numbers. @default the image's */
  readonly user?: string
  /** Absolute. @default the image's */
  readonly workingDir?: string
  /** Gives it a terminal. */
  readonly tty?: TerminalSize
  /** Gives one without a terminal an input. */
  readonly hasInput?: boolean
}

export interface MachineFile {
  /** Absolute; missing parents are made. */
  readonly path: string
  readonly content: Uint8Array
  /** @default 0o644 */
  readonly mode?: number
  /** @default root */
  readonly owner?: { readonly uid: number; readonly gid: number }
}

export interface MachineMount {
  /** A device of the host's pool; with `sizeBytes` made and formatted when it is not there. */
  readonly volume: string
  /** Absolute, in the machine; not `/`. */
  readonly path: string
  readonly sizeBytes?: number
  readonly readOnly?: boolean
}

/** A network that stands; whoever made it gave the addresses. */
export interface MachineNetwork {
  readonly netnsPath: string
  readonly device: string
  readonly mac: string
  readonly mtuBytes?: number
  /** `cidr` is address/bits; `gateway` becomes the default route of its family. */
  readonly addresses: readonly { readonly cidr: string; readonly gateway?: string }[]
  readonly nameservers?: readonly string[]
  readonly searchDomains?: readonly string[]
  readonly hosts?: readonly { readonly address: string; readonly names: readonly string[] }[]
}
