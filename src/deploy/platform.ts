import type { MachinesClient, Volume } from '#flaps-client'

/** The machines of the app, as a deploy uses them. */
export type Machines = Pick<
  MachinesClient,
  | 'list'
  | 'get'
  | 'create'
  | 'update'
  | 'start'
  | 'stop'
  | 'destroy'
  | 'setCordoned'
  | 'wait'
  | 'lease'
  | 'release'
>

/** What a deploy needs of the platform: one app, through its API. */
export interface Platform {
  readonly machines: Machines
  volumes(): Promise<readonly Volume[]>
  createVolume(volume: { name: string; region: string; sizeGb: number }): Promise<Volume>
  /** Addresses that the app has. */
  ips(): Promise<readonly { readonly ip: string; readonly shared: boolean }[]>
  assignIp(kind: 'v4' | 'v6' | 'shared_v4' | 'private_v6'): Promise<{ readonly ip: string }>
  /** The region for machines when nobody names one. */
  nearestRegion(): Promise<string>
}
